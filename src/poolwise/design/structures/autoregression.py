"""`ar1(t)`: a stationary autoregression of the first order, whose correlation over k steps is rho^k.

The levels of M + 1 times in a row are sums of the waves of a circle of 2 M steps, with independent coefficients: exact
for every rho, see `hyperparameters`. So gaps need nothing, and any correlation between -1 and 1 is told from the data.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from formulaic.materializers.types import FactorValues
from formulaic.utils.stateful_transforms import stateful_transform

from poolwise.design.structures import levels
from poolwise.design.structures.hyperparameters import follows_of
from poolwise.design.structures.levels import as_values
from poolwise.design.structures.smooth import number_column
from poolwise.design.structures.structure import PENALTIES, Hyperparameter, Penalty
from poolwise.support.errors import DataError, FormulaError


@stateful_transform
def autoregression(t: Any, ahead: int = 0, _state: Any = None) -> FactorValues[Any]:
    """Columns of an autoregression over whole-numbered times.

    Parameters
    ----------
    ahead : how many steps beyond the last time may be predicted.
    """
    values = number_column("ar1(...)", t)
    if "times" not in _state:
        _learn(_state, values, ahead)
    times = np.asarray(_state["times"])
    step, steps = times[1] - times[0], len(times) - 1
    at = (values - times[0]) / step
    strange = values[~((at == np.floor(at)) & (at >= 0) & (at <= steps))]
    if len(strange):
        raise DataError(
            f"ar1(...) knows the times from {times[0]:g} to {times[-1]:g} in steps of {step:g}, and not "
            f"{strange[0]:g}. ar1(t, ahead=12) reaches 12 steps beyond the last time of the fit."
        )
    angles = np.arange(steps + 1) * (math.pi / steps)
    turned = at[:, None] * angles
    size = np.full(steps + 1, 1.0 / math.sqrt(steps))
    size[[0, -1]] = 1.0 / math.sqrt(2.0 * steps)
    waves = np.hstack([np.cos(turned) * size, (np.sin(turned) * size)[:, 1:-1]])
    return as_values({str(j + 1): waves[:, j] for j in range(waves.shape[1])})


def _learn(state: Any, values: np.ndarray, ahead: int) -> None:
    """All times, and how precise each wave is."""
    if isinstance(ahead, bool) or not isinstance(ahead, int) or ahead < 0:
        raise FormulaError("ar1(t, ahead=12) takes one column, of times, and a whole number of steps ahead.")
    times = np.unique(values)
    broken = times[times != np.floor(times)]
    broken = [*broken, *times[~np.isfinite(times)]]
    if broken:
        raise DataError(f"ar1() takes whole-numbered times, not {broken[0]:g}.")
    if len(times) < 3:
        raise DataError(f"ar1(...) needs 3 different times at least, not {len(times)}.")
    step = float(np.gcd.reduce(np.diff(times).astype(np.int64)))
    steps = int((times[-1] - times[0]) / step) + ahead
    if 2 * steps > levels.MOST:
        raise DataError(f"ar1(...) spans {steps + 1:,} times; it takes {levels.MOST // 2 + 1} at most.")
    waves = np.arange(steps + 1)
    waves = np.concatenate([waves, waves[1:-1]])
    lags = np.where(waves % 2 == 0, steps, -steps)
    of_correlation = follows_of(wave=np.sin(0.5 * math.pi * waves / steps) ** 2, lag=lags)
    of_sd = follows_of(power=np.full(len(waves), -2.0))
    parameters = (Hyperparameter("sd"), Hyperparameter("cor", correlation=True))
    state["times"] = times[0] + step * np.arange(steps + 1)
    state[PENALTIES] = [Penalty("", parameters, np.stack([of_sd, of_correlation], axis=1), np.ones(len(waves))).state()]
