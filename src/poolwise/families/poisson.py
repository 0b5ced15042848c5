"""Counts whose variance is their mean."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel, kernel, vector
from poolwise.families.callback import rows_callback, values_callback, views, views_of_draws
from poolwise.families.checks import counts
from poolwise.families.count_intervals import count_interval
from poolwise.families.family import Family
from poolwise.families.intervals import log_interval_by
from poolwise.families.links import LOG


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y events at log rate x: y x - exp(x)."""
    total = 0.0
    for i in range(y.size):
        rate = vector.exp(predictors[0, i])
        slopes[0, i] = weights[i] * (y[i] - rate)
        information[0, i] = weights[i] * rate
        total += weights[i] * (y[i] * predictors[0, i] - rate)
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


@exact_kernel
def values(y, trials, weights, predictors, totals):
    """The same of many draws, without derivatives."""
    for i in range(y.size):
        for k in range(totals.size):
            x = predictors[i, k]
            totals[k] += weights[i] * (y[i] * x - vector.exp(x))
    return 0.0


@values_callback
def _values(n, parameters, draws, y, trials, weights, predictors, totals):
    return values(*views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals))


@kernel
def interval_rows(lower, upper, weights, predictors, slopes, information):
    """Counts in (lower, upper] at log rate x."""
    total = 0.0
    for i in range(lower.size):
        part = count_interval(predictors[0, i], math.inf, lower[i], upper[i])
        total += weights[i] * part[0]
        slopes[0, i] = weights[i] * part[1]
        information[0, i] = weights[i] * max(part[4], 0.0)
    return total


@rows_callback
def _interval(n, parameters, lower, upper, weights, predictors, slopes, information):
    return interval_rows(*views(n, parameters, lower, upper, weights, predictors, slopes, information))


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray) -> np.ndarray:
    """Log probabilities of y events at log rates."""
    from scipy.special import gammaln

    return np.asarray(y * location - np.exp(location) - gammaln(y + 1))


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """New counts."""
    return rng.poisson(np.minimum(mean, 1e15)).astype(float)  # numpy's own limit is 9e18


POISSON = Family(
    "poisson",
    LOG,
    (),
    _callback,
    log_density,
    draw,
    counts,
    whole=True,
    additive=True,
    interval=_interval,
    log_interval=log_interval_by(_interval),
    variance=lambda mean: mean,
    likelihood=_values,
)
