"""Predictions, comparisons and slopes: weighted sums of predictions, for each row or averaged over rows.

The verbs of marginaleffects (Arel-Bundock, Greifer and Heiss 2024), on draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design import Encoding
from poolwise.design.encoding import column_of_category
from poolwise.errors import DataError, suggest
from poolwise.judge.predict import Predictor, Question, predictor_of
from poolwise.posterior import Posterior
from poolwise.sources.frames import as_table

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_STEP = 1e-4  # of a predictor's spread: slopes are central differences over twice this


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Estimates:
    """Quantities computed from predictions.

    Attributes
    ----------
    table : one line for each quantity: what it is of, `estimate` (posterior mean), `sd`, interval, `above_zero`.
    draws : (chain, draw, quantity), in the order of the table.
    """

    table: pd.DataFrame
    draws: xr.DataArray

    def __repr__(self) -> str:
        return self.table.to_string(index=False, float_format=lambda value: f"{value:.4g}")

    def _repr_html_(self) -> str:
        return self.table.to_html(index=False, border=0, float_format=lambda value: f"{value:.4g}")


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """A weighted sum of predictions of the same rows, with other values in some column.

    Attributes
    ----------
    labels : what it is, by column of the table.
    parts : weights and predictors.
    """

    labels: dict[str, str]
    parts: tuple[tuple[float, Predictor], ...]

    def batches(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Consecutive rows and their draws, (chains * draws, rows)."""
        for several in zip(*(predictor.batches() for _, predictor in self.parts), strict=True):
            weights = [weight for weight, _ in self.parts]
            total = sum(weight * drawn for weight, (_, drawn) in zip(weights, several, strict=True))
            yield several[0][0], np.asarray(total)


def levels_of_variable(posterior: Posterior, frame: pd.DataFrame, name: str) -> list[Any] | None:
    """The categories of a predictor, the two values of an indicator, or None where it is a number on a scale."""
    check_variable(posterior.model.encoding, frame, name)
    for part in posterior.model.encoding.specs._flatten():
        for factor, (_, state) in getattr(part, "encoder_state", {}).items():
            if column_of_category(factor) == name and "categories" in state:
                return list(state["categories"])
    values = sorted(frame[name].unique())
    return values if len(values) <= 2 else None


def check_variable(encoding: Encoding, frame: pd.DataFrame, name: str) -> None:
    """Refuse a name that is not a predictor."""
    if name not in encoding.variables:
        raise DataError(f"'{name}' is not a predictor of this fit. {suggest(str(name), encoding.variables)}")
    if name not in frame:
        raise DataError(f"There is no column '{name}' in the new data. {suggest(str(name), map(str, frame.columns))}")


def predictions(posterior: Posterior, frame: pd.DataFrame, question: Question) -> list[Contrast]:
    """The predictions themselves."""
    return [Contrast({}, ((1.0, predictor_of(posterior, as_table(frame), question)),))]


def comparisons(
    posterior: Posterior, frame: pd.DataFrame, question: Question, variables: Sequence[str]
) -> list[Contrast]:
    """What a change of each variable does: one unit more, the other of two values, each category against the first."""
    found = []
    for name in variables:
        levels = levels_of_variable(posterior, frame, name)
        if levels is None:
            pairs = [("+1", frame[name] + 1, frame[name])]
        elif len(levels) < 2:
            raise DataError(f"'{name}' has one value only, {levels[0]}: there is nothing to compare it with.")
        else:
            pairs = [(f"{level} - {levels[0]}", level, levels[0]) for level in levels[1:]]
        for words, high, low in pairs:
            parts = [(weight, frame.assign(**{name: value})) for weight, value in ((1.0, high), (-1.0, low))]
            found.append(_contrast(posterior, question, {"term": name, "contrast": words}, parts))
    return found


def slopes(posterior: Posterior, frame: pd.DataFrame, question: Question, variables: Sequence[str]) -> list[Contrast]:
    """Derivatives of the prediction in each numeric variable, at each row."""
    found = []
    for name in variables:
        check_variable(posterior.model.encoding, frame, name)
        if frame[name].dtype.kind not in "iuf":
            raise DataError(f"'{name}' is not a number, so it has no slope; comparisons() takes categories.")
        values = frame[name].astype(float)
        step = _STEP * (float(values.std(ddof=0)) or 1.0)
        ends = [
            (0.5 / step, frame.assign(**{name: values + step})),
            (-0.5 / step, frame.assign(**{name: values - step})),
        ]
        found.append(_contrast(posterior, question, {"term": name, "contrast": "dy/dx"}, ends))
    return found


def _contrast(
    posterior: Posterior, question: Question, labels: dict[str, str], parts: list[tuple[float, pd.DataFrame]]
) -> Contrast:
    made = tuple((weight, predictor_of(posterior, as_table(frame), question)) for weight, frame in parts)
    return Contrast(labels, made)


def estimate(
    posterior: Posterior, contrasts: list[Contrast], frame: pd.DataFrame, by: list[str] | None, interval: float
) -> Estimates:
    """Tables and draws of contrasts: of each row, or averaged over the rows that share the values of `by`.

    An empty `by` averages over all rows.
    """
    import pandas as pd

    if not 0 < interval < 1:
        raise DataError(f"interval must lie between 0 and 1, not {interval!r}.")
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
        lines = frame.assign(_code=codes).drop_duplicates("_code").sort_values("_code")[by].reset_index(drop=True)
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
    total = np.zeros((draws, groups))
    for part, drawn in contrast.batches():
        mine = codes[part]
        used, place = np.unique(mine, return_inverse=True)
        if len(used) == len(mine):
            total[:, mine] += drawn
        else:
            members = np.zeros((len(mine), len(used)))
            members[np.arange(len(mine)), place] = 1.0
            total[:, used] += drawn @ members
    return total / np.bincount(codes, minlength=groups)


def _described(drawn: np.ndarray, lines: pd.DataFrame, labels: dict[str, str], interval: float) -> pd.DataFrame:
    tail = (1 - interval) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    measured = {
        "estimate": drawn.mean(axis=0),
        "sd": drawn.std(axis=0, ddof=1),
        f"{100 * tail:g}%": low,
        f"{100 * (1 - tail):g}%": high,
    }
    if labels:
        measured["above_zero"] = (drawn > 0).mean(axis=0)
    return lines.assign(**measured)[[*lines.columns, *measured]].pipe(_in_front, labels)


def _in_front(table: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    for name, value in reversed(labels.items()):
        table.insert(0, name, value)
    return table


def _labelled(posterior: Posterior, drawn: np.ndarray) -> xr.DataArray:
    import xarray as xr

    return xr.DataArray(
        drawn.reshape(posterior.chains, posterior.draws, -1), dims=("chain", "draw", "quantity"), name="estimate"
    )
