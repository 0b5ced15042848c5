"""Zeros of their own: what families with inflated zeros, and with a hurdle before all others, share.

Both have a probability pi of a zero that is not of the family they are made from, on the logit scale. Zero-inflated
(Lambert 1992): another zero may come from the family itself. Hurdle (Mullahy 1986): it may not, the family is cut off
at zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from poolwise.compiled import lane, vector

Numbers = np.ndarray


@lane
def inflated(zero, log_zero, logit):
    """One row of a zero-inflated family, and what it makes of the family's slopes and information.

    Parameters
    ----------
    zero : whether the outcome is zero.
    log_zero : log probability of a zero in the family itself.
    logit : of pi.

    Returns
    -------
    The log likelihood, without the family's where the outcome is not zero; what the family's slopes are multiplied by;
    the slope in `logit`; the information on it; what the family's information is multiplied by, and the root of what
    its squared slope at zero takes from that: zeros are not known to be of the family.
    """
    e = vector.exp(-abs(logit))
    near, far = 1.0 / (1.0 + e), e / (1.0 + e)
    likely, unlikely = (near, far) if logit >= 0.0 else (far, near)
    b, rest = vector.exp(log_zero), -vector.expm1(log_zero)
    b = b if log_zero > -700.0 else 0.0  # slopes may be as large as 1e304
    together = likely + unlikely * b
    own, at_zero = unlikely * b / together, likely * unlikely * rest / together
    information = together * at_zero * at_zero + unlikely * rest * likely * likely
    lost = math.sqrt(unlikely * b * (1.0 - own))
    value = vector.log(together) if zero else -max(logit, 0.0) - vector.log1p(e)
    return value, (own if zero else 1.0), (at_zero if zero else -likely), information, unlikely, lost


@lane
def inflated_zero(log_zero, logit, rest):
    """Log probability of a zero, from that in the family itself and log(1 + exp(-|logit|)) of the logit of pi."""
    odds = log_zero - logit
    return max(odds, 0.0) + vector.log1p(vector.exp(-abs(odds))) - max(-logit, 0.0) - rest


@lane
def hurdle(zero, logit):
    """Log probability of a zero, or of another outcome; its slope in `logit`; the information on it; 1 - pi."""
    e = vector.exp(-abs(logit))
    near, far = 1.0 / (1.0 + e), e / (1.0 + e)
    likely, unlikely = (near, far) if logit >= 0.0 else (far, near)
    value = -vector.log1p(e) - max(-logit if zero else logit, 0.0)
    return value, (unlikely if zero else -likely), likely * unlikely, unlikely


@lane
def cut_off(log_zero, information, slope):
    """What conditioning a count on not being zero does.

    Parameters
    ----------
    log_zero : log probability of a zero.
    information, slope : on a parameter of the count, and of `log_zero` in it.

    Returns
    -------
    What is added to the log likelihood; the odds of a zero before; the information on the parameter.
    """
    rest = max(-vector.expm1(log_zero), 1e-307)
    odds = vector.exp(log_zero) / rest
    shift = slope * odds
    return -vector.log(rest), odds, max((information - slope * shift * rest) / rest - shift * shift, 0.0)


def log_probabilities(logit: Numbers) -> tuple[Numbers, Numbers]:
    """Logs of pi and 1 - pi."""
    return -np.logaddexp(0, -logit), -np.logaddexp(0, logit)


def inflated_log_density(base: Callable[..., Numbers]) -> Callable[..., Numbers]:
    """Log probabilities of a zero-inflated family, whose last parameter is the logit of pi."""

    def log_density(y: Numbers, trials: Numbers, location: Numbers, *others: Numbers) -> Numbers:
        *own, logit = others
        on, off = log_probabilities(logit)
        mixed = np.logaddexp(on, off + base(np.zeros_like(y), trials, location, *own))
        return np.where(y == 0, mixed, off + base(y, trials, location, *own))

    return log_density


def hurdle_log_density(
    base: Callable[..., Numbers], log_zero: Callable[..., Numbers] | None = None
) -> Callable[..., Numbers]:
    """Log densities of a family with a hurdle; `log_zero` (location, *others) is of counts, which are cut off."""

    def log_density(y: Numbers, trials: Numbers, location: Numbers, *others: Numbers) -> Numbers:
        *own, logit = others
        on, off = log_probabilities(logit)
        other = off + base(np.where(y == 0, 1.0, y), trials, location, *own)
        if log_zero is not None:
            other = other - np.log(np.maximum(-np.expm1(log_zero(location, *own)), 1e-307))
        return np.where(y == 0, on, other)

    return log_density


def with_zeros(draw: Callable[..., Numbers]) -> Callable[..., Numbers]:
    """New outcomes that are zero with the probability that comes last, else drawn from others."""

    def drawn(rng: np.random.Generator, trials: Numbers, mean: Numbers, *others: Numbers) -> Numbers:
        *own, probability = others
        return np.where(rng.random(np.shape(mean)) < probability, 0.0, draw(rng, trials, mean, *own))

    return drawn


def thinned(expected: Callable[..., Numbers]) -> Callable[..., Numbers]:
    """The mean where outcomes are zero with the probability that comes last."""

    def mean_of(mean: Numbers, *others: Numbers) -> Numbers:
        *own, probability = others
        return np.asarray((1.0 - probability) * expected(mean, *own))

    return mean_of


def same_mean(mean: Numbers, *others: Numbers) -> Numbers:
    """Of families whose mean is the mean."""
    return mean
