"""The one place that says how kernels are compiled."""

from __future__ import annotations

from typing import Any

import numba
from numba.core import cgutils, types
from numba.extending import intrinsic

_COMMON = {"nogil": True, "cache": True, "error_model": "numpy"}
# Reassociation lets sums be vectorised. `nnan` and `ninf` stay out: a density must be able to say "not finite".
_FAST = {"reassoc", "contract", "arcp", "nsz"}

kernel = numba.njit(**_COMMON, fastmath=_FAST)
# For short loops over lanes: an array passed to a call that is not inlined is a dozen words on the stack.
lane = numba.njit(**_COMMON, fastmath=_FAST, forceinline=True)
# For sums whose digits hang on the order of operations, as first - origin does where both are large.
exact_kernel = numba.njit(**_COMMON, fastmath={"contract"})

# Of a log density for C: dimension, point, gradient, value, words; the answer is zero where all is finite.
DENSITY_SIGNATURE = types.int64(types.uint64, *([types.CPointer(types.double)] * 3), types.voidptr)


@intrinsic
def pointer(typing_context: Any, address: Any) -> Any:
    """An integer address as a void pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate
