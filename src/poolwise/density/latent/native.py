"""The latent density as a C function for samplers in another language."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import DENSITY_SIGNATURE, callback, carray
from poolwise.density.latent.kernels import value_and_gradient
from poolwise.density.latent.problem import ARRAYS


@callback(DENSITY_SIGNATURE)
def latent_callback(dimension, point, gradient, value, words):
    """Value and gradient at a point; a non-zero answer means that the density is not finite there."""
    slope = carray(gradient, (dimension,))
    said = carray(words, (3 * ARRAYS,), np.int64)
    result = value_and_gradient(carray(point, (dimension,)), said, slope)
    carray(value, (1,))[0] = result
    return 0 if np.isfinite(result) and np.all(np.isfinite(slope)) else 4
