"""Compiled kernels of the blocked system: elimination, what is left for the root, and the way back.

Notation of `docs/explanation/algebra.md`: u = M v with v ~ N(0, I). The system is I + M' Z'Z M / sigma^2 for v, with
the common coefficients and the outcome as its border. Eliminating a node with R'R = its own block and B = R^-T (its
other columns) subtracts B'B from the rest. `structure.py` says where everything is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from poolwise.compiled import kernel, lane
from poolwise.density.blocks.structure import Structure
from poolwise.density.dense import product
from poolwise.density.theta import Prior, add_prior_rows, covariance_factor


class Blocks(NamedTuple):
    """Cross-products of nodes other than the leaf, block by block of the store."""

    rows: np.ndarray  # (blocks,) factor of the rows of each
    columns: np.ndarray  # (blocks,) factor of its columns, -1 for the border
    place: np.ndarray  # (blocks,) where it begins in the store
    stride: np.ndarray  # (blocks,) from one row to the next
    start: np.ndarray  # (blocks,) where its numbers begin
    values: np.ndarray  # the numbers


class Alike(NamedTuple):
    """Levels of the leaf that are eliminated together; each by itself where `levels` is ones and `own` is empty."""

    levels: np.ndarray  # (leaves,) how many levels each stands for
    own: np.ndarray  # (kinds of own blocks,) distinct values of these
    spread: np.ndarray  # (kinds of own blocks, p + 1, p + 1) of border vectors around the mean of their kind


class System(NamedTuple):
    """All that the density knows, as arrays. p coefficients, Q effects of all factors."""

    structure: Structure
    leaf: np.ndarray  # panels of the leaf: cross-products of its effects with its own columns
    blocks: Blocks
    xy: np.ndarray  # (p + 1, p + 1) [X, y]'[X, y]
    rows: float  # n
    maps: np.ndarray  # (Q, Q) block-diagonal: from effects as written to shifted effects
    prior: Prior
    alike: Alike


@lane
def _scale_rows(values, data, stride, panel, start, width, rows, columns, scale, first, precision):
    """Rows of a block, precision * left' C, into `panel`."""
    for i in range(rows):
        for j in range(columns):
            total = 0.0
            for k in range(rows):
                total += scale[first + k, first + i] * values[data + k * stride + j]
            panel[start + i * width + j] = precision * total


@lane
def _scale_columns(panel, start, width, rows, columns, scale, first, room):
    """Some columns of a panel times a factor's `scale`, in place."""
    for i in range(rows):
        at = start + i * width
        for j in range(columns):
            room[j] = 0.0
            for k in range(columns):
                room[j] += panel[at + k] * scale[first + k, first + j]
        for j in range(columns):
            panel[at + j] = room[j]


@lane
def _factorise(panel, start, rows, width):
    """R and B in place of a panel; returns the log determinant of R'R, inf where it is not positive definite."""
    log_determinant = 0.0
    for i in range(rows):
        at = start + i * width
        for k in range(i):
            above = start + k * width
            weight = panel[above + i]
            for j in range(i, width):
                panel[at + j] -= weight * panel[above + j]
        pivot = panel[at + i]
        log_determinant += math.log(pivot) if pivot > 0.0 else np.inf
        pivot = math.sqrt(pivot) if pivot > 0.0 else 1.0
        panel[at + i] = pivot
        for j in range(i + 1, width):
            panel[at + j] /= pivot
    return log_determinant


@lane
def _subtract(panel, start, width, rows, column, count, store, row, stride, places, place, times):
    """Subtract B'B, so many times, from `count` rows of the store, whose own columns in the panel begin at `column`."""
    for i in range(rows):
        at = start + i * width
        for r in range(count):
            weight, base = times * panel[at + column + r], row + r * stride
            for j in range(column + r, width):
                store[base + places[place + j - column]] -= weight * panel[at + j]


@lane
def _load_leaf(entries, entry_factor, entry_column, first_effect, node, values, data, own, width, border, scale,
               precision, room, panel, start):  # fmt: skip
    """The scaled panel of a level of the leaf, into `panel` from `start` on; returns its rows."""
    first = first_effect[own]
    rows = first_effect[own + 1] - first
    _scale_rows(values, data, width, panel, start, width, rows, width, scale, first, precision)
    _scale_columns(panel, start, width, rows, rows, scale, first, room)
    for i in range(rows):
        panel[start + i * width + i] += 1.0
    for e in range(entries[node], entries[node + 1]):
        begin = first_effect[entry_factor[e]]
        count = first_effect[entry_factor[e] + 1] - begin
        _scale_columns(panel, start + entry_column[e], width, rows, count, scale, begin, room)
    return rows


