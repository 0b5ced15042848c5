"""Mixtures of multivariate Student-t distributions: density, draws, and a fit to weighted points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poolwise.compiled import kernel, vector
from poolwise.compiled.types import Array3, Matrix, Vector

_LANES = 64  # points that go through the loops together; their rows stay in the nearest cache


@dataclass(frozen=True, slots=True, eq=False)
class StudentMixture:
    """A mixture of k Student-t distributions in d dimensions.

    Attributes
    ----------
    weights : (k,) that add up to one.
    means : (k, d).
    factors : (k, d, d) lower Cholesky factors of the scale matrices.
    degrees : (k,) degrees of freedom.
    """

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    degrees: np.ndarray

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """(m, d) to (m,)."""
        out = np.empty(len(points))
        _log_mixture(np.ascontiguousarray(points), *self._parts(), out)
        return out

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Independent draws (size, d)."""
        component = np.minimum(np.searchsorted(np.cumsum(self.weights), rng.random(size)), len(self.weights) - 1)
        normal = rng.standard_normal((size, self.means.shape[1]))
        draws = np.empty_like(normal)
        for k in range(len(self.weights)):
            mine = np.flatnonzero(component == k)
            stretch = np.sqrt(self.degrees[k] / rng.chisquare(self.degrees[k], len(mine)))
            draws[mine] = self.means[k] + stretch[:, None] * (normal[mine] @ self.factors[k].T)
        return draws

    def with_defence(self, share: float, stretch: float, degrees: float) -> StudentMixture:
        """This mixture with a wide, heavy-tailed component of weight `share` over all of it.

        It bounds the importance weights where the rest of the mixture has missed a tail (Hesterberg 1995).
        """
        mean = self.weights @ self.means
        deviations = self.means - mean
        spread = np.einsum("k,kij,klj->il", self.weights, self.factors, self.factors)
        spread += np.einsum("k,ki,kj->ij", self.weights, deviations, deviations)
        return StudentMixture(
            np.append(self.weights * (1 - share), share),
            np.vstack([self.means, mean]),
            np.concatenate([self.factors, stretch * np.linalg.cholesky(spread)[None]]),
            np.append(self.degrees, degrees),
        )

    def _parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        d = self.means.shape[1]
        constants = [
            math.log(w)
            + math.lgamma((nu + d) / 2)
            - math.lgamma(nu / 2)
            - 0.5 * d * math.log(nu * math.pi)
            - float(np.log(np.diag(factor)).sum())
            for w, nu, factor in zip(self.weights, self.degrees, self.factors, strict=True)
        ]
        return np.array(constants), self.means, np.linalg.inv(self.factors), self.degrees


def fit_mixture(points: np.ndarray, weights: np.ndarray, start: StudentMixture, iterations: int) -> StudentMixture:
    """Weighted EM with fixed degrees of freedom (Peel and McLachlan 2000; weights as in Cappe et al. 2008).

    Parameters
    ----------
    points, weights : (m, d) and (m,), the weights adding up to one.
    start : the mixture to improve. Components that come to hold less than a hundredth of the weight are dropped.
    """
    mixture, d = start, points.shape[1]
    centre = weights @ points
    around = points - centre
    floor = 1e-4 * (weights @ around**2) + 1e-12  # keeps a component from collapsing onto a point
    for _ in range(iterations):
        constants, means, inverses, degrees = mixture._parts()
        k = len(constants)
        mass, pull, first, second = np.zeros(k), np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
        _accumulate(around, weights, constants, means - centre, inverses, degrees, mass, pull, first, second)
        kept = mass > 0.01
        mass, pull, first, second = mass[kept], pull[kept], first[kept], second[kept]
        means = first / pull[:, None]
        scatter = (second - pull[:, None, None] * means[:, :, None] * means[:, None, :]) / mass[:, None, None]
        scatter[:, np.arange(d), np.arange(d)] += floor
        mixture = StudentMixture(mass / mass.sum(), centre + means, np.linalg.cholesky(scatter), degrees[kept])
    return mixture


@kernel
def _load(points, begin, turned):
    """Coordinates of some points, one row of `turned` (d, lanes) each; returns how many points there are."""
    size = min(_LANES, points.shape[0] - begin)
    for c in range(points.shape[1]):
        for g in range(size):
            turned[c, g] = points[begin + g, c]
    return size


@kernel
def _log_components(turned, size, constants, means, inverses, degrees, terms, squares, total, row):
    """Log of each weighted component density at some points, and squared distances, (k, lanes); `total` is of the sum.

    Loops run over points, so that they fill vector registers; `row` (lanes,) is scratch.
    """
    components, d = means.shape
    for g in range(size):
        total[g] = -np.inf
    for k in range(components):
        for g in range(size):
            squares[k, g] = 0.0
        for r in range(d):
            for g in range(size):
                row[g] = 0.0
            for c in range(r + 1):
                weight, centre = inverses[k, r, c], means[k, c]
                for g in range(size):
                    row[g] += weight * (turned[c, g] - centre)
            for g in range(size):
                squares[k, g] += row[g] * row[g]
        power, degree = 0.5 * (degrees[k] + d), degrees[k]
        for g in range(size):
            terms[k, g] = constants[k] - power * vector.log1p(squares[k, g] / degree)
            total[g] = max(total[g], terms[k, g])
    for g in range(size):
        row[g] = 0.0
    for k in range(components):
        for g in range(size):
            row[g] += vector.exp(terms[k, g] - total[g])
    for g in range(size):
        total[g] += vector.log(row[g])


@kernel
def _log_mixture(
    points: Matrix, constants: Vector, means: Matrix, inverses: Array3, degrees: Vector, out: Vector
) -> None:
    components, d = means.shape
    terms, squares = np.empty((components, _LANES)), np.empty((components, _LANES))
    turned, total, row = np.empty((d, _LANES)), np.empty(_LANES), np.empty(_LANES)
    for begin in range(0, points.shape[0], _LANES):
        size = _load(points, begin, turned)
        _log_components(turned, size, constants, means, inverses, degrees, terms, squares, total, row)
        for g in range(size):
            out[begin + g] = total[g]


@kernel
def _accumulate(
    points: Matrix,
    weights: Vector,
    constants: Vector,
    means: Matrix,
    inverses: Array3,
    degrees: Vector,
    mass: Vector,
    pull: Vector,
    first: Matrix,
    second: Array3,
) -> None:
    """One E-step: total responsibilities and the moments under the downweighting of outliers."""
    components, d = means.shape
    terms, squares = np.empty((components, _LANES)), np.empty((components, _LANES))
    turned, total, row = np.empty((d, _LANES)), np.empty(_LANES), np.empty(_LANES)
    for begin in range(0, points.shape[0], _LANES):
        size = _load(points, begin, turned)
        _log_components(turned, size, constants, means, inverses, degrees, terms, squares, total, row)
        for k in range(components):
            whole, pulled, degree = 0.0, 0.0, degrees[k]
            for g in range(size):
                share = weights[begin + g] * vector.exp(terms[k, g] - total[g])
                whole += share
                row[g] = share * (degree + d) / (degree + squares[k, g])
                pulled += row[g]
            mass[k] += whole
            pull[k] += pulled
            for r in range(d):
                moment = 0.0
                for g in range(size):
                    moment += row[g] * turned[r, g]
                first[k, r] += moment
                for c in range(r + 1):
                    product = 0.0
                    for g in range(size):
                        product += row[g] * turned[r, g] * turned[c, g]
                    second[k, r, c] += product
                    if c < r:
                        second[k, c, r] += product
