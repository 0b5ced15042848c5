"""How log precisions of coefficients follow hyperparameters.

A hyperparameter h is a positive number, x = log h. The log precision of coefficient k has of each

    power x + square h^2,

as for sds, mixing precisions and length scales; and, where a lag M is given, what a wave of a stationary
autoregression with the correlation rho = tanh(x) has:

    log(wave h^2 + (1 - wave) / h^2) - log(1 - s rho^M).

There u_t has the covariances rho^|t - t'| for all |t - t'| <= M. On a circle of 2 M steps these belong to a circulant
matrix, whose eigenvectors are waves of the angles omega = pi j / M, j = 0, ..., M, whatever rho, and whose eigenvalues

    (1 - rho^2) (1 - s rho^M) / (1 - 2 rho cos(omega) + rho^2),    s = (-1)^j,

are positive (Dietrich and Newsam 1997). With wave = sin^2(omega / 2) that is one over the above.
"""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import Matrix

NUMBERS = 4  # power, square, wave, and s M; all zero where a coefficient does not follow a hyperparameter


@kernel
def follow(x: float, follows: Matrix, k: int, m: int) -> tuple[float, float]:
    """What the log precision of the k-th coefficient has of hyperparameter m, and its derivative in x = log h."""
    at = 4 * m
    power, square, wave, lag = follows[k, at], follows[k, at + 1], follows[k, at + 2], follows[k, at + 3]
    value, slope = power * x, power
    if square != 0.0:
        grown = square * math.exp(2.0 * x)
        value += grown
        slope += 2.0 * grown
    if lag != 0.0:
        up, down, steps, odds = wave * math.exp(2.0 * x), (1.0 - wave) * math.exp(-2.0 * x), abs(lag), 0.0
        value += math.log(up + down)
        slope += 2.0 * (up - down) / (up + down)
        small = math.exp(-2.0 * abs(x))
        if small < 1.0:
            sign = 1.0 if (lag > 0.0) != (x < 0.0 and steps % 2.0 == 1.0) else -1.0
            log_share = steps * math.log1p(-2.0 * small / (1.0 + small))  # of |rho|^M
            left = -math.expm1(log_share) if sign > 0.0 else 1.0 + math.exp(log_share)
            value -= math.log(left)
            odds = sign * math.exp(log_share) / left
        if odds != 0.0:
            slope += 2.0 * steps * odds / math.sinh(2.0 * x)
    return value, slope


@kernel
def follows_any(follows: Matrix, k: int, m: int) -> bool:
    """Whether the k-th coefficient follows hyperparameter m."""
    return bool(follows[k, 4 * m] != 0.0 or follows[k, 4 * m + 1] != 0.0 or follows[k, 4 * m + 3] != 0.0)


def follows_of(power: object = 0.0, square: object = 0.0, wave: object = 0.0, lag: object = 0.0) -> np.ndarray:
    """(..., 4) of arrays that broadcast."""
    return np.stack(np.broadcast_arrays(*(np.asarray(one, dtype=float) for one in (power, square, wave, lag))), axis=-1)


def log_precisions(follows: np.ndarray, log_h: np.ndarray) -> np.ndarray:
    """Sums over hyperparameters: follows (p, m, 4) and log h (m, ...) to (p, ...)."""
    x = np.asarray(log_h, dtype=float)
    power, square, wave, lag = follows.transpose(2, 0, 1).reshape(NUMBERS, *follows.shape[:2], *[1] * (x.ndim - 1))
    with np.errstate(all="ignore"):
        found = power * x + np.where(square == 0, 0.0, square * np.exp(2.0 * x))
        small = np.exp(-2.0 * np.abs(x))
        log_share = np.abs(lag) * np.log1p(-2.0 * small / (1.0 + small))
        alike = (lag > 0) != ((x < 0) & (lag % 2 == 1))
        left = np.where(alike, -np.expm1(log_share), 1.0 + np.exp(log_share))
        waves = np.log(wave * np.exp(2.0 * x) + (1.0 - wave) * np.exp(-2.0 * x)) - np.log(left)
    return np.asarray(np.where(lag == 0, found, found + waves).sum(axis=1))
