"""Exponential and logarithm in pure arithmetic, so that loops over rows fill vector registers.

Calls into the C library cannot be vectorised and were half of the cost of a gradient. Errors are at most two units in
the last place over the stated ranges. Reassociation would undo the rounding.
"""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel, intrinsic

_LOG2_E = 1.0 / math.log(2.0)
# log 2 in two parts, the first with zeros at its end, so that its product with a small whole number is exact.
_LOG2_HIGH, _LOG2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_ROUNDER = 1.5 * 2.0**52  # adding it rounds to a whole number, which then stands in the last bits
_E2, _E3, _E4, _E5, _E6, _E7, _E8, _E9, _E10, _E11, _E12, _E13 = (1.0 / math.factorial(k) for k in range(2, 14))

# Of the series of the sine and of the cosine.
_O3, _O5, _O7, _O9, _O11, _O13, _O15 = ((-1) ** k / math.factorial(2 * k + 1) for k in range(1, 8))
_C4, _C6, _C8, _C10, _C12, _C14, _C16 = ((-1) ** k / math.factorial(2 * k) for k in range(2, 9))


@intrinsic
def bits_of(typing_context, x):
    """The bits of a number as a whole number."""
    from llvmlite import ir
    from numba.core import types

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def _from_bits(typing_context, bits):
    from llvmlite import ir
    from numba.core import types

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@exact_kernel
def exp(x):
    """exp(x) for any x; beyond -708 and 709 the values there."""
    x = min(max(x, -708.0), 709.0)
    shifted = x * _LOG2_E + _ROUNDER
    k = shifted - _ROUNDER
    r = (x - k * _LOG2_HIGH) - k * _LOG2_LOW
    p = _E13 * r + _E12
    p = ((p * r + _E11) * r + _E10) * r + _E9
    p = ((p * r + _E8) * r + _E7) * r + _E6
    p = ((p * r + _E5) * r + _E4) * r + _E3
    p = ((p * r + _E2) * r + 1.0) * r + 1.0
    return p * _from_bits((bits_of(shifted) << 52) + (1023 << 52))


@exact_kernel
def expm1(x):
    """exp(x) - 1, with all digits of a small x."""
    x = min(max(x, -708.0), 709.0)
    shifted = x * _LOG2_E + _ROUNDER
    k = shifted - _ROUNDER
    r = (x - k * _LOG2_HIGH) - k * _LOG2_LOW
    p = _E13 * r + _E12
    p = ((p * r + _E11) * r + _E10) * r + _E9
    p = ((p * r + _E8) * r + _E7) * r + _E6
    p = ((p * r + _E5) * r + _E4) * r + _E3
    p = ((p * r + _E2) * r + 1.0) * r
    power = _from_bits((bits_of(shifted) << 52) + (1023 << 52))
    return p * power + (power - 1.0)


@exact_kernel
def log1p(x):
    """log(1 + x) for x >= 0, with all digits of a small x."""
    grown = 1.0 + x
    return log(grown) + (x - (grown - 1.0)) / grown


@exact_kernel
def log(x):
    """log(x) for x from 1e-307 to 1e308."""
    # x = 2^k m with m between the roots of 1/2 and 2; log m by the series of its inverse hyperbolic tangent.
    raw = bits_of(x) - 0x3FE6A09E667F3BCD
    k = _from_bits((raw >> 52) + 0x4338000000000000) - _ROUNDER
    m = _from_bits((raw & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD)
    s = (m - 1.0) / (m + 1.0)
    q = s * s
    p = (1 / 21 * q + 1 / 19) * q + 1 / 17
    p = ((p * q + 1 / 15) * q + 1 / 13) * q + 1 / 11
    p = ((p * q + 1 / 9) * q + 1 / 7) * q + 1 / 5
    p = (p * q + 1 / 3) * q
    return k * _LOG2_HIGH + (k * _LOG2_LOW + 2.0 * (s + s * p))


@exact_kernel
def unit(bits):
    """The first 52 of 64 random bits as a number between zero and one, neither of which it is."""
    return _from_bits((bits >> np.uint64(12)) | np.uint64(0x3FF0000000000000)) - (1.0 - 2.0**-53)


@exact_kernel
def cos_sin_of_turns(u):
    """cos(2 pi u) and sin(2 pi u) for u from zero to one, to an absolute error of 1e-15."""
    h = 0.5 * math.pi * (u - 0.5)  # a quarter of the angle from half a turn on
    q = h * h
    s = ((_O15 * q + _O13) * q + _O11) * q + _O9
    s = (((s * q + _O7) * q + _O5) * q + _O3) * q
    s = h + h * s
    c = ((_C16 * q + _C14) * q + _C12) * q + _C10
    c = (((c * q + _C8) * q + _C6) * q + _C4) * q
    c = 1.0 - 0.5 * q + c * q
    s, c = 2.0 * s * c, 1.0 - 2.0 * s * s
    return 2.0 * s * s - 1.0, -2.0 * s * c
