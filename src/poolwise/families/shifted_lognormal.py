"""Positive outcomes that are log-normal above a shift, the time in which no response is possible."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.families import lognormal
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import positive
from poolwise.families.family import Family, Parameter


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """log(y - shift) with mean x and log standard deviation s, and the log of the shift; -inf where y is not above.

    The information on the log of the shift is exact (Cohen 1951): shift^2 (1 + 1 / sigma^2) exp(2 sigma^2 - 2 x).
    """
    total = 0.0
    for i in range(y.size):
        x, w, shift = predictors[0, i], weights[i], math.exp(predictors[2, i])
        sigma, precise = math.exp(predictors[1, i]), math.exp(-predictors[1, i])
        information[0, i] = w * precise * precise
        information[1, i] = 2.0 * w
        gained = min(2.0 * (predictors[2, i] + sigma * sigma - x), 600.0)
        information[2, i] = w * (1.0 + precise * precise) * math.exp(gained)
        above = y[i] - shift
        if not above > 0.0:
            slopes[0, i] = slopes[1, i] = slopes[2, i] = 0.0
            total = -np.inf
            continue
        z = (math.log(above) - x) * precise
        total -= w * (math.log(above) + predictors[1, i] + 0.5 * z * z)
        slopes[0, i] = w * z * precise
        slopes[1, i] = w * (z * z - 1.0)
        slopes[2, i] = w * shift / above * (1.0 + z * precise)
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


def log_density(
    y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_sigma: np.ndarray, log_shift: np.ndarray
) -> np.ndarray:
    """Log densities."""
    above = y - np.exp(log_shift)
    inside = np.where(above > 0, above, 1.0)
    return np.where(above > 0, lognormal.log_density(inside, trials, location, log_sigma), -np.inf)


def draw(
    rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, sigma: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """New outcomes."""
    return shift + lognormal.draw(rng, trials, mean, sigma)


def expected(mean: np.ndarray, sigma: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Mean of the outcome itself."""
    return shift + lognormal.expected(mean, sigma)


def half_of_smallest(y: np.ndarray) -> float:
    """A shift that every outcome lies above."""
    return 0.5 * float(y.min())


def summary(y: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Mean and sd above that shift."""
    above = y - half_of_smallest(y)
    mean = float(np.average(above, weights=weights))
    return mean, float(np.sqrt(np.average(np.square(above - mean), weights=weights)))


def smallest(y: np.ndarray) -> float:
    """What a shift of all outcomes lies below."""
    return float(y.min())


_SHIFT = Parameter("ndt", scaled=True, usual=half_of_smallest, start=half_of_smallest, bound=smallest)
SHIFTED_LOGNORMAL = Family(
    "shifted_lognormal",
    lognormal.LOGNORMAL.scale,
    (*lognormal.LOGNORMAL.parameters, _SHIFT),
    _callback,
    log_density,
    draw,
    positive,
    expected,
    centre=lognormal.centre,
    location="mean of the log of {} above its shift",
    summary=summary,
)
