"""Log probabilities of intervals of counts with a Poisson or negative binomial distribution, and their derivatives.

Few counts are added up. Else an interval is put together from tails in such a way that no digits are lost: a tail on
its own side of the mean is integrated; any other is what remains, unless that is less than half.
"""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel, vector
from poolwise.families.incomplete_beta import negative_binomial_tail, rising_bend
from poolwise.families.incomplete_gamma import gamma_constants, gamma_part
from poolwise.families.intervals import complement, everything, nothing, without
from poolwise.families.scalars import gamma_constant, rising, softplus

_ADDED = 32.0  # so many counts are added up one by one
_FEW = 4.0  # counts below an interval, at most, whose complement it is
_LOG_HALF = math.log(0.5)


@kernel
def _poisson_tail(log_mean, last, sign):
    """P(Y <= last) = P(G > mean), G gamma distributed with shape last + 1 (Abramowitz and Stegun 1964, 26.4.21)."""
    shape = last + 1.0
    part = gamma_part(shape, gamma_constants(shape), log_mean - math.log(shape), -sign * math.inf)
    return (part[0], -part[1], 0.0, 0.0, part[4], 0.0, 0.0)


@kernel
def _tail(log_mean, log_shape, last, sign):
    """P(Y <= last) where the sign is -1, P(Y > last) where it is 1; Poisson where the shape is infinite."""
    if log_shape == math.inf:
        return _poisson_tail(log_mean, last, sign)
    return negative_binomial_tail(math.exp(log_shape), last, log_mean - log_shape, sign)


@kernel
def _poisson_sum(log_mean, first, last):
    """P(first <= Y <= last); terms are relative to that next to the mean."""
    mean = vector.exp(log_mean)
    begin, step = (last, -1.0) if last < mean else (first, 1.0)
    # The probability of k is the density of the log of a gamma variable with shape k + 1, over the mean.
    away = log_mean - math.log(begin + 1.0)
    height = gamma_constant(begin + 1.0)[0] + (begin + 1.0) * (away - vector.expm1(away)) - log_mean
    mass, once, twice, term = 0.0, 0.0, 0.0, 1.0
    for j in range(int(last - first) + 1):
        count, further = begin + step * j, step * j
        mass += term
        once += term * further
        twice += term * further * further
        term *= mean / (count + 1.0) if step > 0.0 else count / mean
    once, twice = once / mass, twice / mass
    return (height + math.log(mass), begin - mean + once, 0.0, 0.0, mean - (twice - once * once), 0.0, 0.0)


@kernel
def _negative_binomial_sum(log_mean, log_shape, first, last):
    """P(first <= Y <= last); terms are relative to that next to the mean."""
    mean, shape, t = vector.exp(log_mean), math.exp(log_shape), log_mean - log_shape
    up, share = softplus(t)
    rest = softplus(-t)[1]
    begin, step = (last, -1.0) if last < mean else (first, 1.0)
    risen, drift = rising(shape, begin)
    bend = rising_bend(shape, begin, drift)
    height = risen - math.lgamma(begin + 1.0) - shape * up - begin * (up - t)
    # Of a count that is `further` away: how its derivatives differ, by sums of 1 / (shape + k) and its square.
    mass, first_x, first_s, second_x, second_s = 0.0, 0.0, 0.0, 0.0, 0.0
    term, slope, curve = 1.0, 0.0, 0.0
    for j in range(int(last - first) + 1):
        count, further = begin + step * j, step * j
        x, s = rest * further, slope - rest * further
        mass += term
        first_x += term * x
        first_s += term * s
        second_x += term * (x * x - further * share * rest)
        second_s += term * (s * s + curve - further * share * rest)
        lower = count if step > 0.0 else count - 1.0
        part = shape / (shape + lower)
        slope += step * part
        curve += step * part * (lower / (shape + lower))
        grown = (shape + lower) * share / (lower + 1.0)
        term = term * grown if step > 0.0 else term / grown
    first_x, first_s, second_x, second_s = first_x / mass, first_s / mass, second_x / mass, second_s / mass
    own = shape * share
    return (
        height + math.log(mass),
        begin * rest - own + first_x,
        shape * (drift - up) + own - begin * rest + first_s,
        0.0,
        (begin + shape) * share * rest - (second_x - first_x * first_x),
        -(bend - shape * up + 2.0 * own - (begin + shape) * share * rest) - (second_s - first_s * first_s),
        0.0,
    )


@kernel
def _sum(log_mean, log_shape, first, last):
    if log_shape == math.inf:
        return _poisson_sum(log_mean, first, last)
    return _negative_binomial_sum(log_mean, log_shape, first, last)


@kernel
def count_interval(log_mean, log_shape, lower, upper):
    """The counts in (lower, upper]; predictors are the log of the mean and of the shape, infinite for Poisson."""
    first, last, mean = max(np.floor(lower) + 1.0, 0.0), np.floor(upper), vector.exp(log_mean)
    if last < first:
        return nothing()
    if last - first < _ADDED:
        return _sum(log_mean, log_shape, first, last)
    if last == math.inf and 0.0 < first <= _FEW:  # a few counts are left out, as zeros often are
        rest = _sum(log_mean, log_shape, 0.0, first - 1.0)
        if rest[0] < _LOG_HALF:
            return complement(rest, nothing())
        if log_shape == math.inf:  # then the mean is at most five, and no digit lies beyond the counts that are added
            return _poisson_sum(log_mean, first, first + _ADDED)
    low, high = nothing(), nothing()
    left, right = last + 1.0 <= mean, first >= mean  # the side on which the interval is
    if first > 0.0 and not right:
        low = _tail(log_mean, log_shape, first - 1.0, -1.0)
        right = low[0] > _LOG_HALF
    if last < math.inf and not left and not right:
        high = _tail(log_mean, log_shape, last, 1.0)
        left = high[0] > _LOG_HALF
    if right:
        high = _tail(log_mean, log_shape, last, 1.0) if last < math.inf else nothing()
        return without(_tail(log_mean, log_shape, first - 1.0, 1.0) if first > 0.0 else everything(), high)
    if left:
        return without(_tail(log_mean, log_shape, last, -1.0), low)
    return complement(low, high)
