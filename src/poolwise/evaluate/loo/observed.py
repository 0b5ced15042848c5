"""What was observed in each unit that is left out: it tells whether two fits are of the same data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from poolwise.design import Rows
from poolwise.families import Family
from poolwise.inference.posterior import Model
from poolwise.statistics import CrossProducts

Observed = Mapping[str, np.ndarray]  # numbers (n,) of the units, by what they are; NaN where that is not known

_OUTCOME, _SQUARE, _TIMES = "the outcome", "the square of the outcome", "the weight of the log likelihood"
_TRIALS, _ENDS = "the number of trials", "the end of the interval that a censored outcome lies in"


def of_rows(rows: Rows, family: Family) -> Observed:
    """Of each row (n,). Weights that divide a variance leave densities what they are."""
    ones = np.ones(len(rows.codes))
    ends = np.zeros_like(ones)
    if rows.limits is not None:
        low, high = np.where(np.isfinite(rows.limits[:2]), rows.limits[:2], 0.0)
        ends = low + 2.0 * high + ~rows.observed
    return {
        _OUTCOME: rows.response,
        _TIMES: ones if family.precise else rows.precisions,
        _TRIALS: ones if rows.trials is None else rows.trials,
        _ENDS: ends,
    }


def of_groups(rows: Rows, family: Family, codes: np.ndarray, groups: int) -> Observed:
    """Sums over the rows of each group (G,), whose codes (n,) are given."""
    found = dict(of_rows(rows, family))
    found[_SQUARE] = np.square(found[_OUTCOME])
    times = rows.multiplicities
    return {name: np.bincount(codes, times * values, groups) for name, values in found.items()}


def of_cells(model: Model, of: CrossProducts, group_of: np.ndarray, groups: int) -> Observed:
    """The same by statistics of cells (C,), each of a group: outcomes less offsets, and weighted, say nothing."""
    rows = np.bincount(group_of, weights=of.counts, minlength=groups)
    exact = {} if model.sampled else {_TIMES: rows, _TRIALS: rows, _ENDS: np.zeros(groups)}
    if model.design.formula.offsets or model.encoding.weights is not None:
        return exact
    mean = of.means[:, -1] + of.origin[-1]
    sums = {_OUTCOME: of.weights * mean, _SQUARE: of.scatter[:, -1, -1] + of.weights * np.square(mean)}
    return exact | {name: np.bincount(group_of, weights=values, minlength=groups) for name, values in sums.items()}


def difference(one: Observed, other: Observed) -> tuple[str, int] | None:
    """What differs first by more than rounding, and in which unit."""
    for name in [name for name in one if name in other]:
        scale = max(float(np.abs(np.nan_to_num(one[name])).max()), 1e-300)
        if name == _OUTCOME and _SQUARE in one:  # a sum may be zero but for rounding
            scale = max(scale, float(np.sqrt(one[_SQUARE].sum())))
        apart = np.abs(one[name] - other[name]) > 1e-9 * scale
        if apart.any():
            return name, int(np.argmax(apart))
    return None
