"""Small dense matrices inside kernels, without calls into BLAS."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel, kernel
from poolwise.compiled.types import Matrix, Vector


@exact_kernel
def finite(value):
    """A value where it is finite, -inf elsewhere.

    Exact, since a compiler that may reorder sums may look at another order of them than it returns: such a look let
    inf - inf pass.
    """
    return value if abs(value) < np.inf else -np.inf


@kernel
def product(x, y, out):
    """x @ y for small matrices into `out`, without a call into BLAS."""
    out[:] = 0.0
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            for j in range(y.shape[1]):
                out[i, j] += x[i, k] * y[k, j]


@kernel
def cholesky(matrix):
    """Lower Cholesky factor in place, without the last pivot, which stays squared. False if not positive."""
    size = matrix.shape[0]
    for i in range(size):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if j < i:
                matrix[i, j] = total / matrix[j, j]
            elif i == size - 1:
                matrix[i, i] = total
            elif total > 0.0:
                matrix[i, i] = math.sqrt(total)
            else:
                return False
    return True


@kernel
def common_solution(schur: Matrix, mean: Vector, inverse: Matrix) -> None:
    """Mean of the coefficients (p,) and the inverse of their precision's Cholesky factor (p, p), in place."""
    p = schur.shape[0] - 1
    inverse[:] = 0.0
    for j in range(p):
        inverse[j, j] = 1.0 / schur[j, j]
        for i in range(j + 1, p):
            total = 0.0
            for k in range(j, i):
                total -= schur[i, k] * inverse[k, j]
            inverse[i, j] = total / schur[i, i]
    for i in range(p):
        mean[i] = 0.0
        for k in range(i, p):
            mean[i] += inverse[k, i] * schur[p, k]
