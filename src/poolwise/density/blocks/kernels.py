"""Compiled kernels of the blocked system: elimination, and what is left for the root.

Notation of `docs/explanation/algebra.md`: u = M v with v ~ N(0, I). The system is I + M' Z'Z M / sigma^2 for v, with
the common coefficients and the outcome as its border. Eliminating a node with R'R = its own block and B = R^-T (its
other columns) subtracts B'B from the rest. `structure.py` says where everything is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from poolwise.compiled import kernel, lane
from poolwise.compiled.types import Array3, IntVector, Matrix, Vector
from poolwise.density.blocks.structure import Structure
from poolwise.density.dense import product
from poolwise.density.monotonic import gather_triangle, spread_coefficients, spread_triangle
from poolwise.density.theta import SCALED, Prior, add_prior_rows, covariance_factor, prior_precision

_TOGETHER = 64  # rows that are gathered; a multiple of four


class Blocks(NamedTuple):
    """Cross-products of nodes other than the leaf, block by block of the store."""

    rows: IntVector  # (blocks,) factor of the rows of each
    columns: IntVector  # (blocks,) factor of its columns, -1 for the border
    place: IntVector  # (blocks,) where it begins in the store
    stride: IntVector  # (blocks,) from one row to the next
    start: IntVector  # (blocks,) where its numbers begin
    values: Vector  # the numbers


class Precisions(NamedTuple):
    """Prior precisions of the scaled effects of all factors but the leaf, by pairs of nodes; the earlier has the rows.

    What levels have is multiplied by an identity, one for each effect.
    """

    factor: IntVector  # (pairs,)
    place: IntVector  # (pairs,) where the first number of a block of the two is in the store
    stride: IntVector  # (pairs,) from one of its rows to the next
    one: IntVector  # (pairs,) places of the two among the kept coefficients
    other: IntVector  # (pairs,)
    value: Vector  # (pairs,) what is added to the store
    penalty: Vector  # (pairs,) what of it is prior precision, and no part of a constraint


class Alike(NamedTuple):
    """Levels of the leaf that are eliminated together; each by itself where `levels` is ones and `own` is empty."""

    levels: Vector  # (leaves,) how many levels each stands for
    own: Vector  # (kinds of own blocks,) distinct values of these
    spread: Array3  # (kinds of own blocks, p + 1, p + 1) of border vectors around the mean of their kind


class System(NamedTuple):
    """All that the density knows, as arrays. p coefficients, Q effects of all factors."""

    structure: Structure
    leaf: Vector  # panels of the leaf: cross-products of its effects with its own columns
    blocks: Blocks
    precisions: Precisions
    multiplier: np.int64  # place in the root of that which holds the sum of a factor's effects at zero, or -1
    xy: Matrix  # (p + 1, p + 1) [X, y]'[X, y]
    rows: float  # n
    maps: Matrix  # (Q, Q) block-diagonal: from effects that theta speaks of to shifted effects
    to_written: Matrix  # (Q, Q) block-diagonal: from the same to effects as written
    prior: Prior
    alike: Alike


@lane
def scale_rows(values, data, stride, panel, start, width, rows, columns, scale, first, precision):
    """Rows of a block, precision * left' C, into `panel`."""
    for i in range(rows):
        for j in range(columns):
            total = 0.0
            for k in range(rows):
                total += scale[first + k, first + i] * values[data + k * stride + j]
            panel[start + i * width + j] = precision * total


@lane
def scale_columns(panel, start, width, rows, columns, scale, first, room):
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
def factorise_panel(panel, start, rows, width):
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
def _load_leaf(entries, entry_factor, entry_column, first_effect, node, values, data, own, width, scale, precision,
               room, panel, start):  # fmt: skip
    """The scaled panel of a level of the leaf, into `panel` from `start` on; returns its rows."""
    first = first_effect[own]
    rows = first_effect[own + 1] - first
    scale_rows(values, data, width, panel, start, width, rows, width, scale, first, precision)
    scale_columns(panel, start, width, rows, rows, scale, first, room)
    for i in range(rows):
        panel[start + i * width + i] += 1.0
    for e in range(entries[node], entries[node + 1]):
        begin = first_effect[entry_factor[e]]
        count = first_effect[entry_factor[e] + 1] - begin
        scale_columns(panel, start + entry_column[e], width, rows, count, scale, begin, room)
    return rows


@lane
def _load_single(entries, entry_factor, entry_column, first_effect, node, values, start, own, width, border, scale,
                 precision, panel):  # fmt: skip
    """The same of a level with one effect, with R and B in place of it; returns the log determinant of R'R."""
    mine = scale[first_effect[own], first_effect[own]]
    pivot = 1.0 + precision * mine * mine * values[start]
    root = math.sqrt(pivot)
    weight = precision * mine / root
    panel[start] = root
    for j in range(start + width - border, start + width):
        panel[j] = weight * values[j]
    for e in range(entries[node], entries[node + 1]):
        begin, after = first_effect[entry_factor[e]], first_effect[entry_factor[e] + 1]
        at = start + entry_column[e]
        for j in range(after - begin):
            total = 0.0
            for k in range(after - begin):
                total += values[at + k] * scale[begin + k, begin + j]
            panel[at + j] = weight * total
    return math.log(pivot)


