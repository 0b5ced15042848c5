"""The modes of a density and its curvature there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.errors import SamplingError
from poolwise.samplers.base import LogDensity

# Points of the box that are looked at, in one batch: fewer where each costs much, as it does with much data and few
# modes.
_MOST_SCATTERED, _LEAST_SCATTERED, _BUDGET = 512, 32, 1e9
_CLIMBS = 4
_STEPS, _GAIN = 60, 1e-3  # of Newton: at most, and while the rise they promise is worth it
_FAR = 5.0  # standard deviations from every known mode


@dataclass(frozen=True, slots=True, eq=False)
class Mode:
    """A local maximum.

    Attributes
    ----------
    point : (d,) where it is.
    value : log density there.
    covariance : (d, d) inverse curvature, positive definite.
    """

    point: np.ndarray
    value: float
    covariance: np.ndarray

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Standard deviations from the mode, (m, d) to (m,)."""
        return np.linalg.norm(np.linalg.solve(np.linalg.cholesky(self.covariance), (points - self.point).T), axis=0)


def find_modes(density: LogDensity, rng: np.random.Generator) -> list[Mode]:
    """The modes that a search of the density's box comes upon, the highest first.

    Priors that contradict the data, and Student-t priors, make posteriors with two modes. So the best of many scattered
    points is climbed from, and then those that are far from the modes known so far and yet not much less likely.
    """
    count = int(min(_MOST_SCATTERED, max(_LEAST_SCATTERED, _BUDGET // density.cost)))
    points = np.vstack([density.starts(), _scattered(*density.box(), count, rng)])
    values = density.log_density(points)
    if not np.isfinite(values).any():
        raise SamplingError("The posterior is not finite anywhere near the data: check the units of data and priors.")
    modes = [climb(density, points[int(np.argmax(values))])]
    for _ in range(_CLIMBS - 1):
        far = np.min([mode.distance(points) for mode in modes], axis=0) > _FAR
        likely = values > max(mode.value for mode in modes) - 10 - density.dimension
        if not np.any(far & likely):
            break
        pick = int(np.argmax(np.where(far & likely, values, -np.inf)))
        found = climb(density, points[pick])
        values[pick] = -np.inf
        if min(mode.distance(found.point[None])[0] for mode in modes) > 1:
            modes.append(found)
    return sorted(modes, key=lambda mode: -mode.value)


def _scattered(low: np.ndarray, high: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """A Latin hypercube (m, d): each coordinate is spread evenly (McKay, Beckman and Conover 1979)."""
    cells = rng.permuted(np.tile(np.arange(count), (len(low), 1)), axis=1).T
    return low + (high - low) * (cells + rng.random(cells.shape)) / count


def climb(density: LogDensity, start: np.ndarray) -> Mode:
    """Climb by BFGS.

    A direction in which the density is flat or bends upwards (a variance that the data cannot tell from zero has a
    long tail in its logarithm) is given a standard deviation of 2 in the density's own, logarithmic units.
    """
    from scipy.optimize import minimize

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = density.value_and_gradient(point)
        return (-value, -gradient) if np.isfinite(value) else (1e300, np.zeros_like(point))

    found = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-3, "maxiter": 200})
    return _settle(density, np.asarray(found.x), -float(found.fun))


def _settle(density: LogDensity, point: np.ndarray, value: float) -> Mode:
    """Go on by damped Newton steps until none would gain anything.

    BFGS gives up far from the mode where the density falls by millions within a unit, as it does with many groups.
    """
    covariance = _inverse_curvature(density, point)
    for _ in range(_STEPS):
        gradient = density.value_and_gradient(point)[1]
        step = covariance @ gradient
        if not gradient @ step > _GAIN:
            break
        step *= min(1.0, 1.0 / float(np.abs(step).max()))
        for halving in range(20):
            higher = density.value_and_gradient(point + 0.5**halving * step)[0]
            if higher > value:
                break
        else:
            break
        point, value = point + 0.5**halving * step, higher
        covariance = _inverse_curvature(density, point)
    return Mode(point, value, covariance)


def _inverse_curvature(density: LogDensity, mode: np.ndarray, step: float = 1e-3) -> np.ndarray:
    d = len(mode)
    hessian = np.empty((d, d))
    for k in range(d):
        offset = np.zeros(d)
        offset[k] = step
        up, down = density.value_and_gradient(mode + offset)[1], density.value_and_gradient(mode - offset)[1]
        hessian[k] = (down - up) / (2 * step)
    hessian = np.where(np.isfinite(hessian), hessian, 0.0)
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    return (vectors / np.maximum(values, 0.25)) @ vectors.T
