"""Positive outcomes whose log is normal; the location is the mean of the log."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel, vector
from poolwise.families import gaussian
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import positive
from poolwise.families.family import Family, Parameter
from poolwise.families.links import REAL, Scale
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


_SCALE = Scale({"identity": REAL.links["identity"]}, REAL.mean)  # the predictor is the mean of the log already
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
)
