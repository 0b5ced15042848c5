"""Structured terms that vary by group, `(s(x) | g)`: what they add in some groups, over the term's variable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design import Rows
from poolwise.design.encode import encode
from poolwise.design.factors import Factor
from poolwise.design.structures import Structure
from poolwise.evaluate.predict import predictor_of_rows
from poolwise.evaluate.prediction_request import Kind, NewGroups, Question
from poolwise.evaluate.smooth_terms import SmoothTerm, along, variables
from poolwise.inference.posterior import Posterior
from poolwise.sources.frames import as_table
from poolwise.support.errors import DataError
from poolwise.support.naming import with_columns

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 9  # groups, of those with most rows


def smooth_term_by_group(
    posterior: Posterior,
    rows: Rows,
    frame: pd.DataFrame,
    structure: Structure,
    factor: Factor,
    groups: Iterable[object] | None,
    interval: tuple[float, float],
) -> SmoothTerm:
    """What a term adds in some groups beside what all have in common, nine with most rows by default.

    Parameters
    ----------
    rows, frame : encoded rows of the fit, and the same rows with their raw columns.
    interval : probabilities at its ends.

    Raises
    ------
    DataError : for a group that is not there, and for a term of two variables.
    """
    import pandas as pd

    axes, _ = variables(structure)
    if len(axes) != 1:
        raise DataError(f"'{structure.name}' is of {len(axes)} variables: predict() has its values in each group.")
    (axis,) = axes
    chosen = _largest(posterior, factor) if groups is None else posterior.positions(factor, groups)
    (values,) = along(structure, structure.learnt(posterior.model.encoding.specs), axes, frame)
    new = pd.concat([frame.head(1)] * len(values), ignore_index=True).assign(**{axis: values})
    columns = _columns(posterior, structure, factor, new)
    mine = [*structure.null, *structure.places]
    drawn = posterior.offsets(factor).draws(chosen)[..., mine]
    tables = []
    for k, group in enumerate(chosen):
        added = columns @ drawn[:, :, k].reshape(-1, len(mine)).T
        low, high = np.quantile(added, interval, axis=1)
        figures = {"mean": added.mean(axis=1), "sd": added.std(axis=1, ddof=1), "low": low, "high": high}
        tables.append(with_columns(pd.DataFrame({axis: values}), {"by": str(factor.levels[group]), **figures}))
    residuals = _residuals(posterior, rows, frame, structure, factor, chosen, axis)
    name = f"({structure.name} | {factor.name})"
    return SmoothTerm(name, axes, factor.name, pd.concat(tables, ignore_index=True), residuals)


def _largest(posterior: Posterior, factor: Factor) -> np.ndarray:
    counts = np.bincount(factor.codes, posterior.model.statistics.counts, len(factor.levels))
    return np.sort(np.argsort(-counts, kind="stable")[:_SHOWN])


def _columns(posterior: Posterior, structure: Structure, factor: Factor, frame: pd.DataFrame) -> np.ndarray:
    model = posterior.model
    _, rows = encode(model.design, model.encoding, as_table(frame), absent=model.encoding.keys)
    return _of_rows(structure, factor, rows)


def _of_rows(structure: Structure, factor: Factor, rows: Rows) -> np.ndarray:
    values = np.column_stack([np.ones(len(rows.codes)), rows.values[:, :-1]])
    return np.asarray(values @ factor.group_map[:, [*structure.null, *structure.places]])


def _residuals(
    posterior: Posterior,
    rows: Rows,
    frame: pd.DataFrame,
    structure: Structure,
    factor: Factor,
    chosen: np.ndarray,
    axis: str,
) -> pd.DataFrame:
    """Rows of the chosen groups: the term's mean plus what is left of the outcome; NaN where the scales differ."""
    levels = factor.codes[rows.codes]
    mine = np.flatnonzero(np.isin(levels, chosen))
    found, label = frame.iloc[mine][[axis]].reset_index(drop=True), [str(factor.levels[k]) for k in levels[mine]]
    if posterior.model.sampled or structure.predictor:
        return with_columns(found, {"by": label, "residual": np.nan})
    some = rows.take(mine)
    question = Question(Kind.MEAN, NewGroups.ERROR, posterior.seed)
    kept = np.linspace(0, posterior.chains * posterior.draws - 1, 400).astype(int)
    fitted = predictor_of_rows(posterior, replace(some, limits=None), question, kept).draws().mean(axis=0)
    effects = posterior.offsets(factor).mean()[:, [*structure.null, *structure.places]]
    added = np.einsum("nk,nk->n", _of_rows(structure, factor, some), effects[levels[mine]])
    return with_columns(found, {"by": label, "residual": some.response - fitted + added})
