"""Large roots: the factorisation that gives a log density also gives a draw of the coefficients, at hardly any cost.

A sampler asks for log densities at points of which most become draws. So coefficients are drawn along and remembered;
since the random numbers of a draw are those of theta, they are what they would be if they were drawn later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from poolwise.samplers.interface import LogDensity, NativeDensity

_MOST = 1 << 27  # numbers remembered: 1 GB


class DrawingDensity(LogDensity, Protocol):
    """A log density whose evaluation gives a draw of the coefficients too; see `BlockedDensity`."""

    @property
    def coefficients_kept(self) -> int:  # noqa: D102
        ...

    def log_density_with_draws(  # noqa: D102
        self, points: np.ndarray, seed: np.random.SeedSequence | None
    ) -> tuple[np.ndarray, np.ndarray]: ...

    def draw_common(self, points: np.ndarray, seed: np.random.SeedSequence | None) -> np.ndarray: ...  # noqa: D102


@dataclass(frozen=True, slots=True, eq=False)
class Remembering:
    """A density that keeps a draw of the coefficients for each point that it was asked for.

    Attributes
    ----------
    density : the density itself.
    seed : of the draws.
    kept : draws (n,) by the bytes of theta.
    """

    density: DrawingDensity
    seed: np.random.SeedSequence
    kept: dict[bytes, np.ndarray] = field(default_factory=dict)

    @property
    def dimension(self) -> int:
        """Length of theta."""
        return self.density.dimension

    @property
    def log_scales(self) -> np.ndarray:
        """As the density says."""
        return self.density.log_scales

    @property
    def cost(self) -> float:
        """As the density says."""
        return self.density.cost

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Values (m,) at points (m, d), remembering a draw for each."""
        room = _MOST // self.density.coefficients_kept - len(self.kept)
        values, kept = self.density.log_density_with_draws(points, self.seed if room >= len(points) else None)
        for point, drawn in zip(points, kept, strict=False):
            self.kept[np.ascontiguousarray(point).tobytes()] = drawn
        return values

    def value_and_gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """As the density says."""
        return self.density.value_and_gradient(point)

    def values_and_gradients(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As the density says."""
        return self.density.values_and_gradients(points)

    def starts(self) -> np.ndarray:
        """As the density says."""
        return self.density.starts()

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """As the density says."""
        return self.density.box()

    def native(self) -> NativeDensity | None:
        """As the density says."""
        return self.density.native()

    def draw_common(self, points: np.ndarray, seed: np.random.SeedSequence) -> np.ndarray:
        """The coefficients (m, n) remembered for points (m, d); the others are drawn now."""
        keys = [point.tobytes() for point in np.ascontiguousarray(points)]
        found = np.empty((len(points), self.density.coefficients_kept))
        missing = [i for i, key in enumerate(keys) if key not in self.kept]
        for i, key in enumerate(keys):
            if key in self.kept:
                found[i] = self.kept[key]
        if missing:
            found[missing] = self.density.draw_common(points[missing], seed)
        return found
