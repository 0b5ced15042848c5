"""Positive outcomes whose log is normal; the location is the mean of the log."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from poolwise.compiled import kernel, vector
from poolwise.families import gaussian
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import positive
from poolwise.families.family import Family, Parameter
from poolwise.families.intervals import log_ends, log_interval_by
from poolwise.families.links import REAL
from poolwise.families.normal_interval import FURTHEST, normal_interval
from poolwise.families.summed import Summed, about
from poolwise.priors import HalfStudentT


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """log y with mean x and log standard deviation s."""
    total = 0.0
    for i in range(y.size):
        precise = vector.exp(-predictors[1, i])
        z = (vector.log(y[i]) - predictors[0, i]) * precise
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
    """(lower, upper] whose logs are normal with mean x and log standard deviation s."""
    total = 0.0
    for i in range(lower.size):
        precise, w = vector.exp(-predictors[1, i]), weights[i]
        slopes[0, i] = slopes[1, i] = information[0, i] = information[1, i] = 0.0
        if not (lower[i] < upper[i] and upper[i] > 0.0):
            total += w * -math.inf
            continue
        a, b, width = log_ends(lower[i], upper[i], predictors[0, i])
        a, b = min(max(a * precise, -FURTHEST), FURTHEST), min(max(b * precise, -FURTHEST), FURTHEST)
        a, b = -math.inf if lower[i] <= 0.0 else a, math.inf if upper[i] == math.inf else b
        value, x, s, of_x, of_s = normal_interval(a, b, width * precise)
        total += w * value
        slopes[0, i], slopes[1, i] = w * x * precise, w * s
        information[0, i], information[1, i] = w * max(of_x, 0.0) * precise * precise, w * max(of_s, 0.0)
    return total


@rows_callback
def _interval(n, parameters, lower, upper, weights, predictors, slopes, information):
    return interval_rows(*views(n, parameters, lower, upper, weights, predictors, slopes, information))


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_sigma: np.ndarray) -> np.ndarray:
    """Log densities of y itself, not of its log."""
    return gaussian.log_density(np.log(y), trials, location, log_sigma) - np.log(y)


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """New outcomes."""
    return np.exp(mean + sigma * rng.standard_normal(np.shape(mean)))


def expected(mean: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Mean of the outcome itself."""
    return np.exp(mean + 0.5 * np.square(sigma))


def centre(mean: float, sd: float) -> tuple[float, float]:
    """Mean and sd of the log of outcomes of a mean and sd."""
    variance = math.log1p((sd / mean) ** 2)
    return math.log(mean) - 0.5 * variance, math.sqrt(variance)


def _summed(
    mean: np.ndarray, square: np.ndarray, log_mean: np.ndarray, log_square: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two outcomes whose logs have the mean and the sd of all logs."""
    variance = log_square - np.square(log_mean)
    return np.exp(about(log_mean, variance)), variance


_SCALE = replace(REAL, links={"identity": REAL.links["identity"]})  # the predictor is the mean of the log already
LOGNORMAL = Family(
    "lognormal",
    _SCALE,
    (Parameter("sigma", HalfStudentT(3.0, 2.5)),),
    _callback,
    log_density,
    draw,
    positive,
    expected,
    centre=centre,
    location="mean of the log of {}",
    interval=_interval,
    log_interval=log_interval_by(_interval),
    summed=Summed("lognormal", 2, (2, 3), _summed, lambda z, log: (log(z), log(z) * log(z))),
)
