"""The sufficient statistics of a Gaussian regression, per group, centred so that no digits are lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class CrossProducts:
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

    def __add__(self, other: CrossProducts) -> CrossProducts:
        """Statistics of both sets of rows, with the groups of either."""
        return self._combine(other, 1.0)

    def __sub__(self, other: CrossProducts) -> CrossProducts:
        """Statistics of the rows that are in `self` but not in `other`, which must be a subset of them."""
        return self._combine(other, -1.0)

    def _combine(self, other: CrossProducts, sign: float) -> CrossProducts:
        if self.columns != other.columns:
            raise DataError(f"Statistics of different columns cannot be combined: {_difference(self, other)}.")
        if not np.array_equal(self.levels, other.levels):
            levels = union_of_levels(self.levels, other.levels)
            self, other = self.aligned(levels), other.aligned(levels)
        if sign < 0 and np.any(other.counts > self.counts):
            group = self.levels[np.argmax(other.counts > self.counts)]
            raise DataError(f"Cannot take away rows that are not part of these statistics: see group {group!r}.")
        counts = self.counts + sign * other.counts
        weight = np.divide(sign * other.counts, counts, out=np.zeros_like(counts), where=counts > 0)
        # Relative to our origin; the difference of the origins is exact where they are equal.
        step = other.means + (other.origin - self.origin) - self.means
        means = np.where((counts > 0)[:, None], self.means + weight[:, None] * step, 0.0)
        between = (self.counts * weight)[:, None, None] * (step[:, :, None] * step[:, None, :])
        scatter = self.scatter + sign * other.scatter + between
        scatter[counts == 0] = 0.0
        if sign < 0:
            _check_remainder(scatter, self.scatter, counts, self.levels, self.columns)
            _clear_rounding(scatter, self.scatter)
        return CrossProducts(self.columns, self.levels, counts, self.origin, means, scatter)

    def aligned(self, levels: np.ndarray) -> CrossProducts:
        """The same statistics for groups `levels`, which hold all of ours; the others are empty."""
        import pandas as pd

        places = pd.Index(levels).get_indexer(self.levels)
        width = len(self.columns)
        counts, means = np.zeros(len(levels)), np.zeros((len(levels), width))
        scatter = np.zeros((len(levels), width, width))
        counts[places], means[places], scatter[places] = self.counts, self.means, self.scatter
        return CrossProducts(self.columns, levels, counts, self.origin, means, scatter)

    def merged(self) -> CrossProducts:
        """The same rows as one single group."""
        rows = self.counts.sum()
        mean = self.counts @ self.means / max(rows, 1.0)
        deviations = self.means - mean
        scatter = self.scatter.sum(axis=0) + (deviations * self.counts[:, None]).T @ deviations
        return CrossProducts(self.columns, np.array(["all"]), np.array([rows]), self.origin, mean[None], scatter[None])

    def take(self, groups: np.ndarray) -> CrossProducts:
        """The statistics of the groups with these positions."""
        return CrossProducts(
            self.columns,
            self.levels[groups],
            self.counts[groups],
            self.origin,
            self.means[groups],
            self.scatter[groups],
        )


def union_of_levels(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Labels of either, sorted.

    Raises
    ------
    DataError : when one has numbers and the other text.
    """
    import pandas as pd

    if (one.dtype.kind in "OUS") != (other.dtype.kind in "OUS"):
        raise DataError(f"Groups have labels of different kinds, such as {one[0]!r} and {other[0]!r}.")
    return np.asarray(pd.Index(one).union(pd.Index(other), sort=True))


def _difference(one: CrossProducts, other: CrossProducts) -> str:
    mine = [name for name in one.columns if name not in other.columns]
    theirs = [name for name in other.columns if name not in one.columns]
    said = [f"only one has {', '.join(names)}" for names in (mine, theirs) if names]
    return "; ".join(said) or "their order differs"


def _check_remainder(
    scatter: np.ndarray, minuend: np.ndarray, counts: np.ndarray, levels: np.ndarray, columns: tuple[str, ...]
) -> None:
    """Refuse a subtraction that leaves negative squares: the rows were never part of these."""
    left, before = np.einsum("jkk->jk", scatter), np.einsum("jkk->jk", minuend)
    wrong = (left < -1e-9 * before).any(axis=1)
    if wrong.any():
        raise DataError(
            f"Cannot take away rows that are not part of these statistics: see group {levels[np.argmax(wrong)]!r}."
        )
    lost = (left[:, -1] < 1e-11 * before[:, -1]) & (counts > 1)
    if lost.any():
        raise DataError(
            f"Nothing certain is left of the spread of '{columns[-1]}' in group {levels[np.argmax(lost)]!r}: what was "
            "taken away is so much larger that the rest has lost its digits. Reduce the remaining rows anew."
        )


def _clear_rounding(scatter: np.ndarray, minuend: np.ndarray) -> None:
    """Zero, in place, the rows and columns of scatter that a subtraction has left at the level of rounding."""
    left = np.einsum("jkk->jk", scatter)
    constant = left <= 1e-13 * np.einsum("jkk->jk", minuend)
    scatter[constant[:, :, None] | constant[:, None, :]] = 0.0
