"""Waiting times whose standard deviation is their mean."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import kernel, vector
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import positive
from poolwise.families.family import Family
from poolwise.families.links import LOG


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


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray) -> np.ndarray:
    """Log densities."""
    return np.asarray(-location - y * np.exp(-location))


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """New outcomes."""
    return rng.exponential(mean)


EXPONENTIAL = Family("exponential", LOG, (), _callback, log_density, draw, positive, additive=True)
