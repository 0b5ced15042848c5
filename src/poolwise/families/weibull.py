"""Waiting times whose hazard rises or falls with a power of time; the location is the log of the scale."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from poolwise.compiled import kernel, vector
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import positive
from poolwise.families.family import Family, Parameter
from poolwise.families.intervals import exponential_interval, log_ends, log_interval_by
from poolwise.families.links import LOG
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


@kernel
def interval_rows(lower, upper, weights, predictors, slopes, information):
    """(lower, upper] with log scale x and log shape s, for exponential outcomes (y / scale)^shape with mean one."""
    total = 0.0
    for i in range(lower.size):
        shape, w = vector.exp(predictors[1, i]), weights[i]
        slopes[0, i] = slopes[1, i] = information[0, i] = information[1, i] = 0.0
        if not (lower[i] < upper[i] and upper[i] > 0.0):
            total += w * -math.inf
            continue
        a, b, width = log_ends(lower[i], upper[i], predictors[0, i])
        a, end, width = shape * a, shape * b, shape * width  # logs of ends of the exponential outcome
        start, near, ratio, log_length = 0.0, 0.0, 0.0, end
        if lower[i] > 0.0:
            start, near = math.exp(a), a
            if width < 700.0:
                log_length += math.log(-math.expm1(-width))
                ratio = width / vector.expm1(width)  # of the lower end's derivatives in those of the length
        value, slope, bend = exponential_interval(start, log_length)
        total += w * value
        x, s, of_x, of_s = shape * start, -start * near, shape * shape * start, start * near * (near + 1.0)
        if slope > 0.0:
            # Of the length in the log of the shape, over the length: its first and second derivative.
            log_slope = end + ratio
            curve = end * (end + 1.0) + (ratio * (near + end + 1.0) if ratio > 0.0 else 0.0)
            x, s = x - shape * slope, s + slope * log_slope
            of_x += shape * shape * (bend - slope)
            of_s += bend * log_slope * log_slope - slope * curve
        slopes[0, i], slopes[1, i] = w * x, w * s
        information[0, i], information[1, i] = w * max(of_x, 0.0), w * max(of_s, 0.0)
    return total


@rows_callback
def _interval(n, parameters, lower, upper, weights, predictors, slopes, information):
    return interval_rows(*views(n, parameters, lower, upper, weights, predictors, slopes, information))


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


_SCALE = replace(LOG, links={"log": LOG.links["log"]})  # the predictor is the log of the scale
WEIBULL = Family(
    "weibull",
    _SCALE,
    (Parameter("shape", HalfCauchy(5.0), typical=1.0),),
    _callback,
    log_density,
    draw,
    positive,
    expected,
    location="scale parameter of {}",
    interval=_interval,
    log_interval=log_interval_by(_interval),
)
