"""The block given theta, by sums of products of rows that are made once.

Entries and targets are A_0 + sum_j phi_j A_j and those of t alike, and rows have one of a few standard deviations, so
that their weighted products are

    sum over c, j <= l of  phi_j phi_l / sd_c^2  times sums over the rows of class c,

with phi_0 = 1. A density takes as long as these sums, not as rows. phi counts from a theta of reference, and the block
from its mean there: outcomes far from zero keep their digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array

from poolwise.pymc.arrow import Arrow, Factors, arrow_of, assembly, factorise, gathering
from poolwise.pymc.by_rows import ByRows
from poolwise.pymc.linear_rows import LinearRows
from poolwise.pymc.standardised import SummedRows, as_written, orthogonal, standardised

_MOST = 2_000  # products of phi and precisions
_DIGITS = 1e12  # of sums of squares, from which a difference is off by more than a thousandth
_CACHED = 200_000  # numbers that are read again before they leave a processor's second cache
_FEWEST, _IN_MEMORY = 16, 4_000_000
_ROOM = 200_000_000  # numbers of rows that are multiplied


@dataclass(frozen=True, slots=True, eq=False)
class BySums:
    """The normal of the block given theta, and the integral over it.

    Attributes
    ----------
    rows : what was summed.
    arrow : the pattern of the block's precision.
    origin, pivot : (M,) phi and (p,) mean of the block of these rows at the theta of reference.
    of_products, of_right, of_squares : sums (size, F), (p, F) and (F,) for each of F products of two phi and a
        precision.
    which : (3, F) class and phi of each of these; the class after the last has precision 1.
    counts : (C,) outcomes and priors of each varying standard deviation, zero for the others.
    constant : of the log integral.
    """

    rows: SummedRows
    arrow: Arrow
    origin: np.ndarray
    pivot: np.ndarray
    of_products: csr_array
    of_right: csr_array
    of_squares: np.ndarray
    which: np.ndarray
    counts: np.ndarray
    constant: float

    @property
    def each(self) -> float:
        """Numbers in memory for each theta."""
        return self.which.shape[1] + self.arrow.numbers

    @property
    def at_once(self) -> int:
        """Thetas at a time: as many as caches hold, or fill vector registers as long as memory is no matter."""
        return max(int(_CACHED // self.each), min(_FEWEST, int(_IN_MEMORY // self.each)), 1)

    def log_integral(self, points: np.ndarray) -> np.ndarray:
        """(m,)."""
        return self._solved(points)[2]

    def draw(self, points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Exact draws of the block (m, p), the log integral (m,), and the squares (m,) of what draws are made of."""
        factors, moved, integral = self._solved(points)
        deviations, squares = factors.deviations(rng)
        return self.rows.written(points, self.pivot + (moved + deviations).T), integral, squares

    def _solved(self, points: np.ndarray) -> tuple[Factors, np.ndarray, np.ndarray]:
        m, (sds, products) = len(points), self.rows.of_theta(points)
        phi = np.ones((len(self.origin) + 1, m))
        phi[1:] = (np.broadcast_to(products, (m, len(self.origin))) - self.origin).T
        precisions = np.ones((sds.shape[1] + 1, m))
        precisions[:-1] = sds.T**-2
        c, j, k = self.which
        features = precisions[c] * phi[j] * phi[k]
        factors = factorise(self.arrow, np.asarray(self.of_products @ features))
        right = np.asarray(self.of_right @ features)
        moved = factors.solve(right)
        whole = self.of_squares @ features
        # Beyond, what is left of their difference is rounding, which may look like a mode.
        squares = np.where(whole < _DIGITS, whole - (moved * right).sum(axis=0), np.inf)
        varying = self.counts > 0
        logs = np.log(sds[:, varying]) @ self.counts[varying]
        return factors, moved, self.constant - logs - 0.5 * squares - 0.5 * factors.log_determinants


def by_sums(rows: LinearRows, normal: ByRows, reference: np.ndarray) -> BySums | None:
    """Sums of rows, of standardised deviations where that can be; None where there would be too many of them.

    Parameters
    ----------
    reference : (d,) theta.
    """
    block = normal.mean(reference)[None]
    for form in (standardised, as_written):
        if (found := form(rows)) is not None:
            found = orthogonal(found, rows.size, reference)
            pivot = found.standardised(reference[None], block)[0]
            if np.isfinite(pivot).all() and (sums := _summed(found, rows.size, reference, pivot)) is not None:
                return sums
    return None


def _summed(rows: SummedRows, p: int, reference: np.ndarray, pivot: np.ndarray) -> BySums | None:
    size, (n, k) = len(rows.entries), rows.columns.shape
    if size * size * n * k * k > _ROOM:
        return None
    at_reference, products = rows.of_theta(reference[None])
    origin = np.broadcast_to(products, (1, size - 1))[0]
    entries, targets = rows.entries.copy(), rows.targets.copy()
    entries[0] += np.tensordot(origin, entries[1:], 1)
    targets[0] += origin @ targets[1:]
    targets -= (entries * np.where(rows.columns >= 0, pivot[np.maximum(rows.columns, 0)], 0.0)).sum(axis=-1)
    sds, varying = at_reference[0], rows.varying
    row_class = np.where(varying[rows.place], rows.place, len(sds))
    weights = rows.counts * np.where(varying[rows.place], 1.0, sds[rows.place] ** -2.0) * rows.scale**-2.0
    found: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[], [], []]  # places, features and values of each
    for j in range(size):
        for other in range(j, size):
            feature = (row_class * size + j) * size + other
            for sums, values in zip(found, _multiplied(entries, targets, j, other), strict=True):
                if other == 0 and values.ndim == 1:
                    values += rows.within / np.maximum(rows.counts, 1.0)
                of_row = (values.reshape(n, -1) * weights[:, None]).ravel()
                place = np.flatnonzero(of_row)
                sums.append((place, feature[place // (len(of_row) // n)], of_row[place]))
    joined = [tuple(map(np.concatenate, zip(*one, strict=True))) for one in found]
    features = np.unique(np.concatenate([one[1] for one in joined]))
    if len(features) > _MOST:
        return None
    of_products, right, squares = (
        coo_array((values, (place, np.searchsorted(features, feature))), shape=(length, len(features))).tocsr()
        for (place, feature, values), length in zip(joined, (n * k * k, n * k, n), strict=True)
    )
    arrow = arrow_of(p, rows.columns)
    of_class = np.bincount(rows.place, rows.counts, len(sds))
    constant = 0.5 * math.log(2 * math.pi) * (p - rows.counts.sum()) - (of_class * np.log(sds))[~varying].sum()
    constant += rows.log_volume - rows.counts @ np.log(rows.scale)
    return BySums(
        rows, arrow, origin, pivot, (assembly(arrow, rows.columns) @ of_products).tocsr(),
        (gathering(p, rows.columns) @ right).tocsr(), np.asarray(squares.sum(axis=0)).ravel(),
        np.array(np.unravel_index(features, (len(sds) + 1, size, size))), np.where(varying, of_class, 0.0),
        float(constant),
    )  # fmt: skip


def _multiplied(
    entries: np.ndarray, targets: np.ndarray, j: int, other: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What phi_j phi_other is multiplied by in products of entries (n, k, k), with targets (n, k), of targets (n,)."""
    products = entries[j][:, :, None] * entries[other][:, None, :]
    right, squares = entries[j] * targets[other][:, None], targets[j] * targets[other]
    if j == other:
        return products, right, squares
    return products + products.swapaxes(1, 2), right + entries[other] * targets[j][:, None], 2.0 * squares
