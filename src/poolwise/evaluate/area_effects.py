"""Effects of areas: all that the terms over one column add to the linear predictor, area by area."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design import Rows
from poolwise.design.levels import label_text
from poolwise.design.structures import Structure
from poolwise.evaluate.predict import predictor_of_rows
from poolwise.evaluate.prediction_request import Kind, NewGroups, Question
from poolwise.evaluate.smooth_terms import contribution, variables
from poolwise.inference.posterior import Posterior
from poolwise.support.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def area_effects(posterior: Posterior, rows: Rows, frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """A line for each area: rows `n`, the effect's `mean` and `sd`, and `raw`, what the area's own rows say alone.

    `raw` is the mean, by the rows' weights, of the outcome minus all other terms; NaN where outcomes are not on the
    scale of the linear predictor. Areas that a term knows and no row has are there too.

    Raises
    ------
    DataError : where no term of the mean is over that column.
    """
    import pandas as pd

    design = posterior.model.design
    structures = [one for one in design.structures if not one.predictor and variables(one)[0] == (column,)]
    factors = [one for one in design.factors if one.keys == (column,) and one.of_mean and "Intercept" in one.effects]
    if not structures and not factors:
        raise DataError(
            f"No term of this fit is over '{column}', such as (1 | {column}) or icar({column}, neighbours)."
        )
    labels = _labels(posterior, structures, [str(level) for one in factors for level in one.levels])
    count = posterior.chains * posterior.draws
    added = np.zeros((len(labels), count))
    rng = np.random.default_rng(posterior.seed)
    for structure in structures:
        new = pd.concat([frame.head(1)] * len(labels), ignore_index=True)
        kind = frame[column].dtype
        new[column] = pd.Series(labels).astype(kind if kind.kind in "iuf" else object)
        added += contribution(posterior, structure, new) @ posterior.beta.reshape(count, -1).T
    for factor in factors:
        place = pd.Index([str(level) for level in factor.levels]).get_indexer(pd.Index(labels))
        q = factor.effects.index("Intercept")
        drawn = posterior.offsets(factor).draws()[..., q].reshape(count, -1).T
        sd = posterior.model.priors.layout.sd(np.asarray(posterior.theta), factor.name)[..., q].ravel()
        added += np.where((place >= 0)[:, None], drawn[place], sd * rng.standard_normal((len(labels), count)))
    row_places = pd.Index(labels).get_indexer(pd.Index([label_text(value) for value in frame[column]]))
    sizes = np.bincount(row_places, minlength=len(labels))
    table = pd.DataFrame({"area": labels, "n": sizes, "mean": added.mean(axis=1), "sd": added.std(axis=1, ddof=1)})
    return table.assign(raw=_raw(posterior, rows, row_places, sizes, added.mean(axis=1)))


def _labels(posterior: Posterior, structures: list[Structure], levels: list[str]) -> list[str]:
    specs = posterior.model.encoding.specs
    known = dict.fromkeys(levels)
    for structure in structures:
        known |= dict.fromkeys(map(str, structure.learnt(specs).get("levels") or ()))
    return sorted(known)


def _raw(posterior: Posterior, rows: Rows, places: np.ndarray, sizes: np.ndarray, effects: np.ndarray) -> np.ndarray:
    if posterior.model.sampled:
        return np.full(len(sizes), np.nan)
    question = Question(Kind.MEAN, NewGroups.ERROR, posterior.seed)
    kept = np.linspace(0, posterior.chains * posterior.draws - 1, 400).astype(int)
    fitted = predictor_of_rows(posterior, replace(rows, limits=None), question, kept).draws().mean(axis=0)
    residual = rows.response - fitted + effects[places]
    weights = rows.precisions
    with np.errstate(invalid="ignore"):
        return np.asarray(
            np.bincount(places, weights * residual, len(sizes)) / np.bincount(places, weights, len(sizes))
        )
