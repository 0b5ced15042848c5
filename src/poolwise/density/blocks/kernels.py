"""Compiled kernels of the blocked system: elimination, what is left for the root, and the way back.

Notation of `docs/explanation/algebra.md`: u = M v with v ~ N(0, I). The system is I + M' Z'Z M / sigma^2 for v, bordered
by the common coefficients and the outcome. Eliminating a node with R'R = its own block and B = R^-T (its other columns)
subtracts B'B from the rest. `structure.py` says where everything is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from poolwise.compiled import kernel
from poolwise.density.blocks.structure import Structure
from poolwise.density.dense import product
from poolwise.density.theta import Prior, add_prior_rows, covariance_factor


class System(NamedTuple):
    """All that the density knows, as arrays. p coefficients, Q effects of all factors."""

    structure: Structure
    leaf: np.ndarray  # panels of the leaf: cross-products of its effects with its own columns
    block_rows: np.ndarray  # (blocks,) factor of the rows of each block of the store
    block_columns: np.ndarray  # (blocks,) factor of its columns, -1 for the border
    block_place: np.ndarray  # (blocks,) where it begins in the store
    block_stride: np.ndarray  # (blocks,) from one row to the next
    block_start: np.ndarray  # (blocks,) where its numbers begin
    block_values: np.ndarray  # cross-products
    xy: np.ndarray  # (p + 1, p + 1) [X, y]'[X, y]
    rows: float  # n
    maps: np.ndarray  # (Q, Q) block-diagonal: from effects as written to shifted effects
    prior: Prior


@kernel
def _load(values, start, stride, target, place, target_stride, left, rows, first, right, columns, begin, precision):
    """target = precision * left' C right for one block C (rows, columns); right is None's stand-in where begin < 0."""
    for i in range(rows):
        for j in range(columns):
            total = 0.0
            for k in range(rows):
                weight = left[first + k, first + i]
                if weight != 0.0:
                    if begin < 0:
                        total += weight * values[start + k * stride + j]
                    else:
                        inner = 0.0
                        for m in range(columns):
                            inner += values[start + k * stride + m] * right[begin + m, begin + j]
                        total += weight * inner
            target[place + i * target_stride + j] = precision * total


@kernel
def _factorise(panel, start, rows, width):
    """R and B in place of a panel; returns the log determinant of R'R."""
    log_product = 0.0
    for i in range(rows):
        at = start + i * width
        for k in range(i):
            above = start + k * width
            weight = panel[above + i]
            if weight != 0.0:
                for j in range(i, width):
                    panel[at + j] -= weight * panel[above + j]
        pivot = panel[at + i]
        if not pivot > 0.0:
            return np.inf
        log_product += math.log(pivot)
        pivot = math.sqrt(pivot)
        panel[at + i] = pivot
        scale = 1.0 / pivot
        for j in range(i + 1, width):
            panel[at + j] *= scale
    return log_product


@kernel
def _update(structure, node, panel, start, rows, border, store):
    """Subtract B'B of a node from the rest: rows of the nodes that it meets, then those of the border."""
    width = structure.width[node]
    for e in range(structure.entries[node], structure.entries[node + 1] + 1):
        if e < structure.entries[node + 1]:
            column, base, stride = structure.entry_column[e], structure.entry_base[e], structure.entry_stride[e]
            factor, places = structure.entry_factor[e], structure.entry_places[e]
            count = structure.first_effect[factor + 1] - structure.first_effect[factor]
        else:
            column, stride, count = width - border, structure.root_size, border
            base = structure.root + (structure.root_size - border) * stride
            places = structure.border_places[node]
        for i in range(rows):
            at = start + i * width
            for r in range(count):
                weight = panel[at + column + r]
                if weight != 0.0:
                    row = base + r * stride
                    for j in range(column + r, width):
                        store[row + structure.places[places + j - column]] -= weight * panel[at + j]


@kernel
def scales(theta, system, covariance, scale):
    """The covariance factor M (Q, Q), and M in terms of shifted effects."""
    covariance_factor(theta, system.prior.starts, covariance)
    product(system.maps, covariance, scale)


