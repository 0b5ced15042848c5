"""Rows given all outcomes and theta, from an eliminated system and its selected inverse."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import IntMatrix, IntVector, Matrix, Vector
from poolwise.density.blocks.back_substitution import covariance_among
from poolwise.density.blocks.kernels import System

_DIGITS = 1e-16  # share of the variances of its terms, below which nothing is known of that of a row


class _Met(NamedTuple):
    """The coefficients that a node meets, n of them, and how its q effects follow them."""

    covariances: Matrix  # (n, n) S
    ahead: Matrix  # (q, n) R, the node's panel
    spread: Matrix  # (q, n) R S
    own: Matrix  # (q, q) R S R'
    means: Vector  # (n,)
    fitted: Vector  # (q,) the outcome's column of the panel, less R times the means
    column: IntVector  # (kept,) of each coefficient that is kept


class _Terms(NamedTuple):
    """A row as a sum of few terms."""

    at: IntVector  # coefficients
    values: Vector
    own: Vector  # (q,) g = R^-T a, of the node's effects


@kernel
def row_moments(
    system: System,
    panels: Vector,
    store: Vector,
    inverse: Vector,
    kept: Vector,
    scale: Matrix,
    x: Matrix,
    z: Matrix,
    nodes: IntVector,
    places: IntMatrix,
    order: IntVector,
    gathered: Matrix,
    residual: Vector,
    variance: Vector,
) -> None:
    """Outcome minus E[eta | y, theta], and Var(eta | y, theta), of rows, both (n,).

    Parameters
    ----------
    panels, store : of the leaf, and of all else.
    kept : means of the kept coefficients.
    scale : (Q, Q) covariance factor in terms of shifted effects.
    x, z : (n, p + 1) rows of [X, y], and (n, Q) of the shifted effects of all factors.
    nodes : (n,) the node of each row that is eliminated first, -1 where all are in the root.
    places : (n, F) first place of each factor's level among the kept coefficients, -1 for that node's and for none.
    order : rows that are asked for, those of a node one after the other.
    gathered : room for the covariances of all that a node meets, or of the root.

    A row is e - g R for the coefficients that its node meets, where e has few terms. What R has to do with is found
    once for each node, so that a row takes as many products as e has pairs of terms.
    """
    structure, border = system.structure, system.xy.shape[0]
    first_effect, p, q = structure.first_effect, border - 1, z.shape[1]
    a = np.empty(q)
    most, before = gathered.shape[0], -1
    met = _Met(
        gathered, np.empty((q, most)), np.empty((q, most)), np.empty((q, q)), np.empty(most), np.empty(q),
        np.empty(kept.size, dtype=np.int64),
    )  # fmt: skip
    terms = _Terms(np.empty(p + q, dtype=np.int64), np.empty(p + q), np.empty(q))
    for i in range(order.size):
        row = order[i]
        node = nodes[row]
        for k in range(q):
            a[k] = 0.0
            for j in range(q):
                a[k] += scale[j, k] * z[row, j]
        if node < 0:
            count = _terms_of_root(system, kept.size, x[row], places[row], a, terms)
            residual[row], variance[row] = _of_root(system, inverse, kept, x[row, p], count, terms)
            continue
        panel = panels if node < structure.leaves else store
        if node != before:
            before = node
            _meet(system, node, panel, kept, covariance_among(structure, node, border, inverse, p, gathered), met)
        first = first_effect[structure.factor[node]]
        rows = first_effect[structure.factor[node] + 1] - first
        count = _terms_of_node(system, node, panel, x[row], places[row], a, met, terms)
        fitted, spread, apart = _of_node(met, rows, count, terms)
        residual[row], variance[row] = x[row, p] - fitted, max(spread, _DIGITS * apart)


@kernel
def _meet(system: System, node: int, panel: Vector, kept: Vector, size: int, met: _Met) -> None:
    """What a node's rows have in common, of whose coefficients the covariances are there."""
    structure, border = system.structure, system.xy.shape[0]
    first_effect, p = structure.first_effect, border - 1
    factor, start, width = structure.factor[node], structure.offset[node], structure.width[node]
    rows = first_effect[factor + 1] - first_effect[factor]
    for e in range(structure.entries[node], structure.entries[node + 1]):
        other, column, at = structure.entry_factor[e], structure.entry_column[e] - rows, structure.entry_kept[e]
        for k in range(first_effect[other + 1] - first_effect[other]):
            met.column[at + k] = column + k
            met.means[column + k] = kept[at + k]
    for c in range(p):
        met.column[kept.size - p + c] = size - p + c
        met.means[size - p + c] = kept[kept.size - p + c]
    for k in range(rows):
        at = start + k * width
        met.fitted[k] = panel[at + width - 1]
        for j in range(size):
            met.ahead[k, j], met.spread[k, j] = panel[at + rows + j], 0.0
            met.fitted[k] -= met.ahead[k, j] * met.means[j]
        for i in range(size):
            for j in range(size):
                met.spread[k, j] += met.ahead[k, i] * met.covariances[i, j]
    for k in range(rows):
        for j in range(rows):
            met.own[k, j] = 0.0
            for i in range(size):
                met.own[k, j] += met.spread[k, i] * met.ahead[j, i]


