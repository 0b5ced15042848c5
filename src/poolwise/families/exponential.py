"""Waiting times whose standard deviation is their mean."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel, kernel, vector
from poolwise.families.callback import rows_callback, values_callback, views, views_of_draws
from poolwise.families.checks import positive
from poolwise.families.family import Family
from poolwise.families.intervals import exponential_interval, log_interval_by
from poolwise.families.links import LOG
from poolwise.families.summed import Summed


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y with log mean x: -x - y exp(-x)."""
    total = 0.0
    for i in range(y.size):
        ratio = y[i] * vector.exp(-predictors[0, i])
        slopes[0, i] = weights[i] * (ratio - 1.0)
        information[0, i] = weights[i]
        total -= weights[i] * (predictors[0, i] + ratio)
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


@exact_kernel
def values(y, trials, weights, predictors, totals):
    """The same of many draws, without derivatives."""
    for i in range(y.size):
        for k in range(totals.size):
            totals[k] -= weights[i] * (predictors[i, k] + y[i] * vector.exp(-predictors[i, k]))
    return 0.0


@values_callback
def _values(n, parameters, draws, y, trials, weights, predictors, totals):
    return values(*views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals))


@kernel
def interval_rows(lower, upper, weights, predictors, slopes, information):
    """(lower, upper] with log mean x."""
    total = 0.0
    for i in range(lower.size):
        slopes[0, i] = information[0, i] = 0.0
        start, end, w = max(lower[i], 0.0), upper[i], weights[i]
        if not start < end:
            total += w * -math.inf
            continue
        rate = vector.exp(-predictors[0, i])
        log_length = vector.log(end - start) - predictors[0, i] if end < math.inf else math.inf
        value, slope, bend = exponential_interval(start * rate, log_length)
        total += w * value
        slopes[0, i] = w * (start * rate - slope)
        information[0, i] = w * max(start * rate - slope + bend, 0.0)
    return total


@rows_callback
def _interval(n, parameters, lower, upper, weights, predictors, slopes, information):
    return interval_rows(*views(n, parameters, lower, upper, weights, predictors, slopes, information))


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray) -> np.ndarray:
    """Log densities."""
    return np.asarray(-location - y * np.exp(-location))


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """New outcomes."""
    return rng.exponential(mean)


EXPONENTIAL = Family(
    "exponential",
    LOG,
    (),
    _callback,
    log_density,
    draw,
    positive,
    summed=Summed("exponential", 1, (0,), lambda mean, square: (mean[None].copy(), np.ones_like(mean))),
    interval=_interval,
    log_interval=log_interval_by(_interval),
    variance=lambda mean: mean**2,
    likelihood=_values,
)
