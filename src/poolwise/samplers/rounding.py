"""Numbers without their last digits: these follow the order and units of data, and draws must not."""

from __future__ import annotations

import numpy as np


def rounded(values: np.ndarray, scale: np.ndarray | float, digits: int) -> np.ndarray:
    """Values to so many binary digits of a scale."""
    step = np.exp2(np.floor(np.log2(scale)) - digits)
    return np.asarray(np.round(values / step) * step)


def rounded_root(root: np.ndarray, digits: int) -> np.ndarray:
    """A lower triangular root (d, d), each row to so many digits of its diagonal."""
    return np.tril(rounded(root, np.diag(root)[:, None], digits))
