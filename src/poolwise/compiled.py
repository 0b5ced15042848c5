"""The one place that says how kernels are compiled."""

from __future__ import annotations

import numba

# Reassociation lets sums be vectorised. `nnan` and `ninf` stay out: a density must be able to say "not finite".
kernel = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"})
