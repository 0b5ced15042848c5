"""Exact draws of the boundary that a Brownian motion with drift reaches, and of the time.

The path is not cut into small steps but into few large ones: from where it is, with r the distance to the nearer
boundary, it leaves the interval of half width r around itself at some time. The side on which it does is independent
of the time (the drift multiplies the density of side and time by exp(+-v r) exp(-v^2 t / 2), a product); the upper one
has probability 1 / (1 + exp(-2 v r)). One of the two sides is a boundary, so that from any start half of the paths
without drift have arrived after each step.

The time is r^2 times that to leave (-1, 1) with drift v r, whose density is an alternating series and is drawn from
by rejection without error (Devroye 2009; Polson, Scott and Windle 2013, section 4).
"""

from __future__ import annotations

import math

import numpy as np

_JOINT = 0.64  # of the two series' first terms, each of which is a bound on its side (Polson, Scott and Windle 2013)


def first_passages(
    rng: np.random.Generator, v: np.ndarray, a: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Times, and whether the upper boundary is the one reached, of motions that start at w a between 0 and a.

    All arguments are (n,).
    """
    from scipy.special import expit

    times, upper = np.zeros(len(v)), np.zeros(len(v), dtype=bool)
    below, above = w * a, (1.0 - w) * a  # distances to the boundaries
    walking = np.arange(len(v))
    while len(walking):
        step = np.minimum(below, above)
        drift = v[walking] * step
        times[walking] += step * step * exit_times(rng, np.abs(drift))
        up = rng.random(len(walking)) < expit(2.0 * drift)
        upper[walking] = up
        below, above = below + np.where(up, step, -step), above + np.where(up, -step, step)
        inside = (below > 0) & (above > 0)
        walking, below, above = walking[inside], below[inside], above[inside]
    return times, upper


def exit_times(rng: np.random.Generator, drift: np.ndarray) -> np.ndarray:
    """Times at which motions with drift (n,), not negative, from zero leave (-1, 1).

    The density is cosh(drift) exp(-drift^2 t / 2) times that without drift, which is a sum over n = 0, 1, ... of
    (-1)^n a_n(t), with a_n(t) = pi (n + 1/2) (2 / (pi t))^(3/2) exp(-2 (n + 1/2)^2 / t) for small t and
    a_n(t) = pi (n + 1/2) exp(-(n + 1/2)^2 pi^2 t / 2) for large t. Proposals are from a_0.
    """
    times, left = np.empty(len(drift)), np.arange(len(drift))
    while len(left):
        proposed = _proposals(rng, drift[left])
        taken = accepted(rng, proposed)
        times[left[taken]] = proposed[taken]
        left = left[~taken]
    return times


def _proposals(rng: np.random.Generator, drift: np.ndarray) -> np.ndarray:
    """From exp(-drift^2 t / 2) a_0(t): an inverse Gaussian up to the joint, an exponential from there on."""
    from scipy.special import expit, log_ndtr

    root, rate = math.sqrt(_JOINT), math.pi**2 / 8.0 + 0.5 * np.square(drift)
    log_early = (
        math.log(2.0)
        - drift
        + np.logaddexp(log_ndtr((drift * _JOINT - 1.0) / root), 2.0 * drift + log_ndtr(-(drift * _JOINT + 1.0) / root))
    )
    late = rng.random(len(drift)) < expit(np.log(0.5 * math.pi / rate) - rate * _JOINT - log_early)
    times = _JOINT + rng.standard_exponential(len(drift)) / rate
    early = np.flatnonzero(~late)
    times[early] = _early(rng, drift[early])
    return times


def _early(rng: np.random.Generator, drift: np.ndarray) -> np.ndarray:
    """Inverse Gaussian times with mean 1 / drift and shape one, given that they are below the joint."""
    from scipy.special import ndtr, ndtri

    times, left = np.empty(len(drift)), np.arange(len(drift))
    while len(left):
        at = drift[left]
        # Usually early: those that are. Usually late: without drift, 1 / normal^2, thinned.
        usual = at * _JOINT > 1.0
        proposed = rng.wald(1.0 / np.where(usual, at, 1.0), 1.0)
        tail = ndtri((1.0 - rng.random(len(left))) * ndtr(-1.0 / math.sqrt(_JOINT)))
        proposed = np.where(usual, proposed, 1.0 / np.square(tail))
        thinned = rng.random(len(left)) < np.exp(-0.5 * np.square(np.where(usual, 0.0, at)) * proposed)
        taken = thinned & (proposed <= _JOINT)
        times[left[taken]] = proposed[taken]
        left = left[~taken]
    return times


def accepted(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Accept with the probability sum of (-1)^n a_n / a_0, whose partial sums are bounds from both sides."""
    rate = np.where(times <= _JOINT, 2.0 / np.maximum(times, 1e-300), 0.5 * math.pi**2 * times)
    level, total, n = rng.random(len(times)), np.ones(len(times)), 0
    taken, open_ = np.zeros(len(times), dtype=bool), np.ones(len(times), dtype=bool)
    while open_.any():
        n += 1
        total += (-1.0) ** n * (2 * n + 1) * np.exp(-n * (n + 1) * rate)
        if n % 2:
            taken |= open_ & (level < total)
            open_ &= level >= total
        else:
            open_ &= level < total
    return taken
