"""Zeros, and overdispersed counts from one on (Mullahy 1986)."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.families import negative_binomial
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import counts
from poolwise.families.family import Family, Parameter
from poolwise.families.links import LOG, LOGIT
from poolwise.families.scalars import rising, softplus
from poolwise.families.zeros import cut_off, hurdle, hurdle_log_density, thinned, with_zeros


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y events with log mean x and log shape s before zeros are cut off, and the logit of a zero; t = x - s."""
    total = 0.0
    for i in range(y.size):
        shape, t, w = math.exp(predictors[1, i]), predictors[0, i] - predictors[1, i], weights[i]
        up, above = softplus(t)
        down, below = softplus(-t)
        value, slope, known, closed = hurdle(y[i] == 0.0, predictors[2, i])
        more, odds, information_above = cut_off(-shape * up, shape * above, -shape * above)
        slopes[0, i] = slopes[1, i] = 0.0
        if y[i] > 0.0:
            risen, drift = rising(shape, y[i])
            value += risen - shape * up - y[i] * down + more
            slopes[0, i] = w * (y[i] * below - shape * above * (1.0 + odds))
            slopes[1, i] = w * (shape * drift - y[i] * below + shape * (above - up) * (1.0 + odds))
        information[0, i] = w * closed * information_above
        information[1, i] = w * closed * 0.5 * above
        slopes[2, i], information[2, i] = w * slope, w * known
        total += w * value
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


def _log_zero(location: np.ndarray, log_shape: np.ndarray) -> np.ndarray:
    return -np.exp(log_shape) * np.logaddexp(0, location - log_shape)


def draw_above_zero(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """New counts from one on.

    Counts grow with time in jumps: a first one, whose size has a logarithmic distribution, and what the rest of the
    time brings (Quenouille 1949).
    """
    mean = np.minimum(mean, 1e300)
    jumps = shape * np.log1p(mean / shape)
    share = rng.random(np.shape(mean)) * -np.expm1(-jumps)
    rest = np.clip(1.0 + np.log1p(-share) / np.maximum(jumps, 1e-300), 0.0, 1.0)
    first = rng.logseries(np.clip(mean / (mean + shape), 1e-300, 1 - 1e-15), np.shape(mean))
    return np.asarray(first + negative_binomial.draw(rng, trials, mean * rest, np.maximum(shape * rest, 1e-300)))


def mean_above_zero(mean: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Mean of counts from one on."""
    rest = -np.expm1(-shape * np.log1p(mean / shape))
    return np.asarray(np.where(rest > 0, mean / np.maximum(rest, 1e-300), 1.0))


HURDLE_NEGATIVE_BINOMIAL = Family(
    "hurdle_negative_binomial",
    LOG,
    (*negative_binomial.NEGATIVE_BINOMIAL.parameters, Parameter("hu", typical=0.5, scale=LOGIT)),
    _callback,
    hurdle_log_density(negative_binomial.log_density, _log_zero),
    with_zeros(draw_above_zero),
    counts,
    thinned(mean_above_zero),
    whole=True,
    zeros_apart=True,
    location="mean of {} before its zeros are cut off",
)
