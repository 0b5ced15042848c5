"""Columns relative to their margins: coordinates that do not depend on where the predictors' zero is.

A column is replaced by what a regression on its margins over all rows leaves of it: a predictor minus its mean, an
interaction minus the parts that its main effects explain, a square minus its tangent. A shift or a change of units of a
predictor leaves the result as it is, up to units. Coefficients of such columns are those "at the centre".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poolwise.density.working_coordinates import gram_root, shifted
from poolwise.statistics.products import CrossProducts

_COLLINEAR = 1e-14  # share of a column's variance below which nothing but rounding is left of it
_DIGITS = 30  # binary digits that are kept of means and slopes: they must not follow the order of the rows


@dataclass(frozen=True, slots=True, eq=False)
class Centring:
    """How columns become columns at the centre.

    Attributes
    ----------
    matrix : (q, q) of determinant one: columns at the centre = columns @ matrix, so coefficients as written =
        matrix @ coefficients at the centre.
    size : (q,) standard deviation over the rows of each column at the centre, zero for a constant one.
    """

    matrix: np.ndarray
    size: np.ndarray

    @property
    def scaled(self) -> np.ndarray:
        """(q, q) the same to columns of standard deviation one; constant ones stay as they are."""
        return self.matrix / np.where(self.size > 0, self.size, 1.0)


def centring(
    columns: np.ndarray, margins: np.ndarray, constants: np.ndarray, blocks: np.ndarray, total: CrossProducts
) -> Centring:
    """Centre columns on their margins.

    Parameters
    ----------
    columns : (1 + K, q) as combinations of [1, W].
    margins : (q, q) whether column j is a margin of column k, at [k, j].
    constants : (q, q) for each column k the combination of columns, at [k], that is the constant one; zeros where
        there is none: then the column is left as it is, since a shift of it would be another model.
    blocks : (q,) only columns of the same block serve each other as margins.
    total : statistics of all rows in one cell.
    """
    mean, covariance = moments(columns, total)
    q = len(mean)
    matrix, size = np.eye(q), np.sqrt(np.diag(covariance))
    for k in range(q):
        if not constants[k].any() or constants[k, k] != 0 or not size[k] > 0:
            continue
        near = np.flatnonzero(margins[k] & (blocks == blocks[k]) & (size > 0))
        slopes, left = np.zeros(len(near)), covariance[k, k]
        if len(near):
            scale = size[near]
            inner = covariance[np.ix_(near, near)] / np.outer(scale, scale)
            slopes = np.linalg.lstsq(inner, covariance[near, k] / scale, rcond=1e-13)[0] / scale
            left = covariance[k, k] - slopes @ covariance[near, k]
            if left <= _COLLINEAR * covariance[k, k]:
                slopes, left = np.zeros(len(near)), covariance[k, k]
            slopes = settled(slopes, math.sqrt(left) / scale)
        matrix[near, k] -= slopes
        matrix[:, k] -= settled(mean[k] - slopes @ mean[near], math.sqrt(left)) * constants[k]
        size[k] = math.sqrt(left)
    return Centring(matrix, settled(size, size))


def moments(columns: np.ndarray, total: CrossProducts) -> tuple[np.ndarray, np.ndarray]:
    """Mean (q,) and covariance (q, q) over the rows of columns (1 + K, q).

    Weighted sums of squares are divided by the number of rows times the geometric mean of the weights: one huge weight
    must not make the spread of all other rows look like nothing.
    """
    mean = columns[0] + (total.means[0] + total.origin)[:-1] @ columns[1:]
    covariance = columns[1:].T @ total.scatter[0][:-1, :-1] @ columns[1:] / total.typical_weight
    return mean, covariance


def column_sizes(columns: np.ndarray, total: CrossProducts) -> np.ndarray:
    """(q,) size of columns (1 + K, q) beside a residual of a row of weight one: root mean square times root weight."""
    mean, covariance = moments(columns, total)
    square = np.square(mean) + np.diag(covariance)
    return np.sqrt(np.where(square > 0, square, 1.0) * total.typical_weight / max(float(total.counts[0]), 1e-300))


def settled(values: np.ndarray | float, scale: np.ndarray | float, digits: int = _DIGITS) -> np.ndarray:
    """Values rounded to some binary digits relative to a scale: sums in another order give the same ones."""
    scale = np.abs(scale)
    step = np.exp2(np.floor(np.log2(np.where(scale > 0, scale, 1.0))) - digits)
    return np.where(scale > 0, np.round(values / step) * step, values)


def constant_direction(columns: np.ndarray, total: CrossProducts) -> np.ndarray:
    """(q,) a with columns @ a = 1: an intercept, or columns that add up to one as cell means do; else zeros."""
    q = columns.shape[1]
    plain = np.flatnonzero((columns[0] == 1) & ~columns[1:].any(axis=0))
    if len(plain):
        return np.eye(q)[plain[0]]
    if not q:
        return np.zeros(q)
    root = gram_root(total)[:, :-1]
    image, target = root @ shifted(columns, total.origin[:-1]), root[:, 0]
    weights = np.linalg.lstsq(image, target, rcond=None)[0]
    missed = np.linalg.norm(image @ weights - target) > 1e-8 * np.linalg.norm(target)
    return np.zeros(q) if missed else np.where(np.abs(weights) < 1e-8, 0.0, settled(weights, 1.0))
