"""The log density of theta of a normal model of working outcomes, whose precisions are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from poolwise.density.blocks.density import BlockedDensity
from poolwise.density.gaussian import GaussianDensity
from poolwise.density.layout import ParameterLayout
from poolwise.density.priors import ModelPriors
from poolwise.density.ties import Ties
from poolwise.density.working.bends import SHARE
from poolwise.density.working.dispersions import Dispersions
from poolwise.design.design import Rows
from poolwise.priors import HalfNormal
from poolwise.samplers.interface import NativeDensity

_UNIT = HalfNormal(1.0)  # of a sigma that is one
_AROUND = 6.0  # standard deviations of a dispersion in which modes are looked for
_STEP = 0.02  # of differences
_LOG_ROOT = 0.5 * math.log(2 * math.pi)
_OF_SIGMA = 0.5 * math.log(2 / math.pi) - 0.5  # its log density at one, which plays no part


def with_sigma(priors: ModelPriors) -> ModelPriors:
    """Priors of a family's coefficients and effects as those of a normal model."""
    layout = replace(priors.layout, dispersions=("sigma",))
    ties = replace(priors.ties, dimension=layout.dimension)
    return replace(priors, layout=layout, dispersions={"sigma": _UNIT}, ties=ties)


@dataclass(frozen=True, slots=True, eq=False)
class WorkingDensity:
    """The density of what is sampled of theta, with sigma at one, times that of the family's own dispersions.

    Where there is no theta, a number that nothing depends on takes its place: to each there is a draw of coefficients.

    Attributes
    ----------
    normal : of all of theta but the dispersions, and of sigma.
    layout, ties : of the family's theta.
    dispersions : about where they lie.
    """

    normal: GaussianDensity
    layout: ParameterLayout
    ties: Ties
    dispersions: Dispersions

    MOST = 3e7  # flops of an evaluation

    @property
    def _sigma(self) -> int:
        """Place of log sigma in the normal model's theta."""
        return len(self.layout.effects) + self.layout.pairs

    @property
    def _own(self) -> slice:
        """Places of the dispersions in the family's theta."""
        return slice(self._sigma, self._sigma + len(self.layout.dispersions))

    @property
    def idle(self) -> bool:
        """Whether there is no theta."""
        return not len(self.ties.free)

    @property
    def dimension(self) -> int:
        """Length of what is sampled."""
        return max(1, len(self.ties.free))

    @property
    def log_scales(self) -> np.ndarray:
        """Positions of the logs of standard deviations, and of logits of shares, which may be as close to zero."""
        shares = [self._own.start + k for k, bend in self.dispersions.bends.items() if bend is SHARE]
        return np.flatnonzero(np.isin(self.ties.free, [*self.layout.log_scales, *shares]))

    @property
    def cost(self) -> float:
        """Flops of an evaluation; without end where a root is factorised by LAPACK."""
        return float(self.normal.cost) if not self._rooted else np.inf

    @property
    def _rooted(self) -> bool:
        return isinstance(self.normal, BlockedDensity) and self.normal.by_lapack

    def theta(self, points: np.ndarray) -> np.ndarray:
        """(m, d) the family's theta at points."""
        return self.ties.theta(np.ascontiguousarray(points[:, : len(self.ties.free)]))

    def full(self, points: np.ndarray) -> np.ndarray:
        """Theta of the normal model at points (m, .)."""
        return np.ascontiguousarray(self._with(self.theta(points), np.zeros((len(points), 1)), self._own))

    def logs(self, points: np.ndarray) -> np.ndarray:
        """(m, k) logs of dispersions at points."""
        return self.theta(points)[:, self._own]

    @staticmethod
    def _with(theta: np.ndarray, other: np.ndarray, places: slice) -> np.ndarray:
        """Columns in the place of some others."""
        return np.concatenate([theta[:, : places.start], other, theta[:, places.stop :]], axis=1)

    def of_effects(self, points: np.ndarray) -> np.ndarray:
        """(m,) values without the dispersions' part."""
        return self.without_sigma(self.normal.log_density(self.full(points)))

    @staticmethod
    def without_sigma(values: np.ndarray) -> np.ndarray:
        """Values of the normal model without what the prior of its sigma, which is one, adds to them."""
        return values - _OF_SIGMA

    @property
    def kept_size(self) -> int:
        """Numbers that draws of the kept coefficients are made of."""
        return self.normal.kept_size

    @property
    def common_size(self) -> int:
        """The same of the common ones, the last of these."""
        return len(self.normal.basis.reference)

    def drawn(self, points: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values (m,) without the dispersions' part, and by standard normals (m, n) kept coefficients and common ones
        as written."""
        values, kept = self.normal.common_from(self.full(points), noise)
        return self.without_sigma(values), kept, self.normal.basis.written(self.normal.common_of(kept))

    def log_prior_of_dispersions(self, logs: np.ndarray) -> np.ndarray:
        """(m,) log densities of logs (m, k) under their priors, over those in the values of `drawn`."""
        return self.dispersions.log_prior(logs)

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Values at points (m, .), (m,)."""
        found = self.of_effects(points) + self.dispersions.log_density(self.logs(points))
        return np.asarray(found - 0.5 * np.square(points[:, 0]) - _LOG_ROOT if self.idle else found)

    def value_and_gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient at one point."""
        values, gradients = self.values_and_gradients(point[None])
        return float(values[0]), gradients[0]

    def values_and_gradients(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same at points together."""
        if self.idle:
            return self.log_density(points), -points
        if isinstance(self.normal, BlockedDensity) and self.normal.tables is not None:
            return with_differences(self.log_density, points)
        values, slopes = self.normal.values_and_gradients(self.full(points))
        logs = self.logs(points)
        slopes = self._with(slopes, self.dispersions.slopes(logs), self._sigma_alone)
        values = values - _OF_SIGMA + self.dispersions.log_density(logs)
        return values, self.ties.slopes(self.theta(points), slopes)

    def starts(self) -> np.ndarray:
        """Points to begin from."""
        if self.idle:
            return np.zeros((1, 1))
        found = self.normal.starts()
        centre = np.tile(self.dispersions.centre, (len(found), 1))
        return self._with(found, centre, self._sigma_alone)[:, self.ties.free]

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Where modes are looked for."""
        if self.idle:
            return -np.ones(1), np.ones(1)
        around = self.dispersions.centre + np.array([[-_AROUND], [_AROUND]]) * self.dispersions.sd
        low, high = self._with(np.array(self.normal.box()), around, self._sigma_alone)[:, self.ties.free]
        return low, high

    @property
    def _sigma_alone(self) -> slice:
        return slice(self._sigma, self._sigma + 1)

    def native(self) -> NativeDensity | None:
        """There is none."""
        return None

    def row_moments(self, point: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Means, less known parts, and variances (n,) of linear predictors given the working outcomes and theta."""
        less, variance = self.normal.row_moments(self.full(point[None]), rows.values, rows.codes)
        return rows.values[:, -1] - less[0], variance[0]

    def predictor_moments(
        self, points: np.ndarray, columns: np.ndarray, codes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means, less known parts, and variances (m, n) of linear predictors of columns (n, K) in some cells (n,)."""
        values = np.column_stack([columns, np.zeros(len(columns))])
        less, variances = self.normal.row_moments(self.full(points), values, codes)
        return -less, variances


def with_differences(
    log_density: Callable[[np.ndarray], np.ndarray], points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values (m,) and gradients (m, d) at points (m, d), by central differences of the fourth order.

    For densities that hardly cost anything beside their gradients. Truncation is a thirtieth of the fifth derivative
    times the step's fourth power: in the logarithms of many levels' sds a hundred-millionth of the curvature.
    """
    m, d = points.shape
    steps = _STEP * np.array([1.0, -1.0, 2.0, -2.0])[:, None, None] * np.eye(d)
    around = points + steps.reshape(-1, 1, d)
    values = log_density(np.concatenate([points[None], around]).reshape(-1, d)).reshape(-1, m)
    one, less, two, less_two = values[1:].reshape(4, d, m)
    with np.errstate(invalid="ignore"):
        slopes = (8.0 * (one - less) - (two - less_two)) / (12.0 * _STEP)
    return values[0], slopes.T
