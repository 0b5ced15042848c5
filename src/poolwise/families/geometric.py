"""Counts of failures before a success: the negative binomial with a shape of one."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import kernel
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import counts
from poolwise.families.family import Family
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


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray) -> np.ndarray:
    """Log probabilities of y events."""
    return np.asarray(-np.logaddexp(0, location) - y * np.logaddexp(0, -location))


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """New counts: Poisson with exponentially distributed rates."""
    return rng.poisson(np.minimum(rng.exponential(mean), 1e15)).astype(float)


GEOMETRIC = Family("geometric", LOG, (), _callback, log_density, draw, counts, whole=True, additive=True)
