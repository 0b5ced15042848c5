"""Rows given all outcomes and theta, from an eliminated system and its selected inverse."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import IntMatrix, IntVector, Matrix, Vector
from poolwise.density.blocks.back_substitution import covariance_among
from poolwise.density.blocks.kernels import System

_WORTH = 2  # rows of a node for as many coefficients that it meets, from which a root of their covariances saves time


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
    places : (n, F) first place of each factor's level among the kept coefficients, -1 for that node's.
    order : rows that are asked for, those of a node one after the other.
    gathered : room for the covariances of all that a node meets, or of the root.

    The rows of a node share all but few terms, so that where it has many a root L of these covariances is found once:
    with t = e - g R, where e has few terms, |L't|^2 takes as many products as e has terms times rows of L.
    """
    structure, border = system.structure, system.xy.shape[0]
    first_effect, entries = structure.first_effect, structure.entries
    p, size, before = border - 1, 0, -1
    a, g = np.empty(z.shape[1]), np.empty(z.shape[1])
    t, of_own = np.empty(gathered.shape[0]), np.empty(gathered.shape[0])
    lower, of_node = np.empty_like(gathered), np.empty((z.shape[1], gathered.shape[0]))
    rooted = False
    size_of_root = structure.root_size - 1
    for i in range(order.size):
        row = order[i]
        node = nodes[row]
        for k in range(a.size):
            a[k] = 0.0
            for j in range(a.size):
                a[k] += scale[j, k] * z[row, j]
        if node < 0:
            t[:size_of_root] = 0.0
            for f in range(places.shape[1]):
                for k in range(first_effect[f + 1] - first_effect[f]):
                    t[places[row, f] + k - (kept.size - size_of_root)] = a[first_effect[f] + k]
            for c in range(p):
                t[size_of_root - p + c] = x[row, c]
            fitted, spread = 0.0, 0.0
            for j in range(size_of_root):
                if t[j] != 0.0:
                    at = structure.root + j * structure.root_size
                    fitted += t[j] * kept[kept.size - size_of_root + j]
                    spread += t[j] * t[j] * inverse[at + j]
                    for k in range(j + 1, size_of_root):
                        spread += 2.0 * t[j] * t[k] * inverse[at + k]
            residual[row] = x[row, p] - fitted
            variance[row] = spread
            continue
        panel = panels if node < structure.leaves else store
        start, width, factor = structure.offset[node], structure.width[node], structure.factor[node]
        first, rows = first_effect[factor], first_effect[factor + 1] - first_effect[factor]
        if node != before:
            size, before, end = covariance_among(structure, node, border, inverse, p, gathered), node, i
            while end < order.size and nodes[order[end]] == node:
                end += 1
            rooted = _WORTH * (end - i) > size and _factorise(gathered, size, lower)
            for k in range(rows if rooted else 0):
                begin = start + k * width + rows
                _multiply(panel[begin : begin + size], lower, of_node[k])
        fitted, spread = 0.0, 0.0
        for k in range(rows):  # g = R^-T a for the node's own effects
            total = a[first + k]
            for j in range(k):
                total -= panel[start + j * width + k] * g[j]
            g[k] = total / panel[start + k * width + k]
            fitted += g[k] * panel[start + k * width + width - 1]
            spread += g[k] * g[k]
        for j in range(size):
            t[j], of_own[j] = 0.0, 0.0
            for k in range(rows):
                t[j] -= g[k] * panel[start + k * width + rows + j]
        for k in range(rows if rooted else 0):
            for j in range(size):
                of_own[j] -= g[k] * of_node[k, j]
        for c in range(p):
            at = width - border - rows + c
            t[at] += x[row, c]
            fitted += t[at] * kept[kept.size - p + c]
            for j in range(at + 1 if rooted else 0):
                of_own[j] += x[row, c] * lower[at, j]
        for e in range(entries[node], entries[node + 1]):
            other, column = structure.entry_factor[e], structure.entry_column[e] - rows
            for k in range(first_effect[other + 1] - first_effect[other]):
                if places[row, other] == structure.entry_kept[e]:
                    effect = a[first_effect[other] + k]
                    t[column + k] += effect
                    for j in range(column + k + 1 if rooted else 0):
                        of_own[j] += effect * lower[column + k, j]
                fitted += t[column + k] * kept[structure.entry_kept[e] + k]
        for j in range(size):
            if rooted:
                spread += of_own[j] * of_own[j]
                continue
            total = 0.0
            for k in range(size):
                total += gathered[j, k] * t[k]
            spread += t[j] * total
        residual[row] = x[row, p] - fitted
        variance[row] = spread


@kernel
def _factorise(covariances: Matrix, size: int, lower: Matrix) -> bool:
    """Lower Cholesky factor of the first rows of a matrix; False where it is not positive, as one with a multiplier."""
    for i in range(size):
        for j in range(i + 1):
            total = covariances[i, j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if j < i:
                lower[i, j] = total / lower[j, j]
            elif total > 0.0:
                lower[i, i] = math.sqrt(total)
            else:
                return False
    return True


@kernel
def _multiply(x: Vector, lower: Matrix, out: Vector) -> None:
    """lower' x into the first numbers of `out`."""
    for j in range(x.size):
        out[j] = 0.0
    for i in range(x.size):
        for j in range(i + 1):
            out[j] += x[i] * lower[i, j]
