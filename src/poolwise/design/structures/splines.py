"""Smooth functions of one variable, as in mgcv: thin-plate, cubic and cyclic cubic regression splines.

A spline with coefficients c and penalty c' S c is a mixed model (Wood 2017, section 5.8): the null space of S gives
columns of their own, and in the others, turned and scaled so that S is the identity, coefficients are independent with
one standard deviation. Here columns are turned once more so that they are orthogonal over the rows (Demmler and Reinsch
1975), and scaled so that the sd is that of the curve around its straight line, over the rows of the data.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from poolwise.design.structures.cubic import Cubics
from poolwise.design.structures.signs import signs
from poolwise.support.errors import FormulaError

MOST_KNOTS = 500  # of a thin-plate spline: quantiles stand for more distinct values


def thin_plate(distinct: np.ndarray, k: int) -> tuple[Cubics, np.ndarray]:
    """The k - 2 penalised functions of a thin-plate regression spline (Wood 2003), and a root of their penalty.

    With E_ij = |x_i - x_j|^3 / 12 the spline is E d + a + b x, where d is orthogonal to constant and line and has the
    penalty d' E d. Of E the k largest eigenvalues are kept.
    """
    knots = _thinned(distinct, MOST_KNOTS)
    apart = knots[:, None] - knots
    values, vectors = np.linalg.eigh(np.abs(apart) ** 3 / 12)
    kept = np.argsort(-np.abs(values), kind="stable")[:k]
    vectors, values = vectors[:, kept], values[kept]
    line = np.column_stack([np.ones(len(knots)), knots])
    allowed = np.linalg.qr(vectors.T @ line, mode="complete")[0][:, 2:]
    weights = vectors @ allowed
    of_values, of_slopes = np.abs(apart) ** 3 / 12, apart * np.abs(apart) / 4
    squares, turned = np.linalg.eigh(allowed.T @ (values[:, None] * allowed))
    kept = squares > 1e-14 * squares[-1]  # the others are rounding: all are positive
    root = np.sqrt(squares[kept])[:, None] * turned[:, kept].T
    return Cubics.through(knots, of_values @ weights, of_slopes @ weights), root


def cubic(distinct: np.ndarray, k: int) -> tuple[Cubics, np.ndarray]:
    """A natural cubic spline through values at k knots, at quantiles of the distinct values, with the penalty of the
    integral of its squared second derivative (Wood 2017, section 5.3.1), by a root of it."""
    knots = _thinned(distinct, k)
    h = np.diff(knots)
    inner = np.arange(k - 2)
    second, band = np.zeros((k - 2, k)), np.zeros((k - 2, k - 2))
    second[inner, inner], second[inner, inner + 2] = 1 / h[:-1], 1 / h[1:]
    second[inner, inner + 1] = -1 / h[:-1] - 1 / h[1:]
    band[inner, inner] = (h[:-1] + h[1:]) / 3
    band[inner[:-1], inner[1:]] = band[inner[1:], inner[:-1]] = h[1:-1] / 6
    bends = np.zeros((k, k))  # second derivatives at the knots
    bends[1:-1] = np.linalg.solve(band, second)
    root = np.linalg.solve(np.linalg.cholesky(band), second)
    return Cubics.through(knots, np.eye(k), _slopes(knots, np.eye(k), bends)), root


def cyclic(distinct: np.ndarray, k: int, period: float | None = None) -> tuple[Cubics, np.ndarray]:
    """A cubic spline that repeats after its period, the range of the values without one (Wood 2017, 5.3.2)."""
    knots = _thinned(distinct, k)
    if period is not None:
        knots = distinct[0] + period * np.arange(k) / (k - 1)
    h, n = np.diff(knots), k - 1
    second, band = np.zeros((n, n)), np.zeros((n, n))
    for i in range(n):
        before, after = (i - 1) % n, (i + 1) % n
        left, right = h[before], h[i]
        second[i, i] -= 1 / left + 1 / right
        second[i, before] += 1 / left
        second[i, after] += 1 / right
        band[i, i] += (left + right) / 3
        band[i, before] += left / 6
        band[i, after] += right / 6
    bends = np.linalg.solve(band, second)
    around = np.arange(k) % n  # the last knot is the first one
    values = np.eye(n)[around]
    slopes = _slopes(knots, values, bends[around])
    root = np.linalg.solve(np.linalg.cholesky(band), second)
    return Cubics.through(knots, values, slopes, cyclic=True), root


Basis = Callable[..., tuple[Cubics, np.ndarray]]  # functions, and a root of their penalty
BASES: dict[str, tuple[Basis, int]] = {"tp": (thin_plate, 2), "cr": (cubic, 2), "cc": (cyclic, 1)}  # and null spaces


def mixed_model_columns(cubics: Cubics, root: np.ndarray, x: np.ndarray, weights: np.ndarray, null: int) -> Cubics:
    """The penalised functions, with an identity for their penalty up to scale.

    The penalty is root' root. Its null space is known by its dimension, and not by small eigenvalues: where knots lie
    unevenly these belong to the smoothest functions, which are cheap but not free.

    Parameters
    ----------
    root : (r, m).
    x, weights : (n,) distinct values of the rows and how many rows have each.
    null : 2 where straight lines have columns of their own, 1 where constants have.
    """
    _, sizes, vectors = np.linalg.svd(root, full_matrices=False)
    rank = min(len(sizes), root.shape[1] - 1) if null == 1 else len(sizes)
    cubics = cubics.combined(vectors[:rank].T / sizes[:rank])
    share = np.sqrt(weights / weights.sum())
    lines = np.column_stack([np.ones(len(x)), x])[:, :null]
    columns = cubics(x)
    straight = np.linalg.lstsq(share[:, None] * lines, share[:, None] * columns, rcond=None)[0]
    if null == 1:
        straight = np.vstack([straight, np.zeros_like(straight)])
    cubics = cubics.plus(-straight[0], -straight[1])
    left, sizes, turned = np.linalg.svd(share[:, None] * cubics(x), full_matrices=False)
    return cubics.combined(turned.T * signs(left) / np.sqrt(np.square(sizes).sum()))


def _slopes(knots: np.ndarray, values: np.ndarray, bends: np.ndarray) -> np.ndarray:
    """Slopes (n, m) at the knots of cubics with values and second derivatives (n, m) there."""
    h = np.diff(knots)[:, None]
    rise = np.diff(values, axis=0) / h
    left = rise - h * (2 * bends[:-1] + bends[1:]) / 6
    last = rise[-1] + h[-1] * (bends[-2] + 2 * bends[-1]) / 6
    return np.vstack([left, last])


def _thinned(distinct: np.ndarray, most: int) -> np.ndarray:
    """Distinct values, or so many quantiles of them, the ends included."""
    if len(distinct) <= most:
        return distinct
    return np.asarray(np.quantile(distinct, np.linspace(0, 1, most)))


def check_distinct(text: str, distinct: np.ndarray, k: int, least: int) -> None:
    """Refuse a spline of so many functions on so few values.

    Raises
    ------
    FormulaError : what would be possible.
    """
    if k < least:
        raise FormulaError(f"k={k} of '{text}' is too small: a spline of this kind has at least {least}.")
    if len(distinct) < k:
        enough = f" Write k={len(distinct)} or less." if len(distinct) >= least else " Take it as it is, or as C(...)."
        raise FormulaError(f"'{text}' has {len(distinct)} distinct values, fewer than its k={k}.{enough}")
