"""Whole evaluations: log densities and draws of the kept coefficients, for roots small enough to stay in kernels."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import Array3, Matrix, Vector
from poolwise.density.blocks.back_substitution import constrain, leaf_given, solve_kept, solve_root
from poolwise.density.blocks.kernels import System, factorise_root, reduce_to_root, scales, unscale_coefficients
from poolwise.density.dense import finite, product
from poolwise.density.theta import log_prior, usable

_LOG_2PI = math.log(2 * math.pi)


@kernel
def assembled(log_determinant: float, log_precisions: float, pivot: float, log_sigma: float, system: System) -> float:
    """log p(y | theta) from what the elimination has left."""
    value = 0.5 * log_precisions + system.prior.log_constant - 0.5 * log_determinant - 0.5 * pivot
    value -= system.rows * (log_sigma + 0.5 * _LOG_2PI)
    return float(finite(value))


def room(system: System) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Arrays for one evaluation: covariance factor, the same for shifted effects, store, and the panels of the leaf."""
    q = system.prior.starts.size
    return np.empty((q, q)), np.empty((q, q)), np.empty(system.structure.size), np.empty(system.leaf.size)


_room = kernel(room)


@kernel
def log_densities(points: Matrix, system: System, out: Vector, kept: Matrix) -> None:
    """Unnormalised log posterior of theta at each row of `points` (m, d), into `out` (m,).

    With `kept` (m, n) of standard normals, or zeros for means: one exact draw of all coefficients but the leaf's, given
    each theta; without rows none. Effects are scaled, v of u = M v; common coefficients in working coordinates.
    """
    covariance, scale, store, panels = _room(system)
    structure, unused = system.structure, np.empty(points.shape[1])
    q, pairs = system.prior.starts.size, system.prior.correlations.shape[0]
    root = np.empty(structure.root_size - 1)
    first, multiplier = kept.shape[1] - root.size, system.multiplier
    for i in range(points.shape[0]):
        theta = points[i]
        out[i] = -np.inf
        if not usable(theta):
            continue
        scales(theta, system, covariance, scale)
        log_determinant, log_precisions = reduce_to_root(theta, system, scale, store, panels)
        log_determinant += factorise_root(store, structure.root, structure.root_size, multiplier)
        value = assembled(log_determinant, log_precisions, store[structure.size - 1], theta[q + pairs], system)
        out[i] = value + log_prior(theta, system.prior, unused)
        if kept.shape[0] == 0:
            continue
        noise = kept[i].copy()
        constrain(system, store, noise)
        solve_root(store, structure.root, structure.root_size, noise[first:], root)
        unscale_coefficients(theta, system.prior, root)
        solve_kept(system, store, root, noise, kept[i])


@kernel
def leaf_draws(
    points: Matrix, system: System, first_level: int, kept: Matrix, effects: Array3, first_effect: int
) -> None:
    """Effects of consecutive levels of the leaf, as written, given each theta and the kept coefficients.

    effects (m, q, width) holds standard normals, or zeros for the conditional means; it is overwritten.
    """
    size, q = system.prior.starts.size, effects.shape[1]
    covariance, scale, written = np.empty((size, size)), np.empty((size, size)), np.empty((size, size))
    widest = 0
    for node in range(system.structure.leaves):
        widest = max(widest, system.structure.width[node])
    panel, column = np.empty(q * widest), np.empty(q)
    for draw in range(points.shape[0]):
        scales(points[draw], system, covariance, scale)
        product(system.to_written, covariance, written)
        leaf_given(points[draw], system, scale, first_level, kept[draw], effects[draw], panel)
        for g in range(effects.shape[2]):
            for i in range(q):
                column[i] = effects[draw, i, g]
            for i in range(q):
                total = 0.0
                for k in range(q):
                    total += written[first_effect + i, first_effect + k] * column[k]
                effects[draw, i, g] = total
