"""Coordinates in which the posterior of a standard deviation is close to a Normal, even next to zero.

The density of log tau has a long, exponential left tail wherever the data cannot tell tau from zero, and no Normal-like
proposal fits it. So tau = s g(y) with g(y) = y Phi(y) + phi(y): far from zero g(y) = y, so tau is just rescaled; near
zero g' = Phi cuts the density off like a Normal tail. A posterior standard deviation above the mode g goes over into
an exponential: where few groups and a wide prior leave tau a tail like tau^-3, no Student-t distribution of
several dimensions covers it as it is, and any covers its logarithm. The map only shapes the proposal; the target stays
the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import Matrix, Vector

_REACH = 1.0  # posterior standard deviations from the mode to where g is exponential
_FURTHEST = 600.0
_ROOT_2 = math.sqrt(2.0)
_ROOT_2PI = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """From sampling coordinates y to the density's own coordinates theta.

    Attributes
    ----------
    scales : (d,) the s of each coordinate that is the log of a standard deviation, NaN for those left alone.
    ends : (d,) the y from which g is exponential.
    """

    scales: np.ndarray
    ends: np.ndarray

    def forward(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m, d) to theta (m, d) and log |d theta / d y| (m,)."""
        theta, log_jacobian = np.empty_like(y), np.empty(len(y))
        _forward(np.ascontiguousarray(y), self.scales, self.ends, theta, log_jacobian)
        return theta, log_jacobian

    def inverse(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One theta (d,) to y (d,) and d y / d theta (d,)."""
        y, slope = theta.copy(), np.ones_like(theta)
        for i in np.flatnonzero(np.isfinite(self.scales)):
            target = math.exp(theta[i]) / self.scales[i]
            low, high = -12.0, target + 1.0
            for _ in range(60):
                middle = (low + high) / 2
                low, high = (middle, high) if _g(middle, self.ends[i])[0] < target else (low, middle)
            value, derivative = _g(low, self.ends[i])
            y[i], slope[i] = low, value / derivative
        return y, slope


def warp_for(mode: np.ndarray, spread: np.ndarray, log_scales: np.ndarray) -> Warp:
    """Scales from the mode and the standard deviations of theta there: s is about the posterior sd of tau."""
    scales, ends = np.full(len(mode), np.nan), np.full(len(mode), np.nan)
    relative = np.minimum(spread[log_scales], 1.0)
    scales[log_scales] = np.exp(mode[log_scales]) * relative
    ends[log_scales] = 1.0 / relative + _REACH
    return Warp(scales, ends)


@kernel
def _g(y: float, end: float) -> tuple[float, float]:
    """g(y) and its derivative, Phi(y) below `end`. On the left g's two terms cancel, but only by a factor of y^2."""
    x = min(y, end)
    below = 0.5 * math.erfc(-x / _ROOT_2)
    density = math.exp(-0.5 * x * x) / _ROOT_2PI
    value = x * below + density
    if y <= end:
        return value, below
    grown = math.exp(min((y - end) / end, _FURTHEST))  # by the same share in each step, as y itself does at the end
    return value + below * end * (grown - 1.0), below * grown


@kernel
def _forward(y: Matrix, scales: Vector, ends: Vector, theta: Matrix, log_jacobian: Vector) -> None:
    for i in range(y.shape[0]):
        log_jacobian[i] = 0.0
        for k in range(y.shape[1]):
            if math.isfinite(scales[k]):
                value, derivative = _g(y[i, k], ends[k])
                if 1e-290 < value < 1e260:
                    theta[i, k] = math.log(scales[k] * value)
                    log_jacobian[i] += math.log(derivative / value)
                else:  # beyond what a double can hold, and beyond any posterior
                    theta[i, k] = -np.inf if value < 1.0 else np.inf
            else:
                theta[i, k] = y[i, k]
