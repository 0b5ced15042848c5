"""Elimination of group effects, lane by lane: the innermost loop of everything runs over groups.

Groups are held contiguously, so the compiler vectorises these loops for any number of effects q and coefficients p, and
nothing is compiled anew for another model.
"""

from __future__ import annotations

import math

from poolwise.compiled import kernel, lane

# Lane operations. They take whole arrays and positions in them: making a view costs an atomic reference count, which
# would cost more than the arithmetic, and threads would fight over it.


@lane
def clear(out, i, j):
    """out[i, j] = 0."""
    for g in range(out.shape[2]):
        out[i, j, g] = 0.0


@lane
def add_multiple(out, i, j, weight, x, k, m):
    """out[i, j] += weight * x[k, m]."""
    for g in range(out.shape[2]):
        out[i, j, g] += weight * x[k, m, g]


@lane
def subtract_product(out, i, j, x, k, m, y, n, o):
    """out[i, j] -= x[k, m] * y[n, o]."""
    for g in range(out.shape[2]):
        out[i, j, g] -= x[k, m, g] * y[n, o, g]


@lane
def multiply(out, i, j, x, k, m):
    """out[i, j] *= x[k, m]."""
    for g in range(out.shape[2]):
        out[i, j, g] *= x[k, m, g]


@lane
def dot(x, i, j, y, k, m):
    """Sum over lanes of x[i, j] * y[k, m]."""
    total = 0.0
    for g in range(x.shape[2]):
        total += x[i, j, g] * y[k, m, g]
    return total


@lane
def invert_root(out, i):
    """1 / sqrt(1 + x) in place on the diagonal's lanes, and the sum of log(1 + x)."""
    width = out.shape[2]
    log_product = 0.0
    one, two, three, four = 1.0, 1.0, 1.0, 1.0  # four chains of products, since a multiplication waits for the last
    for quarter in range(width // 4):
        g = 4 * quarter
        one *= 1.0 + out[i, i, g]
        two *= 1.0 + out[i, i, g + 1]
        three *= 1.0 + out[i, i, g + 2]
        four *= 1.0 + out[i, i, g + 3]
        if max(max(one, two), max(three, four)) > 1e70:
            log_product += math.log(one) + math.log(two) + math.log(three) + math.log(four)
            one, two, three, four = 1.0, 1.0, 1.0, 1.0
    for g in range(width - width % 4, width):
        log_product += math.log(1.0 + out[i, i, g])
    for g in range(width):
        out[i, i, g] = 1.0 / math.sqrt(1.0 + out[i, i, g])
    return log_product + math.log(one * two * (three * four))


@kernel
def eliminate(zz, zxy, factor, precision, a, b, t):
    """Factor A_j for one block of groups: L_j into `a` (its diagonal inverted), B_j into `b`.

    `t` is left with Z_j'Z_j M. Returns the sum of log det A_j. Zero weights, as of diagonal factors, cost nothing.
    """
    q, columns = b.shape[0], b.shape[1]
    for i in range(q):
        for j in range(q):
            clear(t, i, j)
            for k in range(q):
                if factor[k, j] != 0.0:
                    add_multiple(t, i, j, factor[k, j], zz, i, k)
    log_determinant = 0.0
    for i in range(q):
        for j in range(i + 1):
            clear(a, i, j)
            for k in range(q):
                if factor[k, i] != 0.0:
                    add_multiple(a, i, j, precision * factor[k, i], t, k, j)
            for k in range(j):
                subtract_product(a, i, j, a, i, k, a, j, k)
            if i == j:
                log_determinant += invert_root(a, i)
            else:
                multiply(a, i, j, a, j, j)
    for i in range(q):
        for j in range(columns):
            clear(b, i, j)
            for k in range(q):
                if factor[k, i] != 0.0:
                    add_multiple(b, i, j, precision * factor[k, i], zxy, k, j)
            for k in range(i):
                subtract_product(b, i, j, a, i, k, b, k, j)
            multiply(b, i, j, a, i, i)
    return log_determinant
