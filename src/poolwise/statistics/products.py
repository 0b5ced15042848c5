"""The sufficient statistics of a Gaussian regression, cell by cell, centred so that no digits are lost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from poolwise.design.combinations import cells_of
from poolwise.design.encoding import codes_of
from poolwise.design.factors import Cells
from poolwise.design.levels import label_codes
from poolwise.support.errors import DataError

_STRANGE = 1e-9  # of what was there before a subtraction: no rounding leaves so much
_ROUNDING = 1e-13  # of it, at the least; sums of many rows are off by more
_HARM = 1e-4  # of a column's variance, that what is lost of digits may be within a cell


@dataclass(frozen=True, slots=True, eq=False)
class CrossProducts:
    """Counts, means and centred cross-products of the design's columns and the outcome in each cell.

    A cell is a combination of labels of all grouping columns; with one grouping column, a group.

    Attributes
    ----------
    columns : (K,) names; the last one is the outcome. The constant column is not among them: `weights` is its sum.
    cells : for each grouping column, the label (C,) in each cell; nothing without groups, when there is one cell.
    counts : (C,) number of rows, zero for a cell without rows.
    weights : (C,) sum of the rows' weights; the counts where every row weighs one.
    origin : (K,) a rough centre; `means` are relative to it, so a mean near 1e9 keeps all its digits.
    means : (C, K) weighted mean of each column within each cell, minus `origin`; zero for an empty cell.
    scatter : (C, K, K) weighted sums of products of deviations from the cell's own mean.
    log_weights : (C,) sum of the logs of the rows' weights.

    Statistics of disjoint sets of rows add up, by the pairwise update of Chan, Golub and LeVeque (1983), and subtract.
    """

    columns: tuple[str, ...]
    cells: Cells
    counts: np.ndarray
    weights: np.ndarray
    origin: np.ndarray
    means: np.ndarray
    scatter: np.ndarray
    log_weights: np.ndarray

    @property
    def rows(self) -> int:
        """Number of rows behind the statistics."""
        return int(self.counts.sum())

    @property
    def typical_weight(self) -> float:
        """The number of rows times the geometric mean of their weights, which one huge weight does not move."""
        rows = max(float(self.counts.sum()), 1e-300)
        return rows * math.exp(float(self.log_weights.sum()) / rows)

    def label(self, cell: int) -> str:
        """A cell by its labels, for messages."""
        return ":".join(str(column[cell]) for column in self.cells) or "all rows"

    def __add__(self, other: CrossProducts) -> CrossProducts:
        """Statistics of both sets of rows, with the cells of either."""
        one, other = self._with_same_cells(other)
        return one._combine(other, 1.0)

    def __sub__(self, other: CrossProducts) -> CrossProducts:
        """Statistics of the rows that are in `self` but not in `other`, which must be a subset of them.

        The origin of a column that is constant in what is left is its value.
        """
        one, other = self._with_same_cells(other)
        left = one._combine(other, -1.0)
        _check_remainder(left, one, other)
        return _without_rounding(left, one)

    def _with_same_cells(self, other: CrossProducts) -> tuple[CrossProducts, CrossProducts]:
        if self.columns != other.columns:
            raise DataError(f"Statistics of different columns cannot be combined: {_difference(self, other)}.")
        if same_cells(self.cells, other.cells):
            return self, other
        cells = union_of_cells(self.cells, other.cells)
        return self.aligned(cells), other.aligned(cells)

    def _combine(self, other: CrossProducts, sign: float) -> CrossProducts:
        counts = self.counts + sign * other.counts
        weights = np.where(counts > 0, self.weights + sign * other.weights, 0.0)
        share = np.divide(sign * other.weights, weights, out=np.zeros_like(weights), where=weights > 0)
        # Relative to our origin; the difference of the origins is exact where they are equal.
        step = other.means + (other.origin - self.origin) - self.means
        means = np.where((counts > 0)[:, None], self.means + share[:, None] * step, 0.0)
        between = (self.weights * share)[:, None, None] * (step[:, :, None] * step[:, None, :])
        scatter = self.scatter + sign * other.scatter + between
        scatter[counts == 0] = 0.0
        log_weights = np.where(counts > 0, self.log_weights + sign * other.log_weights, 0.0)
        return CrossProducts(self.columns, self.cells, counts, weights, self.origin, means, scatter, log_weights)

    def aligned(self, cells: Cells) -> CrossProducts:
        """The same statistics for cells that hold all of ours; the others are empty."""
        places = codes_of(cells, list(self.cells))
        width, count = len(self.columns), len(cells[0])
        counts, weights, logs = np.zeros(count), np.zeros(count), np.zeros(count)
        means, scatter = np.zeros((count, width)), np.zeros((count, width, width))
        counts[places], weights[places], logs[places] = self.counts, self.weights, self.log_weights
        means[places], scatter[places] = self.means, self.scatter
        return CrossProducts(self.columns, cells, counts, weights, self.origin, means, scatter, logs)

    def coarser(self, codes: np.ndarray, cells: Cells) -> CrossProducts:
        """The same rows in fewer cells: `codes` (C,) says in which of `cells` each of ours is; some may stay empty."""
        from scipy.sparse import csr_array

        count, width, ours = len(cells[0]) if cells else 1, len(self.columns), np.arange(len(codes))
        within = csr_array((np.ones(len(codes)), (codes, ours)), (count, len(codes)))
        counts, logs = np.zeros(count, self.counts.dtype), within @ self.log_weights
        np.add.at(counts, codes, self.counts)
        weights = within @ self.weights
        means = within @ (self.weights[:, None] * self.means) / np.where(weights > 0, weights, 1.0)[:, None]
        apart = self.means - means[codes]
        between = self.weights[:, None, None] * (apart[:, :, None] * apart[:, None, :])
        scatter = (within @ (self.scatter + between).reshape(len(codes), width**2)).reshape(count, width, width)
        return CrossProducts(self.columns, cells, counts, weights, self.origin, means, scatter, logs)

    def merged(self) -> CrossProducts:
        """The same rows as one single cell."""
        total = self.weights.sum()
        mean = self.weights @ self.means / (total if total > 0 else 1.0)
        deviations = self.means - mean
        scatter = self.scatter.sum(axis=0) + (deviations * self.weights[:, None]).T @ deviations
        counts, weights, logs = (np.array([each.sum()]) for each in (self.counts, self.weights, self.log_weights))
        return CrossProducts(self.columns, (), counts, weights, self.origin, mean[None], scatter[None], logs)

    def counted(self) -> CrossProducts:
        """The same rows where a weight is a number of equal rows, and not a precision."""
        return replace(self, counts=self.weights, log_weights=np.zeros_like(self.weights))

    def take(self, cells: np.ndarray) -> CrossProducts:
        """The statistics of the cells at these positions."""
        return CrossProducts(
            self.columns,
            tuple(column[cells] for column in self.cells),
            self.counts[cells],
            self.weights[cells],
            self.origin,
            self.means[cells],
            self.scatter[cells],
            self.log_weights[cells],
        )


def same_cells(one: Cells, other: Cells) -> bool:
    """Whether two sets of cells are equal, order included."""
    return all(np.array_equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def union_of_cells(one: Cells, other: Cells) -> Cells:
    """Combinations of labels of either, in the order of the columns.

    Raises
    ------
    DataError : when one has numbers and the other text.
    """
    import pandas as pd

    codes, levels = [], []
    for mine, theirs in zip(one, other, strict=True):
        if (mine.dtype.kind in "OUS") != (theirs.dtype.kind in "OUS"):
            raise DataError(f"Groups have labels of different kinds, such as {mine[0]!r} and {theirs[0]!r}.")
        both, distinct = label_codes(np.asarray(pd.Index(mine).append(pd.Index(theirs))))
        codes.append(both)
        levels.append(distinct)
    combinations, _ = cells_of(codes)
    return tuple(labels[combinations[:, k]] for k, labels in enumerate(levels))


def _difference(one: CrossProducts, other: CrossProducts) -> str:
    mine = [name for name in one.columns if name not in other.columns]
    theirs = [name for name in other.columns if name not in one.columns]
    said = [f"only one has {', '.join(names)}" for names in (mine, theirs) if names]
    return "; ".join(said) or "their order differs"


def _check_remainder(rest: CrossProducts, minuend: CrossProducts, taken: CrossProducts) -> None:
    """Refuse a subtraction of rows that were never part of the minuend, as far as statistics tell.

    They tell where fewer rows than none are left, where rows are left and no weight or negative squares, and where no
    rows are left and yet something of their sums.
    """
    left, before = np.einsum("jkk->jk", rest.scatter), np.einsum("jkk->jk", minuend.scatter)
    size = _size(minuend)
    whole = minuend.weights[:, None] * size**2
    negative = left < -_STRANGE * before - _rounding(minuend) * whole
    wrong = (rest.counts < 0) | negative.any(axis=1) | ((rest.counts > 0) & (rest.weights <= 0))
    apart = np.abs(taken.means + (taken.origin - minuend.origin) - minuend.means)
    squares = np.abs(np.einsum("jkk->jk", taken.scatter) - before)
    others = (apart > _STRANGE * size).any(axis=1) | (squares > _STRANGE * whole).any(axis=1)
    others |= np.abs(taken.weights - minuend.weights) > _STRANGE * minuend.weights
    wrong |= (rest.counts == 0) & (minuend.counts > 0) & others
    if wrong.any():
        raise DataError(
            "Cannot take away rows that are not part of these statistics: "
            f"see group '{rest.label(int(np.argmax(wrong)))}'."
        )


def _without_rounding(rest: CrossProducts, minuend: CrossProducts) -> CrossProducts:
    """The remainder without what a subtraction leaves at the level of rounding.

    A column that is constant within a cell has no scatter there; one whose constants differ by rounding alone is
    constant in all rows, with its value as the origin. Such a column, of a category that no row has any more, would
    pass for one that varies by 1e-17, and its default prior would be as wide as the inverse.

    Raises
    ------
    DataError : where digits are lost of a column that is not constant.
    """
    left, before = np.einsum("jkk->jk", rest.scatter), np.einsum("jkk->jk", minuend.scatter)
    rounding, used = _rounding(minuend), rest.counts > 0
    constant = left <= rounding * before
    scatter = np.where(constant[:, :, None] | constant[:, None, :], 0.0, rest.scatter)
    means, origin = rest.means.copy(), rest.origin.copy()
    if used.any():
        grown = minuend.weights[used] / rest.weights[used]  # errors, as what is left weighs less
        noise = rounding[used] * grown[:, None] * _size(minuend)[used]
        best, columns = np.argmin(noise, axis=0), np.arange(len(origin))
        value, least = means[used][best, columns], noise[best, columns]
        same = constant[used].all(axis=0) & (np.abs(means[used] - value) <= noise + least).all(axis=0)
        _check_digits(rest, rounding * before, same)
        whole = origin + value
        whole[np.abs(whole) <= least + _ROUNDING * np.abs(origin)] = 0.0
        origin[same], means[:, same] = whole[same], 0.0
    return replace(rest, origin=origin, means=means, scatter=scatter)


def _check_digits(rest: CrossProducts, lost: np.ndarray, constant: np.ndarray) -> None:
    """Refuse a remainder in which a cell has lost much of its sums of squares (C, K) beside a column's variance; of
    columns that are constant (K,) there is none."""
    variance = np.diag(rest.merged().scatter[0]) / max(float(rest.weights.sum()), 1e-300)
    weights = np.maximum(rest.weights, 1e-300)[:, None]
    wrong = (lost > _HARM * weights * np.maximum(variance, 0.0)) & (rest.counts > 1)[:, None] & ~constant
    if wrong.any():
        cell, column = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        raise DataError(
            f"Nothing certain is left of the spread of '{rest.columns[int(column)]}' in group "
            f"'{rest.label(int(cell))}': what was taken away is so much larger that the rest has lost its digits. "
            "Reduce the remaining rows anew."
        )


def _rounding(products: CrossProducts) -> np.ndarray:
    """(C, 1) relative error of sums over the rows of a cell: as large as adding them one by one makes it, and less than
    a single row among them would change."""
    counts = np.maximum(products.counts, 1.0)
    error = np.minimum(4.0 * np.finfo(float).eps * counts, 0.01 / counts)
    return np.maximum(error, _ROUNDING)[:, None]


def _size(products: CrossProducts) -> np.ndarray:
    """(C, K) root mean square of each column in each cell, of values and of what they are relative to the origin."""
    weights = np.maximum(products.weights, 1e-300)[:, None]
    squares = np.einsum("jkk->jk", products.scatter) / weights + products.means**2
    return np.asarray(np.sqrt(squares) + np.abs(products.means + products.origin))
