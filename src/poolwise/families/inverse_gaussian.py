"""Positive outcomes whose variance grows with the cube of the mean, mean^3 / shape (Tweedie 1957)."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import positive
from poolwise.families.family import Family, Parameter
from poolwise.families.links import LOG
from poolwise.families.scalars import HALF_LOG_TWO_PI
from poolwise.priors import HalfCauchy


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y with log mean x and log shape t: t / 2 - 2 exp(t - x) sinh((log y - x) / 2)^2."""
    total = 0.0
    for i in range(y.size):
        x, t, w = predictors[0, i], predictors[1, i], weights[i]
        away, ratio = math.log(y[i]) - x, math.exp(t - x)
        root = math.exp(0.5 * (t - x)) * math.sinh(0.5 * away)
        total += w * (0.5 * t - 2.0 * root * root)
        slopes[0, i] = w * ratio * math.expm1(away)
        slopes[1, i] = w * (0.5 - 2.0 * root * root)
        information[0, i] = w * ratio
        information[1, i] = 0.5 * w
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_shape: np.ndarray) -> np.ndarray:
    """Log densities."""
    root = np.exp(0.5 * (log_shape - location)) * np.sinh(0.5 * (np.log(y) - location))
    return np.asarray(0.5 * log_shape - HALF_LOG_TWO_PI - 1.5 * np.log(y) - 2.0 * np.square(root))


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """New outcomes, by a root of a quadratic equation (Michael, Schucany and Haas 1976).

    The roots are mean / f and mean f; f is a sum of positive terms, so that it keeps its digits.
    """
    log_mean, log_shape = np.log(mean), np.log(shape)
    spread = np.exp(np.clip(log_mean - log_shape, -700.0, 600.0)) * np.square(rng.standard_normal(np.shape(mean)))
    log_f = np.log1p(0.5 * spread + 0.5 * np.sqrt(spread) * np.sqrt(4.0 + spread))
    smaller = rng.random(np.shape(mean)) * (1.0 + np.exp(-log_f)) < 1.0
    return np.asarray(np.exp(np.clip(log_mean + np.where(smaller, -log_f, log_f), -700.0, 700.0)))


INVERSE_GAUSSIAN = Family(
    "inverse_gaussian",
    LOG,
    (Parameter("shape", HalfCauchy(5.0), scaled=True, typical=5.0),),
    _callback,
    log_density,
    draw,
    positive,
)
