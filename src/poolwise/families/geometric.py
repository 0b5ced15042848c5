"""Counts of failures before a success: the negative binomial with a shape of one."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel, kernel, vector
from poolwise.families.callback import rows_callback, values_callback, views, views_of_draws
from poolwise.families.checks import counts
from poolwise.families.family import Family
from poolwise.families.intervals import exponential_interval, log_interval_by
from poolwise.families.links import LOG
from poolwise.families.scalars import softplus


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y events with log mean x: y x - (1 + y) log(1 + exp(x))."""
    total = 0.0
    for i in range(y.size):
        up, share = softplus(predictors[0, i])
        down, rest = softplus(-predictors[0, i])
        slopes[0, i] = weights[i] * (y[i] * rest - share)
        information[0, i] = weights[i] * share
        total -= weights[i] * (up + y[i] * down)
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


@exact_kernel
def values(y, trials, weights, predictors, totals):
    """The same of many draws, without derivatives: y x - (1 + y) (max(x, 0) + log(1 + exp(-|x|)))."""
    for i in range(y.size):
        for k in range(totals.size):
            x = predictors[i, k]
            rest = vector.log(1.0 + vector.exp(-abs(x)))
            totals[k] -= weights[i] * (max(x, 0.0) + rest + y[i] * (max(-x, 0.0) + rest))
    return 0.0


@values_callback
def _values(n, parameters, draws, y, trials, weights, predictors, totals):
    return values(*views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals))


@kernel
def interval_rows(lower, upper, weights, predictors, slopes, information):
    """Counts in (lower, upper] with log mean x: P(Y >= k) = exp(-k log(1 + exp(-x)))."""
    total = 0.0
    for i in range(lower.size):
        first, end, w = max(np.floor(lower[i]) + 1.0, 0.0), np.floor(upper[i]) + 1.0, weights[i]
        slopes[0, i] = information[0, i] = 0.0
        if not first < end:
            total += w * -math.inf
            continue
        each, rest = softplus(-predictors[0, i])
        share = softplus(predictors[0, i])[1]
        # Below, log(1 + exp(-x)) may be too small for a number of doubles to hold it; its log is near -x.
        log_length = math.log(end - first) + (math.log(each) if each > 0.0 else -predictors[0, i])
        value, slope, bend = exponential_interval(first * each, log_length)
        # `each` has the derivative -rest and the second one rest share.
        ratio = rest / each if each > 0.0 else 1.0
        total += w * value
        slopes[0, i] = w * (first * rest - slope * ratio)
        information[0, i] = w * max(first * rest * share - slope * ratio * share + bend * ratio * ratio, 0.0)
    return total


@rows_callback
def _interval(n, parameters, lower, upper, weights, predictors, slopes, information):
    return interval_rows(*views(n, parameters, lower, upper, weights, predictors, slopes, information))


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray) -> np.ndarray:
    """Log probabilities of y events."""
    return np.asarray(-np.logaddexp(0, location) - y * np.logaddexp(0, -location))


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """New counts: Poisson with exponentially distributed rates."""
    return rng.poisson(np.minimum(rng.exponential(mean), 1e15)).astype(float)


GEOMETRIC = Family(
    "geometric",
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
    variance=lambda mean: mean + mean**2,
    likelihood=_values,
)
