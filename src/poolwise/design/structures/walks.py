"""Random walks: `rw1(t)`, `rw2(t)`, and `cyclic(t, period=12)`, which ends where it began.

Increments (of first differences for `rw1`, of slopes for `rw2`) are independent. Whole-numbered times have every step
between the first and the last, so that gaps are filled; other times have steps of their own lengths, along which the
variance of an increment grows (Rue and Held 2005, section 3.2). What is free is the level, and for `rw2` the trend.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from formulaic.materializers.types import FactorValues
from formulaic.utils.stateful_transforms import stateful_transform

from poolwise.design.levels import label_text
from poolwise.design.structures.levels import check_number, columns_at, eigen_columns, encoded, learnt, root_columns
from poolwise.design.structures.smooth import number_column
from poolwise.support.errors import DataError, FormulaError

_SAME = 1e-9  # of the range of times: what lies nearer is one time


@stateful_transform
def first_order(t: Any, _state: Any = None) -> FactorValues[Any]:
    """Columns of a random walk over time."""
    return _walk("rw1(...)", t, 1, _state)


@stateful_transform
def second_order(t: Any, _state: Any = None) -> FactorValues[Any]:
    """Columns of a walk whose slope is a random walk over time, and of a straight line."""
    return _walk("rw2(...)", t, 2, _state)


@stateful_transform
def cyclic_walk(t: Any, period: float, _state: Any = None) -> FactorValues[Any]:
    """Columns of a random walk around a circle of `period` whole steps."""
    values = number_column("cyclic(...)", t)
    if "levels" not in _state:
        if isinstance(period, bool) or int(period) != period or period < 3:
            raise FormulaError(f"The period of cyclic() is a whole number of steps, three at least, not {period!r}.")
        n = int(period)
        check_number("cyclic(...)", n)
        ring = 2 * np.eye(n) - np.roll(np.eye(n), 1, axis=0) - np.roll(np.eye(n), -1, axis=0)
        learnt(_state, [label_text(float(k)) for k in range(n)], eigen_columns(ring, 1, scaled=True))
        _state["period"] = n
    broken = values[values != np.floor(values)]
    if len(broken):
        raise DataError(f"cyclic() takes whole-numbered times, not {broken[0]:g}; s(t, bs='cc') is for others.")
    return encoded(_state, np.mod(values, _state["period"]), "cyclic(...)")


def _walk(text: str, t: Any, order: int, state: Any) -> FactorValues[Any]:
    values = number_column(text, t)
    if "times" not in state:
        times = _times(text, values, order)
        steps = np.diff(times)
        after = times[:, None] - times
        root = (after[:, 1:] >= 0) * np.sqrt(steps)  # increments that a level has behind it
        if order == 2:  # changes of slope, whose variance grows with the mean of both steps
            root = np.maximum(after[:, 1:-1], 0.0) * np.sqrt(0.5 * (steps[1:] + steps[:-1]))
        null = np.column_stack([np.ones_like(times), times - times.mean()])[:, :order]
        state["times"] = times
        linear = {"linear": (times - values.mean()) / values.std()} if order == 2 else None
        learnt(state, [label_text(one) for one in times], root_columns(root, null), linear)
    return columns_at(state, _places(text, np.asarray(state["times"]), values))


def _places(text: str, times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The level of each time; times that agree but for rounding are the same."""
    near = _SAME * (times[-1] - times[0])
    beyond = values[(values < times[0] - near) | (values > times[-1] + near)]
    if len(beyond):
        raise DataError(f"{text} was fitted from {times[0]:g} to {times[-1]:g} and is not continued to {beyond[0]:g}.")
    after = np.clip(np.searchsorted(times, values), 1, len(times) - 1)
    places = after - (values - times[after - 1] < times[after] - values)
    between = values[np.abs(times[places] - values) > near]
    if len(between):
        raise DataError(f"{text} has levels at the times of the fit, and none at {between[0]:g}.")
    return np.asarray(places)


def _times(text: str, values: np.ndarray, order: int) -> np.ndarray:
    if not np.isfinite(values).all():
        raise DataError(f"{text} takes finite times.")
    distinct = np.unique(values)
    distinct = distinct[np.append(True, np.diff(distinct) > _SAME * (distinct[-1] - distinct[0]))]
    if len(distinct) < order + 2:
        raise DataError(f"{text} needs {order + 2} different times at least, not {len(distinct)}.")
    if (distinct == np.floor(distinct)).all():
        step = float(np.gcd.reduce(np.diff(distinct).astype(np.int64)))
        check_number(text, int((distinct[-1] - distinct[0]) / step) + 1)
        return np.asarray(np.arange(distinct[0], distinct[-1] + step / 2, step))
    check_number(text, len(distinct))
    return np.asarray(distinct)
