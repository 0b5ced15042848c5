"""The log density of what is left once a block is integrated out, and exact draws of the block given it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from poolwise.pymc.by_rows import ByRows
from poolwise.pymc.by_sums import BySums, by_sums
from poolwise.pymc.linear_rows import LinearRows, means
from poolwise.pymc.rest import Rest
from poolwise.samplers.interface import NativeDensity
from poolwise.support.threads import look

_STEP = 1e-4  # of central differences, on log scales of spreads
_REACH = 4.0  # of the box around PyMC's initial point
_STARTS = 10  # draws from the priors that are climbed from


@dataclass(frozen=True, slots=True, eq=False)
class CollapsedModel:
    """A model of PyMC with its block integrated out.

    Attributes
    ----------
    rows, rest : of the block, and of what is left.
    normal : of the block given the rest.
    reference : a theta (d,) at which there is a density, if one is known.
    """

    rows: LinearRows
    rest: Rest
    normal: ByRows | BySums
    reference: np.ndarray | None = None

    @classmethod
    def of(cls, rows: LinearRows, rest: Rest) -> CollapsedModel:
        """By sums that are made once, where rows are affine in a few numbers.

        Raises
        ------
        DataError : where too many numbers of the block hang together.
        """
        found = cls(rows, rest, ByRows.of(rows))
        starts = found.starts()
        values = found.log_density(starts)
        if not np.isfinite(values).any():
            return found
        reference = starts[int(np.argmax(values))]
        by_rows = ByRows.of(rows, reference)
        sums = None if rows.parts is None else by_sums(rows, by_rows, reference)
        return replace(found, normal=by_rows if sums is None else sums, reference=reference)

    def by_rows(self) -> CollapsedModel:
        """The same density by rows at every theta, which keeps more digits and takes longer."""
        return replace(self, normal=ByRows.of(self.rows, self.reference))

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
        return 20.0 * (self.normal.each + self.normal.arrow.flops)

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

    def block(self, points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Exact draws (m, p) of the block given the rest (m, d); the log densities (m,) of the rest; and the squares
        (m,) of the standard normal numbers that draws are made of."""
        found, values, squares = np.empty((len(points), self.rows.size)), np.empty(len(points)), np.empty(len(points))
        with np.errstate(all="ignore"):  # the caller looks at what is not finite
            for part in self._parts(len(points)):
                look()
                found[part], values[part], squares[part] = self.normal.draw(points[part], rng)
            return found, values + self.rows.log_prior(points), squares

    def joint(self, points: np.ndarray, block: np.ndarray) -> np.ndarray:
        """log density (m,) of the rest (m, d) and of the block (m, p) together."""
        rows = self.rows
        with np.errstate(all="ignore"):
            entries, targets, sds = rows.evaluate(points)
            left = targets - means(rows.columns, entries, block)
            logs = np.log(sds) + 0.5 * math.log(2 * math.pi)
            of_rows = -rows.counts * logs - 0.5 * (rows.within + rows.counts * left**2) / sds**2
            return rows.log_prior(points) + of_rows.sum(axis=1)

    def _parts(self, count: int) -> list[slice]:
        size = self.normal.at_once
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]

    def _some(self, points: np.ndarray) -> np.ndarray:
        found = np.full(len(points), -np.inf)
        with np.errstate(all="ignore"):  # what is not finite is nowhere
            prior = self.rows.log_prior(points)
            good = np.isfinite(prior)
            if good.any():
                found[good] = prior[good] + self.normal.log_integral(points[good])
        return np.where(np.isfinite(found), found, -np.inf)
