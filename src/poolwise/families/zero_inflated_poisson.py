"""Poisson counts among more zeros than those have (Lambert 1992)."""

from __future__ import annotations

from poolwise.compiled import kernel, vector
from poolwise.families import poisson
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import counts
from poolwise.families.family import Family, Parameter
from poolwise.families.links import LOG, LOGIT
from poolwise.families.zeros import inflated, inflated_log_density, same_mean, thinned, with_zeros


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
)
