"""Poisson counts among more zeros than those have (Lambert 1992)."""

from __future__ import annotations

from poolwise.compiled import exact_kernel, kernel, vector
from poolwise.families import poisson
from poolwise.families.callback import rows_callback, values_callback, views, views_of_draws
from poolwise.families.checks import counts
from poolwise.families.family import Family, Parameter
from poolwise.families.links import LOG, LOGIT
from poolwise.families.zeros import inflated, inflated_log_density, inflated_zero, same_mean, thinned, with_zeros


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y events at log rate x, and the logit of a zero of its own."""
    total = 0.0
    for i in range(y.size):
        x, w, zero = predictors[0, i], weights[i], y[i] == 0.0
        rate = vector.exp(x)
        value, share, slope, known, closed, lost = inflated(zero, -rate, predictors[1, i])
        total += w * (value + (0.0 if zero else y[i] * x - rate))
        slopes[0, i], slopes[1, i] = w * share * (y[i] - rate), w * slope
        information[0, i] = w * max(closed * rate - (lost * rate) * (lost * rate), 0.0)
        information[1, i] = w * known
    return total


@exact_kernel
def values(y, trials, weights, predictors, totals):
    """The same of many draws, without derivatives."""
    n, draws = y.size, totals.size
    for i in range(n):
        count, w = y[i], weights[i]
        for k in range(draws):
            x, logit = predictors[i, k], predictors[n + i, k]
            rate, rest = vector.exp(x), vector.log1p(vector.exp(-abs(logit)))
            if count == 0.0:
                totals[k] += w * inflated_zero(-rate, logit, rest)
            else:
                totals[k] += w * (count * x - rate - max(logit, 0.0) - rest)
    return 0.0


@values_callback
def _values(n, parameters, draws, y, trials, weights, predictors, totals):
    return values(*views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals))


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


ZERO_INFLATED_POISSON = Family(
    "zero_inflated_poisson",
    LOG,
    (Parameter("zi", typical=0.5, scale=LOGIT),),
    _callback,
    inflated_log_density(poisson.log_density),
    with_zeros(poisson.draw),
    counts,
    thinned(same_mean),
    whole=True,
    location="mean of {} apart from its added zeros",
    likelihood=_values,
)
