"""Successes among trials; Bernoulli where there is one trial for each row."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import exact_kernel, kernel, vector
from poolwise.families.callback import rows_callback, values_callback, views, views_of_draws
from poolwise.families.checks import successes
from poolwise.families.family import Family
from poolwise.families.links import LOGIT

_PRODUCT = 512  # factors between one and two whose product is a double


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y successes among n trials, log odds x: y x - n log(1 + exp(x))."""
    total = 0.0
    for i in range(y.size):
        x = predictors[0, i]
        e = vector.exp(-abs(x))
        share = 1.0 / (1.0 + e)
        likely = share if x >= 0.0 else e * share
        slopes[0, i] = weights[i] * (y[i] - trials[i] * likely)
        information[0, i] = weights[i] * trials[i] * e * share * share
        # y x - n max(x, 0), without the difference of two large numbers
        far = (y[i] - trials[i]) * x if x >= 0.0 else y[i] * x
        total += weights[i] * (far - trials[i] * vector.log1p(e))
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


@exact_kernel
def values(y, trials, weights, predictors, totals):
    """The same of many draws, without derivatives: y x - n max(x, 0) - n log(1 + exp(-|x|))."""
    others = 0.0
    for i in range(y.size):
        others += abs(weights[i] * trials[i] - 1.0)
    if others > 0.0:
        for i in range(y.size):
            for k in range(totals.size):
                x = predictors[i, k]
                far = min(y[i] * x, (y[i] - trials[i]) * x)
                totals[k] += weights[i] * (far - trials[i] * vector.log(1.0 + vector.exp(-abs(x))))
        return 0.0
    products = np.empty(totals.size)
    for start in range(0, y.size, _PRODUCT):
        for k in range(totals.size):
            products[k] = 1.0
        for i in range(start, min(start + _PRODUCT, y.size)):
            for k in range(totals.size):
                x = predictors[i, k]
                totals[k] += weights[i] * y[i] * x - max(x, 0.0)
                products[k] *= 1.0 + vector.exp(-abs(x))
        for k in range(totals.size):
            totals[k] -= vector.log(products[k])
    return 0.0


@values_callback
def _values(n, parameters, draws, y, trials, weights, predictors, totals):
    return values(*views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals))


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray) -> np.ndarray:
    """Log probabilities of y successes at log odds."""
    from scipy.special import gammaln

    choose = gammaln(trials + 1) - gammaln(y + 1) - gammaln(trials - y + 1)
    far = np.where(location >= 0, y - trials, y) * location
    return np.asarray(choose + far - trials * np.log1p(np.exp(-np.abs(location))))


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """New numbers of successes."""
    return rng.binomial(np.asarray(trials, dtype=np.int64), mean).astype(float)


BINOMIAL = Family(
    "binomial",
    LOGIT,
    (),
    _callback,
    log_density,
    draw,
    successes,
    whole=True,
    additive=True,
    trials=True,
    location="probability of a success in {}",
    odds="a success in {}",
    variance=lambda mean: mean * (1.0 - mean),
    likelihood=_values,
)
