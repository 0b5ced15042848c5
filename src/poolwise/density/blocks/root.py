"""The dense root: loops within kernels while it is small, LAPACK when it is large.

Large roots are taken side by side, each by LAPACK on one core: so results do not depend on the number of threads, and
what surrounds LAPACK runs on all cores as well.
"""

from __future__ import annotations

import ctypes
import math
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from poolwise.density.blocks.back_substitution import invert_root
from poolwise.density.blocks.kernels import factorise_root
from poolwise.density.blocks.structure import Structure

LARGE = 192  # rows from which a call of LAPACK is worth its way


def factorise(structure: Structure, store: np.ndarray, multiplier: int | np.int64) -> float:
    """The upper factor of the root in place, its last pivot left squared; the log determinant without it.

    inf where the matrix is not positive definite, but for the multiplier of a constraint; see `factorise_root`.
    """
    size = int(structure.root_size)
    if size < LARGE:
        return float(factorise_root(store, structure.root, size, multiplier))
    root = store[structure.root :].reshape(size, size)
    if multiplier >= 0:
        return _factorise_in_parts(root, int(multiplier))
    # The last pivot may be rounded to zero where outcomes lie exactly on the model, so one is added to it meanwhile.
    store[-1] += 1.0
    if _potrf(root, size):
        return math.inf
    store[-1] = store[-1] ** 2 - 1.0
    return 2.0 * float(np.log(np.diagonal(root)[:-1]).sum())


def _factorise_in_parts(root: np.ndarray, multiplier: int) -> float:
    """LAPACK up to the multiplier; what comes after it is small, or p^3 / 3 at the most."""
    from scipy.linalg import blas

    size, first = len(root), multiplier
    if _potrf(root, first):
        return math.inf
    # By columns, as BLAS sees them: the lower triangle L of the part, and below it what becomes B L^-T.
    after = blas.dtrsm(1.0, root[:first, :first].T, root[:first, first:].T, side=1, lower=1, trans_a=1)
    root[:first, first:] = after.T
    rest = np.ascontiguousarray(root[first:, first:] - after @ after.T)
    log_determinant = float(factorise_root(rest.ravel(), 0, size - first, 0))
    root[first:, first:] = rest
    return log_determinant + 2.0 * float(np.log(np.diagonal(root)[:first]).sum())


def _potrf(matrix: np.ndarray, count: int) -> int:
    """LAPACK's Cholesky factorisation in place, of the upper triangle of the first `count` rows; without the lock that
    Python holds.

    By rows the upper triangle is what LAPACK, by columns, calls the lower one: nothing is copied. Returns 0 where the
    matrix is positive definite.
    """
    size, stride, failed = ctypes.c_int(count), ctypes.c_int(len(matrix)), ctypes.c_int(0)
    _function("cython_lapack", "dpotrf", 5)(
        b"L", ctypes.byref(size), _address(matrix), ctypes.byref(stride), ctypes.byref(failed)
    )
    return failed.value


@cache
def _function(library: str, name: str, arguments: int) -> Any:
    """A function of SciPy's BLAS or LAPACK, by the address that SciPy publishes for other languages."""
    capsule = import_module(f"scipy.linalg.{library}").__pyx_capi__[name]
    get_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
    get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)(get_pointer(capsule, get_name(capsule)))


def _address(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def one_core_each() -> Any:
    """While this context is open, LAPACK uses one core for each call."""
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> Any:
    import scipy.linalg  # noqa: F401  its libraries must be there to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def solve(structure: Structure, store: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """R^-1 (the outcome's column + noise) for the root's effects and coefficients, (size - 1,)."""
    root = store[structure.root :].reshape(structure.root_size, structure.root_size)
    found = np.ascontiguousarray(root[:-1, -1] + noise)
    size, stride, step = ctypes.c_int(len(found)), ctypes.c_int(int(structure.root_size)), ctypes.c_int(1)
    _function("cython_blas", "dtrsv", 8)(
        b"L", b"T", b"N", ctypes.byref(size), _address(root), ctypes.byref(stride), _address(found), ctypes.byref(step)
    )
    return found


def invert(
    structure: Structure, store: np.ndarray, count: int | np.int64, multiplier: int | np.int64, inverse: np.ndarray
) -> None:
    """Upper triangle of the inverse of the root's first `count` rows, into the same place of `inverse`."""
    size = structure.root_size
    if size < LARGE:
        invert_root(store, structure.root, size, count, multiplier, inverse)
        return
    from scipy.linalg import lapack

    root = store[structure.root :].reshape(size, size)
    factor = np.asfortranarray(root[:count, :count].T)
    if multiplier < 0:
        found, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    else:
        upper, _ = lapack.dtrtri(factor, lower=1, overwrite_c=1)
        upper = np.tril(upper)
        found = upper.T @ upper - 2.0 * np.outer(upper[multiplier], upper[multiplier])
    inverse[structure.root :].reshape(size, size)[:count, :count] = found.T
