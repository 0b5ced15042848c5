"""The latent density as a C function for samplers in another language."""

from __future__ import annotations

import numba
import numpy as np

from poolwise.compiled import DENSITY_SIGNATURE, callback
from poolwise.density.latent.kernels import value_and_gradient
from poolwise.density.latent.problem import ARRAYS


@callback(DENSITY_SIGNATURE)
def latent_callback(dimension, point, gradient, value, words):
    """Value and gradient at a point; a non-zero answer means that the density is not finite there."""
    slope = numba.carray(gradient, (dimension,))
    said = numba.carray(words, (3 * ARRAYS,), np.int64)
    result = value_and_gradient(numba.carray(point, (dimension,)), said, slope)
    numba.carray(value, (1,))[0] = result
    return 0 if np.isfinite(result) and np.all(np.isfinite(slope)) else 4
