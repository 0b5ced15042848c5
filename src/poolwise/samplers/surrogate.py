"""A proposal for densities that cost much: a polynomial through log densities that are known already.

The posterior of a few variances under much data is smooth, so that a polynomial of low degree, fitted to the points at
which the density has been evaluated, is so close to it that nearly every proposal is a draw. Between bounds set by the
mixture the proposal is proportional to the exponential of the polynomial; as a proposal it need not be right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np

from poolwise.samplers.mixture import StudentMixture

_DEGREES = (2, 3, 4)
_POINTS_A_TERM = 3  # known points for each coefficient, at the least
_DEPTH = 15.0  # log density below the highest at which points still count
_PILOT = 20_000  # evaluations of the polynomial, which cost next to nothing
_TRUSTED = 8.0  # log density below the highest down to which the polynomial is believed
# Of the mixture's density, relative to the bound: at the least, and where the polynomial says nothing.
_LEAST, _FAR = math.log(0.1), math.log(0.25)


@dataclass(frozen=True, slots=True, eq=False)
class Surrogate:
    """q(x) proportional to exp(polynomial), but within [low, high] times the mixture's density, and far out the former.

    Attributes
    ----------
    mixture : bounds the tails.
    centre, spread : (d,) and (d, d) coordinates of the polynomial: x = centre + spread @ z.
    coefficients : of the monomials of z up to `degree`.
    radius : of z, beyond which the polynomial says nothing.
    low, high : log bounds of q relative to the mixture, before normalising.
    log_normaliser : log of the integral, estimated from a pilot; as a constant factor it does not matter to draws.
    """

    mixture: StudentMixture
    centre: np.ndarray
    spread: np.ndarray
    coefficients: np.ndarray
    degree: int
    radius: float
    low: float
    high: float
    log_normaliser: float

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """(m, d) to (m,)."""
        return self._relative(points) + self.mixture.log_density(points) - self.log_normaliser

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Independent draws (size, d), by rejection from the mixture."""
        found: list[np.ndarray] = []
        while sum(map(len, found)) < size:
            points = self.mixture.sample(rng, 4 * size)
            found.append(points[np.log(rng.random(len(points))) < self._relative(points) - self.high])
        return np.concatenate(found)[:size]

    def _relative(self, points: np.ndarray) -> np.ndarray:
        """log of q over the mixture's density, unnormalised."""
        local = self._local(points)
        relative = _features(local, self.degree) @ self.coefficients - self.mixture.log_density(points)
        far = np.linalg.norm(local, axis=1) > self.radius
        return np.where(far, self.high + _FAR, np.clip(relative, self.low, self.high))

    def _local(self, points: np.ndarray) -> np.ndarray:
        return np.linalg.solve(self.spread, (points - self.centre).T).T


def fit_surrogate(
    mixture: StudentMixture, points: np.ndarray, values: np.ndarray, rng: np.random.Generator
) -> Surrogate | None:
    """Fit to log densities `values` (m,) at `points` (m, d); None where there are too few of them.

    Least squares with weights that fall with the root of the density: what lies far out should not spoil the middle.
    """
    values = np.where(np.isfinite(values), values, -np.inf)
    near = values > values.max() - _DEPTH
    points, heights = points[near], values[near] - values.max()
    d = points.shape[1]
    fitting = [degree for degree in _DEGREES if math.comb(d + degree, degree) * _POINTS_A_TERM <= len(points)]
    if not fitting:
        return None
    weights = np.exp(0.5 * heights)
    centre = np.average(points, axis=0, weights=weights)
    spread = np.linalg.cholesky(np.cov(points.T, aweights=weights).reshape(d, d))
    local = np.linalg.solve(spread, (points - centre).T).T
    features = weights[:, None] * _features(local, fitting[-1])
    coefficients = np.linalg.lstsq(features, weights * heights, rcond=None)[0]
    radius = float(np.linalg.norm(local, axis=1)[heights > -_TRUSTED].max())
    # The mixture's tails are the heavier ones: what it bounds by is seen among the known points.
    high = float((heights - mixture.log_density(points)).max()) + 0.1
    found = Surrogate(mixture, centre, spread, coefficients, fitting[-1], radius, high + _LEAST, high, 0.0)
    relative = found._relative(mixture.sample(rng, _PILOT))
    return replace(found, log_normaliser=high + math.log(float(np.exp(relative - high).mean())))


def _features(local: np.ndarray, degree: int) -> np.ndarray:
    """All monomials of z up to a degree, (m, d) to (m, terms)."""
    columns = [np.ones(len(local))]
    for power in range(1, degree + 1):
        for chosen in combinations_with_replacement(range(local.shape[1]), power):
            columns.append(np.prod(local[:, chosen], axis=1))
    return np.column_stack(columns)
