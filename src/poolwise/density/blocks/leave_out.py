"""Rows given all outcomes and theta, from an eliminated system and its selected inverse."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import IntMatrix, IntVector, Matrix, Vector
from poolwise.density.blocks.back_substitution import covariance_among
from poolwise.density.blocks.kernels import System


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
    nodes : (n,) the node of each row that is eliminated first, -1 where all are in the root; in ascending order.
    places : (n, F) first place of each factor's level among the kept coefficients, -1 for that node's.
    gathered : room for the covariances of all that a node meets, or of the root.
    """
    structure, border = system.structure, system.xy.shape[0]
    first_effect, entries = structure.first_effect, structure.entries
    p, size, before = border - 1, 0, -1
    a, g = np.empty(z.shape[1]), np.empty(z.shape[1])
    t = np.empty(gathered.shape[0])
    size_of_root = structure.root_size - 1
    for i in range(nodes.size):
        node = nodes[i]
        for k in range(a.size):
            a[k] = 0.0
            for j in range(a.size):
                a[k] += scale[j, k] * z[i, j]
        if node < 0:
            t[:size_of_root] = 0.0
            for f in range(places.shape[1]):
                for k in range(first_effect[f + 1] - first_effect[f]):
                    t[places[i, f] + k - (kept.size - size_of_root)] = a[first_effect[f] + k]
            for c in range(p):
                t[size_of_root - p + c] = x[i, c]
            fitted, spread = 0.0, 0.0
            for j in range(size_of_root):
                if t[j] != 0.0:
                    at = structure.root + j * structure.root_size
                    fitted += t[j] * kept[kept.size - size_of_root + j]
                    spread += t[j] * t[j] * inverse[at + j]
                    for k in range(j + 1, size_of_root):
                        spread += 2.0 * t[j] * t[k] * inverse[at + k]
            residual[i] = x[i, p] - fitted
            variance[i] = spread
            continue
        panel = panels if node < structure.leaves else store
        start, width, factor = structure.offset[node], structure.width[node], structure.factor[node]
        first, rows = first_effect[factor], first_effect[factor + 1] - first_effect[factor]
        if node != before:
            size, before = covariance_among(structure, node, border, inverse, p, gathered), node
        fitted, spread = 0.0, 0.0
        for k in range(rows):  # g = R^-T a for the node's own effects
            total = a[first + k]
            for j in range(k):
                total -= panel[start + j * width + k] * g[j]
            g[k] = total / panel[start + k * width + k]
            fitted += g[k] * panel[start + k * width + width - 1]
            spread += g[k] * g[k]
        for j in range(size):
            t[j] = 0.0
            for k in range(rows):
                t[j] -= g[k] * panel[start + k * width + rows + j]
        for c in range(p):
            t[width - border - rows + c] += x[i, c]
            fitted += t[width - border - rows + c] * kept[kept.size - p + c]
        for e in range(entries[node], entries[node + 1]):
            other, column = structure.entry_factor[e], structure.entry_column[e] - rows
            for k in range(first_effect[other + 1] - first_effect[other]):
                if places[i, other] == structure.entry_kept[e]:
                    t[column + k] += a[first_effect[other] + k]
                fitted += t[column + k] * kept[structure.entry_kept[e] + k]
        for j in range(size):
            total = 0.0
            for k in range(size):
                total += gathered[j, k] * t[k]
            spread += t[j] * total
        residual[i] = x[i, p] - fitted
        variance[i] = spread
