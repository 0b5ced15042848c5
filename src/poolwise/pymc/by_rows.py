"""The block given theta, by its rows at every theta: for means that are not affine in a few numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from poolwise.pymc.arrow import Arrow, Factors, arrow_of, assembly, factorise, gathering
from poolwise.pymc.linear_rows import LinearRows


@dataclass(frozen=True, slots=True, eq=False)
class ByRows:
    """The normal of the block given theta, and the integral over it.

    Attributes
    ----------
    rows : of the block.
    arrow, scatter : the pattern of the block's precision, and how products of entries make it.
    gather : adds entries of rows up by the numbers that they belong to.
    """

    rows: LinearRows
    arrow: Arrow
    scatter: csr_array
    gather: csr_array

    @classmethod
    def of(cls, rows: LinearRows) -> ByRows:
        """Find the pattern.

        Raises
        ------
        DataError : where too many numbers of the block hang together.
        """
        arrow = arrow_of(rows.size, rows.columns)
        return cls(rows, arrow, assembly(arrow, rows.columns), gathering(rows.size, rows.columns))

    @property
    def each(self) -> float:
        """Numbers in memory for each theta."""
        n, k = self.rows.columns.shape
        return n * k * k + self.arrow.numbers

    def log_integral(self, points: np.ndarray) -> np.ndarray:
        """(m,)."""
        return self.solved(points)[2]

    def draw(self, points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Exact draws of the block (m, p), and the log integral (m,)."""
        factors, solution, integral = self.solved(points)
        return solution + factors.deviations(rng), integral

    def solved(self, points: np.ndarray) -> tuple[Factors, np.ndarray, np.ndarray]:
        """The conditional normal of the block, factors and mean (m, p), and the log integral (m,)."""
        rows = self.rows
        entries, targets, sds = rows.evaluate(points)
        precisions = rows.counts / sds**2
        weighted = entries * precisions[:, :, None]
        products = (entries[:, :, :, None] * weighted[:, :, None, :]).reshape(len(points), -1)
        factors = factorise(self.arrow, np.asarray(self.scatter @ products.T).T)
        solution = factors.solve(self._summed(weighted * targets[:, :, None]))
        # Once more for what is left: targets far from zero lose the digits of the first solution.
        left = targets - rows.means(entries, solution)
        more = factors.solve(self._summed(weighted * left[:, :, None]))
        left -= rows.means(entries, more)
        of_rows = -rows.counts * np.log(sds) - 0.5 * rows.within / sds**2 - 0.5 * precisions * left**2
        constant = 0.5 * math.log(2 * math.pi) * (rows.size - rows.counts.sum())
        return factors, solution + more, of_rows.sum(axis=1) - 0.5 * factors.log_determinants + constant

    def _summed(self, values: np.ndarray) -> np.ndarray:
        """(m, n, k) added up by the block's numbers, (m, p)."""
        return np.asarray(self.gather @ values.reshape(len(values), -1).T).T
