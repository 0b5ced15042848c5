"""Plain oracles: dense matrices, extended precision, no algebra."""

from __future__ import annotations

import math

import numpy as np


def cholesky(matrix: np.ndarray) -> np.ndarray:
    """Lower Cholesky factor in the precision of `matrix` (longdouble included)."""
    size = len(matrix)
    factor = np.zeros_like(matrix)
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i, j] - factor[i, :j] @ factor[j, :j]
            factor[i, j] = np.sqrt(rest) if i == j else rest / factor[j, j]
    return factor


def log_normal(y: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """Log density of a multivariate normal."""
    factor = cholesky(covariance.astype(np.longdouble))
    rest = (y - mean).astype(np.longdouble).copy()
    for i in range(len(rest)):
        rest[i] = (rest[i] - factor[i, :i] @ rest[:i]) / factor[i, i]
    return float(-0.5 * rest @ rest - np.log(np.diag(factor)).sum() - 0.5 * len(y) * math.log(2 * math.pi))


def marginal(y, x, mean, covariance, group_terms, noise) -> float:
    """log N(y; X m, X S X' + sum_f Z_f G_f Z_f' + diag(noise)), as the textbook writes it.

    `group_terms` are effect columns Z (n, q), group codes (n,), covariance G (q, q) of the effects, and that of levels
    (J, J).
    """
    y, x = (np.asarray(array, dtype=np.longdouble) for array in (y, x))
    total = x @ covariance @ x.T + np.diag(noise)
    for z, codes, between, levels in group_terms:
        z = np.asarray(z, dtype=np.longdouble)
        total = total + levels[np.ix_(codes, codes)] * (z @ between @ z.T)
    return log_normal(y, x @ np.asarray(mean, dtype=np.longdouble), total)
