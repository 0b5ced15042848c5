"""Random numbers that depend on a point: a hash of its bits, drawn on by SplitMix64, and by Box and Muller."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import IntVector, Matrix, Vector
from poolwise.compiled.vector import bits_of, cos_sin_of_turns, log, unit
from poolwise.density.latent.kernels import value_and_gradient
from poolwise.density.latent.problem import PLACES, whole

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)


@kernel
def _mixed(state):
    """The output function of SplitMix64 (Steele, Lea and Flood 2014)."""
    z = (state ^ (state >> _S30)) * _FIRST
    z = (z ^ (z >> _S27)) * _SECOND
    return z ^ (z >> _S31)


@kernel
def _hash(theta):
    """The state from which numbers of theta (d,) are drawn."""
    state = np.uint64(theta.size)
    for i in range(theta.size):
        state = _mixed(state + _STEP + np.uint64(bits_of(theta[i])))
    return state


@kernel
def uniforms(theta, out):
    """Fill `out` with numbers between zero and one that depend on theta (d,), other ones than its normals."""
    state = _mixed(_hash(theta))
    for k in range(out.size):
        out[k] = unit(_mixed(state + np.uint64(k + 1) * _STEP))


@kernel
def normals(theta, out, first):
    """Fill `out` from `first` on with standard normal numbers that depend on theta (d,)."""
    state, pairs = _hash(theta), (out.size - first) // 2
    middle = first + pairs
    for k in range(pairs):  # of which no number waits for another
        at = state + np.uint64(2 * k) * _STEP
        radius = math.sqrt(-2.0 * log(unit(_mixed(at + _STEP))))
        cosine, sine = cos_sin_of_turns(unit(_mixed(at + _STEP + _STEP)))
        out[first + k] = radius * cosine
        out[middle + k] = radius * sine
    if first + 2 * pairs < out.size:
        at = state + np.uint64(2 * pairs) * _STEP
        radius = math.sqrt(-2.0 * log(unit(_mixed(at + _STEP))))
        out[out.size - 1] = radius * cos_sin_of_turns(unit(_mixed(at + _STEP + _STEP)))[0]


@kernel
def _widening(theta, spreads):
    """How much wider mixed coordinates may be than at the mode: as the largest spread has grown, one at least."""
    grown = 0.0
    for k in range(spreads.size):
        grown = max(grown, theta[k] - spreads[k])
    return math.exp(grown)


@kernel
def fill(thetas: Matrix, words: IntVector, spreads: Vector, points: Matrix) -> None:
    """Points (m, d + p + U): thetas (m, d), and the normal numbers that depend on each, mixed ones widened.

    spreads (Q,) are the logs of the effects' standard deviations at the mode. The fixed map suits the coefficients
    there; under larger spreads they are wider, and estimates from too narrow numbers would have no variance.
    """
    d, places = thetas.shape[1], whole(words, PLACES)
    for i in range(len(thetas)):
        for k in range(d):
            points[i, k] = thetas[i, k]
        normals(thetas[i], points[i], d)
        wider = _widening(thetas[i], spreads)
        for k in range(places.size):
            points[i, d + places[k]] *= wider


@kernel
def estimates(thetas: Matrix, words: IntVector, spreads: Vector, size: int, out: Vector) -> None:
    """log p(theta, z) - log q(z | theta) at thetas (m, d), with z of length `size` - d as `fill` draws it."""
    d, places = thetas.shape[1], whole(words, PLACES)
    points, gradient = np.empty((1, size)), np.empty(size)
    for i in range(len(thetas)):
        fill(thetas[i : i + 1], words, spreads, points)
        total = value_and_gradient(points[0], words, gradient)
        wider = _widening(thetas[i], spreads)
        square = 0.0
        for k in range(d, size):
            square += points[0, k] * points[0, k]
        for k in range(places.size):
            z = points[0, d + places[k]]
            square += z * z * (1.0 / (wider * wider) - 1.0)
        total += 0.5 * square + places.size * math.log(wider)
        out[i] = total + 0.5 * (size - d) * math.log(2.0 * math.pi)
