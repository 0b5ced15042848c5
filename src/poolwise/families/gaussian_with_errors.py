"""Normal outcomes with known standard errors, and a residual beside these: `y | se(s, sigma=True) ~ x`."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from poolwise.compiled import kernel, vector
from poolwise.families import gaussian
from poolwise.families.callback import rows_callback, views
from poolwise.families.family import Parameter
from poolwise.families.gaussian import GAUSSIAN, SIGMA
from poolwise.families.intervals import log_interval_by
from poolwise.families.normal_interval import FURTHEST, normal_interval


@kernel
def _log_spread(s, e):
    """Log of the root of exp(2 s) + exp(2 e), and the shares of the two in the variance."""
    far = vector.exp(-2.0 * abs(s - e))
    of_larger = 1.0 / (1.0 + far)
    of_smaller = far * of_larger
    spread = max(s, e) - 0.5 * vector.log(of_larger)
    if s > e:
        return spread, of_larger, of_smaller
    return spread, of_smaller, of_larger


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y with mean x and variance exp(2 s) + exp(2 e): -r - z^2 / 2, r half its log, z = (y - x) exp(-r)."""
    total = 0.0
    for i in range(y.size):
        spread, of_s, of_e = _log_spread(predictors[1, i], predictors[2, i])
        precise = vector.exp(-spread)
        z = (y[i] - predictors[0, i]) * precise
        w = weights[i]
        total -= w * (spread + 0.5 * z * z)
        slope = w * (z * z - 1.0)
        slopes[0, i] = w * z * precise
        slopes[1, i], slopes[2, i] = slope * of_s, slope * of_e
        information[0, i] = w * precise * precise
        information[1, i], information[2, i] = 2.0 * w * of_s * of_s, 2.0 * w * of_e * of_e
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


@kernel
def interval_rows(lower, upper, weights, predictors, slopes, information):
    """(lower, upper] with mean x and variance exp(2 s) + exp(2 e)."""
    total = 0.0
    for i in range(lower.size):
        spread, of_s, of_e = _log_spread(predictors[1, i], predictors[2, i])
        precise, w = vector.exp(-spread), weights[i]
        for k in range(3):
            slopes[k, i] = information[k, i] = 0.0
        if not lower[i] < upper[i]:
            total += w * -math.inf
            continue
        a, b = (lower[i] - predictors[0, i]) * precise, (upper[i] - predictors[0, i]) * precise
        a = max(a, -FURTHEST) if lower[i] > -math.inf else a
        b = min(b, FURTHEST) if upper[i] < math.inf else b
        value, x, r, of_x, of_r = normal_interval(min(a, FURTHEST), max(b, -FURTHEST), (upper[i] - lower[i]) * precise)
        total += w * value
        slopes[0, i], slopes[1, i], slopes[2, i] = w * x * precise, w * r * of_s, w * r * of_e
        information[0, i] = w * max(of_x, 0.0) * precise * precise
        # Shares move with their parameter: d share / d s = 2 share (1 - share).
        between = 2.0 * r * of_s * of_e
        information[1, i] = w * max(of_r * of_s * of_s - between, 0.0)
        information[2, i] = w * max(of_r * of_e * of_e - between, 0.0)
    return total


@rows_callback
def _interval(n, parameters, lower, upper, weights, predictors, slopes, information):
    return interval_rows(*views(n, parameters, lower, upper, weights, predictors, slopes, information))


def log_density(
    y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_sigma: np.ndarray, log_error: np.ndarray
) -> np.ndarray:
    """Log densities."""
    return gaussian.log_density(y, trials, location, 0.5 * np.logaddexp(2.0 * log_sigma, 2.0 * log_error))


def draw(
    rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, sigma: np.ndarray, error: np.ndarray
) -> np.ndarray:
    """New outcomes."""
    return gaussian.draw(rng, trials, mean, np.hypot(sigma, error))


GAUSSIAN_WITH_ERRORS = replace(
    GAUSSIAN,
    parameters=(SIGMA, Parameter("se", known=True)),
    callback=_callback,
    log_density=log_density,
    draw=draw,
    variance=lambda mean, sigma, error: sigma**2 + error**2,
    precise="se",
    interval=_interval,
    log_interval=log_interval_by(_interval),
)
