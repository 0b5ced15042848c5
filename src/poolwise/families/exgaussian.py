"""Sums of a normal and an exponential part, by the mean of the sum; reaction times (Luce 1986)."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel, vector
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import any_number
from poolwise.families.family import Family, Parameter
from poolwise.families.gaussian import SIGMA
from poolwise.families.links import REAL
from poolwise.families.scalars import HALF_LOG_TWO_PI, normal_hazard
from poolwise.priors import HalfStudentT

_FARTHEST = 1e140  # standard deviations, whose square is finite


@kernel
def _information(r):
    """On the mean in units of sigma, and on the logs of sigma and tau, at r = sigma / tau.

    None has a closed form. They are rational functions with the right limits at zero and infinity, fitted to numerical
    integrals: within 3%, 6% and 15% of them.
    """
    r = min(max(r, 1e-60), 1e60)
    of_mean = r * (0.9032 + 0.5 * r) / (1.0 + r * (0.9032 + 0.5 * r))
    of_sigma = 2.0 * of_mean * (0.6 + 0.25 * r * r) / (1.0 + 0.25 * r * r)
    return of_mean, of_sigma, 0.9 / (r * (1.0 + r * (1.75 + r * (0.45 * r - 0.65))))


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y with mean x, log standard deviation s of the normal part and log mean t of the exponential part.

    With z the distance from the mean of the normal part in units of sigma, r = sigma / tau and h the normal hazard at
    r - z, the density is phi(z) r / (sigma h). Where z > r it is written by the normal tail, since h vanishes.
    """
    total = 0.0
    for i in range(y.size):
        s, t, w = predictors[1, i], predictors[2, i], weights[i]
        precise, r = vector.exp(-s), vector.exp(s - t)
        d = min(max((y[i] - predictors[0, i]) * precise, -_FARTHEST), _FARTHEST)
        z = d + 1.0 / r
        hazard, excess, log_tail = normal_hazard(r - z)
        if z < r:
            total += w * (math.log(r / hazard) - HALF_LOG_TWO_PI - s - 0.5 * z * z)
            slopes[0, i] = w * (z - excess) * precise
            slopes[1, i] = w * (z * (z - excess) - excess * r)
            slopes[2, i] = w * ((excess * r - 1.0) + (excess - z) / r)
        else:
            total += w * (r * (0.5 * r - d) - 1.0 - t + log_tail)
            slopes[0, i] = w * (r - hazard) * precise
            slopes[1, i] = w * (r * r - hazard * (z + r))
            slopes[2, i] = w * (hazard / r - 1.0 + r * (d - r + hazard))
        of_mean, of_sigma, of_tau = _information(r)
        information[0, i] = w * of_mean * precise * precise
        information[1, i] = w * of_sigma
        information[2, i] = w * of_tau
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


def log_density(
    y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_sigma: np.ndarray, log_tau: np.ndarray
) -> np.ndarray:
    """Log densities."""
    from scipy.special import erfcx, log_ndtr

    r, d = np.exp(log_sigma - log_tau), (y - location) * np.exp(-log_sigma)
    z = d + 1.0 / r
    left = np.log(0.5 * r * erfcx(np.maximum(r - z, 0.0) * np.sqrt(0.5))) - log_sigma - 0.5 * np.square(z)
    right = r * (0.5 * r - d) - 1.0 - log_tau + log_ndtr(z - r)
    return np.where(z < r, left, right)


def draw(
    rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, sigma: np.ndarray, tau: np.ndarray
) -> np.ndarray:
    """New outcomes."""
    shape = np.shape(mean)
    return mean + sigma * rng.standard_normal(shape) + tau * (rng.standard_exponential(shape) - 1.0)


EXGAUSSIAN = Family(
    "exgaussian",
    REAL,
    (SIGMA, Parameter("tau", HalfStudentT(3.0, 1.0), scaled=True)),
    _callback,
    log_density,
    draw,
    any_number,
)
