"""Shares with zeros and ones of their own (Ospina and Ferrari 2010)."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.families import beta
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import shares_with_ends
from poolwise.families.family import Family, Parameter
from poolwise.families.links import LOGIT
from poolwise.families.scalars import digamma
from poolwise.families.zeros import hurdle, log_probabilities


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y with log odds x of the mean and log precision s inside; logits of an end, and of a one among the ends."""
    total, last, phi, constant, drift = 0.0, math.nan, 1.0, 0.0, 0.0
    for i in range(y.size):
        if predictors[1, i] != last:  # gamma functions once, where all rows share the precision
            last = predictors[1, i]
            phi = math.exp(last)
            constant, drift = math.lgamma(phi), phi * digamma(phi)
        w, end = weights[i], y[i] == 0.0 or y[i] == 1.0
        value, slope, known, inside = hurdle(end, predictors[2, i])
        one, one_slope, one_known, _ = hurdle(y[i] == 1.0, predictors[3, i])
        slopes[0, i] = slopes[1, i] = slopes[3, i] = 0.0
        mean, rest = beta.mean_and_rest(predictors[0, i])
        if end:
            value += one
            slopes[3, i] = w * one_slope
        else:
            kernel_value, of_a, of_b = beta.share(y[i], mean * phi, rest * phi)
            value += constant + kernel_value
            slopes[0, i] = w * (of_a * rest - of_b * mean)
            slopes[1, i] = w * (drift + of_a + of_b)
        slopes[2, i] = w * slope
        information[0, i], information[1, i] = w * inside * (1.0 + phi) * mean * rest, w * inside * 0.5
        information[2, i], information[3, i] = w * known, w * (1.0 - inside) * one_known
        total += w * value
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


def log_density(
    y: np.ndarray,
    trials: np.ndarray,
    location: np.ndarray,
    log_phi: np.ndarray,
    logit_end: np.ndarray,
    logit_one: np.ndarray,
) -> np.ndarray:
    """Log densities of shares inside, log probabilities of zeros and ones."""
    end = (y == 0) | (y == 1)
    on, off = log_probabilities(logit_end)
    one, zero = log_probabilities(logit_one)
    inside = beta.log_density(np.where(end, 0.5, y), trials, location, log_phi)
    return np.where(end, on + np.where(y == 1, one, zero), off + inside)


def draw(
    rng: np.random.Generator,
    trials: np.ndarray,
    mean: np.ndarray,
    phi: np.ndarray,
    end: np.ndarray,
    one: np.ndarray,
) -> np.ndarray:
    """New shares."""
    shape = np.shape(mean)
    ends = (rng.random(shape) < one).astype(float)
    return np.where(rng.random(shape) < end, ends, beta.draw(rng, trials, mean, phi))


def expected(mean: np.ndarray, phi: np.ndarray, end: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Mean of all shares, zeros and ones included."""
    return np.asarray(end * one + (1.0 - end) * mean)


def summary(y: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Mean and sd of the shares strictly between zero and one."""
    inside = (y > 0) & (y < 1)
    mean = float(np.average(y[inside], weights=weights[inside]))
    return mean, float(np.sqrt(np.average(np.square(y[inside] - mean), weights=weights[inside])))


ZERO_ONE_INFLATED_BETA = Family(
    "zero_one_inflated_beta",
    LOGIT,
    (*beta.BETA.parameters, *(Parameter(name, typical=0.5, scale=LOGIT) for name in ("zoi", "coi"))),
    _callback,
    log_density,
    draw,
    shares_with_ends,
    expected,
    summary=summary,
    location="mean of {} between zero and one",
)
