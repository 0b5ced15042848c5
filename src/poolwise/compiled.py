"""The one place that says how kernels are compiled."""

from __future__ import annotations

import numba

_COMMON = {"nogil": True, "cache": True, "error_model": "numpy"}
# Reassociation lets sums be vectorised. `nnan` and `ninf` stay out: a density must be able to say "not finite".
_FAST = {"reassoc", "contract", "arcp", "nsz"}

kernel = numba.njit(**_COMMON, fastmath=_FAST)
# For short loops over lanes: an array passed to a call that is not inlined is a dozen words on the stack.
lane = numba.njit(**_COMMON, fastmath=_FAST, forceinline=True)
# For sums whose digits hang on the order of operations, as first - origin does where both are large.
exact_kernel = numba.njit(**_COMMON, fastmath={"contract"})
