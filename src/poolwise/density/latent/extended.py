"""The latent density as a density of theta alone, by one random draw of all else at each theta.

For any theta, p(theta, z) / q(z | theta) with z drawn from q is an unbiased estimate of p(theta, y), up to a constant
(Andrieu and Roberts 2009 call chains on it pseudo-marginal; they are exact). z is whitened, so the estimate is good
where the normal approximation is; mixed coordinates are widened as spreads grow beyond those at the mode. z depends on
theta alone, through a hash of its bits: asked twice, the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.density.latent.density import LatentDensity
from poolwise.density.latent.noise import estimates, fill
from poolwise.samplers.interface import NativeDensity
from poolwise.samplers.mode import Mode
from poolwise.support.threads import map_slices, steps

_SLICE = 64  # thetas
_ROWS = 1 << 20  # times thetas, between two looks at whether to stop
_FLAT = 1.5  # largest standard deviation that curvature at the mode is believed to say


@dataclass(frozen=True, slots=True, eq=False)
class ExtendedDensity:
    """A density over theta whose values are estimates.

    Attributes
    ----------
    density : of theta and all else.
    threads : how many threads values are spread over.
    """

    density: LatentDensity
    threads: int

    cost = 1e6  # values are estimates: no surrogate can be fitted to them, however expensive they are

    @property
    def dimension(self) -> int:
        """Length of what is sampled of theta."""
        return self._centre.size

    @property
    def log_scales(self) -> np.ndarray:
        """Positions of the logs of standard deviations."""
        priors = self.density.priors
        return np.flatnonzero(np.isin(priors.ties.free, priors.layout.log_scales))

    @property
    def _centre(self) -> np.ndarray:
        return self.density.mode.theta[self.density.priors.ties.free]

    @property
    def _spreads(self) -> np.ndarray:
        layout = self.density.priors.layout
        return self._centre[: len(layout.effects) - len(layout.tied)].copy()

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Logs of the estimates at thetas (m, d), shape (m,)."""
        out, thetas = np.empty(len(points)), np.ascontiguousarray(points)

        def some(_: int, part: slice) -> None:
            for few in steps(part, max(1, _ROWS // len(self.density.problem.data.y))):
                estimates(thetas[few], self.density.words, self._spreads, self.density.dimension, out[few])

        map_slices(some, len(points), _SLICE, self.threads)
        return out

    def completed(self, thetas: np.ndarray) -> np.ndarray:
        """The points (m, d + p + U) at which estimates were made for thetas (m, d)."""
        points = np.empty((len(thetas), self.density.dimension))
        fill(np.ascontiguousarray(thetas), self.density.words, self._spreads, points)
        return points

    def mode(self) -> Mode:
        """The mode of Laplace's approximation, about."""
        values, vectors = np.linalg.eigh(self.density.covariance)
        covariance = (vectors * np.clip(values, 1e-6, _FLAT**2)) @ vectors.T
        return Mode(self._centre, self.density.mode.value, covariance)

    def value_and_gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Estimates have no gradient."""
        raise NotImplementedError

    def values_and_gradients(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Estimates have no gradient."""
        raise NotImplementedError

    def starts(self) -> np.ndarray:
        """The mode, (1, d)."""
        return self._centre[None]

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Ends of a box around the mode."""
        spread = 5 * np.sqrt(np.diag(self.mode().covariance))
        return self._centre - spread, self._centre + spread

    def native(self) -> NativeDensity | None:
        """Estimates are not differentiable."""
        return None
