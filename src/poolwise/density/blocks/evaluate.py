"""Whole evaluations: log densities and draws of the kept coefficients, for roots small enough to stay in kernels."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import Array3, Matrix, Vector
from poolwise.density.blocks.back_substitution import (
    constrain,
    leaf_given,
    left_for_leaf,
    noise_of_known,
    shift_kept,
    solve_kept,
    solve_root,
)
from poolwise.density.blocks.interpolation import LeafTable, interpolate_root
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
def log_densities(points: Matrix, system: System, table: LeafTable, known: int, out: Vector, kept: Matrix) -> None:
    """Unnormalised log posterior of theta at each row of `points` (m, d), into `out` (m,); by a table of what the leaf
    leaves, where that has nodes.

    With `kept` (m, n) of standard normals, or zeros for means: one exact draw of all coefficients but the leaf's, given
    each theta; without rows none. Effects are scaled, v of u = M v; common coefficients in working coordinates. The
    last `known` of these are not noise but known, and log densities are of theta and these.
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
        if table.nodes.size:
            log_determinant, log_precisions = interpolate_root(theta, system, scale, table, store)
        else:
            log_determinant, log_precisions = reduce_to_root(theta, system, scale, store, panels)
        log_determinant += factorise_root(store, structure.root, structure.root_size, multiplier)
        value = assembled(log_determinant, log_precisions, store[structure.size - 1], theta[q + pairs], system)
        out[i] = value + log_prior(theta, system.prior, unused)
        if kept.shape[0] == 0:
            continue
        noise = kept[i].copy()
        constrain(system, store, noise)
        out[i] += noise_of_known(store, structure.root, structure.root_size, known, noise[first:])
        solve_root(store, structure.root, structure.root_size, noise[first:], root)
        unscale_coefficients(theta, system.prior, root)
        solve_kept(system, store, root, noise, kept[i])


@kernel
def leaf_draws(points: Matrix, system: System, first_level: int, kept: Matrix, effects: Array3, means: Array3) -> None:
    """Effects of consecutive levels of the leaf, as written, given each theta and the kept coefficients: their means,
    and how far away draws are.

    What the kept ones take from a level's outcomes is a sum over its cross-products, for all draws together; only its
    own block is factorised for each. effects (width, q, m) holds standard normals, in whose place these distances go;
    means (width, q, m) is filled.
    """
    structure, size, q, draws = system.structure, system.prior.starts.size, effects.shape[1], points.shape[0]
    covariance, shifted = np.empty((size, size)), np.empty((kept.shape[1], draws))
    scale, written = np.empty((draws, size, size)), np.empty((draws, size, size))
    precision, left = np.empty(draws), np.empty((q, draws))
    mine, mean, away, panel, room = np.empty(q), np.empty(q), np.empty(q), np.empty(2 * q * (q + 1)), np.empty(q)
    for draw in range(draws):
        scales(points[draw], system, covariance, scale[draw])
        product(system.to_written, covariance, written[draw])
        precision[draw] = math.exp(-2.0 * points[draw, size + system.prior.correlations.shape[0]])
        shift_kept(structure, scale[draw], kept[draw], draw, shifted)
    for g in range(min(effects.shape[0], structure.leaves - first_level)):
        node = first_level + g
        block, start, width = (
            structure.first_effect[structure.factor[node]],
            structure.offset[node],
            structure.width[node],
        )
        left_for_leaf(structure, system.leaf, system.xy.shape[0], node, shifted, left)
        if q == 1:
            for draw in range(draws):
                own = scale[draw, block, block]
                pivot = 1.0 + precision[draw] * own * own * system.leaf[start]
                means[g, 0, draw] = written[draw, block, block] * precision[draw] * own * left[0, draw] / pivot
                effects[g, 0, draw] *= written[draw, block, block] / math.sqrt(pivot)
            continue
        for draw in range(draws):
            for i in range(q):
                mine[i], away[i] = left[i, draw], effects[g, i, draw]
            leaf_given(
                system.leaf, start, width, scale[draw], block, precision[draw], written[draw], mine, away, mean, panel,
                room,
            )  # fmt: skip
            for i in range(q):
                means[g, i, draw], effects[g, i, draw] = mean[i], away[i]
