"""Shares strictly between 0 and 1, by their mean and precision (Ferrari and Cribari-Neto 2004)."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel, kernel, lane, vector
from poolwise.families.callback import rows_callback, values_callback, views, views_of_draws
from poolwise.families.checks import shares
from poolwise.families.family import Family, Parameter
from poolwise.families.links import LOGIT
from poolwise.families.scalars import digamma, log_gamma
from poolwise.families.summed import Summed, on_grid, with_product
from poolwise.priors import HalfCauchy

_LEAST = 1e-305  # below it log Gamma is still finite; a mean that small lies beyond any data


@lane
def mean_and_rest(x):
    """The mean and one minus the mean, both with all digits, from its log odds."""
    e = math.exp(-abs(x))
    large, small = 1.0 / (1.0 + e), e / (1.0 + e)
    return (large, small) if x >= 0.0 else (small, large)


@lane
def share(y, a, b):
    """Of one row, Beta(a, b): the log density without log Gamma(a + b), and its terms in log a and log b."""
    a, b = max(a, _LEAST), max(b, _LEAST)
    above, below = math.log(y), math.log1p(-y)
    value = (a - 1.0) * above + (b - 1.0) * below - math.lgamma(a) - math.lgamma(b)
    return value, a * (above - digamma(a)), b * (below - digamma(b))


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y with log odds x of its mean and log precision s: Beta(mean exp(s), (1 - mean) exp(s))."""
    total, last, phi, constant, drift = 0.0, math.nan, 1.0, 0.0, 0.0
    for i in range(y.size):
        if predictors[1, i] != last:  # gamma functions once, where all rows share the precision
            last = predictors[1, i]
            phi = math.exp(last)
            constant, drift = math.lgamma(phi), phi * digamma(phi)
        mean, rest = mean_and_rest(predictors[0, i])
        value, of_a, of_b = share(y[i], mean * phi, rest * phi)
        w = weights[i]
        total += w * (constant + value)
        slopes[0, i] = w * (of_a * rest - of_b * mean)
        slopes[1, i] = w * (drift + of_a + of_b)
        information[0, i] = w * (1.0 + phi) * mean * rest
        information[1, i] = w * 0.5
    return total


@exact_kernel
def values(y, trials, weights, predictors, totals):
    """The same of many draws, without derivatives."""
    n, draws = y.size, totals.size
    phi, constant = np.empty(draws), np.empty(draws)
    for i in range(n):
        others = 1 if i == 0 else 0
        for k in range(draws):
            others += predictors[n + i, k] != predictors[n + max(i - 1, 0), k]
        if others:
            for k in range(draws):
                phi[k] = vector.exp(predictors[n + i, k])
                constant[k] = log_gamma(phi[k])
        above, below, w = math.log(y[i]), math.log1p(-y[i]), weights[i]
        for k in range(draws):
            x = predictors[i, k]
            e = vector.exp(-abs(x))
            large, small = phi[k] / (1.0 + e), phi[k] * (e / (1.0 + e))
            a, b = max(large if x >= 0.0 else small, _LEAST), max(small if x >= 0.0 else large, _LEAST)
            totals[k] += w * (constant[k] - log_gamma(a) - log_gamma(b) + (a - 1.0) * above + (b - 1.0) * below)
    return 0.0


@values_callback
def _values(n, parameters, draws, y, trials, weights, predictors, totals):
    return values(*views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals))


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_phi: np.ndarray) -> np.ndarray:
    """Log densities."""
    from scipy.special import expit, gammaln

    phi = np.exp(log_phi)
    a, b = phi * expit(location), phi * expit(-location)
    return np.asarray(gammaln(phi) - gammaln(a) - gammaln(b) + (a - 1) * np.log(y) + (b - 1) * np.log1p(-y))


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """New outcomes."""
    return rng.beta(np.maximum(mean * phi, 1e-300), np.maximum((1 - mean) * phi, 1e-300))


def _summed(
    mean: np.ndarray, square: np.ndarray, log_mean: np.ndarray, log_rest: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two shares whose product, and that of their complements, are the squares of the geometric means of all."""
    product = np.exp(2.0 * log_mean)
    middle = 0.5 * (product - np.expm1(2.0 * log_rest))
    apart = np.square(middle) - product
    return with_product(middle, apart, 2.0 * log_mean), apart / (middle * (1.0 - middle))


def _settled(y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Rounded to a small part of their log odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-on_grid(np.log(y) - np.log1p(-y)))))


BETA = Family(
    "beta",
    LOGIT,
    (Parameter("phi", HalfCauchy(5.0), typical=10.0),),
    _callback,
    log_density,
    draw,
    shares,
    variance=lambda mean, phi: mean * (1.0 - mean) / (1.0 + phi),
    summed=Summed(
        "beta",
        2,
        (2, 3),
        _summed,
        lambda z, log: (log(z), log(1.0 - z)),
        standard=lambda mean, sd: (0.0, 1.0),
        settled=_settled,
        ends=(0.0, 1.0),
    ),
    likelihood=_values,
)
