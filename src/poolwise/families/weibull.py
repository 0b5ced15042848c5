"""Waiting times whose hazard rises or falls with a power of time; the location is the log of the scale."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import positive
from poolwise.families.family import Family, Parameter
from poolwise.families.links import LOG, Scale
from poolwise.priors import HalfCauchy

_EULER = 0.5772156649015329
_OF_SHAPE = (1.0 - _EULER) ** 2 + math.pi**2 / 6.0  # expected information on the log of the shape


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y with log scale x and log shape s: (y / scale)^shape is exponential with mean one."""
    total = 0.0
    for i in range(y.size):
        shape, time, w = math.exp(predictors[1, i]), math.log(y[i]), weights[i]
        power = shape * (time - predictors[0, i])
        gone = math.exp(power)
        total += w * (predictors[1, i] - time + power - gone)
        slopes[0, i] = w * shape * (gone - 1.0)
        slopes[1, i] = w * (1.0 + power - power * gone)
        information[0, i] = w * shape * shape
        information[1, i] = w * _OF_SHAPE
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_shape: np.ndarray) -> np.ndarray:
    """Log densities."""
    power = np.exp(log_shape) * (np.log(y) - location)
    return np.asarray(log_shape - np.log(y) + power - np.exp(power))


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """New outcomes."""
    power = np.log(rng.standard_exponential(np.shape(mean))) / shape
    return np.asarray(np.exp(np.minimum(np.log(mean) + power, 700.0)))  # larger ones are no numbers


def expected(mean: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Mean of the outcome itself, from its scale."""
    from scipy.special import gammaln

    return np.asarray(np.exp(np.minimum(np.log(mean) + gammaln(1.0 + 1.0 / shape), 700.0)))


_SCALE = Scale({"log": LOG.links["log"]}, LOG.mean)  # the predictor is the log of the scale
WEIBULL = Family(
    "weibull",
    _SCALE,
    (Parameter("shape", HalfCauchy(5.0), typical=1.0),),
    _callback,
    log_density,
    draw,
    positive,
    expected,
)