@kernel
def load_leaf(system, node, scale, precision, panel, start):
    """The scaled panel of a level of the leaf, into `panel` from `start` on."""
    structure = system.structure
    own, width, data = structure.factor[node], structure.width[node], structure.offset[node]
    first, rows = structure.first_effect[own], structure.first_effect[own + 1] - structure.first_effect[own]
    border = system.xy.shape[0]
    _load(system.leaf, data, width, panel, start, width, scale, rows, first, scale, rows, first, precision)
    for i in range(rows):
        panel[start + i * width + i] += 1.0
    for e in range(structure.entries[node], structure.entries[node + 1]):
        column, factor = structure.entry_column[e], structure.entry_factor[e]
        begin = structure.first_effect[factor]
        count = structure.first_effect[factor + 1] - begin
        _load(
            system.leaf, data + column, width, panel, start + column, width, scale, rows, first, scale, count, begin,
            precision,
        )  # fmt: skip
    column = width - border
    _load(
        system.leaf, data + column, width, panel, start + column, width, scale, rows, first, scale, border, -1, precision
    )


@kernel
def reduce_to_root(theta, system, scale, store, panels, kept):
    """Eliminate all but the root; returns the logs of the determinant so far and of the prior precisions.

    `store` (size,) is left with panels R, B of eliminated nodes and the upper triangle of the root. Panels of the leaf
    go to `panels`: each to its place where `kept`, else all to its beginning.
    """
    structure = system.structure
    border = system.xy.shape[0]
    q, pairs = system.prior.starts.size, system.prior.correlations.shape[0]
    precision = math.exp(-2.0 * theta[q + pairs])
    store[:] = 0.0
    for b in range(system.block_rows.size):
        factor, other = system.block_rows[b], system.block_columns[b]
        first, rows = structure.first_effect[factor], structure.first_effect[factor + 1] - structure.first_effect[factor]
        begin, columns = -1, border
        if other >= 0:
            begin = structure.first_effect[other]
            columns = structure.first_effect[other + 1] - begin
        _load(
            system.block_values, system.block_start[b], columns, store, system.block_place[b], system.block_stride[b],
            scale, rows, first, scale, columns, begin, precision,
        )  # fmt: skip
    for node in range(structure.leaves, structure.factor.size):
        factor, width = structure.factor[node], structure.width[node]
        for i in range(structure.first_effect[factor + 1] - structure.first_effect[factor]):
            store[structure.offset[node] + i * width + i] += 1.0
    size = structure.root_size
    for i in range(size - border):
        store[structure.root + i * size + i] += 1.0
    common = np.empty((border, border))
    for i in range(border):
        for j in range(i + 1):
            common[i, j] = precision * system.xy[i, j]
    log_precisions = add_prior_rows(theta, system.prior, common)
    for i in range(border):
        for j in range(i + 1):
            store[structure.root + (size - border + j) * size + size - border + i] = common[i, j]
    log_determinant = 0.0
    for node in range(structure.factor.size):
        factor = structure.factor[node]
        rows = structure.first_effect[factor + 1] - structure.first_effect[factor]
        if node < structure.leaves:
            start = structure.offset[node] if kept else 0
            load_leaf(system, node, scale, precision, panels, start)
            log_determinant += _factorise(panels, start, rows, structure.width[node])
            _update(structure, node, panels, start, rows, border, store)
        else:
            start = structure.offset[node]
            log_determinant += _factorise(store, start, rows, structure.width[node])
            _update(structure, node, store, start, rows, border, store)
    return log_determinant, log_precisions


@kernel
def factorise_root(store, start, size):
    """The upper factor of the root in place, its last pivot left squared; returns the log determinant of the others."""
    log_determinant = 0.0
    for i in range(size):
        at = start + i * size
        for k in range(i):
            above = start + k * size
            weight = store[above + i]
            if weight != 0.0:
                for j in range(i, size):
                    store[at + j] -= weight * store[above + j]
        if i < size - 1:
            pivot = store[at + i]
            if not pivot > 0.0:
                return np.inf
            log_determinant += math.log(pivot)
            pivot = math.sqrt(pivot)
            store[at + i] = pivot
            for j in range(i + 1, size):
                store[at + j] /= pivot
    return log_determinant


