"""The dense root: loops within kernels while it is small, LAPACK when it is large.

LAPACK runs on all cores by itself, so large roots are taken one after the other.
"""

from __future__ import annotations

import math

import numpy as np

from poolwise.density.blocks.kernels import factorise_root, invert_root
from poolwise.density.blocks.structure import Structure

LARGE = 96  # rows from which a call of LAPACK is worth its way


def factorise(structure: Structure, store: np.ndarray) -> float:
    """The upper factor of the root in place, its last pivot left squared; the log determinant without it.

    inf where the matrix is not positive definite.
    """
    size = structure.root_size
    if size < LARGE:
        return float(factorise_root(store, structure.root, size))
    from scipy.linalg import lapack

    # The upper triangle by rows is the lower one by columns, which is how LAPACK reads it, without a copy. The last
    # pivot may be rounded to zero where outcomes lie exactly on the model, so one is added to it meanwhile.
    store[-1] += 1.0
    root = store[structure.root :].reshape(size, size)
    factor, failed = lapack.dpotrf(root.T, lower=1, clean=0, overwrite_a=1)
    if failed:
        return math.inf
    if not np.shares_memory(factor, store):
        root[:] = factor.T
    store[-1] = store[-1] ** 2 - 1.0
    return 2.0 * float(np.log(np.diagonal(root)[:-1]).sum())


def solve(structure: Structure, store: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """R^-1 (the outcome's column + noise) for the root's effects and coefficients, (size - 1,)."""
    from scipy.linalg import solve_triangular

    root = store[structure.root :].reshape(structure.root_size, structure.root_size)
    return solve_triangular(root[:-1, :-1].T, root[:-1, -1] + noise, lower=True, trans=1, check_finite=False)


def invert(structure: Structure, store: np.ndarray, count: int, inverse: np.ndarray) -> None:
    """Upper triangle of the inverse of the root's first `count` rows, into the same place of `inverse`."""
    size = structure.root_size
    if size < LARGE:
        invert_root(store, structure.root, size, count, inverse)
        return
    from scipy.linalg import lapack

    root = store[structure.root :].reshape(size, size)
    found, _ = lapack.dpotri(np.asfortranarray(root[:count, :count].T), lower=1, overwrite_c=1)
    inverse[structure.root :].reshape(size, size)[:count, :count] = found.T
