"""Indices of kernels of poolwise: written as constants they count from the end, as variables they do not."""

from __future__ import annotations

import re
from typing import Any

import numba
import numpy as np
import pytest

from poolwise.compiled import kernel
from poolwise.compiled.indices import Compiler


def constants(a, b, i):
    b[-1, i] = 7.0
    b[i][-2] = 5.0
    b[i - 1, -1] += a[-1]
    return a[-2] + a[i] + b[i, -2]


def sum_from(a, begin, size):
    total = 0.0
    for k in range(size):
        total += a[begin + k]
    return total


def part(a, begin, end):
    some = a[begin:end]
    some[-1] = 3.0
    return some.size


def as_of_poolwise(function: Any) -> Any:
    """Compiled as kernels of poolwise are, and not taken from a cache."""
    return numba.njit(pipeline_class=Compiler, fastmath=True)(function)


@pytest.fixture(params=[as_of_poolwise, kernel], ids=["of poolwise", "of users"])
def compiled(request) -> Any:
    return request.param


def test_constants_count_from_the_end(compiled):
    a, b = np.arange(6.0), np.zeros((4, 5))
    expected = b.copy()
    assert compiled(constants)(a, b, 2) == 4.0 + 2.0 + 5.0
    expected[-1, 2], expected[2, -2], expected[1, -1] = 7.0, 5.0, 5.0
    assert np.array_equal(b, expected)


def test_variables_and_slices(compiled):
    a = np.arange(10.0)
    assert compiled(sum_from)(a, 3, 4) == 3 + 4 + 5 + 6
    assert compiled(part)(a, 2, -1) == 7
    assert a[8] == 3.0


def test_variables_are_not_compared_with_zero():
    code = {}
    for name, made in (("of poolwise", as_of_poolwise(sum_from)), ("usual", numba.njit(fastmath=True)(sum_from))):
        assert made(np.arange(10.0), 3, 4) == 18.0
        code[name] = next(iter(made.inspect_llvm().values()))
    # One by one, or as vectors where the processor has instructions for it.
    with_zero = re.compile(r"icmp slt (?:i64|<[^>]*>) \S+, (?:0|zeroinitializer)\b")
    assert with_zero.search(code["usual"])
    assert not with_zero.search(code["of poolwise"])
    assert "gather" not in code["of poolwise"]


def test_kernels_of_users_count_from_the_end():
    assert kernel(sum_from)(np.arange(10.0), -2, 2) == 8 + 9
