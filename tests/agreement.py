"""Whether two samplers draw from one posterior."""

from __future__ import annotations

import numpy as np
from arviz_stats.base import array_stats


def assert_same_moments(one: np.ndarray, other: np.ndarray, errors: float = 5.0) -> None:
    """Means and squares about them of draws (chains, draws, ...) agree to so many Monte Carlo errors."""
    one, other = (each.reshape(*each.shape[:2], -1) for each in (one, other))
    for k in range(one.shape[2]):
        for power in (1, 2):
            centre = other[..., k].mean()
            moments = [(each[..., k] - centre) ** power for each in (one, other)]
            error = [
                each.std() / np.sqrt(array_stats.ess(each, chain_axis=0, draw_axis=1, method="mean"))
                for each in moments
            ]
            assert abs(moments[0].mean() - moments[1].mean()) < errors * np.hypot(*error)
