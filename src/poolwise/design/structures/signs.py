"""Signs of singular and eigenvectors, which algorithms leave to rounding."""

from __future__ import annotations

import numpy as np


def signs(vectors: np.ndarray) -> np.ndarray:
    """(m,) 1 or -1 for each column of (n, m), so that its first entry near the largest in size is positive.

    Near, as odd functions of evenly spaced values have two largest entries of opposite sign, and which is larger would
    be rounding: another order of rows, other draws.
    """
    size = np.abs(vectors)
    first = (size >= 0.99 * size.max(axis=0)).argmax(axis=0)
    return np.where(vectors[first, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
