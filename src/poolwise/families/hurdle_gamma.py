"""Zeros, and gamma distributed amounts above (Manning and others 1981, two-part models)."""

from __future__ import annotations

import math
from dataclasses import replace

from poolwise.compiled import kernel
from poolwise.families import gamma
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import not_negative
from poolwise.families.family import Family, Parameter
from poolwise.families.links import LOG, LOGIT
from poolwise.families.scalars import gamma_constant
from poolwise.families.zeros import hurdle, hurdle_log_density, same_mean, thinned, with_zeros


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y with log mean x and log shape s where it is above zero, and the logit of a zero."""
    total, last, shape, constant, drift = 0.0, math.nan, 1.0, 0.0, 0.0
    for i in range(y.size):
        if predictors[1, i] != last:  # gamma functions once, where all rows share the shape
            last = predictors[1, i]
            shape = math.exp(last)
            constant, drift = gamma_constant(shape)
        w = weights[i]
        value, slope, known, closed = hurdle(y[i] == 0.0, predictors[2, i])
        slopes[0, i] = slopes[1, i] = 0.0
        if y[i] > 0.0:
            away = math.log(y[i]) - predictors[0, i]
            ratio = math.exp(away)
            value += constant + shape * (1.0 + away - ratio) - math.log(y[i])
            slopes[0, i] = w * shape * (ratio - 1.0)
            slopes[1, i] = w * (drift + shape * (1.0 + away - ratio))
        information[0, i], information[1, i] = w * closed * shape, w * closed * 0.5
        slopes[2, i], information[2, i] = w * slope, w * known
        total += w * value
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


HURDLE_GAMMA = Family(
    "hurdle_gamma",
    LOG,
    (*gamma.GAMMA.parameters, Parameter("hu", typical=0.5, scale=LOGIT)),
    _callback,
    hurdle_log_density(gamma.log_density),
    with_zeros(gamma.draw),
    not_negative,
    thinned(same_mean),
    zeros_apart=True,
    location="mean of {} above zero",
    summed=replace(gamma.SUMMED, family="hurdle_gamma", apart=(0.0,)),
)