@kernel
def solve_root(store, start, size, noise, out):
    """R^-1 (the outcome's column + noise) for the root's effects and coefficients: `out` (size - 1,)."""
    for i in range(size - 2, -1, -1):
        at = start + i * size
        total = store[at + size - 1] + noise[i]
        for j in range(i + 1, size - 1):
            total -= store[at + j] * out[j]
        out[i] = total / store[at + i]


@kernel
def invert_root(store, start, size, count, inverse):
    """Upper triangle of the inverse of the first `count` rows of the root, into `inverse` at the root's place."""
    upper = np.zeros((count, count))
    for j in range(count):
        upper[j, j] = 1.0 / store[start + j * size + j]
        for i in range(j - 1, -1, -1):
            total = 0.0
            for k in range(i + 1, j + 1):
                total -= store[start + i * size + k] * upper[k, j]
            upper[i, j] = total / store[start + i * size + i]
    for i in range(count):
        for j in range(i, count):
            total = 0.0
            for k in range(j, count):
                total += upper[i, k] * upper[j, k]
            inverse[start + i * size + j] = total


@kernel
def solve_node(structure, node, panel, start, rows, border, kept, noise, at, out):
    """R^-1 (outcome + noise - columns of later nodes times their values) for one node, into `out` (rows,)."""
    width = structure.width[node]
    common = kept.size - border + 1
    for i in range(rows - 1, -1, -1):
        row = start + i * width
        total = panel[row + width - 1] + noise[at + i]
        for j in range(i + 1, rows):
            total -= panel[row + j] * out[j]
        for e in range(structure.entries[node], structure.entries[node + 1]):
            factor, first = structure.entry_factor[e], structure.entry_kept[e]
            for k in range(structure.first_effect[factor + 1] - structure.first_effect[factor]):
                total -= panel[row + structure.entry_column[e] + k] * kept[first + k]
        for k in range(border - 1):
            total -= panel[row + width - border + k] * kept[common + k]
        out[i] = total / panel[row + i]


@kernel
def solve_kept(system, store, root, noise, kept):
    """All kept values from those of the root: eliminated nodes after the leaf, the last one first."""
    structure, border = system.structure, system.xy.shape[0]
    first = kept.size - root.size
    kept[first:] = root
    at = first
    out = np.empty(system.prior.starts.size)
    for node in range(structure.factor.size - 1, structure.leaves - 1, -1):
        factor = structure.factor[node]
        rows = structure.first_effect[factor + 1] - structure.first_effect[factor]
        at -= rows
        solve_node(structure, node, store, structure.offset[node], rows, border, kept, noise, at, out)
        for i in range(rows):
            kept[at + i] = out[i]


@kernel
def _covariance_among(structure, node, border, inverse, common, gathered):
    """Covariances (m, m) of all that a node meets, `common` coefficients included, from `inverse`; returns m."""
    own = structure.first_effect[structure.factor[node] + 1] - structure.first_effect[structure.factor[node]]
    width = structure.width[node]
    size = width - own - border + common
    for e in range(structure.entries[node], structure.entries[node + 1] + 1):
        if e < structure.entries[node + 1]:
            column, base, stride = structure.entry_column[e], structure.entry_base[e], structure.entry_stride[e]
            factor, places = structure.entry_factor[e], structure.entry_places[e]
            count = structure.first_effect[factor + 1] - structure.first_effect[factor]
        else:
            column, stride, count = width - border, structure.root_size, common
            base = structure.root + (structure.root_size - border) * stride
            places = structure.border_places[node]
        for r in range(count):
            for j in range(column + r, own + size):
                value = inverse[base + r * stride + structure.places[places + j - column]]
                gathered[column + r - own, j - own] = value
                gathered[j - own, column + r - own] = value
    return size


