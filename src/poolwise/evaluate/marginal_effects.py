"""Predictions, comparisons and slopes: weighted sums of predictions, for each row or averaged over rows.

The verbs of marginaleffects (Arel-Bundock, Greifer and Heiss 2024), on draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design.encoding import column_of_category
from poolwise.design.expression_names import required_columns
from poolwise.design.required_columns import design_parts, needed_columns
from poolwise.evaluate.draw_summaries import summaries
from poolwise.evaluate.explain import is_indicator
from poolwise.evaluate.predict import Predictor, predictor_of, quantities, quantity_column
from poolwise.evaluate.prediction_request import Question
from poolwise.evaluate.smooth_terms import variables
from poolwise.inference.posterior import Posterior
from poolwise.samplers.settings import check_interval
from poolwise.sources.frames import as_table
from poolwise.support.errors import DataError, suggest
from poolwise.support.naming import beside

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_SHOWN = 20  # lines of a table that are printed
_STEP = 1e-4  # of a predictor's spread: slopes are central differences over twice this


Weight = float | np.ndarray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Estimates:
    """Quantities computed from predictions.

    Attributes
    ----------
    table : one line for each quantity: what it is of, `mean` (posterior), `sd`, interval, `above_zero`.
    draws : (chain, draw, quantity), in the order of the table.
    """

    table: pd.DataFrame
    draws: xr.DataArray

    def __repr__(self) -> str:
        shown = self.table.head(_SHOWN).to_string(index=False, float_format=lambda value: f"{value:.4g}")
        return shown + self._rest()

    def _repr_html_(self) -> str:
        shown = self.table.head(_SHOWN)
        return shown.to_html(index=False, border=0, float_format=lambda value: f"{value:.4g}") + self._rest()

    def _rest(self) -> str:
        more = len(self.table) - _SHOWN
        return f"\n... {more:,} more; see .table" if more > 0 else ""


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """A weighted sum of predictions of the same rows, with other values in some column.

    Attributes
    ----------
    labels : what it is, by column of the table.
    parts : weights, one for all rows or (n,), and predictors.
    """

    labels: dict[str, str]
    parts: tuple[tuple[Weight, Predictor], ...]

    def sums(self, codes: np.ndarray, groups: int) -> np.ndarray:
        """Sums (m, groups) over the rows of each group."""
        total: Any = 0.0
        for weight, predictor in self.parts:
            of_row = np.broadcast_to(np.asarray(weight, dtype=float), len(codes))
            add = predictor.linear_sums if predictor.linear else predictor.sums
            total = total + add(of_row, codes, groups)
        return np.asarray(total)


def categories(posterior: Posterior, name: str) -> list[Any] | None:
    """The categories of a predictor, in order; None where it is a number."""
    for part in posterior.model.encoding.specs._flatten():
        for factor, (_, state) in getattr(part, "encoder_state", {}).items():
            if column_of_category(factor) == name and "categories" in state:
                return list(state["categories"])
    for structure in posterior.model.design.structures:
        if structure.simplex and variables(structure)[0] == (name,):
            return list(structure.learnt(posterior.model.encoding.specs)["ordered"])
    return None


def check_variable(posterior: Posterior, frame: pd.DataFrame, name: str) -> None:
    """Refuse a name that is not a predictor."""
    known = predictors(posterior)
    if name not in known:
        raise DataError(f"'{name}' is not a predictor of this fit. {suggest(str(name), known)}")
    if name not in frame:
        raise DataError(f"There is no column '{name}' in the new data. {suggest(str(name), map(str, frame.columns))}")


def predictors(posterior: Posterior) -> list[str]:
    """Raw columns that terms are made of; those of offsets alone are known, and nothing is learnt of them."""
    formula = posterior.model.design.formula
    needed = needed_columns(formula)
    used = {name for part in design_parts(formula) for name in required_columns(getattr(needed.parts, part))}
    used -= needed.labelling  # as the groups of bars, they are not predictors
    return [name for name in posterior.model.encoding.variables if name in used]


def _pairs(posterior: Posterior, frame: pd.DataFrame, name: str, asked: Any) -> list[tuple[str, Any, Any]]:
    """Words, and high and low values, of the changes of one variable."""
    column = frame[name]
    if asked is None:
        levels = categories(posterior, name)
        if levels is None and (column.dtype.kind == "b" or is_indicator(posterior.model.statistics, name)):
            levels = [False, True] if column.dtype.kind == "b" else [0, 1]
        if levels is None:
            return [("+1", column + 1, column)]
        return [(f"{_said(level)} - {_said(levels[0])}", level, levels[0]) for level in levels[1:]]
    if isinstance(asked, (int, float, np.number)) and not isinstance(asked, bool):
        if categories(posterior, name) is not None or column.dtype.kind not in "iuf":
            raise DataError(f"'{name}' has categories, which have no steps: give those to compare, as in ['a', 'b'].")
        return [(f"{asked:+g}", column + asked, column)]
    if isinstance(asked, (list, tuple)) and len(asked) >= 2:
        return [(f"{_said(value)} - {_said(asked[0])}", value, asked[0]) for value in asked[1:]]
    raise DataError(f"The change of '{name}' must be a step or a list of values to compare, not {asked!r}.")


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) else str(value)


def predictions(posterior: Posterior, frame: pd.DataFrame, question: Question) -> list[Contrast]:
    """The predictions themselves."""
    table = as_table(frame)
    return [
        Contrast(_named(posterior, one), ((1.0, predictor_of(posterior, table, one)),))
        for one in quantities(posterior, question)
    ]


def comparisons(
    posterior: Posterior, frame: pd.DataFrame, question: Question, variables: Mapping[str, Any]
) -> list[Contrast]:
    """What a change of each variable does: as asked for, or one unit more, the other of two values, each category."""
    found = []
    for name, asked in variables.items():
        check_variable(posterior, frame, name)
        for words, high, low in _pairs(posterior, frame, name, asked):
            parts = [(weight, frame.assign(**{name: value})) for weight, value in ((1.0, high), (-1.0, low))]
            found += _contrasts(posterior, question, {"term": name, "contrast": words}, parts)
    return found


def slopes(
    posterior: Posterior, frame: pd.DataFrame, question: Question, variables: Sequence[str], seen: pd.DataFrame | None
) -> list[Contrast]:
    """Derivatives of the prediction in each numeric variable, at each row.

    Parameters
    ----------
    seen : rows of the fit, beyond whose values no difference reaches: splines end there.
    """
    found = []
    for name in variables:
        check_variable(posterior, frame, name)
        if frame[name].dtype.kind not in "iuf" or categories(posterior, name) is not None:
            raise DataError(f"'{name}' is not a number on a scale, so it has no slope; comparisons() takes categories.")
        values = frame[name].astype(float)
        known = values if seen is None else seen[name].astype(float)
        step = _STEP * (float(known.std(ddof=0)) or 1.0)
        high, low = values + step, values - step
        if seen is not None and known.min() < known.max():
            high = high.where(high <= known.max(), values).where(values <= known.max(), high)
            low = low.where(low >= known.min(), values).where(values >= known.min(), low)
        weight = 1.0 / (high - low).to_numpy()
        ends = [(weight, frame.assign(**{name: high})), (-weight, frame.assign(**{name: low}))]
        found += _contrasts(posterior, question, {"term": name, "contrast": "dy/dx"}, ends)
    return found


def _contrasts(
    posterior: Posterior, question: Question, labels: dict[str, str], parts: Sequence[tuple[Weight, pd.DataFrame]]
) -> list[Contrast]:
    """One for each quantity that is predicted."""
    tables = [(weight, as_table(frame)) for weight, frame in parts]
    return [
        Contrast(
            labels | _named(posterior, one),
            tuple((weight, predictor_of(posterior, table, one)) for weight, table in tables),
        )
        for one in quantities(posterior, question)
    ]


def _named(posterior: Posterior, question: Question) -> dict[str, str]:
    return {quantity_column(posterior.model.family): question.quantity.name} if question.quantity else {}


def estimate(
    posterior: Posterior, contrasts: list[Contrast], frame: pd.DataFrame, by: list[str] | None, interval: float
) -> Estimates:
    """Tables and draws of contrasts: of each row, or averaged over the rows that share the values of `by`.

    An empty `by` averages over all rows.
    """
    import pandas as pd

    check_interval(interval)
    if not contrasts:
        raise DataError("There is no predictor to vary.")
    codes: np.ndarray
    if by is None:
        codes, lines = np.arange(len(frame), dtype=np.int64), frame.reset_index(drop=True)
    elif not by:
        codes, lines = np.zeros(len(frame), dtype=np.int64), pd.DataFrame(index=[0])
    else:
        for name in by:
            if name not in frame:
                raise DataError(f"There is no column '{name}' to average by. {suggest(name, map(str, frame.columns))}")
        grouped = frame.groupby(by, sort=True, observed=True)
        codes = grouped.ngroup().to_numpy(dtype=np.int64)
        _, first = np.unique(codes, return_index=True)
        lines = frame[by].iloc[first].reset_index(drop=True)
    tables, draws = [], []
    for contrast in contrasts:
        averaged = _averaged(contrast, codes, len(lines), posterior.chains * posterior.draws)
        tables.append(_described(averaged, lines, contrast.labels, interval))
        draws.append(averaged)
    return Estimates(pd.concat(tables, ignore_index=True), _labelled(posterior, np.hstack(draws)))


def _averaged(contrast: Contrast, codes: np.ndarray, groups: int, draws: int) -> np.ndarray:
    """Means (draws, groups) over the rows of each group."""
    if draws * groups > 1 << 28:
        raise DataError(f"Draws of {groups:,} quantities would not fit in memory; average them: by=[...] or avg_...().")
    return contrast.sums(codes, groups) / np.bincount(codes, minlength=groups)


def _described(drawn: np.ndarray, lines: pd.DataFrame, labels: dict[str, str], interval: float) -> pd.DataFrame:
    import pandas as pd

    tail = (1 - interval) / 2
    names = ("mean", "sd", f"{100 * tail:g}%", f"{100 * (1 - tail):g}%")
    measured = dict(zip(names, summaries(drawn.T, tail).T, strict=True))
    if "term" in labels:
        measured["above_zero"] = (drawn > 0).mean(axis=0)
    ours = beside(map(str, lines.columns), [*labels, *measured])
    front = pd.DataFrame({ours[name]: [value] * len(lines) for name, value in labels.items()}, index=lines.index)
    back = pd.DataFrame({ours[name]: value for name, value in measured.items()}, index=lines.index)
    return pd.concat([front, lines, back], axis=1)


def _labelled(posterior: Posterior, drawn: np.ndarray) -> xr.DataArray:
    import xarray as xr

    return xr.DataArray(
        drawn.reshape(posterior.chains, posterior.draws, -1), dims=("chain", "draw", "quantity"), name="estimate"
    )
