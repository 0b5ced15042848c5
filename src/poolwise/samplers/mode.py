"""The modes of a density and its curvature there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poolwise.samplers.ascent import ascend
from poolwise.samplers.interface import LogDensity
from poolwise.samplers.rounding import rounded, rounded_root
from poolwise.support.errors import SamplingError
from poolwise.support.threads import look

# Points of the box that are looked at, in one batch: fewer where each costs much, as it does with much data and few
# modes.
_MOST_SCATTERED, _LEAST_SCATTERED, _BUDGET = 512, 32, 1e9
_CLIMBED, _CLIMBS_BUDGET = 4, 1e6  # scattered points that are climbed from, and flops of an evaluation times climbs
_OWN = 3  # of the density's own starts that are always climbed from: each may be near a mode that no other is near
_MORE = 3  # climbs from likely points that are far from every mode
_STEPS, _RISE = 60, 0.05  # of a climb, and the rise below which Newton goes on
_NEWTON, _GAIN = 60, 1e-3  # steps of Newton: at most, and while the rise they promise is worth it
_POLISH, _NOTHING = 6, 1e-16  # further steps, and the rise below which there is nothing left
_STEEPEST = 1e12  # curvature that is believed
_FAR = 5.0  # standard deviations from every known mode
_DIGITS = 16  # binary digits, in standard deviations, that are kept of a mode: the others follow rounding


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

    @property
    def log_mass(self) -> float:
        """Log of its integral by Laplace's approximation."""
        volume = float(np.linalg.slogdet(self.covariance)[1])
        return self.value + 0.5 * volume + 0.5 * len(self.point) * math.log(2 * math.pi)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Standard deviations from the mode, (m, d) to (m,)."""
        return np.linalg.norm(np.linalg.solve(np.linalg.cholesky(self.covariance), (points - self.point).T), axis=0)


def find_modes(density: LogDensity, rng: np.random.Generator) -> list[Mode]:
    """The modes that climbs from many places come upon, the highest first.

    Climbs begin at the density's own starts, which do not share a failure, and at the best of many scattered points:
    priors that contradict the data, and Student-t priors, make posteriors with two modes. Then the points that are far
    from the modes known so far and yet not much less likely are climbed from.
    """
    count = int(min(_MOST_SCATTERED, max(_LEAST_SCATTERED, _BUDGET // density.cost)))
    points = np.vstack([density.starts(), scattered(*density.box(), count, rng)])
    values = density.log_density(points)
    if not np.isfinite(values).any():
        raise SamplingError("The posterior is not finite anywhere near the data: check the units of data and priors.")
    some = _promising(values, len(points) - count, int(max(1, min(_CLIMBS_BUDGET // density.cost, 64))))
    modes = distinct_modes(density, *ascend(density, points[some], _STEPS, _RISE), [])
    for _ in range(_MORE):
        far = np.min([mode.distance(points) for mode in modes], axis=0) > _FAR
        likely = values > max(mode.value for mode in modes) - 10 - density.dimension
        if not np.any(far & likely):
            break
        pick = int(np.argmax(np.where(far & likely, values, -np.inf)))
        modes = distinct_modes(density, *ascend(density, points[[pick]], _STEPS, _RISE), modes)
        values[pick] = -np.inf
    return modes


def _promising(values: np.ndarray, starts: int, most: int) -> np.ndarray:
    """Positions of all starts and of the likeliest scattered points; where few can be climbed from, of the likeliest of
    all, and of the likeliest starts in any case."""
    ranked = starts + np.argsort(-values[starts:], kind="stable")[:_CLIMBED]
    chosen = np.concatenate([np.arange(starts), ranked])
    chosen = chosen[np.isfinite(values[chosen])]
    if not len(chosen):
        return np.array([int(np.nanargmax(values))])
    chosen = chosen[np.argsort(-values[chosen], kind="stable")]
    kept = np.arange(len(chosen)) < most
    kept[np.flatnonzero(chosen < starts)[:_OWN]] = True
    return chosen[kept]


def distinct_modes(density: LogDensity, points: np.ndarray, values: np.ndarray, known: list[Mode]) -> list[Mode]:
    """Known modes and those near the ends of climbs (k, d), each once, the highest first; hopeless ones left out."""
    if not np.isfinite(values).any():
        return list(known)
    highest = int(np.argmax(values))
    modes = known or [_settle(density, points[highest], float(values[highest]))]
    # The others go on together, by the curvature at the highest: most of them lead there.
    others = [i for i in np.argsort(-values, kind="stable") if _is_worth(modes, points[i], float(values[i]))]
    if not others:
        return modes
    ends, heights = ascend(density, points[others], _STEPS, _RISE, modes[0].covariance)
    for i in np.argsort(-heights, kind="stable"):
        if _is_worth(modes, ends[i], float(heights[i])):
            found = _settle(density, ends[i], float(heights[i]))
            if not _near(modes, found.point):
                modes = [*modes, found]
    return sorted(modes, key=lambda mode: -mode.value)


def _is_worth(modes: list[Mode], point: np.ndarray, value: float) -> bool:
    """Whether a climb's end is near none of some modes, and not hopelessly far below them."""
    best = max(mode.value for mode in modes)
    return np.isfinite(value) and value >= best - 10 - len(point) and not _near(modes, point)


