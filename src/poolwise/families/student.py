"""Outcomes with heavy tails around their location, so that outliers do not pull (Lange, Little and Taylor 1989)."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel, kernel, vector
from poolwise.families.callback import rows_callback, values_callback, views, views_of_draws
from poolwise.families.checks import any_number
from poolwise.families.family import Family, Parameter
from poolwise.families.gaussian import SIGMA
from poolwise.families.intervals import log_interval_by
from poolwise.families.links import REAL
from poolwise.families.scalars import digamma
from poolwise.families.student_interval import student_constants, student_interval
from poolwise.priors import Gamma


@kernel
def _of_df(log_df):
    """Degrees of freedom; the normalising constant, and its derivative in their log."""
    df = math.exp(log_df)
    if df > 1e8:  # the limits, where differences of gamma functions have lost their digits
        return df, -0.5 * math.log(2.0), 0.0
    constant = math.lgamma(0.5 * (df + 1.0)) - math.lgamma(0.5 * df) - 0.5 * log_df
    return df, constant, 0.5 * df * (digamma(0.5 * (df + 1.0)) - digamma(0.5 * df)) - 0.5


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y with location x, log scale s and log degrees of freedom: a power of 1 + z^2 / df, z = (y - x) exp(-s)."""
    total, begin = 0.0, 0
    while begin < y.size:  # gamma functions once for all neighbours that share the degrees of freedom
        end = begin + 1
        while end < y.size and predictors[2, end] == predictors[2, begin]:
            end += 1
        df, constant, drift = _of_df(predictors[2, begin])
        for i in range(begin, end):
            precise = vector.exp(-predictors[1, i])
            z = (y[i] - predictors[0, i]) * precise
            z = min(max(z, -1e140), 1e140)  # whose square is finite; the derivatives have long reached their limits
            square = z * z / df
            w = weights[i]
            bent, share = vector.log1p(square), square / (1.0 + square)
            total += w * (constant - predictors[1, i] - 0.5 * (df + 1.0) * bent)
            slopes[0, i] = w * (1.0 + 1.0 / df) * z * precise / (1.0 + square)
            slopes[1, i] = w * ((df + 1.0) * share - 1.0)
            slopes[2, i] = w * (drift + 0.5 * ((df + 1.0) * share - df * bent))
            information[0, i] = w * (df + 1.0) / (df + 3.0) * precise * precise
            information[1, i] = w * 2.0 * df / (df + 3.0)
            information[2, i] = w * 0.25 * df / ((df + 1.0) * (df + 3.0))
        begin = end
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


@exact_kernel
def values(y, trials, weights, predictors, totals):
    """The same of many draws, without derivatives; gamma functions once where neighbours share them."""
    n, draws = y.size, totals.size
    dfs, constants = np.empty(draws), np.empty(draws)
    for i in range(n):
        at, changed = 2 * n + i, i == 0
        for k in range(draws):
            changed = changed or predictors[at, k] != predictors[at - 1, k]
        if changed:
            for k in range(draws):
                dfs[k], constants[k], _ = _of_df(predictors[at, k])
        for k in range(draws):
            s = predictors[n + i, k]
            z = (y[i] - predictors[i, k]) * vector.exp(-s)
            z = min(max(z, -1e140), 1e140)
            bent = vector.log1p(z * z / dfs[k])
            totals[k] += weights[i] * (constants[k] - s - 0.5 * (dfs[k] + 1.0) * bent)
    return 0.0


@values_callback
def _values(n, parameters, draws, y, trials, weights, predictors, totals):
    return values(*views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals))


@kernel
def interval_rows(lower, upper, weights, predictors, slopes, information):
    """(lower, upper] with location x, log scale s and log degrees of freedom."""
    total, last, df, constants = 0.0, math.nan, 1.0, (0.0, 0.0, 0.0)
    for i in range(lower.size):
        if predictors[2, i] != last:  # gamma functions once, where all rows share the degrees of freedom
            last = predictors[2, i]
            df, constants = student_constants(last)
        for j in range(3):
            slopes[j, i] = information[j, i] = 0.0
        precise, w = vector.exp(-predictors[1, i]), weights[i]
        if not lower[i] < upper[i]:
            total += w * -math.inf
            continue
        a, b = (lower[i] - predictors[0, i]) * precise, (upper[i] - predictors[0, i]) * precise
        a = min(max(a, -1e140), 1e140) if lower[i] > -math.inf else a  # as for densities
        b = min(max(b, -1e140), 1e140) if upper[i] < math.inf else b
        part = student_interval(df, constants, a, b, (upper[i] - lower[i]) * precise)
        total += w * part[0]
        slopes[0, i], slopes[1, i], slopes[2, i] = w * part[1] * precise, w * part[2], w * part[3]
        information[0, i] = w * max(part[4], 0.0) * precise * precise
        information[1, i], information[2, i] = w * max(part[5], 0.0), w * max(part[6], 0.0)
    return total


@rows_callback
def _interval(n, parameters, lower, upper, weights, predictors, slopes, information):
    return interval_rows(*views(n, parameters, lower, upper, weights, predictors, slopes, information))


def log_density(
    y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_sigma: np.ndarray, log_df: np.ndarray
) -> np.ndarray:
    """Log densities."""
    from scipy.special import gammaln

    df, z = np.exp(log_df), (y - location) * np.exp(-log_sigma)
    constant = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df * np.pi)
    return np.asarray(constant - log_sigma - (df + 1) / 2 * np.log1p(np.square(z) / df))


def draw(
    rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, sigma: np.ndarray, df: np.ndarray
) -> np.ndarray:
    """New outcomes."""
    return mean + sigma * rng.standard_t(np.broadcast_to(df, np.shape(mean)))


STUDENT = Family(
    "student",
    REAL,
    (SIGMA, Parameter("nu", Gamma(2.0, 0.1), typical=10.0)),
    _callback,
    log_density,
    draw,
    any_number,
    precise="sigma",
    concave=False,
    interval=_interval,
    log_interval=log_interval_by(_interval),
    variance=lambda mean, sigma, nu: np.where(nu > 2.0, sigma**2 * nu / np.maximum(nu - 2.0, 1e-300), np.inf),
    likelihood=_values,
)