@kernel
def _terms_of_node(
    system: System, node: int, panel: Vector, x: Vector, places: IntVector, a: Vector, met: _Met, terms: _Terms
) -> int:
    """The terms of a row with effects `a` (Q,), and how many there are."""
    structure, border = system.structure, system.xy.shape[0]
    first_effect, p, count = structure.first_effect, border - 1, 0
    factor, start, width = structure.factor[node], structure.offset[node], structure.width[node]
    first = first_effect[factor]
    rows = first_effect[factor + 1] - first
    for k in range(rows):
        total = a[first + k]
        for j in range(k):
            total -= panel[start + j * width + k] * terms.own[j]
        terms.own[k] = total / panel[start + k * width + k]
    for c in range(p):
        terms.at[count], terms.values[count] = met.column[met.column.size - p + c], x[c]
        count += 1
    for f in range(places.size):
        if places[f] >= 0:
            for k in range(first_effect[f + 1] - first_effect[f]):
                terms.at[count], terms.values[count] = met.column[places[f] + k], a[first_effect[f] + k]
                count += 1
    return count


@kernel
def _of_node(met: _Met, rows: int, count: int, terms: _Terms) -> tuple[float, float, float]:
    """Mean and variance of a row less its outcome, and the variance that its terms would have by themselves."""
    fitted, spread, crossed = 0.0, 0.0, 0.0
    for s in range(count):
        i, value = terms.at[s], terms.values[s]
        fitted += value * met.means[i]
        spread += value * value * met.covariances[i, i]
        for t in range(s):
            crossed += 2.0 * value * terms.values[t] * met.covariances[i, terms.at[t]]
        for k in range(rows):
            crossed -= 2.0 * terms.own[k] * value * met.spread[k, i]
    for k in range(rows):
        g = terms.own[k]
        fitted += g * met.fitted[k]
        spread += g * g * (1.0 + met.own[k, k])
        for j in range(k):
            crossed += 2.0 * g * terms.own[j] * met.own[k, j]
    return fitted, spread + crossed, spread


@kernel
def _terms_of_root(system: System, kept: int, x: Vector, places: IntVector, a: Vector, terms: _Terms) -> int:
    """The terms of a row all of whose effects `a` (Q,) are in the root, and how many there are."""
    first_effect, p = system.structure.first_effect, system.xy.shape[0] - 1
    size, count = system.structure.root_size - 1, 0
    for c in range(p):
        terms.at[count], terms.values[count] = size - p + c, x[c]
        count += 1
    for f in range(places.size):
        if places[f] >= 0:
            for k in range(first_effect[f + 1] - first_effect[f]):
                terms.at[count], terms.values[count] = places[f] + k - (kept - size), a[first_effect[f] + k]
                count += 1
    return count


@kernel
def _of_root(system: System, inverse: Vector, kept: Vector, y: float, count: int, terms: _Terms) -> tuple[float, float]:
    """Outcome minus mean, and variance, of such a row, from the upper triangle of the root's covariances."""
    start, stride = system.structure.root, system.structure.root_size
    fitted, spread, crossed = 0.0, 0.0, 0.0
    for s in range(count):
        i, value = terms.at[s], terms.values[s]
        fitted += value * kept[kept.size - (stride - 1) + i]
        spread += value * value * inverse[start + i * stride + i]
        for t in range(s):
            j = terms.at[t]
            crossed += 2.0 * value * terms.values[t] * inverse[start + min(i, j) * stride + max(i, j)]
    return y - fitted, max(spread + crossed, _DIGITS * spread)