@kernel
def selected_inverse(system, store, panels, inverse, common, work):
    """Posterior covariance of each node's own effects, from the last eliminated to the first.

    `inverse` (store's size) holds the root's; covariances that earlier nodes need are added to it. Own blocks of the
    leaf go to `work.own` (leaves, q, q). `common` is p, or 0 for covariances given the common coefficients.
    """
    structure, border = system.structure, system.xy.shape[0]
    gathered, ahead, spread, own = work
    for node in range(structure.factor.size - 1, -1, -1):
        leaf = node < structure.leaves
        panel = panels if leaf else store
        start, width = structure.offset[node], structure.width[node]
        factor = structure.factor[node]
        rows = structure.first_effect[factor + 1] - structure.first_effect[factor]
        size = _covariance_among(structure, node, border, inverse, common, gathered)
        # H = -R^-1 B: how the node's effects follow those that it meets.
        for i in range(rows - 1, -1, -1):
            pivot = panel[start + i * width + i]
            for j in range(size):
                total = -panel[start + i * width + rows + j]
                for k in range(i + 1, rows):
                    total -= panel[start + i * width + k] * ahead[k, j]
                ahead[i, j] = total / pivot
        for i in range(rows):
            for j in range(size):
                total = 0.0
                for k in range(size):
                    total += ahead[i, k] * gathered[k, j]
                spread[i, j] = total
        # Own covariance: R^-1 R^-T + H S H'.
        upper = np.zeros((rows, rows))
        for j in range(rows):
            upper[j, j] = 1.0 / panel[start + j * width + j]
            for i in range(j - 1, -1, -1):
                total = 0.0
                for k in range(i + 1, j + 1):
                    total -= panel[start + i * width + k] * upper[k, j]
                upper[i, j] = total / panel[start + i * width + i]
        for i in range(rows):
            for j in range(i, rows):
                total = 0.0
                for k in range(j, rows):
                    total += upper[i, k] * upper[j, k]
                for k in range(size):
                    total += spread[i, k] * ahead[j, k]
                if leaf:
                    own[node, i, j] = total
                    own[node, j, i] = total
                else:
                    inverse[start + i * width + j] = total
            if not leaf:
                for j in range(size):
                    inverse[start + i * width + rows + j] = spread[i, j]


@kernel
def add_moments(system, inverse, own, kept, leaf_means, moments):
    """Add E[v v'] of all levels, factor by factor, to the diagonal blocks of `moments` (Q, Q)."""
    structure = system.structure
    at = 0
    for node in range(structure.leaves, structure.factor.size):
        factor = structure.factor[node]
        first, rows = structure.first_effect[factor], structure.first_effect[factor + 1] - structure.first_effect[factor]
        start, width = structure.offset[node], structure.width[node]
        _add_moment(moments, first, rows, inverse, start, width, kept, at)
        at += rows
    for node in range(structure.root_factor.size):
        factor = structure.root_factor[node]
        first, rows = structure.first_effect[factor], structure.first_effect[factor + 1] - structure.first_effect[factor]
        place = structure.root_kept[node]
        row = place - structure.root_kept[0]
        start = structure.root + row * structure.root_size + row
        _add_moment(moments, first, rows, inverse, start, structure.root_size, kept, place)
    factor = structure.factor[0]
    first = structure.first_effect[factor]
    for node in range(structure.leaves):
        for i in range(own.shape[1]):
            for j in range(own.shape[1]):
                moments[first + i, first + j] += own[node, i, j] + leaf_means[node, i] * leaf_means[node, j]


@kernel
def _add_moment(moments, first, rows, inverse, start, stride, means, at):
    for i in range(rows):
        for j in range(rows):
            low, high = min(i, j), max(i, j)
            moments[first + i, first + j] += inverse[start + low * stride + high] + means[at + i] * means[at + j]


@kernel
def leaf_given(theta, system, scale, first, kept, noise, panel):
    """Scaled effects v of consecutive levels of the leaf given the kept ones: noise (q, width) is overwritten."""
    structure, border = system.structure, system.xy.shape[0]
    q, pairs = system.prior.starts.size, system.prior.correlations.shape[0]
    precision = math.exp(-2.0 * theta[q + pairs])
    rows = noise.shape[0]
    mine, out = np.empty(rows), np.empty(rows)
    for g in range(min(noise.shape[1], structure.leaves - first)):
        node = first + g
        load_leaf(system, node, scale, precision, panel, 0)
        _factorise(panel, 0, rows, structure.width[node])
        for i in range(rows):
            mine[i] = noise[i, g]
        solve_node(structure, node, panel, 0, rows, border, kept, mine, 0, out)
        for i in range(rows):
            noise[i, g] = out[i]
