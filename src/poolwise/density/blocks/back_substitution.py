"""The way back: coefficients from an eliminated system, and the parts of its inverse that gradients need."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from poolwise.compiled import kernel, lane
from poolwise.compiled.types import Array3, Matrix, Vector
from poolwise.density.blocks.kernels import System, factorise_panel, scale_columns, scale_rows

_LOG_2PI = math.log(2 * math.pi)


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
def noise_of_known(store, start, size, known, noise):
    """Put the noise that leads to the last `known` coefficients of the root in their place, in `noise` (size - 1,); the
    log density of these."""
    value = 0.0
    for i in range(size - 1 - known, size - 1):
        at = start + i * size
        total = -store[at + size - 1]
        for j in range(i, size - 1):
            total += store[at + j] * noise[j]
        noise[i] = total
        value += math.log(store[at + i]) - 0.5 * total * total - 0.5 * _LOG_2PI
    return value


@kernel
def invert_root(store: Vector, start: int, size: int, count: int, multiplier: int, inverse: Vector) -> None:
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
            if j <= multiplier < count:
                total -= 2.0 * upper[i, multiplier] * upper[j, multiplier]
            inverse[start + i * size + j] = total


@kernel
def constrain(system: System, store: Vector, noise: Vector) -> None:
    """Set the noise (n,) of a multiplier so that the effects which are drawn with it sum to zero.

    Their mean moves by the noise of each later-eliminated coefficient times the multiplier's column of R, which is
    R'^-1 of the means' weights.
    """
    structure, multiplier = system.structure, system.multiplier
    if multiplier < 0:
        return
    first_effect, size, at, mean = structure.first_effect, structure.root_size, 0, 0.0
    for node in range(structure.leaves, structure.factor.size):
        rows = first_effect[structure.factor[node] + 1] - first_effect[structure.factor[node]]
        # Of all that an eliminated node meets, a multiplier comes last.
        column = structure.offset[node] + structure.entry_column[structure.entries[node + 1] - 1]
        for i in range(rows):
            mean += store[column + i * structure.width[node]] * noise[at]
            at += 1
    for i in range(multiplier):
        mean += store[structure.root + i * size + multiplier] * noise[at + i]
    noise[at + multiplier] = mean / store[structure.root + multiplier * (size + 1)]


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
def solve_kept(system: System, store: Vector, root: Vector, noise: Vector, kept: Vector) -> None:
    """All kept values from those of the root: eliminated nodes after the leaf, the last one first."""
    structure, border = system.structure, system.xy.shape[0]
    first_effect, factor, offset, width = structure.first_effect, structure.factor, structure.offset, structure.width
    entries, entry_factor, entry_column = structure.entries, structure.entry_factor, structure.entry_column
    entry_kept = structure.entry_kept
    at = kept.size - root.size
    for i in range(root.size):
        kept[at + i] = root[i]
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
def solve_leaf(system: System, panels: Vector, kept: Vector, means: Matrix) -> None:
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
        for i in range(rows):
            means[node, i] = out[i]


@lane
def shift_kept(structure, scale, kept, draw, shifted):
    """Kept effects times their factor's `scale`, and coefficients as they are, into a column of `shifted` (n, m): what
    the columns of cross-products are multiplied with before any scaling."""
    first_effect, at = structure.first_effect, 0
    for node in range(structure.leaves, structure.factor.size + structure.root_factor.size):
        known = node < structure.factor.size
        factor = structure.factor[node] if known else structure.root_factor[node - structure.factor.size]
        first = first_effect[factor]
        rows = first_effect[factor + 1] - first
        for i in range(rows):
            total = 0.0
            for k in range(rows):
                total += scale[first + i, first + k] * kept[at + k]
            shifted[at + i, draw] = total
        at += rows
    for i in range(at, kept.size):
        shifted[i, draw] = kept[i]


@kernel
def left_for_leaf(structure, values, border, node, shifted, out):
    """What draws of the kept coefficients leave of a level's own outcomes, into `out` (q, m)."""
    entries, entry_column, entry_kept = structure.entries, structure.entry_column, structure.entry_kept
    entry_factor, first_effect, width = structure.entry_factor, structure.first_effect, structure.width[node]
    common, draws = shifted.shape[0] - border + 1, shifted.shape[1]
    for i in range(out.shape[0]):
        at = structure.offset[node] + i * width
        outcome = values[at + width - 1]
        for draw in range(draws):
            out[i, draw] = outcome
        for e in range(entries[node], entries[node + 1]):
            for k in range(first_effect[entry_factor[e] + 1] - first_effect[entry_factor[e]]):
                value, place = values[at + entry_column[e] + k], entry_kept[e] + k
                for draw in range(draws):
                    out[i, draw] -= value * shifted[place, draw]
        for k in range(border - 1):
            value = values[at + width - border + k]
            for draw in range(draws):
                out[i, draw] -= value * shifted[common + k, draw]


