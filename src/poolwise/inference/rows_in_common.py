"""Counted rows told apart by more columns than their formula's: by those of other fits of the same data, in the same
order, or by one that groups them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from poolwise.design import Rows, needed_columns
from poolwise.design.combinations import value_codes
from poolwise.design.encode import encode_like
from poolwise.design.levels import label_codes, label_text
from poolwise.design.required_columns import Needed
from poolwise.inference.fitted_rows import RowsBehind
from poolwise.sources import CellTable, Source
from poolwise.sources.frames import check_column
from poolwise.sources.relation import Relation, relation_of
from poolwise.statistics.counted import CountedTable, count_rows
from poolwise.support.errors import DataError, PoolwiseError
from poolwise.support.progress import Progress


def rows_in_common(behind: Sequence[RowsBehind], progress: Progress) -> list[Rows] | None:
    """For each fit the rows that differ in any column that one of them uses, with how many there are of each.

    None where no fit is of counted rows, or where rows cannot be counted by all columns.

    Raises
    ------
    DataError : where a fit's own rows are others than those that are complete in all columns.
    """
    if all(not each.counted for each in behind):
        return None
    needed = [
        needed_columns(one.data.design.formula, one.data.encoding.weights, linear=one.data.encoding.linear)
        for one in behind
    ]
    columns = sorted({name for one in needed for name in one.columns})
    found = []
    for one, own in zip(behind, needed, strict=True):
        if one.source is None or isinstance(one.source, CellTable) or set(columns) - set(one.source.names):
            return None
        counted = _counted_by(own, one.source, columns, progress)
        if isinstance(counted, str):
            return None
        if int(counted.counts.sum()) != one.data.rows:
            raise DataError(
                f"Of the {one.data.rows:,} rows of {one.data.design.formula.text!r} {int(counted.counts.sum()):,} are "
                "complete in the columns of all formulas: fits can be compared on the same rows only."
            )
        found.append(_encoded(one, own, counted).take(_in_order(counted, columns)))
    return found


def rows_beside(behind: RowsBehind, column: str, progress: Progress) -> tuple[Rows, np.ndarray]:
    """The rows of a fit that was counted, told apart by one more column too, and the label (n,) of each there.

    Raises
    ------
    DataError : where there is no such column, where it is missing in some rows, or where rows cannot be counted by it.
    """
    source, encoding = behind.source, behind.data.encoding
    if source is None or isinstance(source, CellTable):
        raise DataError(
            f"This fit holds rows that were counted without '{column}': fit the data themselves to do this."
        )
    check_column(column, source.names)
    own = needed_columns(behind.data.design.formula, encoding.weights, linear=encoding.linear)
    counted = _counted_by(own, source, [column], progress)
    if isinstance(counted, str):
        raise DataError(f"Rows that were counted cannot be parted by '{column}': {counted}.")
    if int(counted.counts.sum()) != behind.data.rows:
        raise DataError(f"'{column}' is missing in some of the rows that were fitted, or the data have changed since.")
    return _encoded(behind, own, counted), np.asarray(counted.table.keys(column))


def _counted_by(own: Needed, source: Source, columns: Sequence[str], progress: Progress) -> CountedTable | str:
    """The rows of a source counted by their own columns and more; or in words why they are not."""
    relation = source if isinstance(source, Relation) else relation_of(source)  # type: ignore[arg-type]
    with _explained(relation):
        return count_rows(replace(own, predictors=(*own.predictors, *columns)), relation, "drop", progress)


def _encoded(behind: RowsBehind, own: Needed, counted: CountedTable) -> Rows:
    """Counted rows as those of a fit."""
    data = behind.data
    _, _, rows = encode_like(data.design, data.encoding, own, counted.table, missing="error", row_by_row=True)
    return replace(rows, counts=counted.counts)


@contextmanager
def _explained(relation: Relation) -> Iterator[None]:
    """An error of the engine that holds the rows becomes a sentence of ours."""
    try:
        yield
    except PoolwiseError:
        raise
    except Exception as error:
        if (said := relation.engine.explain(error)) is None:
            raise
        raise said from error


def _in_order(counted: CountedTable, columns: Sequence[str]) -> np.ndarray:
    """Positions (n,) of the rows, sorted by their columns: those of another source of the same data in the same way,
    whose labels may be text where these are numbers."""
    keys = [_places(values) for values in counted.table.columns(columns).values()]
    return np.lexsort(keys[::-1])


def _places(values: Any) -> np.ndarray:
    """(n,) places of values in order: of times by these, of all else by what they are as text."""
    values = np.asarray(values)
    if values.dtype.kind in "mM":
        return value_codes(values)
    codes, levels = label_codes(values)
    return value_codes(np.array([label_text(level) for level in levels.tolist()], dtype=object))[codes]
