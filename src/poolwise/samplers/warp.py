"""Coordinates in which the posterior of a standard deviation is close to a Normal, even next to zero.

The density of log tau has a long, exponential left tail wherever the data cannot tell tau from zero, and no Normal-like
proposal fits it. So tau = s g(y) with g(y) = y Phi(y) + phi(y): far from zero g(y) = y, so tau is just rescaled; near
zero g' = Phi cuts the density off like a Normal tail. The map only shapes the proposal; the target stays the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import Matrix, Vector

_ROOT_2 = math.sqrt(2.0)
_ROOT_2PI = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """From sampling coordinates y to the density's own coordinates theta.

    Attributes
    ----------
    scales : (d,) the s of each coordinate that is the log of a standard deviation, NaN for those left alone.
    """

    scales: np.ndarray

    def forward(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m, d) to theta (m, d) and log |d theta / d y| (m,)."""
        theta, log_jacobian = np.empty_like(y), np.empty(len(y))
        _forward(np.ascontiguousarray(y), self.scales, theta, log_jacobian)
        return theta, log_jacobian

    def inverse(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One theta (d,) to y (d,) and d y / d theta (d,)."""
        y, slope = theta.copy(), np.ones_like(theta)
        for i in np.flatnonzero(np.isfinite(self.scales)):
            target = math.exp(theta[i]) / self.scales[i]
            low, high = -12.0, target + 1.0
            for _ in range(60):
                middle = (low + high) / 2
                low, high = (middle, high) if _g(middle)[0] < target else (low, middle)
            value, derivative = _g(low)
            y[i], slope[i] = low, value / derivative
        return y, slope


def warp_for(mode: np.ndarray, spread: np.ndarray, log_scales: np.ndarray) -> Warp:
    """Scales from the mode and the standard deviations of theta there: s is about the posterior sd of tau."""
    scales = np.full(len(mode), np.nan)
    scales[log_scales] = np.exp(mode[log_scales]) * np.minimum(spread[log_scales], 1.0)
    return Warp(scales)


@kernel
def _g(y: float) -> tuple[float, float]:
    """g(y) and its derivative Phi(y). On the left the two terms of g cancel, but only by a factor of y^2."""
    below = 0.5 * math.erfc(-y / _ROOT_2)
    density = math.exp(-0.5 * y * y) / _ROOT_2PI
    return y * below + density, below


@kernel
def _forward(y: Matrix, scales: Vector, theta: Matrix, log_jacobian: Vector) -> None:
    for i in range(y.shape[0]):
        log_jacobian[i] = 0.0
        for k in range(y.shape[1]):
            if math.isfinite(scales[k]):
                value, derivative = _g(y[i, k])
                if value > 1e-290:
                    theta[i, k] = math.log(scales[k] * value)
                    log_jacobian[i] += math.log(derivative / value)
                else:  # beyond what a double can hold, and beyond any posterior
                    theta[i, k] = -np.inf
            else:
                theta[i, k] = y[i, k]
