"""Zeros, and amounts above whose log is normal (Manning and others 1981, two-part models)."""

from __future__ import annotations

import math

from poolwise.compiled import kernel
from poolwise.families import lognormal
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import not_negative
from poolwise.families.family import Family, Parameter
from poolwise.families.links import LOGIT
from poolwise.families.zeros import hurdle, hurdle_log_density, thinned, with_zeros


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """log y with mean x and log standard deviation s where y is above zero, and the logit of a zero."""
    total = 0.0
    for i in range(y.size):
        w, precise = weights[i], math.exp(-predictors[1, i])
        value, slope, known, closed = hurdle(y[i] == 0.0, predictors[2, i])
        slopes[0, i] = slopes[1, i] = 0.0
        if y[i] > 0.0:
            z = (math.log(y[i]) - predictors[0, i]) * precise
            value -= predictors[1, i] + 0.5 * z * z
            slopes[0, i] = w * z * precise
            slopes[1, i] = w * (z * z - 1.0)
        information[0, i], information[1, i] = w * closed * precise * precise, w * closed * 2.0
        slopes[2, i], information[2, i] = w * slope, w * known
        total += w * value
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


HURDLE_LOGNORMAL = Family(
    "hurdle_lognormal",
    lognormal.LOGNORMAL.scale,
    (*lognormal.LOGNORMAL.parameters, Parameter("hu", typical=0.5, scale=LOGIT)),
    _callback,
    hurdle_log_density(lognormal.log_density),
    with_zeros(lognormal.draw),
    not_negative,
    thinned(lognormal.expected),
    zeros_apart=True,
    location="mean of the log of {} above zero",
    centre=lognormal.centre,
)
