"""The log density of what is left once a block is integrated out, and exact draws of the block given it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from poolwise.pymc.arrow import Arrow, Factors, arrow_of, assembly, factorise
from poolwise.pymc.linear_rows import LinearRows, Rest
from poolwise.samplers.interface import NativeDensity
from poolwise.support.errors import DataError
from poolwise.support.threads import look

_NUMBERS = 2_000_000  # of products of entries, at a time
_STEP = 1e-4  # of central differences, on log scales of spreads
_REACH = 4.0  # of the box around PyMC's initial point
_STARTS = 10  # draws from the priors that are climbed from
_MOST_BORDER = 1_500


@dataclass(frozen=True, slots=True, eq=False)
class CollapsedModel:
    """A model of PyMC with its block integrated out.

    Attributes
    ----------
    rows, rest : of the block, and of what is left.
    arrow, scatter : the pattern of the block's precision, and how products of entries make it.
    gather : adds entries of rows up by the numbers that they belong to.
    """

    rows: LinearRows
    rest: Rest
    arrow: Arrow
    scatter: csr_array
    gather: csr_array

    @classmethod
    def of(cls, rows: LinearRows, rest: Rest) -> CollapsedModel:
        """Find the pattern.

        Raises
        ------
        DataError : where too many numbers of the block hang together.
        """
        arrow = arrow_of(rows.size, rows.columns)
        if len(arrow.border) > _MOST_BORDER:
            raise DataError(
                f"{len(arrow.border):,} numbers of the block hang together, and {_MOST_BORDER:,} are the most here: "
                "write the model as a formula, whose algebra is sparse."
            )
        columns = rows.columns.ravel()
        known = np.flatnonzero(columns >= 0)
        gather = csr_array((np.ones(len(known)), (columns[known], known)), shape=(rows.size, len(columns)))
        return cls(rows, rest, arrow, assembly(arrow, rows.columns), gather)

    @property
    def dimension(self) -> int:
        """d."""
        return len(self.rest.start)

    @property
    def log_scales(self) -> np.ndarray:
        """Places of logs of positive variables."""
        return self.rest.log_scales

    @property
    def cost(self) -> float:
        """Flops of an evaluation, about."""
        n, k = self.rows.columns.shape
        return 20.0 * n * k * k + 20.0 * self.arrow.flops

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Values at points (m, d), (m,); -inf where there is no density."""
        points = np.asarray(points, dtype=float)
        found = np.full(len(points), -np.inf)
        for part in self._parts(len(points)):
            look()
            found[part] = self._some(points[part])
        return found

    def value_and_gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient by central differences."""
        values, gradients = self.values_and_gradients(point[None])
        return float(values[0]), gradients[0]

    def values_and_gradients(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same at points (m, d)."""
        m, d = points.shape
        steps = _STEP * np.eye(d)
        around = np.concatenate([points[:, None], points[:, None] + steps, points[:, None] - steps], axis=1)
        values = self.log_density(around.reshape(-1, d)).reshape(m, 2 * d + 1)
        with np.errstate(invalid="ignore"):
            return values[:, 0], (values[:, 1 : d + 1] - values[:, d + 1 :]) / (2 * _STEP)

    def starts(self) -> np.ndarray:
        """PyMC's initial point, others around it, and draws from the priors."""
        rng = np.random.default_rng(0)
        near = self.rest.start + rng.standard_normal((5, self.dimension))
        return np.vstack([self.rest.start, near, self.rest.drawn[:_STARTS]])

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Around PyMC's initial point, and where nearly all of the priors lie."""
        low, high = self.rest.start - _REACH, self.rest.start + _REACH
        if not len(self.rest.drawn):
            return low, high
        ends = np.quantile(self.rest.drawn, [0.01, 0.99], axis=0)
        return np.minimum(low, ends[0]), np.maximum(high, ends[1])

    def native(self) -> NativeDensity | None:
        """There is none."""
        return None

    def block(self, points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Exact draws (m, p) of the block given the rest (m, d); and the log densities (m,) of the rest."""
        found, values = np.empty((len(points), self.rows.size)), np.empty(len(points))
        for part in self._parts(len(points)):
            look()
            factors, solution, integral = self._solved(points[part])
            found[part], values[part] = solution + factors.deviations(rng), integral
        return found, values + self.rows.log_prior(points)

    def joint(self, points: np.ndarray, block: np.ndarray) -> np.ndarray:
        """log density (m,) of the rest (m, d) and of the block (m, p) together."""
        entries, targets, sds = self.rows.evaluate(points)
        left = targets - (entries * self._at(block)).sum(axis=-1)
        of_rows = (
            -self.rows.counts * (np.log(sds) + 0.5 * math.log(2 * math.pi))
            - 0.5 * (self.rows.within + self.rows.counts * left**2) / sds**2
        )
        return self.rows.log_prior(points) + of_rows.sum(axis=1)

    def _parts(self, count: int) -> list[slice]:
        n, k = self.rows.columns.shape
        blocks, q, r = self.arrow.sizes
        size = max(1, int(_NUMBERS // (n * k * k + blocks * q * (q + r) + r * r)))
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]

    def _some(self, points: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            prior = self.rows.log_prior(points)
            good = np.isfinite(prior)
            found = np.full(len(points), -np.inf)
            if good.any():
                try:
                    found[good] = prior[good] + self._solved(points[good])[2]
                except np.linalg.LinAlgError:  # of one of them: the others are in one of the halves
                    if len(points) == 1:
                        return found
                    middle = len(points) // 2
                    return np.concatenate([self._some(points[:middle]), self._some(points[middle:])])
        return np.where(np.isfinite(found), found, -np.inf)

    def _solved(self, points: np.ndarray) -> tuple[Factors, np.ndarray, np.ndarray]:
        """The conditional normal of the block, factors and mean (m, p), and its log integral (m,)."""
        rows = self.rows
        entries, targets, sds = rows.evaluate(points)
        precisions = rows.counts / sds**2
        weighted = entries * precisions[:, :, None]
        products = (entries[:, :, :, None] * weighted[:, :, None, :]).reshape(len(points), -1)
        factors = factorise(self.arrow, np.asarray(self.scatter @ products.T).T)
        solution = factors.solve(self._summed(weighted * targets[:, :, None]))
        # Once more for what is left: targets far from zero lose the digits of the first solution.
        left = targets - (entries * self._at(solution)).sum(axis=-1)
        more = factors.solve(self._summed(weighted * left[:, :, None]))
        left -= (entries * self._at(more)).sum(axis=-1)
        of_rows = -rows.counts * np.log(sds) - 0.5 * rows.within / sds**2 - 0.5 * precisions * left**2
        constant = 0.5 * math.log(2 * math.pi) * (rows.size - rows.counts.sum())
        return factors, solution + more, of_rows.sum(axis=1) - 0.5 * factors.log_determinants + constant

    def _at(self, solution: np.ndarray) -> np.ndarray:
        columns = self.rows.columns
        return np.where(columns >= 0, solution[:, np.maximum(columns, 0)], 0.0)

    def _summed(self, values: np.ndarray) -> np.ndarray:
        """(m, n, k) added up by the block's numbers, (m, p)."""
        return np.asarray(self.gather @ values.reshape(len(values), -1).T).T
