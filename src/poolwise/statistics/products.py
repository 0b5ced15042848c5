"""The sufficient statistics of a Gaussian regression, cell by cell, centred so that no digits are lost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from poolwise.design.encoding import codes_of
from poolwise.design.factors import Cells, cells_of
from poolwise.design.levels import label_codes
from poolwise.support.errors import DataError


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
        return self._combine(other, 1.0)

    def __sub__(self, other: CrossProducts) -> CrossProducts:
        """Statistics of the rows that are in `self` but not in `other`, which must be a subset of them."""
        return self._combine(other, -1.0)

    def _combine(self, other: CrossProducts, sign: float) -> CrossProducts:
        if self.columns != other.columns:
            raise DataError(f"Statistics of different columns cannot be combined: {_difference(self, other)}.")
        if not same_cells(self.cells, other.cells):
            cells = union_of_cells(self.cells, other.cells)
            self, other = self.aligned(cells), other.aligned(cells)
        counts = self.counts + sign * other.counts
        if np.any(counts < 0):
            raise DataError(
                "Cannot take away rows that are not part of these statistics: "
                f"see group '{self.label(int(np.argmax(counts < 0)))}'."
            )
        weights = np.where(counts > 0, self.weights + sign * other.weights, 0.0)
        share = np.divide(sign * other.weights, weights, out=np.zeros_like(weights), where=weights > 0)
        # Relative to our origin; the difference of the origins is exact where they are equal.
        step = other.means + (other.origin - self.origin) - self.means
        means = np.where((counts > 0)[:, None], self.means + share[:, None] * step, 0.0)
        between = (self.weights * share)[:, None, None] * (step[:, :, None] * step[:, None, :])
        scatter = self.scatter + sign * other.scatter + between
        scatter[counts == 0] = 0.0
        log_weights = np.where(counts > 0, self.log_weights + sign * other.log_weights, 0.0)
        found = CrossProducts(self.columns, self.cells, counts, weights, self.origin, means, scatter, log_weights)
        if sign < 0:
            _check_remainder(found, self)
            _clear_rounding(scatter, self.scatter)
        return found

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
        count, width = len(cells[0]) if cells else 1, len(self.columns)
        counts, weights, logs = (np.zeros(count, each.dtype) for each in (self.counts, self.weights, self.log_weights))
        means, scatter = np.zeros((count, width)), np.zeros((count, width, width))
        for total, each in ((counts, self.counts), (weights, self.weights), (logs, self.log_weights)):
            np.add.at(total, codes, each)
        np.add.at(means, codes, self.weights[:, None] * self.means)
        means /= np.where(weights > 0, weights, 1.0)[:, None]
        apart = self.means - means[codes]
        between = self.weights[:, None, None] * (apart[:, :, None] * apart[:, None, :])
        np.add.at(scatter, codes, self.scatter + between)
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


def _check_remainder(rest: CrossProducts, minuend: CrossProducts) -> None:
    """Refuse a subtraction that leaves negative squares or weights: the rows were never part of these."""
    left, before = np.einsum("jkk->jk", rest.scatter), np.einsum("jkk->jk", minuend.scatter)
    wrong = (left < -1e-9 * before).any(axis=1) | ((rest.counts > 0) & (rest.weights <= 0))
    if wrong.any():
        raise DataError(
            "Cannot take away rows that are not part of these statistics: "
            f"see group '{rest.label(int(np.argmax(wrong)))}'."
        )
    lost = (left[:, -1] < 1e-11 * before[:, -1]) & (rest.counts > 1)
    if lost.any():
        raise DataError(
            f"Nothing certain is left of the spread of '{rest.columns[-1]}' in group "
            f"'{rest.label(int(np.argmax(lost)))}': what was taken away is so much larger that the rest has lost its "
            "digits. Reduce the remaining rows anew."
        )


def _clear_rounding(scatter: np.ndarray, minuend: np.ndarray) -> None:
    """Zero, in place, the rows and columns of scatter that a subtraction has left at the level of rounding."""
    left = np.einsum("jkk->jk", scatter)
    constant = left <= 1e-13 * np.einsum("jkk->jk", minuend)
    scatter[constant[:, :, None] | constant[:, None, :]] = 0.0
