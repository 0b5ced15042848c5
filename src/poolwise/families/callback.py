"""A family's kernel as a C function, so that one compiled density calls any family by its address."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import callback, carray, intrinsic, kernel, pointer
from poolwise.compiled.types import Matrix, Vector

# f(n, parameters, y, trials, weights, predictors, slopes, information): the last six are addresses.
rows_callback = callback("float64(int64, int64, int64, int64, int64, int64, int64, int64)")
# f(n, parameters, draws, y, trials, weights, predictors, totals): the last five are addresses.
values_callback = callback("float64(int64, int64, int64, int64, int64, int64, int64, int64)")


@kernel
def views(n, parameters, y, trials, weights, predictors, slopes, information):
    """The arrays at the addresses that a callback is given: three (n,), three (parameters, n)."""
    return (
        carray(pointer(y), (n,), np.float64),
        carray(pointer(trials), (n,), np.float64),
        carray(pointer(weights), (n,), np.float64),
        carray(pointer(predictors), (parameters, n), np.float64),
        carray(pointer(slopes), (parameters, n), np.float64),
        carray(pointer(information), (parameters, n), np.float64),
    )


@kernel
def views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals):
    """The arrays at the addresses that a callback of values is given: three (n,), (parameters n, draws), (draws,)."""
    return (
        carray(pointer(y), (n,), np.float64),
        carray(pointer(trials), (n,), np.float64),
        carray(pointer(weights), (n,), np.float64),
        carray(pointer(predictors), (parameters * n, draws), np.float64),
        carray(pointer(totals), (draws,), np.float64),
    )


@intrinsic
def _call(typing_context, address, one, two, three, four, five, six, seven, eight):
    from llvmlite import ir
    from numba.core import types

    word = ir.IntType(64)
    shape = ir.FunctionType(ir.DoubleType(), [word] * 8)

    def generate(context, builder, signature, arguments):
        function = builder.inttoptr(arguments[0], shape.as_pointer())
        return builder.call(function, arguments[1:])

    return types.float64(*([types.int64] * 9)), generate


@kernel
def call_rows(
    address: int, y: Vector, trials: Vector, weights: Vector, predictors: Matrix, slopes: Matrix, information: Matrix
) -> float:
    """Log likelihood of rows by the family at an address; derivatives are written. All arrays are contiguous."""
    return _call(
        np.int64(address),
        np.int64(y.size),
        np.int64(predictors.shape[0]),
        np.int64(y.ctypes.data),
        np.int64(trials.ctypes.data),
        np.int64(weights.ctypes.data),
        np.int64(predictors.ctypes.data),
        np.int64(slopes.ctypes.data),
        np.int64(information.ctypes.data),
    )


@kernel
def call_values(address: int, y: Vector, trials: Vector, weights: Vector, predictors: Vector, totals: Vector) -> None:
    """Add the log likelihood of rows, by the family at an address, to `totals` (draws,).

    Parameters
    ----------
    predictors : (parameters n draws,), those of a parameter after another's, and of a row after another's. All arrays
        are contiguous.
    """
    _call(
        np.int64(address),
        np.int64(y.size),
        np.int64(predictors.size // max(y.size * totals.size, 1)),
        np.int64(totals.size),
        np.int64(y.ctypes.data),
        np.int64(trials.ctypes.data),
        np.int64(weights.ctypes.data),
        np.int64(predictors.ctypes.data),
        np.int64(totals.ctypes.data),
    )
