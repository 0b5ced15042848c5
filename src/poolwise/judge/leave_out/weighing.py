"""From densities given theta to a density: an average over theta, by importance weights where theta saw too much."""

from __future__ import annotations

import numpy as np


def average(log_density: np.ndarray) -> np.ndarray:
    """log of the mean of densities given draws of theta that have not seen the unit, (m, n) to (n,)."""
    top = log_density.max(axis=0)
    return top + np.log(np.mean(np.exp(log_density - top), axis=0))


def left_out(log_density: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same for draws that have seen it: log densities (n,), weights of the draws (m, n), and Pareto k-hat (n,).

    p(theta | the rest) is proportional to p(theta | all) / p(unit | the rest, theta), so draws are weighed by the
    reciprocal of the density, smoothed (Vehtari, Simpson, Gelman, Yao and Gabry 2024).
    """
    from arviz_stats.base import array_stats

    smoothed, shapes = array_stats.psislw(np.ascontiguousarray(log_density.T), axis=-1)
    log_weights = smoothed.T - smoothed.T.max(axis=0)
    weights = np.exp(log_weights)
    weights /= weights.sum(axis=0)
    top = log_density.max(axis=0)
    return top + np.log(np.sum(weights * np.exp(log_density - top), axis=0)), weights, np.asarray(shapes, dtype=float)
