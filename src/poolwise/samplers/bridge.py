"""The integral of a density from draws of it and a normal distribution around them: bridge sampling.

Meng and Wong (1996), with the error of Fruehwirth-Schnatter (2004, equation 16). It does not know what the draws were
proposed from, so it is a check of an integral that was estimated from the weights of proposals.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

_ITERATIONS = 30


def bridge(
    points: np.ndarray,
    values: np.ndarray,
    log_density: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
    count: int,
) -> tuple[float, float]:
    """Log of the integral and its standard error.

    Parameters
    ----------
    points, values : (n, d) independent draws, or nearly so, and their log densities (n,).
    log_density : (m, d) to (m,).
    count : number of evaluations, m.
    """
    half, d = len(points) // 2, points.shape[1]
    mean = points[:half].mean(axis=0)
    scatter = np.cov(points[:half].T).reshape(d, d)
    try:
        root = np.linalg.cholesky(scatter)
    except np.linalg.LinAlgError:
        return math.nan, math.inf
    volume = float(np.log(np.diag(root)).sum()) + 0.5 * d * math.log(2 * math.pi)

    def log_normal(at: np.ndarray) -> np.ndarray:
        return -0.5 * np.square(np.linalg.solve(root, (at - mean).T)).sum(axis=0) - volume

    fresh = mean + rng.standard_normal((count, d)) @ root.T
    of_draws = values[half:] - log_normal(points[half:])
    of_fresh = log_density(fresh) - log_normal(fresh)
    of_fresh = np.where(np.isfinite(of_fresh), of_fresh, -np.inf)
    with np.errstate(all="ignore"):
        found, error = _ratio(of_draws, of_fresh)
    return (found, error) if math.isfinite(error) else (math.nan, math.inf)


def _ratio(of_draws: np.ndarray, of_fresh: np.ndarray) -> tuple[float, float]:
    """Log ratio of integrals from log ratios of densities at draws of each, and its standard error."""
    top = float(np.median(of_draws))
    one, two = np.exp(of_draws - top), np.exp(of_fresh - top)
    share = len(one) / (len(one) + len(two))
    ratio = 1.0
    for _ in range(_ITERATIONS):
        of_upper = two / (share * two + (1 - share) * ratio)
        of_lower = 1.0 / (share * one + (1 - share) * ratio)
        ratio = float(np.mean(of_upper) / np.mean(of_lower))
    error = np.var(of_upper) / np.mean(of_upper) ** 2 / len(two) + np.var(of_lower) / np.mean(of_lower) ** 2 / len(one)
    return top + float(np.log(ratio)), float(np.sqrt(error))
