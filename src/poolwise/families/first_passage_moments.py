"""Which boundary a Brownian motion with drift reaches, and its mean times, in closed form.

The motion starts at w a between 0 and a, with drift v and the diffusion coefficient one (Cox and Miller 1965, section
5.7; Wagenmakers, Grasman and Molenaar 2005 for times given the boundary). All functions work on arrays that broadcast.
"""

from __future__ import annotations

import math

import numpy as np

_SERIES = 0.5  # of |v| a: below, the mean time by a power series
_TERMS = 18  # of it: the rest is below 1e-17
_LEVELS = 9  # of the continued fraction of coth: all digits for arguments up to one


def _probabilities(v: np.ndarray, a: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, ...]:
    """|v| a; the start from the boundary that the drift leads away from, as a share; the same from the other one;
    probabilities of reaching the boundary with and against the drift."""
    strength = np.clip(np.abs(v) * a, 1e-150, 1e150)
    start = np.where(v >= 0, w, 1.0 - w)
    rest = np.where(v >= 0, 1.0 - w, w)
    whole = -np.expm1(-2.0 * strength)
    along = -np.expm1(-2.0 * strength * start) / whole
    against = np.exp(-2.0 * strength * start) * -np.expm1(-2.0 * strength * rest) / whole
    return strength, start, rest, along, against


def boundary_probabilities(v: np.ndarray, a: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of the upper and the lower boundary, each with all its digits."""
    *_, along, against = _probabilities(v, a, w)
    return np.where(v >= 0, along, against), np.where(v >= 0, against, along)


def upper_probability(v: np.ndarray, a: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Probability that the upper boundary is reached first."""
    return boundary_probabilities(v, a, w)[0]


def mean_time(v: np.ndarray, a: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Mean time to either boundary: the mean way, a (P - w), divided by the drift.

    Where |v| a is small, both are; there P = start * phi(-2 k start) / phi(-2 k) with k = |v| a and
    phi(x) = (exp(x) - 1) / x, of which the difference to `start` is a power series whose terms have the factor
    start * rest.
    """
    strength, start, rest, along, against = _probabilities(v, a, w)
    way = np.where(start < 0.5, along - start, rest - against)
    small = np.minimum(strength, _SERIES)
    total, geometric, power = np.zeros_like(way), np.ones_like(way), np.ones_like(way)
    for k in range(1, _TERMS + 1):
        total = total - (-2.0) ** k * small ** (k - 1) * geometric / math.factorial(k + 1)
        power = power * start
        geometric = geometric + power
    series = start * rest * total * 2.0 * small / -np.expm1(-2.0 * small)
    return np.asarray(np.square(a) * np.where(strength < _SERIES, series, way / strength))


def mean_time_to(v: np.ndarray, a: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Mean time to a boundary of those motions that reach it, from z a away; the same for drifts v and -v."""
    strength = np.abs(v) * a
    return np.asarray(np.square(a) * (_coth(strength) - np.square(1.0 - z) * _coth(strength * (1.0 - z))))


def _coth(x: np.ndarray) -> np.ndarray:
    """(coth(x) - 1 / x) / x for x >= 0, by Lambert's continued fraction where x is small."""
    square, fraction = np.square(np.minimum(x, 1.0)), 2.0 * _LEVELS + 3.0
    for k in range(_LEVELS, 0, -1):
        fraction = 2.0 * k + 1.0 + square / fraction
    large = np.maximum(x, 1.0)
    return np.where(x < 1.0, 1.0 / fraction, (1.0 / np.tanh(large) - 1.0 / large) / large)
