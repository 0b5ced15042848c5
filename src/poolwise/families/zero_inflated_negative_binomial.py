"""Overdispersed counts among more zeros than those have (Greene 1994)."""

from __future__ import annotations

import math

from poolwise.compiled import exact_kernel, kernel, vector
from poolwise.families import negative_binomial
from poolwise.families.callback import rows_callback, values_callback, views, views_of_draws
from poolwise.families.checks import counts
from poolwise.families.family import Family, Parameter
from poolwise.families.links import LOG, LOGIT
from poolwise.families.scalars import rising, softplus
from poolwise.families.zeros import inflated, inflated_log_density, inflated_zero, same_mean, thinned, with_zeros


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y events with log mean x and log shape s, and the logit of a zero of its own; t = x - s."""
    total = 0.0
    for i in range(y.size):
        shape, t, w = math.exp(predictors[1, i]), predictors[0, i] - predictors[1, i], weights[i]
        up, above = softplus(t)
        down, below = softplus(-t)
        value, share, slope, known, closed, lost = inflated(y[i] == 0.0, -shape * up, predictors[2, i])
        risen, drift = rising(shape, y[i])
        if y[i] > 0.0:
            value += risen - shape * up - y[i] * down
        taken = lost * shape * above
        total += w * value
        slopes[0, i] = w * share * (y[i] * below - shape * above)
        slopes[1, i] = w * share * (shape * (drift - up) + shape * above - y[i] * below)
        information[0, i] = w * max(closed * shape * above - taken * taken, 0.0)
        information[1, i] = w * 0.5 * closed * above
        slopes[2, i], information[2, i] = w * slope, w * known
    return total


@exact_kernel
def values(y, trials, weights, predictors, totals):
    """The same of many draws, without derivatives."""
    n, draws = y.size, totals.size
    negative_binomial.values(y, trials, weights, predictors[: 2 * n], totals)
    for i in range(n):
        w = weights[i]
        for k in range(draws):
            logit = predictors[2 * n + i, k]
            rest = vector.log1p(vector.exp(-abs(logit)))
            if y[i] == 0.0:
                t = predictors[i, k] - predictors[n + i, k]
                up = vector.exp(predictors[n + i, k]) * (max(t, 0.0) + vector.log1p(vector.exp(-abs(t))))
                totals[k] += w * (up + inflated_zero(-up, logit, rest))  # in the place of the family's own
            else:
                totals[k] -= w * (max(logit, 0.0) + rest)
    return 0.0


@values_callback
def _values(n, parameters, draws, y, trials, weights, predictors, totals):
    return values(*views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals))


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


ZERO_INFLATED_NEGATIVE_BINOMIAL = Family(
    "zero_inflated_negative_binomial",
    LOG,
    (*negative_binomial.NEGATIVE_BINOMIAL.parameters, Parameter("zi", typical=0.5, scale=LOGIT)),
    _callback,
    inflated_log_density(negative_binomial.log_density),
    with_zeros(negative_binomial.draw),
    counts,
    thinned(same_mean),
    whole=True,
    location="mean of {} apart from its added zeros",
    likelihood=_values,
)