@kernel
def scales(theta, system, covariance, scale):
    """The covariance factor M (Q, Q), and M in terms of shifted effects."""
    covariance_factor(theta, system.prior.starts, covariance)
    product(system.maps, covariance, scale)


@kernel
def _eliminate_leaf(structure, values, alike, scale, precision, border, panels, store):
    """Panels of the leaf, and what they take away from the rest; returns the log determinant of their own blocks."""
    # Loops see plain arrays: to hand on a tuple of arrays would cost more than a level's arithmetic.
    first_effect, factor, offset, width = structure.first_effect, structure.factor, structure.offset, structure.width
    entries, entry_factor, entry_column = structure.entries, structure.entry_factor, structure.entry_column
    entry_base, entry_stride, entry_places = structure.entry_base, structure.entry_stride, structure.entry_places
    border_places, places, size = structure.border_places, structure.places, structure.root_size
    last = structure.root + (size - border) * size
    room, log_determinant = np.empty(scale.shape[0]), 0.0
    for node in range(structure.leaves):
        start, columns = offset[node], width[node]
        rows = _load_leaf(
            entries, entry_factor, entry_column, first_effect, node, values, start, factor[node], columns, border,
            scale, precision, room, panels, start,
        )  # fmt: skip
        times = alike.levels[node]
        log_determinant += times * _factorise(panels, start, rows, columns)
        for e in range(entries[node], entries[node + 1]):
            count = first_effect[entry_factor[e] + 1] - first_effect[entry_factor[e]]
            _subtract(
                panels, start, columns, rows, entry_column[e], count, store, entry_base[e], entry_stride[e], places,
                entry_places[e], times,
            )  # fmt: skip
        _subtract(
            panels, start, columns, rows, columns - border, border, store, last, size, places, border_places[node],
            times,
        )  # fmt: skip
    weight = scale[first_effect[factor[0]], first_effect[factor[0]]]
    for kind in range(alike.own.size):
        share = (precision * weight) ** 2 / (1.0 + precision * weight * weight * alike.own[kind])
        for i in range(border):
            for j in range(i, border):
                store[last + i * size + size - border + j] -= share * alike.spread[kind, i, j]
    return log_determinant


@kernel
def _eliminate_others(structure, border, store):
    """Further eliminated nodes within the store, in order; returns the log determinant of their own blocks."""
    first_effect, factor, offset, width = structure.first_effect, structure.factor, structure.offset, structure.width
    entries, entry_factor, entry_column = structure.entries, structure.entry_factor, structure.entry_column
    entry_base, entry_stride, entry_places = structure.entry_base, structure.entry_stride, structure.entry_places
    border_places, places, size = structure.border_places, structure.places, structure.root_size
    last = structure.root + (size - border) * size
    log_determinant = 0.0
    for node in range(structure.leaves, factor.size):
        start, columns = offset[node], width[node]
        rows = first_effect[factor[node] + 1] - first_effect[factor[node]]
        log_determinant += _factorise(store, start, rows, columns)
        for e in range(entries[node], entries[node + 1]):
            count = first_effect[entry_factor[e] + 1] - first_effect[entry_factor[e]]
            _subtract(
                store, start, columns, rows, entry_column[e], count, store, entry_base[e], entry_stride[e], places,
                entry_places[e], 1.0,
            )  # fmt: skip
        _subtract(
            store, start, columns, rows, columns - border, border, store, last, size, places, border_places[node], 1.0
        )
    return log_determinant


@kernel
def reduce_to_root(theta, system, scale, store, panels):
    """Eliminate all but the root; returns the logs of the determinant so far and of the prior precisions.

    `store` (size,) is left with panels R, B of eliminated nodes and the upper triangle of the root, `panels` with those
    of the leaf.
    """
    structure, border = system.structure, system.xy.shape[0]
    first_effect = structure.first_effect
    q, pairs = system.prior.starts.size, system.prior.correlations.shape[0]
    precision = math.exp(-2.0 * theta[q + pairs])
    room = np.empty(q)
    store[:] = 0.0
    blocks = system.blocks
    for b in range(blocks.rows.size):
        factor, other, place, stride = blocks.rows[b], blocks.columns[b], blocks.place[b], blocks.stride[b]
        first = first_effect[factor]
        rows = first_effect[factor + 1] - first
        columns = border if other < 0 else first_effect[other + 1] - first_effect[other]
        data = blocks.start[b]
        _scale_rows(blocks.values, data, columns, store, place, stride, rows, columns, scale, first, precision)
        if other >= 0:
            _scale_columns(store, place, stride, rows, columns, scale, first_effect[other], room)
    for node in range(structure.leaves, structure.factor.size):
        factor = structure.factor[node]
        for i in range(first_effect[factor + 1] - first_effect[factor]):
            store[structure.offset[node] + i * structure.width[node] + i] += 1.0
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
    log_determinant = _eliminate_leaf(structure, system.leaf, system.alike, scale, precision, border, panels, store)
    return log_determinant + _eliminate_others(structure, border, store), log_precisions


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