@kernel
def scales(theta: Vector, system: System, covariance: Matrix, scale: Matrix) -> None:
    """The covariance factor M (Q, Q), and M in terms of shifted effects."""
    covariance_factor(theta, system.prior.starts, covariance)
    product(system.maps, covariance, scale)


@kernel
def _gather(panel, at, width, own, places, place, times, out):
    """A row of B in all columns of the root, of which it fills the last `width - own` of `places`."""
    out[:] = 0.0
    for j in range(own, width):
        out[places[place + j - own]] = times * panel[at + j]


@kernel
def _subtract_gathered(rows, count, store, root):
    """Subtract B'B, B the first `count` rows, from the upper triangle of the root; zeros the next rows up to a four.

    Four rows at a time, so that a number of the root is loaded once for four products.
    """
    size = rows.shape[1]
    for k in range(count, min(-(-count // 4) * 4, rows.shape[0])):
        rows[k, :] = 0.0
    for k in range(0, count, 4):
        one, two, three, four = rows[k], rows[k + 1], rows[k + 2], rows[k + 3]
        for i in range(size):
            a, b, c, d, at = one[i], two[i], three[i], four[i], root + i * size
            if a != 0.0 or b != 0.0 or c != 0.0 or d != 0.0:
                for j in range(i, size):
                    store[at + j] -= a * one[j] + b * two[j] + c * three[j] + d * four[j]


@kernel
def eliminate_leaf(structure, values, alike, scale, precision, border, panels, store):
    """Panels of the leaf, and what they take away from the rest; returns the log determinant of their own blocks."""
    # Loops see plain arrays: to hand on a tuple of arrays would cost more than a level's arithmetic.
    first_effect, factor, offset, width = structure.first_effect, structure.factor, structure.offset, structure.width
    entries, entry_factor, entry_column = structure.entries, structure.entry_factor, structure.entry_column
    entry_base, entry_stride, entry_places = structure.entry_base, structure.entry_stride, structure.entry_places
    border_places, places, size = structure.border_places, structure.places, structure.root_size
    last = structure.root + (size - border) * size
    room, log_determinant = np.empty(scale.shape[0]), 0.0
    dense = structure.dense
    gathered, filled = np.zeros((_TOGETHER if dense else 0, size)), 0
    for node in range(structure.leaves):
        start, columns, times = offset[node], width[node], alike.levels[node]
        if first_effect[factor[node] + 1] - first_effect[factor[node]] == 1:
            rows = 1
            log_determinant += times * _load_single(
                entries, entry_factor, entry_column, first_effect, node, values, start, factor[node], columns, border,
                scale, precision, panels,
            )  # fmt: skip
        else:
            rows = _load_leaf(
                entries, entry_factor, entry_column, first_effect, node, values, start, factor[node], columns, scale,
                precision, room, panels, start,
            )  # fmt: skip
            log_determinant += times * factorise_panel(panels, start, rows, columns)
        if dense:
            if filled + rows > _TOGETHER:
                _subtract_gathered(gathered, filled, store, structure.root)
                filled = 0
            met = entry_places[entries[node]] if entries[node] < entries[node + 1] else border_places[node]
            for i in range(rows):
                _gather(panels, start + i * columns, columns, rows, places, met, math.sqrt(times), gathered[filled])
                filled += 1
            continue
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
    if dense:
        _subtract_gathered(gathered, filled, store, structure.root)
    for kind in range(alike.own.size):
        weight = scale[first_effect[factor[0]], first_effect[factor[0]]]
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
        log_determinant += factorise_panel(store, start, rows, columns)
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
def load_blocks(system, scale, precision, store):
    """Scaled cross-products of nodes other than the leaf, into an empty store."""
    blocks, first_effect, border = system.blocks, system.structure.first_effect, system.xy.shape[0]
    room = np.empty(scale.shape[0])
    store[:] = 0.0
    for b in range(blocks.rows.size):
        factor, other, place, stride = blocks.rows[b], blocks.columns[b], blocks.place[b], blocks.stride[b]
        first = first_effect[factor]
        rows = first_effect[factor + 1] - first
        columns = border if other < 0 else first_effect[other + 1] - first_effect[other]
        data = blocks.start[b]
        scale_rows(blocks.values, data, columns, store, place, stride, rows, columns, scale, first, precision)
        if other >= 0:
            scale_columns(store, place, stride, rows, columns, scale, first_effect[other], room)


@kernel
def add_precisions(theta, system, common, store):
    """Prior precisions of the effects; and those of the coefficients with a `common` block (p + 1, p + 1), the lower
    triangle of which is given, in the root. Returns the log of the prior precisions."""
    known, structure, border = system.precisions, system.structure, system.xy.shape[0]
    first_effect, size = structure.first_effect, structure.root_size
    for n in range(known.factor.size):
        factor, place, step = known.factor[n], known.place[n], known.stride[n] + 1
        for i in range(first_effect[factor + 1] - first_effect[factor]):
            store[place + i * step] += known.value[n]
    log_precisions = add_prior_rows(theta, system.prior, common)
    for i in range(border):
        for j in range(i + 1):
            store[structure.root + (size - border + j) * size + size - border + i] = common[i, j]
    return log_precisions


@kernel
def reduce_to_root(theta: Vector, system: System, scale: Matrix, store: Vector, panels: Vector) -> tuple[float, float]:
    """Eliminate all but the root; returns the logs of the determinant so far and of the prior precisions.

    `store` (size,) is left with panels R, B of eliminated nodes and the upper triangle of the root, `panels` with those
    of the leaf.
    """
    structure, border = system.structure, system.xy.shape[0]
    precision = math.exp(-2.0 * theta[system.prior.starts.size + system.prior.correlations.shape[0]])
    load_blocks(system, scale, precision, store)
    common = np.empty((border, border))
    for i in range(border):
        for j in range(i + 1):
            common[i, j] = precision * system.xy[i, j]
    log_precisions = add_precisions(theta, system, common, store)
    log_determinant = eliminate_leaf(structure, system.leaf, system.alike, scale, precision, border, panels, store)
    log_determinant += _eliminate_others(structure, border, store)
    scale_root(theta, system, store)
    return log_determinant, log_precisions


@kernel
def scale_root(theta, system, store):
    """Scaled coefficients in units of their prior sds, as `scale_common` does."""
    prior, start, size = system.prior, system.structure.root, system.structure.root_size
    first = size - system.xy.shape[0]
    for k in range(prior.mean.size):
        if prior.scaled[k] == SCALED:
            s, c = 1.0 / math.sqrt(prior_precision(theta, prior, k)), first + k
            for i in range(c + 1):
                store[start + i * size + c] *= s
            for j in range(c, size):
                store[start + c * size + j] *= s
            store[start + c * size + c] += 1.0
    gather_triangle(theta, prior.simplexes, prior.mean, prior.precision, start, size, system.xy.shape[0], store)


@kernel
def unscale_coefficients(theta: Vector, prior: Prior, kept: Vector) -> None:
    """From scaled coefficients to coefficients: the last p of `kept`, in place."""
    first = kept.size - prior.mean.size
    for k in range(prior.mean.size):
        if prior.scaled[k] == SCALED:
            kept[first + k] /= math.sqrt(prior_precision(theta, prior, k))
    spread_coefficients(theta, prior.simplexes, prior.mean, prior.precision, kept, first)


@kernel
def unscale_covariance(theta: Vector, system: System, inverse: Vector) -> None:
    """The same for the covariance of the root's coefficients, in the upper triangle of the root's rows of `inverse`."""
    prior, start, size = system.prior, system.structure.root, system.structure.root_size
    first = size - system.xy.shape[0]
    for k in range(prior.mean.size):
        if prior.scaled[k] == SCALED:
            s, c = 1.0 / math.sqrt(prior_precision(theta, prior, k)), first + k
            for i in range(c + 1):
                inverse[start + i * size + c] *= s
            for j in range(c, size):
                inverse[start + c * size + j] *= s
    spread_triangle(theta, prior.simplexes, prior.precision, start, size, first, inverse)


@kernel
def factorise_root(store: Vector, start: int, size: int, multiplier: int) -> float:
    """The upper factor R of the root in place, its last pivot left squared; the log determinant of the others.

    R'DR is the root, D an identity but for a minus one at the multiplier of a constraint, if there is one.
    """
    log_determinant = 0.0
    for i in range(size):
        at = start + i * size
        for k in range(0, i - i % 4, 4):
            one, two = start + k * size, start + (k + 1) * size
            three, four = start + (k + 2) * size, start + (k + 3) * size
            a, b, c, d = store[one + i], store[two + i], store[three + i], store[four + i]
            if k <= multiplier < k + 4:
                a = -a if multiplier == k else a
                b = -b if multiplier == k + 1 else b
                c = -c if multiplier == k + 2 else c
                d = -d if multiplier == k + 3 else d
            if a != 0.0 or b != 0.0 or c != 0.0 or d != 0.0:
                for j in range(i, size):
                    change = a * store[one + j] + b * store[two + j] + c * store[three + j] + d * store[four + j]
                    store[at + j] -= change
        for k in range(i - i % 4, i):
            above = start + k * size
            weight = -store[above + i] if k == multiplier else store[above + i]
            if weight != 0.0:
                for j in range(i, size):
                    store[at + j] -= weight * store[above + j]
        if i < size - 1:
            pivot = -store[at + i] if i == multiplier else store[at + i]
            if not pivot > 0.0:
                return np.inf
            log_determinant += math.log(pivot)
            pivot = math.sqrt(pivot)
            store[at + i] = pivot
            if i == multiplier:
                pivot = -pivot
            for j in range(i + 1, size):
                store[at + j] /= pivot
    return log_determinant
