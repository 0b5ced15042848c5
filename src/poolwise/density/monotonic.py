"""Monotonic terms: the coefficients of k columns are c = b t, one coefficient b times shares t >= 0 that add up to k.

Columns are the steps that a row has behind it, so that b is the mean of the steps (Buerkner and Charpentier 2020).
Given the shares everything is linear in b: in place of the c stand k - 1 coordinates without columns, with standard
normal priors, and b around the centre of its prior and in units of its sd. So matrices keep their size, and what is
made of b is as triangular as it was.

A term has a row of `simplexes`: its first coefficient, k, and the place in theta of its first number. These are
x_j = log h_j; the j-th share takes h_j^2 / (1 + h_j^2) of what those before it have left, the last one the rest.
"""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import IntMatrix, Matrix, Vector


def simplex_of(logs: np.ndarray) -> np.ndarray:
    """Shares that add up to one, from x: (..., k - 1) to (..., k)."""
    taken = 1.0 / (1.0 + np.exp(-2.0 * np.clip(logs, -300.0, 300.0)))
    left = 1.0 / (1.0 + np.exp(2.0 * np.clip(logs, -300.0, 300.0)))
    one = np.ones((*logs.shape[:-1], 1))
    return np.asarray(np.concatenate([taken, one], axis=-1) * np.cumprod(np.concatenate([one, left], axis=-1), axis=-1))


@kernel
def shares_at(theta, first, count, shares):
    """Shares t that add up to `count`, into the first numbers of `shares`."""
    rest = float(count)
    for j in range(count - 1):
        x = theta[first + j]
        shares[j] = rest / (1.0 + math.exp(-2.0 * x))
        rest /= 1.0 + math.exp(2.0 * x)
    shares[count - 1] = rest


@kernel
def shares_back(theta, first, count, shares, slope, gradient):
    """Add d/d theta to `gradient`, given `slope` in the shares."""
    after = slope[count - 1] * shares[count - 1]
    for j in range(count - 2, -1, -1):
        taken = 1.0 / (1.0 + math.exp(-2.0 * theta[first + j]))
        mine = slope[j] * shares[j]
        gradient[first + j] += 2.0 * ((1.0 - taken) * mine - taken * after)
        after += mine


@kernel
def gather_common(theta, simplexes, centre, precision, schur):
    """Rows and columns of c to those of b and of what stands beside it, in the lower triangle of `schur`."""
    for m in range(simplexes.shape[0]):
        first, count = simplexes[m, 0], simplexes[m, 1]
        last = first + count - 1
        shares = np.empty(count)
        shares_at(theta, simplexes[m, 2], count, shares)
        s, p, middle = 1.0 / math.sqrt(precision[last]), schur.shape[0] - 1, centre[last]
        if middle != 0.0:
            for i in range(count):
                schur[p, p] -= 2.0 * middle * shares[i] * schur[p, first + i]
                for j in range(count):
                    known = schur[first + i, first + j] if j <= i else schur[first + j, first + i]
                    schur[p, p] += middle * middle * shares[i] * shares[j] * known
            for j in range(p):
                for i in range(count):
                    known = schur[first + i, j] if j <= first + i else schur[j, first + i]
                    schur[p, j] -= middle * shares[i] * known
        own = 0.0
        for i in range(count):
            for j in range(i):
                own += 2.0 * shares[i] * shares[j] * schur[first + i, first + j]
            own += shares[i] * shares[i] * schur[first + i, first + i]
        for j in range(first):
            total = 0.0
            for i in range(count):
                total += shares[i] * schur[first + i, j]
                schur[first + i, j] = 0.0
            schur[last, j] = s * total
        for i in range(last + 1, schur.shape[0]):
            total = 0.0
            for j in range(count):
                total += shares[j] * schur[i, first + j]
                schur[i, first + j] = 0.0
            schur[i, last] = s * total
        for i in range(count):
            for j in range(i):
                schur[first + i, first + j] = 0.0
            schur[first + i, first + i] = 1.0
        schur[last, last] += s * s * own


@kernel
def spread_common(theta, simplexes, centre, precision, mean, inverse):
    """Back from b to c, in the mean (p,) of coefficients and in `inverse` (p, p), inverse' inverse their covariance."""
    for m in range(simplexes.shape[0]):
        first, count = simplexes[m, 0], simplexes[m, 1]
        last = first + count - 1
        shares = np.empty(count)
        shares_at(theta, simplexes[m, 2], count, shares)
        s = 1.0 / math.sqrt(precision[last])
        b = centre[last] + s * mean[last]
        for i in range(count):
            mean[first + i] = shares[i] * b
        for r in range(inverse.shape[0]):
            each = s * inverse[r, last]
            for i in range(count):
                inverse[r, first + i] = shares[i] * each


