"""Compiled kernels: the small blocks of many arrow-shaped matrices, one matrix after the other.

A matrix i has J blocks A_ij (q, q) and cross blocks C_ij (q, r) to a border of r nodes. Blocks that have fewer than q
nodes are padded: their last rows are those of the unit matrix, with no cross entries.
"""

from __future__ import annotations

import math

from poolwise.compiled import kernel
from poolwise.compiled.types import Array3, Array4, IntMatrix, IntVector, Matrix


@kernel
def eliminate_blocks(numbers: Matrix, blocks: IntMatrix, inner: Array4, cross: Array4) -> None:
    """Cholesky factors L_ij of the blocks into `inner` (m, J, q, q) and L_ij^-1 C_ij into `cross` (m, J, q, r).

    What is above the diagonal of `inner` is left as it was. A block that is not positive definite leaves NaN.

    Parameters
    ----------
    numbers : (m, J q q + J q r or more) all blocks, then all cross blocks, each by rows.
    blocks : (J, q) nodes of each block, negative where it has fewer.
    """
    m, count, q, r = cross.shape
    crossing = count * q * q
    for i in range(m):
        for j in range(count):
            root, half, start = inner[i, j], cross[i, j], j * q * q
            for a in range(q):
                for b in range(a + 1):
                    value = numbers[i, start + a * q + b]
                    if blocks[j, a] < 0:
                        value = 1.0 if a == b else 0.0
                    for k in range(b):
                        value -= root[a, k] * root[b, k]
                    root[a, b] = math.sqrt(value) if a == b else value / root[b, b]
                row, begin = half[a], crossing + (j * q + a) * r
                for c in range(r):
                    row[c] = numbers[i, begin + c]
                for k in range(a):
                    factor, before = root[a, k], half[k]
                    for c in range(r):
                        row[c] -= factor * before[c]
                for c in range(r):
                    row[c] /= root[a, a]


@kernel
def forward(inner: Array4, cross: Array4, right: Matrix, blocks: IntMatrix, own: Array3, top: Matrix) -> None:
    """L_ij^-1 of each block's right sides (m, p) into `own` (m, J, q), and what they take from the border's `top`."""
    m, count, q, r = cross.shape
    for i in range(m):
        for j in range(count):
            root, half, solved = inner[i, j], cross[i, j], own[i, j]
            for a in range(q):
                value = right[i, blocks[j, a]] if blocks[j, a] >= 0 else 0.0
                for k in range(a):
                    value -= root[a, k] * solved[k]
                value /= root[a, a]
                solved[a] = value
                for c in range(r):
                    top[i, c] -= half[a, c] * value


@kernel
def backward(
    inner: Array4, cross: Array4, own: Array3, at_border: Matrix, blocks: IntMatrix, border: IntVector, out: Matrix
) -> None:
    """Solutions (m, p) by nodes, from those at the border (m, r) and `own` (m, J, q), which is overwritten."""
    m, count, q, r = cross.shape
    for i in range(m):
        for c in range(r):
            out[i, border[c]] = at_border[i, c]
        for j in range(count):
            root, half, solved = inner[i, j], cross[i, j], own[i, j]
            for a in range(q - 1, -1, -1):
                value = solved[a]
                for c in range(r):
                    value -= half[a, c] * at_border[i, c]
                for k in range(a + 1, q):
                    value -= root[k, a] * solved[k]
                solved[a] = value / root[a, a]
                if blocks[j, a] >= 0:
                    out[i, blocks[j, a]] = solved[a]
