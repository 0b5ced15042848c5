"""The one place that says how kernels are compiled."""

from __future__ import annotations

import numba

# Reassociation lets sums be vectorised. `nnan` and `ninf` stay out: a density must be able to say "not finite".
_FLAGS = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "arcp", "nsz"}}
kernel = numba.njit(**_FLAGS)
# For short loops over lanes: an array passed to a call that is not inlined is a dozen words on the stack.
lane = numba.njit(**_FLAGS, forceinline=True)
