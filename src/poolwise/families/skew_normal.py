"""Outcomes with a skewed normal distribution (Azzalini 1985), by their mean and standard deviation."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel, kernel, vector
from poolwise.families.callback import rows_callback, values_callback, views, views_of_draws
from poolwise.families.checks import any_number
from poolwise.families.family import Family, Parameter
from poolwise.families.gaussian import SIGMA
from poolwise.families.links import REAL
from poolwise.families.scalars import HALF_LOG_TWO_PI, log_normal_tail, normal_hazard

_ROOT = math.sqrt(2.0 / math.pi)  # mean of the absolute value of a standard normal
_FARTHEST = 1e140  # standard deviations, whose square is finite


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y with mean x, log standard deviation s and slant a; z = c (y - x) exp(-s) + k is the standard skew normal one.

    Information, a0 that of Azzalini (1985), section 5: on the mean c^2 (1 + a^2 a0) / sigma^2, within 1%; on the log of
    sigma twice that in units of sigma, within 15%. That on the slant vanishes at zero; what is given is about the
    largest there is up to there, and within 15% of the integral from a = 2 to 10.
    """
    total = 0.0
    for i in range(y.size):
        s, a, w = predictors[1, i], predictors[2, i], weights[i]
        slant = math.sqrt(1.0 + a * a)
        k = _ROOT * a / slant
        c = math.sqrt(1.0 - k * k)
        k_slope = _ROOT / (slant * slant * slant)
        c_slope = -k * k_slope / c
        precise = vector.exp(-s)
        d = min(max((y[i] - predictors[0, i]) * precise, -_FARTHEST), _FARTHEST)
        z = c * d + k
        hazard, _, log_tail = normal_hazard(-a * z)
        of_z = a * hazard - z
        total += w * (math.log(c) - s - 0.5 * z * z + log_tail)
        slopes[0, i] = -w * of_z * c * precise
        slopes[1, i] = -w * (1.0 + of_z * c * d)
        slopes[2, i] = w * (c_slope / c + of_z * (c_slope * d + k_slope) + z * hazard)
        a0 = _ROOT * _ROOT / math.sqrt(1.0 + 0.7805 * a * a)
        of_mean = c * c * (1.0 + a * a * a0)
        third = abs(a) / 3.0
        information[0, i] = w * of_mean * precise * precise
        information[1, i] = 2.0 * w * of_mean
        information[2, i] = w * 0.02 / (1.0 + third * third * third)
    return total


@exact_kernel
def values(y, trials, weights, predictors, totals):
    """The same of many draws, without derivatives."""
    n, draws = y.size, totals.size
    slanted, below = np.empty(draws), np.empty(draws)
    for i in range(n):
        w = weights[i]
        for k in range(draws):
            s, a = predictors[n + i, k], predictors[2 * n + i, k]
            own = _ROOT * a / math.sqrt(1.0 + a * a)
            square = 1.0 - own * own
            d = min(max((y[i] - predictors[i, k]) * vector.exp(-s), -_FARTHEST), _FARTHEST)
            z = math.sqrt(square) * d + own
            slanted[k], below[k] = a * z, 0.5 * vector.log(square) - s - 0.5 * z * z
        for k in range(draws):
            totals[k] += w * (below[k] + log_normal_tail(slanted[k]))
    return 0.0


@values_callback
def _values(n, parameters, draws, y, trials, weights, predictors, totals):
    return values(*views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals))


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


def log_density(
    y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_sigma: np.ndarray, slant: np.ndarray
) -> np.ndarray:
    """Log densities."""
    from scipy.special import log_ndtr

    k = _ROOT * slant / np.sqrt(1.0 + np.square(slant))
    c = np.sqrt(1.0 - np.square(k))
    z = c * (y - location) * np.exp(-log_sigma) + k
    constant = math.log(2.0) - HALF_LOG_TWO_PI - log_sigma
    return np.asarray(constant + np.log(c) - 0.5 * np.square(z) + log_ndtr(slant * z))


def draw(
    rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, sigma: np.ndarray, slant: np.ndarray
) -> np.ndarray:
    """New outcomes, from the absolute value of one normal number and another one (Henze 1986)."""
    shape = np.shape(mean)
    delta = slant / np.sqrt(1.0 + np.square(slant))
    z = delta * np.abs(rng.standard_normal(shape)) + np.sqrt(1.0 - np.square(delta)) * rng.standard_normal(shape)
    k = _ROOT * delta
    return np.asarray(mean + sigma * (z - k) / np.sqrt(1.0 - np.square(k)))


def to_the_longer_tail(y: np.ndarray) -> float:
    """A slant of one towards the longer tail: at zero its slope vanishes whatever the outcomes."""
    return 1.0 if float(np.sum((y - y.mean()) ** 3)) >= 0.0 else -1.0


SKEW_NORMAL = Family(
    "skew_normal",
    REAL,
    (SIGMA, Parameter("alpha", typical=0.0, scale=REAL, start=to_the_longer_tail)),
    _callback,
    log_density,
    draw,
    any_number,
    precise="sigma",
    likelihood=_values,
)
