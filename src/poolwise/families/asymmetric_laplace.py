"""Outcomes whose quantile is the location: quantile regression (Koenker and Machado 1999; Yu and Moyeed 2001)."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import kernel, vector
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import any_number
from poolwise.families.family import Family, Parameter
from poolwise.families.gaussian import SIGMA
from poolwise.families.links import LOGIT, REAL
from poolwise.families.scalars import softplus


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y whose q-quantile is x, with log scale s and the logit of q: log(q (1 - q)) - s - u (q - [u < 0]).

    It is piecewise linear in x; the information is the expected square of a slope, q (1 - q) / sigma^2 on the location
    (Koenker and Machado 1999), 1 on the log of sigma and q^2 + (1 - q)^2 on the logit of q, all exact.
    """
    total = 0.0
    for i in range(y.size):
        w, precise = weights[i], vector.exp(-predictors[1, i])
        lost, q = softplus(predictors[2, i])
        lost_too, rest = softplus(-predictors[2, i])
        u = (y[i] - predictors[0, i]) * precise
        share = q if u > 0.0 else (-rest if u < 0.0 else 0.0)
        total -= w * (lost + lost_too + predictors[1, i] + share * u)
        slopes[0, i] = w * share * precise
        slopes[1, i] = w * (share * u - 1.0)
        slopes[2, i] = w * (rest - q - q * rest * u)
        information[0, i] = w * q * rest * precise * precise
        information[1, i] = w
        information[2, i] = w * (q * q + rest * rest)
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


def log_density(
    y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_sigma: np.ndarray, logit: np.ndarray
) -> np.ndarray:
    """Log densities."""
    from scipy.special import expit

    u = (y - location) * np.exp(-log_sigma)
    constant = -np.logaddexp(0.0, logit) - np.logaddexp(0.0, -logit) - log_sigma
    return np.asarray(constant - np.maximum(u, 0.0) * expit(logit) - np.maximum(-u, 0.0) * expit(-logit))


def draw(
    rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, sigma: np.ndarray, quantile: np.ndarray
) -> np.ndarray:
    """New outcomes: a difference of two exponential numbers."""
    shape = np.shape(mean)
    q, rest = np.maximum(quantile, 1e-300), np.maximum(1.0 - quantile, 1e-300)
    return np.asarray(mean + sigma * (rng.standard_exponential(shape) / q - rng.standard_exponential(shape) / rest))


def expected(mean: np.ndarray, sigma: np.ndarray, quantile: np.ndarray) -> np.ndarray:
    """Mean of the outcome itself, from its quantile."""
    q, rest = np.maximum(quantile, 1e-300), np.maximum(1.0 - quantile, 1e-300)
    return np.asarray(mean + sigma * (1.0 / q - 1.0 / rest))


ASYMMETRIC_LAPLACE = Family(
    "asymmetric_laplace",
    REAL,
    (SIGMA, Parameter("quantile", typical=0.5, scale=LOGIT, fixed=0.5)),
    _callback,
    log_density,
    draw,
    any_number,
    expected,
    location="quantile of {}",
)
