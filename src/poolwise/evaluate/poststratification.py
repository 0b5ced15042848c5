"""Estimates for a population: predictions of its cells, weighted by how many people each has.

Multilevel regression and poststratification (Gelman and Little 1997; Park, Gelman and Bafumi 2004).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poolwise.evaluate.estimates import Estimates, estimate
from poolwise.evaluate.marginal_effects import predictions
from poolwise.evaluate.prediction_request import Question
from poolwise.inference.posterior import Posterior
from poolwise.sources import Source
from poolwise.sources.frames import check_column
from poolwise.sources.relation import Relation
from poolwise.sources.source import table_of
from poolwise.statistics.queries import is_complete
from poolwise.support.errors import DataError
from poolwise.support.progress import Scan

if TYPE_CHECKING:
    import pandas as pd

_MOST = 1 << 22  # cells
_NUMBERS = "'{}' must hold how many there are in each cell: numbers from 0, none of them missing."


def poststratify(
    posterior: Posterior, population: Source, counts: str, by: list[str], question: Question, interval: float
) -> Estimates:
    """Averages over the population, or over its parts that share the values of some columns.

    Raises
    ------
    DataError : for missing columns, counts that are negative or missing, and more than four million cells.
    """
    if len(set(by)) < len(by):
        raise DataError(f"by names a column twice: {', '.join(by)}.")
    frame = _cells(posterior, population, counts, by, question)
    if frame[counts].dtype.kind not in "iuf":
        raise DataError(_NUMBERS.format(counts))
    many = frame[counts].to_numpy(dtype=float, na_value=np.nan)
    if not (np.isfinite(many) & (many >= 0)).all():
        raise DataError(_NUMBERS.format(counts))
    people = frame[many > 0]
    if len(frame) and not len(people):
        raise DataError(f"There is nobody in the population: '{counts}' is zero in all of its cells.")
    _refuse_empty_parts(frame, people, by, counts)
    frame, many = people.reset_index(drop=True), many[many > 0]  # cells without people may be unknown ones
    found = predictions(posterior, frame, question)
    return estimate(posterior, found, frame, by, weights=many, interval=interval)


def _refuse_empty_parts(frame: pd.DataFrame, people: pd.DataFrame, by: list[str], counts: str) -> None:
    """Refuse parts of a population in which there is nobody, by their names: an average of them is of nothing."""
    import pandas as pd

    if not by:
        return
    parts, known = frame[by].drop_duplicates(), people[by].drop_duplicates()
    empty = pd.concat([parts, known]).drop_duplicates(keep=False).to_numpy(dtype=object)
    if len(empty):
        first = " and ".join(f"{name} = {value}" for name, value in zip(by, empty[0], strict=True))
        more = f", and in {len(empty) - 1:,} more of its {len(parts):,} parts" if len(empty) > 1 else ""
        raise DataError(
            f"There is nobody in the part of the population with {first}{more}: '{counts}' is zero in all of its "
            "cells. Leave these cells out."
        )


def _cells(posterior: Posterior, population: Source, counts: str, by: list[str], question: Question) -> pd.DataFrame:
    """The cells of a population with the columns that predictions take; those of an engine are added up there."""
    encoding = posterior.model.encoding
    keys = () if question.unlabelled else encoding.keys
    wanted = list(dict.fromkeys([*encoding.variables, *keys, *by]))
    for name in (*wanted, counts):
        check_column(name, population.names)
    if counts in wanted:
        raise DataError(f"'{counts}' is a predictor or group of this fit; counts= names the column of how many.")
    if not isinstance(population, Relation):
        return table_of(population).frame.to_pandas()[[*wanted, counts]].reset_index(drop=True)
    import narwhals as nw
    import pandas as pd

    if not population.schema[counts].is_numeric():
        raise DataError(_NUMBERS.format(counts))
    rows = population.frame.select(*wanted, counts)
    odd = rows.filter(~is_complete(population, [counts]) | (nw.col(counts) < 0))
    if population.count(odd):
        raise DataError(_NUMBERS.format(counts))
    added = rows.group_by(*wanted).agg(nw.col(counts).cast(nw.Float64).sum()) if wanted else rows.select(counts)
    found = population.fetch(added.head(_MOST + 1), Scan())
    frame = pd.DataFrame(found).sort_values(wanted, ignore_index=True) if wanted else pd.DataFrame(found)
    if len(frame) > _MOST:
        raise DataError(f"The population has more than {_MOST:,} cells: leave out columns, or take fewer categories.")
    return frame
