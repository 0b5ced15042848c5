"""Successes among trials whose probability varies between rows, by a beta distribution."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel, kernel, vector
from poolwise.families.callback import rows_callback, values_callback, views, views_of_draws
from poolwise.families.checks import several_trials
from poolwise.families.family import Family, Parameter
from poolwise.families.links import LOGIT
from poolwise.families.scalars import log_rising, rising, softplus
from poolwise.priors import HalfCauchy

_LEAST = 1e-305  # parameters of the beta distribution are kept above
_FEW, _FAR = 16.0, 40.0  # factors, and logs of precisions, whose product is a double


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y successes among n trials, mean log odds x, log precision s: a = phi mean, b = phi (1 - mean)."""
    total = 0.0
    for i in range(y.size):
        likely, unlikely = softplus(predictors[0, i])[1], softplus(-predictors[0, i])[1]
        phi, n, w = math.exp(predictors[1, i]), trials[i], weights[i]
        a, b = max(phi * likely, _LEAST), max(phi * unlikely, _LEAST)
        hit, hit_slope = rising(a, y[i])
        missed, missed_slope = rising(b, n - y[i])
        all_, all_slope = rising(phi, n)
        total += w * (hit + missed - all_)
        slopes[0, i] = w * (unlikely * (a * hit_slope) - likely * (b * missed_slope))
        slopes[1, i] = w * (a * hit_slope + b * missed_slope - phi * all_slope)
        # Of the mean by its variance; of the precision about what the variance says.
        spread = (1.0 + phi) / (n + phi) if n > 0.0 else 0.0
        information[0, i] = w * n * likely * unlikely * spread
        information[1, i] = w * 0.5 * max(n - 1.0, 0.0) / (n + phi)
    return total


@exact_kernel
def values(y, trials, weights, predictors, totals):
    """The same of many draws, without derivatives."""
    n, draws = y.size, totals.size
    phi, a, b = np.empty(draws), np.empty(draws), np.empty(draws)
    hit, missed, tried = np.empty(draws), np.empty(draws), np.empty(draws)
    for i in range(n):
        count, most, w, widest = y[i], trials[i], weights[i], 0.0
        for k in range(draws):
            x, s = predictors[i, k], predictors[n + i, k]
            e, precision = vector.exp(-abs(x)), vector.exp(s)
            large, small = precision / (1.0 + e), precision * (e / (1.0 + e))
            a[k], b[k] = max(large if x >= 0.0 else small, _LEAST), max(small if x >= 0.0 else large, _LEAST)
            phi[k], hit[k], missed[k], tried[k] = precision, 1.0, 1.0, 1.0
            widest = max(widest, abs(s))
        if most > _FEW or widest > _FAR or count != math.floor(count) or most != math.floor(most):
            for k in range(draws):
                totals[k] += w * (rising(a[k], count)[0] + rising(b[k], most - count)[0] - rising(phi[k], most)[0])
            continue
        for j in range(int(count)):
            for k in range(draws):
                hit[k] *= a[k] + j
        for j in range(int(most - count)):
            for k in range(draws):
                missed[k] *= b[k] + j
        for j in range(int(most)):
            for k in range(draws):
                tried[k] *= phi[k] + j
        for k in range(draws):
            totals[k] += w * (vector.log(hit[k]) + vector.log(missed[k]) - vector.log(tried[k]))
    return 0.0


@values_callback
def _values(n, parameters, draws, y, trials, weights, predictors, totals):
    return values(*views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals))


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_phi: np.ndarray) -> np.ndarray:
    """Log probabilities of y successes."""
    from scipy.special import expit, gammaln

    phi = np.exp(log_phi)
    a, b = np.maximum(phi * expit(location), _LEAST), np.maximum(phi * expit(-location), _LEAST)
    choose = gammaln(trials + 1) - gammaln(y + 1) - gammaln(trials - y + 1)
    return np.asarray(choose + log_rising(a, y) + log_rising(b, trials - y) - log_rising(phi, trials))


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """New numbers of successes."""
    likely = rng.beta(np.maximum(phi * mean, 1e-300), np.maximum(phi * (1.0 - mean), 1e-300))
    return rng.binomial(np.asarray(trials, dtype=np.int64), np.nan_to_num(likely, nan=0.5)).astype(float)


BETA_BINOMIAL = Family(
    "beta_binomial",
    LOGIT,
    (Parameter("phi", HalfCauchy(5.0), typical=5.0),),
    _callback,
    log_density,
    draw,
    several_trials,
    whole=True,
    trials=True,
    location="probability of a success in {}",
    odds="a success in {}",
    likelihood=_values,
)