@kernel
def leaf_given(values, start, width, scale, block, precision, written, left, away, mean, panel, room):
    """Effects of a level of the leaf, as written, from what is `left` (q,) for it: their `mean` (q,), and how far away
    a draw is, in the place of its noise (q,)."""
    q = mean.size
    own, wide = q * (q + 1), q + 1
    for i in range(q):
        for j in range(q):
            panel[own + i * wide + j] = values[start + i * width + j]
        panel[own + i * wide + q] = left[i]
    scale_rows(panel, own, wide, panel, 0, wide, q, wide, scale, block, precision)
    scale_columns(panel, 0, wide, q, q, scale, block, room)
    for i in range(q):
        panel[i * wide + i] += 1.0
    factorise_panel(panel, 0, q, wide)
    for i in range(q - 1, -1, -1):
        at, drawn = panel[i * wide + q], away[i]
        for j in range(i + 1, q):
            at -= panel[i * wide + j] * mean[j]
            drawn -= panel[i * wide + j] * away[j]
        mean[i], away[i] = at / panel[i * wide + i], drawn / panel[i * wide + i]
    for effects in (mean, away):
        for i in range(q):
            room[i] = effects[i]
        for i in range(q):
            effects[i] = 0.0
            for k in range(q):
                effects[i] += written[block + i, block + k] * room[k]


@lane
def covariance_among(structure, node, border, inverse, common, gathered):
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


class Room(NamedTuple):
    """Arrays to work in: n the most columns of a panel, q the most effects of a level."""

    gathered: Matrix  # (n, n) covariances of all that a node meets
    ahead: Matrix  # (q, n) how its effects follow them
    spread: Matrix  # (q, n) their product
    own: Array3  # (leaves, q, q) covariances of the leaf's own effects


@kernel
def selected_inverse(system: System, store: Vector, panels: Vector, inverse: Vector, common: int, work: Room) -> None:
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
        size = covariance_among(structure, node, border, inverse, common, gathered)
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
def add_moments(
    system: System, inverse: Vector, own: Array3, kept: Vector, leaf_means: Matrix, moments: Matrix
) -> None:
    """Add E[v' K v] of each factor, K the prior precision of its scaled effects, to the diagonal blocks of `moments`
    (Q, Q)."""
    structure, known = system.structure, system.precisions
    first_effect = structure.first_effect
    for n in range(known.factor.size):
        if known.penalty[n] != 0.0:
            first = first_effect[known.factor[n]]
            rows = first_effect[known.factor[n] + 1] - first
            same = known.one[n] == known.other[n]
            for i in range(rows):
                for j in range(rows):
                    low, high = (min(i, j), max(i, j)) if same else (i, j)
                    value = inverse[known.place[n] + low * known.stride[n] + high]
                    value = known.penalty[n] * (value + kept[known.one[n] + i] * kept[known.other[n] + j])
                    moments[first + i, first + j] += value
                    if not same:
                        moments[first + j, first + i] += value
    for node in range(structure.leaves):
        first = first_effect[structure.factor[node]]
        for i in range(own.shape[1]):
            for j in range(own.shape[1]):
                moments[first + i, first + j] += own[node, i, j] + leaf_means[node, i] * leaf_means[node, j]
