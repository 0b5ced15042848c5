"""The normal family where it is sampled: with a formula for sigma. Else its coefficients are integrated out."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel, vector
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import any_number
from poolwise.families.family import Family, Parameter
from poolwise.families.intervals import log_interval_by
from poolwise.families.links import REAL
from poolwise.families.normal_interval import FURTHEST, normal_interval
from poolwise.families.scalars import HALF_LOG_TWO_PI
from poolwise.families.summed import Summed, about, on_grid
from poolwise.priors import HalfStudentT


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y with mean x and log standard deviation s: -s - z^2 / 2, z = (y - x) exp(-s)."""
    total = 0.0
    for i in range(y.size):
        precise = vector.exp(-predictors[1, i])
        z = (y[i] - predictors[0, i]) * precise
        w = weights[i]
        total -= w * (predictors[1, i] + 0.5 * z * z)
        slopes[0, i] = w * z * precise
        slopes[1, i] = w * (z * z - 1.0)
        information[0, i] = w * precise * precise
        information[1, i] = 2.0 * w
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


@kernel
def interval_rows(lower, upper, weights, predictors, slopes, information):
    """(lower, upper] with mean x and log standard deviation s."""
    total = 0.0
    for i in range(lower.size):
        precise, w = vector.exp(-predictors[1, i]), weights[i]
        slopes[0, i] = slopes[1, i] = information[0, i] = information[1, i] = 0.0
        if not lower[i] < upper[i]:
            total += w * -math.inf
            continue
        a, b = (lower[i] - predictors[0, i]) * precise, (upper[i] - predictors[0, i]) * precise
        a = max(a, -FURTHEST) if lower[i] > -math.inf else a
        b = min(b, FURTHEST) if upper[i] < math.inf else b
        value, x, s, of_x, of_s = normal_interval(min(a, FURTHEST), max(b, -FURTHEST), (upper[i] - lower[i]) * precise)
        total += w * value
        slopes[0, i], slopes[1, i] = w * x * precise, w * s
        information[0, i], information[1, i] = w * max(of_x, 0.0) * precise * precise, w * max(of_s, 0.0)
    return total


@rows_callback
def _interval(n, parameters, lower, upper, weights, predictors, slopes, information):
    return interval_rows(*views(n, parameters, lower, upper, weights, predictors, slopes, information))


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_sigma: np.ndarray) -> np.ndarray:
    """Log densities."""
    return np.asarray(-HALF_LOG_TWO_PI - log_sigma - 0.5 * np.square((y - location) * np.exp(-log_sigma)))


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """New outcomes."""
    return mean + sigma * rng.standard_normal(np.shape(mean))


def _summed(mean: np.ndarray, square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two outcomes that have the mean and the sd of all."""
    variance = square - np.square(mean)
    return about(mean, variance), variance


def _settled(y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Rounded to a small part of their standard deviation."""
    mean = np.average(y.mean(axis=0), weights=weights)
    spread = float(np.sqrt(np.average(np.square(y - mean).mean(axis=0), weights=weights)))
    return on_grid(y, spread)


SIGMA = Parameter("sigma", HalfStudentT(3.0, 1.0), scaled=True)
GAUSSIAN = Family(
    "gaussian",
    REAL,
    (SIGMA,),
    _callback,
    log_density,
    draw,
    any_number,
    precise="sigma",
    interval=_interval,
    log_interval=log_interval_by(_interval),
    variance=lambda mean, sigma: sigma**2,
    summed=Summed(
        "gaussian", 2, (0, 1), _summed, standard=lambda mean, sd: (mean, sd), settled=_settled, ends=(-np.inf, np.inf)
    ),
)
