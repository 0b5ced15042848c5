"""Successes among trials, among more zeros than those have (Hall 2000)."""

from __future__ import annotations

from poolwise.compiled import kernel, vector
from poolwise.families import binomial
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import several_trials
from poolwise.families.family import Family, Parameter
from poolwise.families.links import LOGIT
from poolwise.families.zeros import inflated, inflated_log_density, same_mean, thinned, with_zeros


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y successes among n trials at log odds x, and the logit of a zero of its own."""
    total = 0.0
    for i in range(y.size):
        x, n, w, zero = predictors[0, i], trials[i], weights[i], y[i] == 0.0
        e = vector.exp(-abs(x))
        log_near, near, far = vector.log1p(e), 1.0 / (1.0 + e), e / (1.0 + e)
        likely, unlikely = (near, far) if x >= 0.0 else (far, near)
        up, down = max(x, 0.0) + log_near, max(-x, 0.0) + log_near
        value, share, slope, known, closed, lost = inflated(zero, -n * up, predictors[1, i])
        total += w * (value - (0.0 if zero else y[i] * down + (n - y[i]) * up))
        slopes[0, i], slopes[1, i] = w * share * (y[i] * unlikely - (n - y[i]) * likely), w * slope
        taken = lost * n * likely
        information[0, i] = w * max(closed * n * likely * unlikely - taken * taken, 0.0)
        information[1, i] = w * known
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


ZERO_INFLATED_BINOMIAL = Family(
    "zero_inflated_binomial",
    LOGIT,
    (Parameter("zi", typical=0.5, scale=LOGIT),),
    _callback,
    inflated_log_density(binomial.log_density),
    with_zeros(binomial.draw),
    several_trials,
    thinned(same_mean),
    whole=True,
    trials=True,
    location="probability of a success in {} apart from its added zeros",
    odds="a success in {} apart from its added zeros",
)