def _near(modes: list[Mode], point: np.ndarray) -> bool:
    return any(mode.distance(point[None])[0] <= 1 for mode in modes)


def scattered(low: np.ndarray, high: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """A Latin hypercube (m, d): each coordinate is spread evenly (McKay, Beckman and Conover 1979)."""
    cells = rng.permuted(np.tile(np.arange(count), (len(low), 1)), axis=1).T
    return low + (high - low) * (cells + rng.random(cells.shape)) / count


def _settle(density: LogDensity, point: np.ndarray, value: float) -> Mode:
    """Go on by damped Newton steps until none would gain anything.

    BFGS gives up far from the mode where the density falls by millions within a unit, as it does with many groups. A
    direction in which the density is flat or bends upwards (a variance that the data cannot tell from zero has a long
    tail in its logarithm) is given a standard deviation of 2 in the density's own, logarithmic units.
    """
    gradient, covariance = _slope_and_inverse_curvature(density, point)
    for _ in range(_NEWTON):
        look()
        step = covariance @ gradient
        if not gradient @ step > _GAIN:
            break
        step *= min(1.0, 1.0 / float(np.abs(step).max()))
        for halving in range(20):
            trial = point + 0.5**halving * step
            higher = density.value_and_gradient(trial)[0]
            if higher > value:
                break
        else:
            break
        point, value = trial, higher
        gradient, covariance = _slope_and_inverse_curvature(density, point)
    point = _polished(density, point, gradient, covariance)
    # What is left of the way to the mode follows the last digits of the data, and draws must not.
    root = np.linalg.cholesky(covariance)
    point, root = rounded(point, np.diag(root), _DIGITS), rounded_root(root, _DIGITS)
    return Mode(point, value, root @ root.T)


def _polished(density: LogDensity, point: np.ndarray, gradient: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Some steps more under the same curvature, as long as each leaves less to gain than the one before."""
    promised = float(gradient @ covariance @ gradient)
    for _ in range(_POLISH):
        if not _NOTHING < promised < 10 * _GAIN:
            break
        trial = point + covariance @ gradient
        slope = density.value_and_gradient(trial)[1]
        left = float(slope @ covariance @ slope)
        if not left < 0.5 * promised:
            break
        point, gradient, promised = trial, slope, left
    return point


def _slope_and_inverse_curvature(
    density: LogDensity, point: np.ndarray, step: float = 1e-3
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (d,) and inverse curvature (d, d) by central differences, all points in one batch."""
    d = len(point)
    offsets = step * np.eye(d)
    gradients = density.values_and_gradients(point + np.vstack([offsets, -offsets, np.zeros((1, d))]))[1]
    hessian = (gradients[d : 2 * d] - gradients[:d]) / (2 * step)
    hessian = np.where(np.isfinite(hessian), hessian, 0.0)
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    return gradients[-1], (vectors / np.clip(values, 0.25, _STEEPEST)) @ vectors.T
