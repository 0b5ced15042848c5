"""The block given theta, by its rows at every theta: for means that are not affine in a few numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from poolwise.pymc.arrow import Arrow, Factors, arrow_of, assembly, factorise, gathering
from poolwise.pymc.linear_rows import LinearRows, means
from poolwise.pymc.orthogonal import Turn, turn_of

_NUMBERS = 2_000_000  # in memory at a time


@dataclass(frozen=True, slots=True, eq=False)
class ByRows:
    """The normal of the block given theta, and the integral over it.

    Attributes
    ----------
    rows : of the block.
    arrow, scatter : the pattern of the block's precision, and how products of entries make it.
    gather : adds entries of rows up by the numbers that they belong to.
    turn : of numbers whose columns are nearly collinear, if there are some.
    """

    rows: LinearRows
    arrow: Arrow
    scatter: csr_array
    gather: csr_array
    turn: Turn | None = None

    @classmethod
    def of(cls, rows: LinearRows, reference: np.ndarray | None = None) -> ByRows:
        """Find the pattern, and at a theta of reference (d,) whether columns are nearly collinear.

        Raises
        ------
        DataError : where too many numbers of the block hang together.
        """
        turn, columns = None, rows.columns
        if reference is not None:
            entries, _, sds = rows.evaluate(reference[None])
            turn = turn_of(columns, entries[0] * (np.sqrt(rows.counts) / sds[0])[:, None], rows.size)
        if turn is not None:
            columns = turn.entries(np.zeros((1, *columns.shape)))[0]
        arrow = arrow_of(rows.size, columns)
        return cls(rows, arrow, assembly(arrow, columns), gathering(rows.size, columns), turn)

    @property
    def each(self) -> float:
        """Numbers in memory for each theta."""
        n, k = self.rows.columns.shape
        return n * k * k + self.arrow.numbers

    @property
    def at_once(self) -> int:
        """Thetas at a time, as memory allows."""
        return max(1, int(_NUMBERS // self.each))

    def log_integral(self, points: np.ndarray) -> np.ndarray:
        """(m,)."""
        return self._solved(points)[2]

    def draw(self, points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Exact draws of the block (m, p), the log integral (m,), and the squares (m,) of what draws are made of."""
        factors, solution, integral = self._solved(points)
        deviations, squares = factors.deviations(rng)
        return self._written(solution + deviations.T), integral, squares

    def mean(self, point: np.ndarray) -> np.ndarray:
        """The mean of the block (p,) at a theta (d,)."""
        return np.asarray(self._written(self._solved(point[None])[1])[0])

    def _written(self, block: np.ndarray) -> np.ndarray:
        return block if self.turn is None else self.turn.written(block)

    def _solved(self, points: np.ndarray) -> tuple[Factors, np.ndarray, np.ndarray]:
        """The conditional normal of the block, or of what it was turned to: factors and mean (m, p); and the log
        integral (m,) over the block."""
        rows, columns = self.rows, self.rows.columns
        entries, targets, sds = rows.evaluate(points)
        constant = 0.5 * math.log(2 * math.pi) * (rows.size - rows.counts.sum())
        if self.turn is not None:
            columns, entries = self.turn.entries(entries)
            constant += self.turn.log_volume
        precisions = rows.counts / sds**2
        weighted = entries * precisions[:, :, None]
        products = (entries[:, :, :, None] * weighted[:, :, None, :]).reshape(len(points), -1)
        factors = factorise(self.arrow, np.asarray(self.scatter @ products.T))
        solution = factors.solve(self._summed(weighted * targets[:, :, None])).T
        # Once more for what is left: targets far from zero lose the digits of the first solution.
        left = targets - means(columns, entries, solution)
        more = factors.solve(self._summed(weighted * left[:, :, None])).T
        left -= means(columns, entries, more)
        of_rows = -rows.counts * np.log(sds) - 0.5 * rows.within / sds**2 - 0.5 * precisions * left**2
        return factors, solution + more, of_rows.sum(axis=1) - 0.5 * factors.log_determinants + constant

    def _summed(self, values: np.ndarray) -> np.ndarray:
        """(m, n, k) added up by the block's numbers, (p, m)."""
        return np.asarray(self.gather @ values.reshape(len(values), -1).T)
