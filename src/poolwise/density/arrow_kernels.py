"""Compiled kernels: the small blocks of many arrow-shaped matrices, all matrices at once.

A matrix i has J blocks A_j (q, q) and cross blocks C_j (q, r) to a border of r nodes. Blocks that have fewer than q
nodes are padded: their last rows are those of the unit matrix, with no cross entries. Numbers of the m matrices lie
beside one another, so that the innermost loops fill vector registers.
"""

from __future__ import annotations

import math

from poolwise.compiled import kernel
from poolwise.compiled.types import Array3, Array4, IntMatrix, IntVector, Matrix


@kernel
def eliminate_blocks(numbers: Matrix, blocks: IntMatrix, inner: Array4, cross: Array4) -> None:
    """Cholesky factors L_j of the blocks into `inner` (J, q, q, m) and L_j^-1 C_j into `cross` (J, q, r, m).

    What is above the diagonal of `inner` is left as it was. A block that is not positive definite leaves NaN.

    Parameters
    ----------
    numbers : (J q q + J q r or more, m) all blocks, then all cross blocks, each by rows.
    blocks : (J, q) nodes of each block, negative where it has fewer.
    """
    count, q, r, m = cross.shape
    crossing = count * q * q
    for j in range(count):
        for a in range(q):
            for b in range(a + 1):
                given, value, pivot = numbers[(j * q + a) * q + b], inner[j, a, b], inner[j, b, b]
                if blocks[j, a] < 0:
                    value[:] = 1.0 if a == b else 0.0
                else:
                    for i in range(m):
                        value[i] = given[i]
                for k in range(b):
                    one, other = inner[j, a, k], inner[j, b, k]
                    for i in range(m):
                        value[i] -= one[i] * other[i]
                if a == b:
                    for i in range(m):
                        value[i] = math.sqrt(value[i])
                else:
                    for i in range(m):
                        value[i] /= pivot[i]
            pivot = inner[j, a, a]
            for c in range(r):
                given, value = numbers[crossing + (j * q + a) * r + c], cross[j, a, c]
                for i in range(m):
                    value[i] = given[i]
                for k in range(a):
                    one, other = inner[j, a, k], cross[j, k, c]
                    for i in range(m):
                        value[i] -= one[i] * other[i]
                for i in range(m):
                    value[i] /= pivot[i]


@kernel
def subtract_crossed(cross: Array4, outer: Array3) -> None:
    """Take the sum over blocks of (L_j^-1 C_j)' L_j^-1 C_j from the lower triangle of `outer` (r, r, m)."""
    count, q, r, m = cross.shape
    for j in range(count):
        for a in range(q):
            for c in range(r):
                for d in range(c + 1):
                    one, other, value = cross[j, a, c], cross[j, a, d], outer[c, d]
                    for i in range(m):
                        value[i] -= one[i] * other[i]


@kernel
def forward(inner: Array4, cross: Array4, right: Matrix, blocks: IntMatrix, own: Array3, top: Matrix) -> None:
    """L_j^-1 of each block's right sides (p, m) into `own` (J, q, m), and what they take from the border's `top`."""
    count, q, r, m = cross.shape
    for j in range(count):
        for a in range(q):
            solved, pivot = own[j, a], inner[j, a, a]
            if blocks[j, a] < 0:
                solved[:] = 0.0
            else:
                given = right[blocks[j, a]]
                for i in range(m):
                    solved[i] = given[i]
            for k in range(a):
                one, other = inner[j, a, k], own[j, k]
                for i in range(m):
                    solved[i] -= one[i] * other[i]
            for i in range(m):
                solved[i] /= pivot[i]
            for c in range(r):
                half, value = cross[j, a, c], top[c]
                for i in range(m):
                    value[i] -= half[i] * solved[i]


@kernel
def backward(
    inner: Array4, cross: Array4, own: Array3, at_border: Matrix, blocks: IntMatrix, border: IntVector, out: Matrix
) -> None:
    """Solutions (p, m) by nodes, from those at the border (r, m) and `own` (J, q, m), which is overwritten."""
    count, q, r, m = cross.shape
    for c in range(r):
        given, value = at_border[c], out[border[c]]
        for i in range(m):
            value[i] = given[i]
    for j in range(count):
        for a in range(q - 1, -1, -1):
            solved, pivot = own[j, a], inner[j, a, a]
            for c in range(r):
                half, other = cross[j, a, c], at_border[c]
                for i in range(m):
                    solved[i] -= half[i] * other[i]
            for k in range(a + 1, q):
                one, other = inner[j, k, a], own[j, k]
                for i in range(m):
                    solved[i] -= one[i] * other[i]
            for i in range(m):
                solved[i] /= pivot[i]
            if blocks[j, a] >= 0:
                value = out[blocks[j, a]]
                for i in range(m):
                    value[i] = solved[i]