@lane
def _solve_node(entries, entry_factor, entry_column, entry_kept, first_effect, node, panel, start, width, rows, border,
                kept, noise, at, out):  # fmt: skip
    """R^-1 (outcome + noise - columns of later nodes times their values) for one node, into `out` (rows,)."""
    common = kept.size - border + 1
    for i in range(rows - 1, -1, -1):
        row = start + i * width
        total = panel[row + width - 1] + noise[at + i]
        for j in range(i + 1, rows):
            total -= panel[row + j] * out[j]
        for e in range(entries[node], entries[node + 1]):
            for k in range(first_effect[entry_factor[e] + 1] - first_effect[entry_factor[e]]):
                total -= panel[row + entry_column[e] + k] * kept[entry_kept[e] + k]
        for k in range(border - 1):
            total -= panel[row + width - border + k] * kept[common + k]
        out[i] = total / panel[row + i]


@kernel
def solve_kept(system, store, root, noise, kept):
    """All kept values from those of the root: eliminated nodes after the leaf, the last one first."""
    structure, border = system.structure, system.xy.shape[0]
    first_effect, factor, offset, width = structure.first_effect, structure.factor, structure.offset, structure.width
    entries, entry_factor, entry_column = structure.entries, structure.entry_factor, structure.entry_column
    entry_kept = structure.entry_kept
    at = kept.size - root.size
    kept[at:] = root
    out = np.empty(system.prior.starts.size)
    for node in range(factor.size - 1, structure.leaves - 1, -1):
        rows = first_effect[factor[node] + 1] - first_effect[factor[node]]
        at -= rows
        _solve_node(
            entries, entry_factor, entry_column, entry_kept, first_effect, node, store, offset[node], width[node], rows,
            border, kept, noise, at, out,
        )  # fmt: skip
        for i in range(rows):
            kept[at + i] = out[i]


@kernel
def solve_leaf(system, panels, kept, means):
    """Conditional means of the leaf's scaled effects, (leaves, q), from its panels."""
    structure, border, rows = system.structure, system.xy.shape[0], means.shape[1]
    entries, entry_factor, entry_column = structure.entries, structure.entry_factor, structure.entry_column
    first_effect, entry_kept = structure.first_effect, structure.entry_kept
    silent, out = np.zeros(rows), np.empty(rows)
    for node in range(structure.leaves):
        _solve_node(
            entries, entry_factor, entry_column, entry_kept, first_effect, node, panels, structure.offset[node],
            structure.width[node], rows, border, kept, silent, 0, out,
        )  # fmt: skip
        means[node] = out


@kernel
def leaf_given(theta, system, scale, first, kept, noise, panel):
    """Scaled effects v of consecutive levels of the leaf given the kept ones: noise (q, width) is overwritten."""
    structure, border = system.structure, system.xy.shape[0]
    entries, entry_factor, entry_column = structure.entries, structure.entry_factor, structure.entry_column
    first_effect, entry_kept = structure.first_effect, structure.entry_kept
    q, pairs = system.prior.starts.size, system.prior.correlations.shape[0]
    precision = math.exp(-2.0 * theta[q + pairs])
    mine, out, room = np.empty(noise.shape[0]), np.empty(noise.shape[0]), np.empty(q)
    for g in range(min(noise.shape[1], structure.leaves - first)):
        node, width = first + g, structure.width[first + g]
        rows = _load_leaf(
            entries, entry_factor, entry_column, first_effect, node, system.leaf, structure.offset[node],
            structure.factor[node], width, border, scale, precision, room, panel, 0,
        )  # fmt: skip
        _factorise(panel, 0, rows, width)
        for i in range(rows):
            mine[i] = noise[i, g]
        _solve_node(
            entries, entry_factor, entry_column, entry_kept, first_effect, node, panel, 0, width, rows, border, kept,
            mine, 0, out,
        )  # fmt: skip
        for i in range(rows):
            noise[i, g] = out[i]


@lane
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
        first, rows = (
            structure.first_effect[factor],
            structure.first_effect[factor + 1] - structure.first_effect[factor],
        )
        start, width = structure.offset[node], structure.width[node]
        _add_moment(moments, first, rows, inverse, start, width, kept, at)
        at += rows
    for node in range(structure.root_factor.size):
        factor = structure.root_factor[node]
        first, rows = (
            structure.first_effect[factor],
            structure.first_effect[factor + 1] - structure.first_effect[factor],
        )
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
