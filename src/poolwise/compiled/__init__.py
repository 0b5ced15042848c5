"""What authors of kernels use: decorators, and what only exists inside of kernels.

A kernel is a function of arrays and numbers that runs as machine code. Kernels that Python calls state the types of
their arguments (`types.py`); kernels that only other kernels call need not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from poolwise.compiled.deferred import Deferred
from poolwise.compiled.kernels import Callback, Kernel

# Reassociation lets sums be vectorised. `nnan` and `ninf` stay out: a density must be able to say "not finite".
_FAST = frozenset({"reassoc", "contract", "arcp", "nsz"})


def kernel(function: Callable[..., Any]) -> Kernel:
    """Compile a function whose sums may be reordered."""
    return Kernel(function, _FAST)


def lane(function: Callable[..., Any]) -> Kernel:
    """Compile a short loop over lanes, always inlined: an array passed in a call is a dozen words on the stack."""
    return Kernel(function, _FAST, inline=True)


def exact_kernel(function: Callable[..., Any]) -> Kernel:
    """Compile a function whose digits depend on the order of operations, as first - origin does where both are large.

    Callees take over their caller's fast-math flags unless they have their own.
    """
    return Kernel(function, frozenset({"contract"}))


def callback(signature: str) -> Callable[[Callable[..., Any]], Callback]:
    """Compile a function for callers in other languages; its `address` is what they call.

    Parameters
    ----------
    signature : as numba writes it, of numbers and pointers: `float64(int64, voidptr)`.
    """
    return lambda function: Callback(function, signature)


# Of a log density: dimension, point, gradient, value, words; the answer is zero where all is finite.
DENSITY_SIGNATURE = "int64(uint64, CPointer(double), CPointer(double), CPointer(double), voidptr)"


def intrinsic(function: Callable[..., Any]) -> Deferred:
    """A function that writes LLVM instructions, as `numba.extending.intrinsic`."""

    def make() -> Any:
        from numba.extending import intrinsic

        return intrinsic(function)

    return Deferred(make)


def _carray() -> Any:
    from numba import carray

    return carray


carray = Deferred(_carray)  # carray(pointer, shape, dtype): the array that lies at an address


@intrinsic
def pointer(typing_context: Any, address: Any) -> Any:
    """An integer address as a void pointer."""
    from numba.core import cgutils, types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate
