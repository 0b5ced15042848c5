"""Packed Cholesky factors of covariances in terms of log standard deviations and partial correlations.

PyMC samples the rows of the factor as they are, the diagonal in logs. There the density has no bound: of a standard
deviation s of row k, k numbers go to zero with s, and the density is like s^(1 - k), although no mass is near zero. In
terms of log s and of canonical partial correlations tanh(z) (Lewandowski, Kurowicka and Joe 2009) it is bounded, and
its contours are nearly elliptic. A row of the factor is s w, where w has length one:

    w_1 = tanh(z_1),  w_j = tanh(z_j) prod_{m < j} sech(z_m),  and last  prod_m sech(z_m).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Where numbers of a factor stand.

    Attributes
    ----------
    diagonal : (q,) places of log standard deviations, and of PyMC's logs of the diagonal.
    own : (K,) place of the diagonal in the row of each number.
    before : (K, K) whether the first stands before the second in a row.
    of_sd, of_sech : (q,) and (K,) powers of each standard deviation and of each sech(z) in the Jacobian.
    """

    diagonal: np.ndarray
    own: np.ndarray
    before: np.ndarray
    of_sd: np.ndarray
    of_sech: np.ndarray


@cache
def _places(size: int) -> _Places:
    order = round((math.sqrt(8 * size + 1) - 1) / 2)
    row, column = np.tril_indices(order)
    before = (row[:, None] == row) & (column[:, None] < column)
    last = np.flatnonzero(row == column)
    # Of row k, from z and log s to w and log w_(k+1) s: s^k, and sech(z_m) once for each z after z_m.
    return _Places(
        last, last[row], before.astype(float), np.arange(order), np.where(row == column, 0, row - 1 - column)
    )


def diagonal(size: int) -> np.ndarray:
    """Places of the diagonal of so many numbers, which are those of log standard deviations too."""
    return _places(size).diagonal


def packed(points: np.ndarray) -> np.ndarray:
    """(m, K) each row's z and log s, to PyMC's values (m, K)."""
    at = _places(points.shape[1])
    logs = _log_sech(points, at) @ at.before + points[:, at.own]
    found = np.tanh(points) * np.exp(logs)
    found[:, at.diagonal] = logs[:, at.diagonal]
    return np.asarray(found)


def unpacked(values: np.ndarray) -> np.ndarray:
    """The inverse of `packed`."""
    at = _places(values.shape[1])
    rows = values.copy()
    rows[:, at.diagonal] = np.exp(rows[:, at.diagonal])
    after = np.sqrt(np.square(rows) @ at.before.T)
    length = np.sqrt(np.square(rows[:, at.diagonal]) + np.square(rows) @ at.before[:, at.diagonal])
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing is after the diagonal
        found = np.arcsinh(rows / after)
    found[:, at.diagonal] = np.log(length)
    return np.asarray(found)


def log_jacobian(points: np.ndarray) -> np.ndarray:
    """(m,) log of the determinant of the derivative of `packed`."""
    at = _places(points.shape[1])
    return np.asarray(points[:, at.diagonal] @ at.of_sd + _log_sech(points, at) @ at.of_sech)


def _log_sech(points: np.ndarray, at: _Places) -> np.ndarray:
    """(m, K) of each z, zero for what is none."""
    away = np.abs(points)
    found = math.log(2.0) - away - np.log1p(np.exp(-2.0 * away))
    found[:, at.diagonal] = 0.0
    return np.asarray(found)
