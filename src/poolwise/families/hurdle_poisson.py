"""Zeros, and Poisson counts from one on (Mullahy 1986)."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import kernel, vector
from poolwise.families import poisson
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import counts
from poolwise.families.family import Family, Parameter
from poolwise.families.links import LOG, LOGIT
from poolwise.families.zeros import cut_off, hurdle, hurdle_log_density, thinned, with_zeros


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y events at log rate x before zeros are cut off, and the logit of a zero."""
    total = 0.0
    for i in range(y.size):
        x, w, zero = predictors[0, i], weights[i], y[i] == 0.0
        rate = vector.exp(x)
        value, slope, known, closed = hurdle(zero, predictors[1, i])
        more, odds, information_above = cut_off(-rate, rate, -rate)
        total += w * (value + (0.0 if zero else y[i] * x - rate + more))
        slopes[0, i] = 0.0 if zero else w * (y[i] - rate - rate * odds)
        information[0, i] = w * closed * information_above
        slopes[1, i], information[1, i] = w * slope, w * known
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


def draw_above_zero(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """New counts from one on: the first event of a unit of time that has one, and those that follow it."""
    share = rng.random(np.shape(mean)) * -np.expm1(-mean)
    return 1.0 + poisson.draw(rng, trials, np.maximum(mean + np.log1p(-share), 0.0))


def mean_above_zero(mean: np.ndarray) -> np.ndarray:
    """Mean of counts from one on."""
    return np.asarray(np.where(mean > 0, mean / np.maximum(-np.expm1(-mean), 1e-300), 1.0))


HURDLE_POISSON = Family(
    "hurdle_poisson",
    LOG,
    (Parameter("hu", typical=0.5, scale=LOGIT),),
    _callback,
    hurdle_log_density(poisson.log_density, lambda location: -np.exp(location)),
    with_zeros(draw_above_zero),
    counts,
    thinned(mean_above_zero),
    whole=True,
    zeros_apart=True,
    location="mean of {} before its zeros are cut off",
)
