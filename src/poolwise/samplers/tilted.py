"""A density that is near another, brought nearer by a quadratic: what is between them at some points, by least squares.

A working model knows nothing of how dispersions go together with variances, nor of what linear predictors that follow
them add to their spread; the other density's values at a few hundred points tell both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.samplers.interface import LogDensity, NativeDensity
from poolwise.samplers.rounding import rounded, rounded_root
from poolwise.samplers.weights import normalised

_REACH = 3.0  # standard deviations in which points tell; beyond, the quadratic is what it is there
_FAR = 1e3  # logs of standard deviations that are zero or endless, in products with zeros
_NARROWEST = 1e-6  # spread of points that tell anything
_OUTLYING, _ROUNDS = 3.0, 3  # scales from which points are left out, as estimates may be far too low; in so many rounds
_EACH = 4  # points for each coefficient, at the least
_DIGITS = 10  # binary digits that are kept of the fit: estimates are sums of many rows, whose last ones follow rounding
_SCALE = 1.4826  # standard deviation of a normal by its median absolute deviation


@dataclass(frozen=True, slots=True, eq=False)
class Tilted:
    """A density times the exponential of a quadratic.

    Attributes
    ----------
    near : what is tilted.
    centre, inverse : (d,) and (d, d): the quadratic is in inverse (theta - centre), up to `_REACH`.
    coefficients : of the products of these numbers, see `_products`.
    """

    near: LogDensity
    centre: np.ndarray
    inverse: np.ndarray
    coefficients: np.ndarray

    @classmethod
    def towards(cls, near: LogDensity, points: np.ndarray, log_weights: np.ndarray, apart: np.ndarray) -> Tilted | None:
        """Fitted to log densities less those of the near one (m,) at points (m, d), which have weights under the former
        (m,); None where these are too few."""
        weights = np.minimum(normalised(log_weights), 1 / np.sqrt(len(points)))  # no few points are all
        told = (weights > 0) & np.isfinite(points).all(axis=1)  # a standard deviation of zero has an infinite log
        if told.sum() < _EACH * (1 + points.shape[1]):
            return None
        near_by = np.clip(points, -_FAR, _FAR)
        centre = np.average(near_by[told], axis=0, weights=weights[told])
        spread = np.cov(near_by[told].T, aweights=weights[told], bias=True).reshape(len(centre), -1)
        try:
            root = np.linalg.cholesky(spread)
        except np.linalg.LinAlgError:  # few of the points have any weight
            return None
        if np.diag(root).min() < _NARROWEST:
            return None
        centre, inverse = rounded(centre, np.diag(root), _DIGITS), np.linalg.inv(rounded_root(root, _DIGITS))
        standard = (near_by - centre) @ inverse.T
        kept = np.isfinite(apart) & (np.abs(standard) <= _REACH).all(axis=1)
        products = _products(standard)
        for _ in range(_ROUNDS):
            if kept.sum() < _EACH * products.shape[1]:
                return None
            coefficients = np.linalg.lstsq(products[kept], apart[kept], rcond=None)[0]
            with np.errstate(invalid="ignore"):
                residual = np.abs(apart - products @ coefficients)
            kept &= residual <= _OUTLYING * max(_SCALE * float(np.median(residual[kept])), 1e-9)
        return cls(near, centre, inverse, rounded(coefficients, 1.0, _DIGITS))

    @property
    def dimension(self) -> int:
        """Length of a point."""
        return self.near.dimension

    @property
    def log_scales(self) -> np.ndarray:
        """Positions of the logs of standard deviations."""
        return self.near.log_scales

    @property
    def cost(self) -> float:
        """Flops of an evaluation, about."""
        return self.near.cost

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Values at points (m, d), (m,)."""
        standard = np.clip((np.clip(points, -_FAR, _FAR) - self.centre) @ self.inverse.T, -_REACH, _REACH)
        return np.asarray(self.near.log_density(points) + _products(standard) @ self.coefficients)

    def value_and_gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Proposals need none."""
        raise NotImplementedError

    def values_and_gradients(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Proposals need none."""
        raise NotImplementedError

    def starts(self) -> np.ndarray:
        """Those of the near one."""
        return self.near.starts()

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """That of the near one."""
        return self.near.box()

    def native(self) -> NativeDensity | None:
        """There is none."""
        return None


def _products(standard: np.ndarray) -> np.ndarray:
    """One, the numbers of points (m, d), and the products of any two of them, (m, 1 + d + d (d + 1) / 2)."""
    one, other = np.triu_indices(standard.shape[1])
    return np.column_stack([np.ones(len(standard)), standard, standard[:, one] * standard[:, other]])