@kernel
def gather_triangle(theta, simplexes, centre, precision, start, size, border, store):
    """As `gather_common`, in the upper triangle of a root (size, size) from `start` on, whose last rows are the
    border's."""
    for m in range(simplexes.shape[0]):
        first, count = size - border + simplexes[m, 0], simplexes[m, 1]
        last = first + count - 1
        shares = np.empty(count)
        shares_at(theta, simplexes[m, 2], count, shares)
        s, middle = 1.0 / math.sqrt(precision[simplexes[m, 0] + count - 1]), centre[simplexes[m, 0] + count - 1]
        end = start + size * size - 1
        if middle != 0.0:
            for i in range(count):
                row = start + (first + i) * size
                store[end] -= 2.0 * middle * shares[i] * store[row + size - 1]
                for j in range(count):
                    known = store[start + (first + min(i, j)) * size + first + max(i, j)]
                    store[end] += middle * middle * shares[i] * shares[j] * known
            for j in range(size - 1):
                for i in range(count):
                    known = store[start + min(first + i, j) * size + max(first + i, j)]
                    store[start + j * size + size - 1] -= middle * shares[i] * known
        own = 0.0
        for i in range(count):
            row = start + (first + i) * size + first
            own += shares[i] * shares[i] * store[row + i]
            for j in range(i + 1, count):
                own += 2.0 * shares[i] * shares[j] * store[row + j]
        for i in range(first):
            row, total = start + i * size + first, 0.0
            for j in range(count):
                total += shares[j] * store[row + j]
                store[row + j] = 0.0
            store[row + count - 1] = s * total
        for j in range(last + 1, size):
            total = 0.0
            for i in range(count):
                total += shares[i] * store[start + (first + i) * size + j]
                store[start + (first + i) * size + j] = 0.0
            store[start + last * size + j] = s * total
        for i in range(count):
            row = start + (first + i) * size + first
            for j in range(i, count):
                store[row + j] = 1.0 if i == j else 0.0
        store[start + last * size + last] += s * s * own


@kernel
def spread_coefficients(theta, simplexes, centre, precision, kept, shift):
    """From b to c among coefficients that begin at `shift` in `kept`."""
    for m in range(simplexes.shape[0]):
        first, count = shift + simplexes[m, 0], simplexes[m, 1]
        shares = np.empty(count)
        shares_at(theta, simplexes[m, 2], count, shares)
        own = simplexes[m, 0] + count - 1
        b = centre[own] + kept[first + count - 1] / math.sqrt(precision[own])
        for i in range(count):
            kept[first + i] = shares[i] * b


@kernel
def spread_triangle(theta, simplexes, precision, start, size, shift, inverse):
    """From b to c in the upper triangle of a covariance (size, size) from `start` on, coefficients from `shift` on."""
    for m in range(simplexes.shape[0]):
        first, count = shift + simplexes[m, 0], simplexes[m, 1]
        last = first + count - 1
        shares = np.empty(count)
        shares_at(theta, simplexes[m, 2], count, shares)
        s = 1.0 / math.sqrt(precision[simplexes[m, 0] + count - 1])
        own = s * s * inverse[start + last * size + last]
        for i in range(first):
            row = start + i * size + first
            each = s * inverse[row + count - 1]
            for j in range(count):
                inverse[row + j] = shares[j] * each
        for j in range(last + 1, size):
            each = s * inverse[start + last * size + j]
            for i in range(count):
                inverse[start + (first + i) * size + j] = shares[i] * each
        for i in range(count):
            row = start + (first + i) * size + first
            for j in range(i, count):
                inverse[row + j] = shares[i] * shares[j] * own


@kernel
def shares_penalty(
    theta: Vector,
    simplexes: IntMatrix,
    centre: Vector,
    precision: Vector,
    given: Matrix,
    mean: Vector,
    inverse: Matrix,
    gradient: Vector,
) -> float:
    """E[sum of squares of what stands in the place of c]; adds the slopes of the shares to `gradient`.

    c has the joint posterior N(mean, inverse' inverse) with the other coefficients. `given` (p + 1, p + 1) is the lower
    triangle of their precision, with the linear part as its last row, before the priors of these coefficients. By
    Fisher's identity the slope of t_i is E[b (linear_i - sum_j precision_ij c_j)].
    """
    p, total = mean.size, 0.0
    for m in range(simplexes.shape[0]):
        first, count = simplexes[m, 0], simplexes[m, 1]
        shares, slope, together = np.empty(count), np.empty(count), np.empty(p)
        shares_at(theta, simplexes[m, 2], count, shares)
        middle = 0.0
        for i in range(count):
            middle += mean[first + i] / count
        square = (middle - centre[first + count - 1]) ** 2
        for j in range(p):
            together[j] = mean[j] * middle  # E[c_j b]
        for r in range(first, p):
            each = 0.0
            for i in range(count):
                each += inverse[r, first + i] / count
            square += each * each
            for j in range(r + 1):
                together[j] += inverse[r, j] * each
        for i in range(count):
            slope[i] = middle * given[p, first + i]
            for j in range(p):
                slope[i] -= together[j] * (given[first + i, j] if j <= first + i else given[j, first + i])
        shares_back(theta, simplexes[m, 2], count, shares, slope, gradient)
        total += precision[first + count - 1] * square + (count - 1)
    return total
