"""Tails of a negative binomial distribution and their derivatives: parts of a beta distribution on the logit scale.

P(Y <= k) = I(r, k + 1) at p = r / (r + mean) (Abramowitz and Stegun 1964, 26.5.26). The logit u of a beta distributed
number has the density p(u)^r q(u)^(k + 1) / B(r, k + 1), which is log-concave; so tails are integrated as in
`incomplete_gamma`. The end of a tail, u = log r - log mean, moves with the parameters, and all points with it.
"""

from __future__ import annotations

import math

from poolwise.compiled import kernel, vector
from poolwise.families.intervals import nothing
from poolwise.families.legendre import NODES, WEIGHTS
from poolwise.families.scalars import rising, softplus, trigamma

_LOST = 40.0  # logs below the largest density that matters no more
_DROP = 5.0  # of a panel: about half as many logs


@kernel
def _changed(p, q, w):
    """log(p(u + w) / p(u)) of the logistic function p, from p(u) and q = 1 - p(u)."""
    if w >= 0.0:
        return vector.log1p(-q * vector.expm1(-w) / (p + q * vector.exp(-w)))
    if w > -30.0:
        return -vector.log1p(q * vector.expm1(-w))
    return w - math.log(q + p * vector.exp(w))


@kernel
def rising_bend(shape, count, slope):
    """The second derivative of log(Gamma(r + j) / Gamma(r)) in log r, where `slope` is the first one in r."""
    if count <= 24.0:
        total = 0.0
        for j in range(int(count)):
            total += (1.0 / (shape + j)) * (j / (shape + j))
        return shape * total
    return shape * slope + shape * (shape * (trigamma(shape + count) - trigamma(shape)))


@kernel
def negative_binomial_tail(shape, last, t, sign):
    """P(Y <= last) where the sign is -1, P(Y > last) where it is 1; t is the log of mean over shape.

    Returns
    -------
    As in `intervals`: predictors are the log of the mean and the log of the shape.
    """
    count = last + 1.0
    risen, drift = rising(shape, count)
    bend = rising_bend(shape, count, drift)
    log_p, p = -softplus(t)[0], softplus(-t)[1]
    log_q, q = -softplus(-t)[0], softplus(t)[1]
    force = shape * q - count * p  # derivative of the log density at the start
    mass, first_x, first_s, second_x, second_s = 0.0, 0.0, 0.0, 0.0, 0.0
    done, at, top = 0.0, 0.0, 0.0
    while not (at < top - _LOST):
        here = sign * done - t
        far_p, far_q = p * math.exp(_changed(p, q, sign * done)), q * math.exp(_changed(q, p, -sign * done))
        slope = shape * far_q - count * far_p
        step = _DROP / (0.5 * abs(slope) + math.sqrt((shape + count) * far_p * far_q))
        # The logistic function changes on a length of three; far from zero it is an exponential.
        step = min(step, max(3.0, abs(here) if sign * here > 0.0 else 0.5 * abs(here)))
        if not done + step > done:
            break
        for j in range(NODES.size):
            w = sign * (done + step * NODES[j])
            more_p, more_q = _changed(p, q, w), _changed(q, p, -w)
            now_p, now_q = p * math.exp(more_p), q * math.exp(more_q)
            share = step * WEIGHTS[j] * math.exp(shape * more_p + count * more_q)
            curve = (shape + count) * now_p * now_q
            away = shape * (now_q - q) - count * (now_p - p)
            both = away + shape * more_p
            mass += share
            first_x -= share * away
            first_s += share * both
            second_x += share * (away * away - curve)
            second_s += share * (both * both - curve + 2.0 * shape * now_q + shape * more_p)
        done += step
        at = shape * _changed(p, q, sign * done) + count * _changed(q, p, -sign * done)
        top = max(top, at)
    if not mass > 0.0:
        return nothing()
    first_x, first_s, second_x, second_s = first_x / mass, first_s / mass, second_x / mass, second_s / mass
    return (
        risen - math.lgamma(count) + shape * log_p + count * log_q + math.log(mass),
        first_x - force,
        shape * drift + force + shape * log_p + first_s,
        0.0,
        first_x * first_x - second_x,
        first_s * first_s - second_s - bend - shape * log_p,
        0.0,
    )
