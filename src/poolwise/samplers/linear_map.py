"""Log densities as C functions in coordinates that a fixed linear map gives: point = centre + root @ z."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from poolwise.compiled import DENSITY_SIGNATURE, callback, carray, pointer
from poolwise.samplers.interface import LogDensity, NativeDensity
from poolwise.samplers.trajectory import density_at

_NUMBERS = ctypes.POINTER(ctypes.c_double)
_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, _NUMBERS, _NUMBERS, _NUMBERS, ctypes.c_void_p)


def in_linear_coordinates(density: LogDensity, centre: np.ndarray, root: np.ndarray) -> NativeDensity:
    """A density over z (d,), with centre (d,) and a lower triangular root (d, d).

    A density that has no C function of its own is called in Python, which takes the interpreter's lock.
    """
    inner = density.native() or _called_in_python(density)
    arrays = np.ascontiguousarray(centre, dtype=float), np.ascontiguousarray(root, dtype=float)
    words = np.array([inner.address, inner.words.ctypes.data, *(each.ctypes.data for each in arrays)], dtype=np.int64)
    return NativeDensity(linear_callback.address, words, (inner, arrays))


@callback(DENSITY_SIGNATURE)
def linear_callback(dimension, point, gradient, value, words):
    """Value and gradient over z; `words` are the inner density's address and words, centre and root."""
    d = np.int64(dimension)
    said = carray(words, (4,), np.int64)
    inner_words = carray(pointer(said[1]), (1,), np.int64)
    centre, root = carray(pointer(said[2]), (d,), np.float64), carray(pointer(said[3]), (d, d), np.float64)
    z, slope, spot = carray(point, (d,)), carray(gradient, (d,)), carray(value, (1,))
    x, inner_slope = np.empty(d), np.empty(d)
    for i in range(d):
        x[i] = centre[i]
        for j in range(i + 1):
            x[i] += root[i, j] * z[j]
    if density_at(said[0], inner_words, x, inner_slope, spot) == -np.inf:
        return 4
    for j in range(d):
        slope[j] = 0.0
    for i in range(d):
        for j in range(i + 1):
            slope[j] += root[i, j] * inner_slope[i]
    return 0


def _called_in_python(density: LogDensity) -> NativeDensity:
    d = density.dimension

    def evaluate(_: int, point: Any, gradient: Any, value: Any, __: int) -> int:
        found, slope = density.value_and_gradient(np.ctypeslib.as_array(point, (d,)).copy())
        np.ctypeslib.as_array(gradient, (d,))[:] = slope
        value[0] = found
        return 0 if np.isfinite(found) and np.isfinite(slope).all() else 4

    function = _FUNCTION(evaluate)
    address = int(ctypes.cast(function, ctypes.c_void_p).value or 0)
    return NativeDensity(address, np.zeros(1, dtype=np.int64), function)
