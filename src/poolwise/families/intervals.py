"""Log probabilities of intervals: what families share.

For P = P(lower < Y <= upper), the derivative of log P in a parameter is the mean of the derivative of the log density
over the outcomes in the interval, and the second derivative is the mean of that of the log density plus the variance
of the first (Louis 1982). So an interval is put together from parts of the outcomes' range, of each of which a tuple is
known: its log probability, the derivatives of this in up to three predictors, and minus the second derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from poolwise.compiled import kernel, lane, vector
from poolwise.compiled.kernels import Callback
from poolwise.compiled.types import Matrix, Vector
from poolwise.families.callback import call_rows

_NEGLIGIBLE = -700.0  # log of a share whose exponential is about to underflow
_ROUNDED = -1e12  # logs below are known to no better than what could be taken from such a probability
_NOTHING = (-math.inf, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_EVERYTHING = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@kernel
def nothing():
    """The part without any outcome."""
    return _NOTHING


@kernel
def everything():
    """The part with all outcomes."""
    return _EVERYTHING


@kernel
def _mixed(log_mass, a, one, b, two, rest):
    """The log of a sum of parts: `one` with the share a, `two` with b, and `rest`, which depends on no parameter.

    Shares add up to one; they may be negative.
    """
    # The variance of the slopes between the parts is a sum over pairs of parts.
    x = a * b * (one[1] - two[1]) ** 2 + rest * (a * one[1] ** 2 + b * two[1] ** 2)
    s = a * b * (one[2] - two[2]) ** 2 + rest * (a * one[2] ** 2 + b * two[2] ** 2)
    t = a * b * (one[3] - two[3]) ** 2 + rest * (a * one[3] ** 2 + b * two[3] ** 2)
    return (
        log_mass,
        a * one[1] + b * two[1],
        a * one[2] + b * two[2],
        a * one[3] + b * two[3],
        a * one[4] + b * two[4] - x,
        a * one[5] + b * two[5] - s,
        a * one[6] + b * two[6] - t,
    )


@kernel
def union(one, two):
    """Two parts that have no outcome in common."""
    more, less = (one, two) if one[0] >= two[0] else (two, one)
    gap = less[0] - more[0]
    if not gap > _NEGLIGIBLE:  # also where both are empty
        return more
    share = math.exp(gap)
    return _mixed(more[0] + math.log1p(share), 1.0 / (1.0 + share), more, share / (1.0 + share), less, 0.0)


@kernel
def without(one, two):
    """A part without another one that lies in it."""
    gap = two[0] - one[0]
    if not gap > _NEGLIGIBLE or one[0] < _ROUNDED:
        return one
    rest = -math.expm1(gap)
    if rest <= 0.0:
        return _NOTHING
    return _mixed(one[0] + math.log(rest), 1.0 / rest, one, -math.exp(gap) / rest, two, 0.0)


@kernel
def complement(one, two):
    """All outcomes but those of two parts."""
    a = math.exp(one[0]) if one[0] > _NEGLIGIBLE else 0.0
    b = math.exp(two[0]) if two[0] > _NEGLIGIBLE else 0.0
    rest = 1.0 - a - b
    if rest <= 0.0:
        return _NOTHING
    if a == 0.0 and b == 0.0:
        return _EVERYTHING
    log_rest = math.log1p(-(a + b))
    if a == 0.0:  # whose derivatives may be too large to be multiplied by it
        return _mixed(log_rest, -b / rest, two, 0.0, two, 1.0 / rest)
    if b == 0.0:
        return _mixed(log_rest, -a / rest, one, 0.0, one, 1.0 / rest)
    return _mixed(log_rest, -a / rest, one, -b / rest, two, 1.0 / rest)


@kernel
def reflected(part):
    """The same part where the first predictor counts in the other direction."""
    return (part[0], -part[1], part[2], part[3], part[4], part[5], part[6])


@lane
def log_ends(lower, upper, location):
    """Logs of the ends of an interval of positive outcomes, less a location, and how far apart they are."""
    a = vector.log(lower) - location if lower > 0.0 else -math.inf
    b = vector.log(upper) - location if upper < math.inf else math.inf
    if lower <= 0.0 or upper == math.inf:
        return a, b, math.inf
    return a, b, math.log1p((upper - lower) / lower) if upper < 2.0 * lower else b - a


@lane
def exponential_interval(start, log_length):
    """Log probability L that an exponential outcome with mean one lies in (start, start + length].

    Returns
    -------
    L; its derivative in `length`, times `length`; and minus its second derivative, times the square of `length`.
    """
    if log_length < -36.0:
        return log_length - start, 1.0, 1.0
    if log_length > 6.5:
        return -start, 0.0, 0.0
    length = vector.exp(log_length)
    grown = math.expm1(length)
    slope = length / grown
    value = math.log(-math.expm1(-length)) if length < 0.7 else math.log1p(-vector.exp(-length))
    return value - start, slope, slope * length * (1.0 + 1.0 / grown)


@kernel
def each_row(address: int, lower: Vector, upper: Vector, predictors: Matrix, out: Vector) -> None:
    """Log probabilities of intervals (n,) by the callback at an address, row by row; predictors (n, parameters)."""
    one, at = np.ones(1), np.empty((predictors.shape[1], 1))
    slopes, information = np.empty_like(at), np.empty_like(at)
    for i in range(lower.size):
        for r in range(predictors.shape[1]):
            at[r, 0] = predictors[i, r]
        out[i] = call_rows(address, lower[i : i + 1], upper[i : i + 1], one, at, slopes, information)


def log_interval_by(interval: Callback) -> Callable[..., np.ndarray]:
    """Log probabilities of intervals on arrays that broadcast, from the compiled rows of a family."""

    def log_interval(lower: np.ndarray, upper: np.ndarray, location: np.ndarray, *others: np.ndarray) -> np.ndarray:
        low, high, *at = np.broadcast_arrays(lower, upper, location, *others)
        out = np.empty(low.size)
        ends = (np.array(each, dtype=float).ravel() for each in (low, high))
        predictors = np.stack([np.asarray(each, dtype=float).ravel() for each in at], axis=1)
        each_row(interval.address, *ends, np.ascontiguousarray(predictors), out)
        return out.reshape(low.shape)

    return log_interval
