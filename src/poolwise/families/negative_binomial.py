"""Counts whose variance is mean + mean^2 / shape (NB2 in Cameron and Trivedi 1998)."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel, kernel, vector
from poolwise.families.callback import rows_callback, values_callback, views, views_of_draws
from poolwise.families.checks import counts
from poolwise.families.count_intervals import count_interval
from poolwise.families.family import Family, Parameter
from poolwise.families.intervals import log_interval_by
from poolwise.families.links import LOG
from poolwise.families.scalars import log_rising, rising
from poolwise.priors import HalfCauchy

_FEW, _FAR = 16.0, 40.0  # factors, and logs of shapes, whose product is a double


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y events with log mean x and log shape s; all depends on t = x - s, the log of mean / shape."""
    total, last, shape = 0.0, math.nan, 1.0
    for i in range(y.size):
        if predictors[1, i] != last:  # mostly all rows share it
            last = predictors[1, i]
            shape = math.exp(last)
        t = predictors[0, i] - predictors[1, i]
        small = vector.exp(-abs(t))
        most = 1.0 / (1.0 + small)
        share = most if t > 0.0 else small * most
        rest = small * most if t > 0.0 else most
        up = max(t, 0.0) + vector.log1p(small)
        value, slope = rising(shape, y[i])
        w = weights[i]
        total += w * (value - shape * up - y[i] * (up - t))
        slopes[0, i] = w * (y[i] * rest - shape * share)
        slopes[1, i] = w * (shape * (slope - up) + shape * share - y[i] * rest)
        information[0, i] = w * shape * share
        information[1, i] = w * 0.5 * share
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


@exact_kernel
def values(y, trials, weights, predictors, totals):
    """The same of many draws, without derivatives."""
    n, draws = y.size, totals.size
    shapes, products = np.empty(draws), np.empty(draws)
    for i in range(n):
        count, w, widest = y[i], weights[i], 0.0
        for k in range(draws):
            s = predictors[n + i, k]
            t = predictors[i, k] - s
            widest = max(widest, abs(s))
            shapes[k], products[k] = vector.exp(s), 1.0
            rest = vector.log1p(vector.exp(-abs(t)))
            totals[k] -= w * (shapes[k] * (max(t, 0.0) + rest) + count * (max(-t, 0.0) + rest))
        if count > _FEW or widest > _FAR or count != math.floor(count):
            for k in range(draws):
                totals[k] += w * rising(shapes[k], count)[0]
            continue
        for j in range(int(count)):
            for k in range(draws):
                products[k] *= shapes[k] + j
        if count > 0.0:
            for k in range(draws):
                totals[k] += w * vector.log(products[k])
    return 0.0


@values_callback
def _values(n, parameters, draws, y, trials, weights, predictors, totals):
    return values(*views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals))


@kernel
def interval_rows(lower, upper, weights, predictors, slopes, information):
    """Counts in (lower, upper] with log mean x and log shape s."""
    total = 0.0
    for i in range(lower.size):
        part, w = count_interval(predictors[0, i], predictors[1, i], lower[i], upper[i]), weights[i]
        total += w * part[0]
        slopes[0, i], slopes[1, i] = w * part[1], w * part[2]
        information[0, i], information[1, i] = w * max(part[4], 0.0), w * max(part[5], 0.0)
    return total


@rows_callback
def _interval(n, parameters, lower, upper, weights, predictors, slopes, information):
    return interval_rows(*views(n, parameters, lower, upper, weights, predictors, slopes, information))


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_shape: np.ndarray) -> np.ndarray:
    """Log probabilities of y events."""
    from scipy.special import gammaln

    shape, t = np.exp(log_shape), location - log_shape
    rest = shape * np.logaddexp(0, t) + y * np.logaddexp(0, -t)
    return np.asarray(log_rising(shape, y) - gammaln(y + 1) - rest)


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """New counts: Poisson with rates from a gamma distribution."""
    return rng.poisson(np.minimum(rng.gamma(shape, mean / shape), 1e15)).astype(float)


NEGATIVE_BINOMIAL = Family(
    "negative_binomial",
    LOG,
    (Parameter("shape", HalfCauchy(5.0), typical=5.0),),
    _callback,
    log_density,
    draw,
    counts,
    whole=True,
    interval=_interval,
    log_interval=log_interval_by(_interval),
    variance=lambda mean, shape: mean + mean**2 / shape,
    likelihood=_values,
)
