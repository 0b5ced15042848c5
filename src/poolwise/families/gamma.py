"""Positive outcomes with a constant coefficient of variation, 1 / sqrt(shape)."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel, kernel, vector
from poolwise.families.callback import rows_callback, values_callback, views, views_of_draws
from poolwise.families.checks import positive
from poolwise.families.family import Family, Parameter
from poolwise.families.incomplete_gamma import gamma_constants, gamma_interval
from poolwise.families.intervals import log_ends, log_interval_by
from poolwise.families.links import LOG
from poolwise.families.scalars import gamma_constant
from poolwise.families.summed import Summed, with_product
from poolwise.priors import HalfCauchy


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y with log mean x and log shape s."""
    total, last, shape, constant, drift = 0.0, math.nan, 1.0, 0.0, 0.0
    for i in range(y.size):
        if predictors[1, i] != last:  # gamma functions once, where all rows share the shape
            last = predictors[1, i]
            shape = math.exp(last)
            constant, drift = gamma_constant(shape)
        away = math.log(y[i]) - predictors[0, i]
        ratio = math.exp(away)
        w = weights[i]
        total += w * (constant + shape * (1.0 + away - ratio) - math.log(y[i]))
        slopes[0, i] = w * shape * (ratio - 1.0)
        slopes[1, i] = w * (drift + shape * (1.0 + away - ratio))
        information[0, i] = w * shape
        information[1, i] = w * 0.5
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


@exact_kernel
def values(y, trials, weights, predictors, totals):
    """The same of many draws, without derivatives; gamma functions once where neighbours share them."""
    n, draws = y.size, totals.size
    shapes, constants = np.empty(draws), np.empty(draws)
    for i in range(n):
        changed, log_y = i == 0, math.log(y[i])
        for k in range(draws):
            changed = changed or predictors[n + i, k] != predictors[n + i - 1, k]
        if changed:
            for k in range(draws):
                shapes[k] = math.exp(predictors[n + i, k])
                constants[k], _ = gamma_constant(shapes[k])
        for k in range(draws):
            away = log_y - predictors[i, k]
            totals[k] += weights[i] * (constants[k] + shapes[k] * (1.0 + away - vector.exp(away)) - log_y)
    return 0.0


@values_callback
def _values(n, parameters, draws, y, trials, weights, predictors, totals):
    return values(*views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals))


@kernel
def interval_rows(lower, upper, weights, predictors, slopes, information):
    """(lower, upper] with log mean x and log shape s."""
    total, last, shape, constants = 0.0, math.nan, 1.0, (0.0, 0.0, 0.0)
    for i in range(lower.size):
        if predictors[1, i] != last:  # gamma functions once, where all rows share the shape
            last = predictors[1, i]
            shape = math.exp(last)
            constants = gamma_constants(shape)
        slopes[0, i] = slopes[1, i] = information[0, i] = information[1, i] = 0.0
        w = weights[i]
        if not (lower[i] < upper[i] and upper[i] > 0.0):
            total += w * -math.inf
            continue
        part = gamma_interval(shape, constants, *log_ends(lower[i], upper[i], predictors[0, i]))
        total += w * part[0]
        slopes[0, i], slopes[1, i] = w * part[1], w * part[2]
        information[0, i], information[1, i] = w * max(part[4], 0.0), w * max(part[5], 0.0)
    return total


@rows_callback
def _interval(n, parameters, lower, upper, weights, predictors, slopes, information):
    return interval_rows(*views(n, parameters, lower, upper, weights, predictors, slopes, information))


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_shape: np.ndarray) -> np.ndarray:
    """Log densities."""
    from scipy.special import gammaln

    shape, away = np.exp(log_shape), np.log(y) - location
    return np.asarray(shape * (log_shape + away - np.exp(away)) - gammaln(shape) - np.log(y))


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """New outcomes."""
    return rng.gamma(shape, mean / shape)


def _summed(mean: np.ndarray, square: np.ndarray, log_mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two outcomes that have the mean, and whose product is the square of the geometric mean."""
    geometric = np.exp(log_mean)
    apart = (mean - geometric) * (mean + geometric)
    return with_product(mean, apart, 2.0 * log_mean), apart / np.square(mean)


SUMMED = Summed("gamma", 2, (0, 2), _summed, lambda z, log: (log(z),))
GAMMA = Family(
    "gamma",
    LOG,
    (Parameter("shape", HalfCauchy(5.0), typical=5.0),),
    _callback,
    log_density,
    draw,
    positive,
    interval=_interval,
    log_interval=log_interval_by(_interval),
    variance=lambda mean, shape: mean**2 / shape,
    likelihood=_values,
    summed=SUMMED,
)
