"""The sufficient statistics of a Gaussian regression, per group, centred so that no digits are lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class SufficientStatistics:
    """Counts, means and centred cross-products of the design's columns and the outcome in each group.

    Attributes
    ----------
    columns : (K,) names; the last one is the outcome. The constant column is not among them: `counts` is its sum.
    levels : (J,) labels of the groups.
    counts : (J,) number of rows, zero for a group without rows.
    origin : (K,) a rough centre; `means` are relative to it, so a mean near 1e9 keeps all its digits.
    means : (J, K) mean of each column within each group, minus `origin`; zero for an empty group.
    scatter : (J, K, K) sums of products of deviations from the group's own mean.

    Statistics of disjoint sets of rows add up, by the pairwise update of Chan, Golub and LeVeque (1983), and subtract.
    """

    columns: tuple[str, ...]
    levels: np.ndarray
    counts: np.ndarray
    origin: np.ndarray
    means: np.ndarray
    scatter: np.ndarray

    @property
    def rows(self) -> int:
        """Number of rows behind the statistics."""
        return int(self.counts.sum())

    def __add__(self, other: SufficientStatistics) -> SufficientStatistics:
        """Statistics of both sets of rows; groups must have the same labels in the same order."""
        return self._combine(other, 1.0)

    def __sub__(self, other: SufficientStatistics) -> SufficientStatistics:
        """Statistics of the rows that are in `self` but not in `other`, which must be a subset of them."""
        if np.any(other.counts > self.counts):
            raise DataError("Cannot subtract statistics of rows that are not part of these.")
        return self._combine(other, -1.0)

    def _combine(self, other: SufficientStatistics, sign: float) -> SufficientStatistics:
        if self.columns != other.columns or not np.array_equal(self.levels, other.levels):
            raise DataError("Statistics can be combined only when they have the same columns and groups.")
        counts = self.counts + sign * other.counts
        weight = np.divide(sign * other.counts, counts, out=np.zeros_like(counts), where=counts > 0)
        # Relative to our origin; the difference of the origins is exact where they are equal.
        step = other.means + (other.origin - self.origin) - self.means
        means = np.where((counts > 0)[:, None], self.means + weight[:, None] * step, 0.0)
        between = (self.counts * weight)[:, None, None] * (step[:, :, None] * step[:, None, :])
        scatter = self.scatter + sign * other.scatter + between
        scatter[counts == 0] = 0.0
        if sign < 0:
            _clear_rounding(scatter, self.scatter)
        return SufficientStatistics(self.columns, self.levels, counts, self.origin, means, scatter)

    def merged(self) -> SufficientStatistics:
        """The same rows as one single group."""
        rows = self.counts.sum()
        mean = self.counts @ self.means / max(rows, 1.0)
        deviations = self.means - mean
        scatter = self.scatter.sum(axis=0) + (deviations * self.counts[:, None]).T @ deviations
        return SufficientStatistics(
            self.columns, np.array(["all"]), np.array([rows]), self.origin, mean[None], scatter[None]
        )

    def take(self, groups: np.ndarray) -> SufficientStatistics:
        """The statistics of the groups with these positions."""
        return SufficientStatistics(
            self.columns,
            self.levels[groups],
            self.counts[groups],
            self.origin,
            self.means[groups],
            self.scatter[groups],
        )


def _clear_rounding(scatter: np.ndarray, minuend: np.ndarray) -> None:
    """Zero, in place, the rows and columns of scatter that a subtraction has left at the level of rounding."""
    left = np.einsum("jkk->jk", scatter)
    constant = left <= 1e-13 * np.einsum("jkk->jk", minuend)
    scatter[constant[:, :, None] | constant[:, None, :]] = 0.0
