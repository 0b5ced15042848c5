"""Indices of kernels: written as constants they count from the end, as variables they do not."""

from __future__ import annotations

import numba
import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.indices import Compiler


@kernel
def _constants(a, b, i):
    b[-1, i] = 7.0
    b[i][-2] = 5.0
    b[i - 1, -1] += a[-1]
    return a[-2] + a[i] + b[i, -2]


@kernel
def _sum_from(a, begin, size):
    total = 0.0
    for k in range(size):
        total += a[begin + k]
    return total


@kernel
def _part(a, begin, end):
    part = a[begin:end]
    part[-1] = 3.0
    return part.size


def test_constants_count_from_the_end():
    a, b = np.arange(6.0), np.zeros((4, 5))
    expected = b.copy()
    assert _constants(a, b, 2) == 4.0 + 2.0 + 5.0
    expected[-1, 2], expected[2, -2], expected[1, -1] = 7.0, 5.0, 5.0
    assert np.array_equal(b, expected)


def test_variables_and_slices():
    a = np.arange(10.0)
    assert _sum_from(a, 3, 4) == 3 + 4 + 5 + 6
    assert _part(a, 2, -1) == 7
    assert a[8] == 3.0


def test_variables_are_not_compared_with_zero():
    compiled = numba.njit(pipeline_class=Compiler, fastmath=True)(_sum_from.function)  # not from a cache
    assert compiled(np.arange(10.0), 3, 4) == 18.0
    code = next(iter(compiled.inspect_llvm().values()))
    assert "icmp slt <" not in code and "gather" not in code
