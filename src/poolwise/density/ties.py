"""Effects of groups whose sds follow a few numbers, as those of curves and time series by group do.

theta holds the log sd of every effect, so that all algebra of effects is what it is elsewhere. Those of structured
terms are no coordinates of their own, however: a sampler sees theta without them, and they follow the term's
hyperparameters, which are the last numbers of theta. They have no prior besides that of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import IntVector, Matrix, Vector
from poolwise.design.structures.hyperparameters import follow, follows_any
from poolwise.samplers.interface import LogDensity, NativeDensity


@dataclass(frozen=True, slots=True, eq=False)
class Ties:
    """T log sds of theta that follow its last m numbers.

    Attributes
    ----------
    dimension : d, length of theta.
    places : (T,) of these log sds, in ascending order.
    follows : (T, 4 m) how the log precision of each follows the numbers, see `hyperparameters`.
    shifts : (T,) what is added to each log sd: of its column's width and units.
    """

    dimension: int
    places: np.ndarray
    follows: np.ndarray
    shifts: np.ndarray

    @property
    def free(self) -> np.ndarray:
        """(d - T,) places of the coordinates that are sampled."""
        return np.setdiff1d(np.arange(self.dimension), self.places)

    def theta(self, points: np.ndarray) -> np.ndarray:
        """Points (m, d - T) with the log sds that follow, (m, d)."""
        if not len(self.places):
            return points
        found = np.empty((len(points), self.dimension))
        tied_points(np.ascontiguousarray(points), self.places, self.follows, self.shifts, found)
        return found

    def slopes(self, theta: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Slopes in all of theta (m, d) to those in what is sampled, (m, d - T)."""
        if not len(self.places):
            return gradients
        found = np.empty((len(theta), self.dimension - len(self.places)))
        tied_slopes(np.ascontiguousarray(theta), np.ascontiguousarray(gradients), self.places, self.follows, found)
        return found


@kernel
def tie(point, places, follows, shifts, theta):
    """All of theta from what is sampled of it."""
    count, at, t = follows.shape[1] // 4, 0, 0
    for k in range(theta.size):
        if t < places.size and places[t] == k:
            t += 1
        else:
            theta[k] = point[at]
            at += 1
    for t in range(places.size):
        total = 0.0
        for m in range(count):
            if follows_any(follows, t, m):
                total += follow(theta[theta.size - count + m], follows, t, m)[0]
        theta[places[t]] = shifts[t] - 0.5 * min(max(total, -500.0), 500.0)


@kernel
def tie_back(theta, gradient, places, follows, slope):
    """From slopes in all of theta to those in what is sampled of it."""
    count, at, t = follows.shape[1] // 4, 0, 0
    first = slope.size - count
    for k in range(theta.size):
        if t < places.size and places[t] == k:
            t += 1
        else:
            slope[at] = gradient[k]
            at += 1
    for t in range(places.size):
        for m in range(count):
            if follows_any(follows, t, m):
                own = follow(theta[theta.size - count + m], follows, t, m)[1]
                slope[first + m] -= 0.5 * own * gradient[places[t]]


@kernel
def tied_points(points: Matrix, places: IntVector, follows: Matrix, shifts: Vector, theta: Matrix) -> None:
    """`tie` of each row."""
    for i in range(points.shape[0]):
        tie(points[i], places, follows, shifts, theta[i])


@kernel
def tied_slopes(theta: Matrix, gradients: Matrix, places: IntVector, follows: Matrix, slopes: Matrix) -> None:
    """`tie_back` of each row."""
    for i in range(theta.shape[0]):
        tie_back(theta[i], gradients[i], places, follows, slopes[i])


@dataclass(frozen=True, slots=True, eq=False)
class TiedDensity:
    """A density of theta, as one of what is sampled of theta."""

    density: LogDensity
    ties: Ties

    @property
    def dimension(self) -> int:
        """Length of what is sampled."""
        return self.ties.dimension - len(self.ties.places)

    @property
    def log_scales(self) -> np.ndarray:
        """Positions of the log sds that may be close to zero."""
        return np.flatnonzero(np.isin(self.ties.free, self.density.log_scales))

    @property
    def cost(self) -> float:
        """As the density says."""
        return self.density.cost

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Values at points (m, d - T)."""
        return self.density.log_density(self.ties.theta(points))

    def value_and_gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient at one point."""
        theta = self.ties.theta(point[None])
        value, gradient = self.density.value_and_gradient(theta[0])
        return value, self.ties.slopes(theta, gradient[None])[0]

    def values_and_gradients(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same at points together."""
        theta = self.ties.theta(points)
        values, gradients = self.density.values_and_gradients(theta)
        return values, self.ties.slopes(theta, gradients)

    def starts(self) -> np.ndarray:
        """Points to begin from."""
        return self.density.starts()[:, self.ties.free]

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Ends of a box in which modes are looked for."""
        low, high = self.density.box()
        return low[self.ties.free], high[self.ties.free]

    def native(self) -> NativeDensity | None:
        """There is none."""
        return None


def sampled_part(density: Any, ties: Ties) -> LogDensity:
    """A density over what is sampled of theta: itself, where that is all of it."""
    return TiedDensity(density, ties) if len(ties.places) else density
