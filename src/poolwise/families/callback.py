"""A family's kernel as a C function, so that one compiled density calls any family by its address."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from poolwise.compiled import callback, kernel, pointer

_SIGNATURE = types.float64(*([types.int64] * 7))


class RowsCallback:
    """`f(n, y, trials, weights, predictors, slopes, information)` for C, the last six being addresses.

    Compiled when its address is first asked for, and cached on disk where its file is; in an interactive session it is
    compiled anew.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @cached_property
    def address(self) -> int:
        """Where the compiled function is."""
        try:
            self._compiled = callback(_SIGNATURE)(self._function)
        except RuntimeError:  # no file to cache it beside
            self._compiled = callback(_SIGNATURE, cache=False)(self._function)
        return int(self._compiled.address)


rows_callback = RowsCallback


@kernel
def views(n, parameters, y, trials, weights, predictors, slopes, information):
    """The arrays at the addresses that a callback is given: three (n,), three (parameters, n)."""
    return (
        numba.carray(pointer(y), (n,), np.float64),
        numba.carray(pointer(trials), (n,), np.float64),
        numba.carray(pointer(weights), (n,), np.float64),
        numba.carray(pointer(predictors), (parameters, n), np.float64),
        numba.carray(pointer(slopes), (parameters, n), np.float64),
        numba.carray(pointer(information), (parameters, n), np.float64),
    )


@intrinsic
def _call(typing_context, address, n, y, trials, weights, predictors, slopes, information):
    word = ir.IntType(64)
    shape = ir.FunctionType(ir.DoubleType(), [word] * 7)

    def generate(context, builder, signature, arguments):
        function = builder.inttoptr(arguments[0], shape.as_pointer())
        return builder.call(function, arguments[1:])

    return types.float64(*([types.int64] * 8)), generate


@kernel
def call_rows(address, y, trials, weights, predictors, slopes, information):
    """Log likelihood of rows by the family at an address; derivatives are written. All arrays are contiguous."""
    return _call(
        np.int64(address),
        np.int64(y.size),
        np.int64(y.ctypes.data),
        np.int64(trials.ctypes.data),
        np.int64(weights.ctypes.data),
        np.int64(predictors.ctypes.data),
        np.int64(slopes.ctypes.data),
        np.int64(information.ctypes.data),
    )
