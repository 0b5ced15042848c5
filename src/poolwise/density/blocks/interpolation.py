"""Compiled kernels: the root without a leaf that has one effect a level, by elimination and interpolated."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import Matrix, Vector
from poolwise.density.blocks.kernels import System, add_precisions, eliminate_leaf, load_blocks, scale_root


class LeafTable(NamedTuple):
    """Values at the nodes of an interval; none where all is eliminated."""

    nodes: Vector  # (K,) of log r
    weights: Vector  # (K,) barycentric
    values: Matrix  # (K, root size^2 + 1) the root, and the log determinant


NONE = LeafTable(np.zeros(0), np.zeros(0), np.zeros((0, 0)))


@kernel
def without_leaf(ratio: float, system: System, store: Vector, panels: Vector) -> float:
    """The root without the leaf for r, in units of sigma^2, into `store`; the log determinant of the leaf."""
    structure, border = system.structure, system.xy.shape[0]
    size, own = structure.root_size, structure.first_effect[structure.factor[0]]
    scale = np.zeros((system.prior.starts.size, system.prior.starts.size))
    for k in range(scale.shape[0]):
        scale[k, k] = 1.0
    scale[own, own] = math.sqrt(ratio)
    load_blocks(system, scale, 1.0, store)
    for i in range(border):
        for j in range(i + 1):
            store[structure.root + (size - border + j) * size + size - border + i] = system.xy[i, j]
    return eliminate_leaf(structure, system.leaf, system.alike, scale, 1.0, border, panels, store)


@kernel
def interpolate_root(theta, system, scale, table, store):
    """As `reduce_to_root`, by a table."""
    structure, border = system.structure, system.xy.shape[0]
    own = structure.first_effect[structure.factor[0]]
    precision = math.exp(-2.0 * theta[system.prior.starts.size + system.prior.correlations.shape[0]])
    at = math.log(precision * scale[own, own] * scale[own, own])
    shares, total = np.empty(table.nodes.size), 0.0
    for k in range(shares.size):
        away = at - table.nodes[k]
        if away == 0.0:
            shares[:] = 0.0
            shares[k] = total = 1.0
            break
        shares[k] = table.weights[k] / away
        total += shares[k]
    size, last = structure.root_size, table.values.shape[1] - 1
    store[:] = 0.0
    log_determinant = 0.0
    for k in range(shares.size):
        share = shares[k] / total
        log_determinant += share * table.values[k, last]
        for i in range(size):
            for j in range(i * size + i, (i + 1) * size):
                store[j] += share * table.values[k, j]
    _scale(system, scale, precision, store)
    common = np.empty((border, border))
    for i in range(border):
        for j in range(i + 1):
            common[i, j] = store[(size - border + j) * size + size - border + i]
    log_precisions = add_precisions(theta, system, common, store)
    scale_root(theta, system, store)
    return log_determinant, log_precisions


@kernel
def _scale(system, scale, precision, store):
    """The upper triangle of a root with the scales of its nodes, S' H S precision, in place."""
    structure, first_effect, size = system.structure, system.structure.first_effect, system.structure.root_size
    effects, room = size - system.xy.shape[0], np.empty(scale.shape[0])
    for node in range(structure.root_factor.size):
        at, first = structure.root_kept[node], first_effect[structure.root_factor[node]]
        rows = first_effect[structure.root_factor[node] + 1] - first
        for i in range(rows):  # its own block in full
            for j in range(i):
                store[(at + i) * size + at + j] = store[(at + j) * size + at + i]
        for j in range(at, size):
            for i in range(rows):
                room[i] = 0.0
                for k in range(rows):
                    room[i] += scale[first + k, first + i] * store[(at + k) * size + j]
            for i in range(rows):
                store[(at + i) * size + j] = room[i]
    for node in range(structure.root_factor.size):
        at, first = structure.root_kept[node], first_effect[structure.root_factor[node]]
        rows = first_effect[structure.root_factor[node] + 1] - first
        for i in range(min(at + rows, effects)):
            for j in range(rows):
                room[j] = 0.0
                for k in range(rows):
                    room[j] += store[i * size + at + k] * scale[first + k, first + j]
            for j in range(rows):
                store[i * size + at + j] = room[j]
    for i in range(size):
        for j in range(i, size):
            store[i * size + j] *= precision
