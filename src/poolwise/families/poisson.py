"""Counts whose variance is their mean."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import kernel, vector
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import counts
from poolwise.families.family import Family
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


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray) -> np.ndarray:
    """Log probabilities of y events at log rates."""
    from scipy.special import gammaln

    return np.asarray(y * location - np.exp(location) - gammaln(y + 1))


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """New counts."""
    return rng.poisson(np.minimum(mean, 1e15)).astype(float)  # numpy's own limit is 9e18


POISSON = Family("poisson", LOG, (), _callback, log_density, draw, counts, whole=True, additive=True)
