"""Proposals that are adapted to a density."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from poolwise.samplers.mode import find_modes
from poolwise.samplers.proposal import adapt, refined, weighted


@dataclass(frozen=True)
class Skewed:
    """A density of Gumbel's, far from normal, whose values have noise as sums of very many rows have."""

    noise: float
    dimension: int = 3
    cost: float = 1e4
    log_scales: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=int))

    def log_density(self, points):
        return (points - np.exp(points)).sum(axis=1) + self.noise * np.sin(1e7 * points.sum(axis=1))

    def value_and_gradient(self, point):
        return float(self.log_density(point[None])[0]), 1 - np.exp(point)

    def values_and_gradients(self, points):
        return self.log_density(points), 1 - np.exp(points)

    def starts(self):
        return np.zeros((1, self.dimension))

    def box(self):
        return np.full(self.dimension, -8.0), np.full(self.dimension, 4.0)

    def native(self):
        return None


@pytest.mark.parametrize("noise", [1e-9, -3e-9])
def test_rough_ones_do_not_follow_the_last_digits_of_values(noise):
    """Draws of effects are others in the next place of a variance: a proposal that is a billionth aside is another."""
    modes = find_modes(Skewed(0.0), np.random.default_rng(0))
    found = []
    for each in (0.0, noise):
        rng = np.random.default_rng(1)
        adapted = adapt(Skewed(each), rng, modes, rough=True)
        points, log_weights, _ = weighted(Skewed(each), adapted.warp, adapted.proposal, rng, 2000)
        better = refined(adapted, points, log_weights, rng, rough=True)
        found.append((adapted.proposal, better.proposal))
        assert adapted.rounds > 1
    for one, other in zip(*found, strict=True):
        for name in ("weights", "means", "factors"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
