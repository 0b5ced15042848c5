"""A density brought nearer to another by a quadratic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from poolwise.samplers.mode import Mode
from poolwise.samplers.near import sample_near
from poolwise.samplers.settings import sampler_settings
from poolwise.samplers.tilted import Tilted
from poolwise.support.progress import silent


@dataclass(frozen=True)
class Normal:
    """A normal density, as samplers take it; `noise` is that of estimates of its log."""

    covariance: np.ndarray
    noise: float = 0.0
    cost: float = 2e5

    @property
    def dimension(self):
        return len(self.covariance)

    @property
    def log_scales(self):
        return np.zeros(0, dtype=int)

    def log_density(self, points):
        inside = np.where(np.isfinite(points), points, 1e9)
        values = np.atleast_1d(multivariate_normal(np.zeros(self.dimension), self.covariance).logpdf(inside))
        values = np.where(np.isfinite(points).all(axis=1), values, -np.inf)
        digits = np.abs(np.sin(1e4 * inside.sum(axis=1)))  # the same at the same point
        return values + self.noise * (digits - digits.mean())

    def value_and_gradient(self, point):
        return float(self.log_density(point[None])[0]), -np.linalg.solve(self.covariance, point)

    def values_and_gradients(self, points):
        return self.log_density(points), -np.linalg.solve(self.covariance, points.T).T

    def starts(self):
        return np.zeros((1, self.dimension))

    def box(self):
        return -np.ones(self.dimension), np.ones(self.dimension)

    def native(self):
        return None


NEAR = Normal(np.diag([1.0, 0.3, 0.5]))
TARGET = Normal(np.array([[1.0, 0.5, 0.2], [0.5, 0.9, -0.3], [0.2, -0.3, 0.8]]))


def points_between(size=500, seed=1):
    points = np.random.default_rng(seed).multivariate_normal(np.zeros(3), 1.5 * NEAR.covariance, size)
    apart = TARGET.log_density(points) - NEAR.log_density(points)
    own = multivariate_normal(np.zeros(3), 1.5 * NEAR.covariance).logpdf(points)
    return points, TARGET.log_density(points) - own, apart


def test_a_quadratic_between_two_normals_is_found():
    """To the digits that are kept."""
    tilted = Tilted.towards(NEAR, *points_between())
    new = 0.8 * points_between(seed=2)[0]
    apart = TARGET.log_density(new) - tilted.log_density(new)
    within = (np.abs((new - tilted.centre) @ tilted.inverse.T) < 3).all(axis=1)
    np.testing.assert_allclose(apart[within], apart[within][0], atol=0.02)


def test_last_digits_of_estimates_play_no_part():
    points, log_weights, apart = points_between()
    noise = 1e-8 * np.random.default_rng(4).standard_normal((2, len(apart)))
    one, other = (Tilted.towards(NEAR, points, log_weights + away, apart + away) for away in noise)
    for name in ("centre", "inverse", "coefficients"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("far", [-50.0, -np.inf, np.nan])
def test_estimates_that_are_far_too_low_play_no_part(far):
    points, log_weights, apart = points_between()
    exact = Tilted.towards(NEAR, points, log_weights, apart)
    spoilt = np.where(np.arange(500) % 10 == 0, apart + far, apart)
    found = Tilted.towards(NEAR, points, log_weights, spoilt)
    np.testing.assert_allclose(found.coefficients, exact.coefficients, atol=1e-6)


def test_it_is_bounded_and_wants_points():
    points, log_weights, apart = points_between()
    tilted = Tilted.towards(NEAR, points, log_weights, apart)
    far = np.array([[1e3, -1e3, 1e3], [1e6, -1e6, 1e6]])
    assert np.ptp(tilted.log_density(far) - NEAR.log_density(far)) < 1e-3 * abs(NEAR.log_density(far)[0])
    assert Tilted.towards(NEAR, points[:20], log_weights[:20], apart[:20]) is None


def test_draws_are_of_the_density_itself_however_far_the_near_one_is_from_it():
    settings = sampler_settings(1000, 4, 1, "auto", silent)
    target = Normal(TARGET.covariance, noise=0.5)
    mode = Mode(np.zeros(3), 0.0, NEAR.covariance)
    found = sample_near(target, NEAR, [mode], settings, everywhere=False)
    draws = found.sample.points.reshape(-1, 3)
    assert found.corrected and found.sample.certificate.passed
    assert found.sample.certificate.figures["efficiency"] > 0.6
    np.testing.assert_allclose(np.cov(draws.T), TARGET.covariance, atol=0.12)


def test_a_standard_deviation_of_zero_has_a_log_without_end():
    points, log_weights, apart = points_between()
    tilted = Tilted.towards(NEAR, points, log_weights, apart)
    at = np.array([[0.0, -np.inf, 0.0], [0.0, 0.0, -np.inf]])
    with np.errstate(invalid="ignore"):
        assert np.isneginf(tilted.log_density(at)).all()
    spoilt = np.where(np.arange(500)[:, None] % 50 == 0, at[0], points)
    weights = np.where(np.arange(500) % 50 == 0, -np.inf, log_weights)
    found = Tilted.towards(NEAR, spoilt, weights, apart)
    np.testing.assert_allclose(found.log_density(points) - tilted.log_density(points), 0.0, atol=1.0)


def test_points_that_hardly_differ_tell_nothing():
    points, log_weights, apart = points_between()
    assert Tilted.towards(NEAR, np.tile(points[:1], (500, 1)), log_weights, apart) is None
    assert Tilted.towards(NEAR, points[:1] + 1e-9 * points, log_weights, apart) is None


def test_the_logit_of_a_share_of_nothing_is_far_away():
    """And tells no more than any other point that far."""
    points, log_weights, apart = points_between()
    found = [
        Tilted.towards(NEAR, np.where(np.arange(500)[:, None] % 50 == 0, [far, 0.0, 0.0], points), log_weights, apart)
        for far in (-1e300, -1e3)
    ]
    np.testing.assert_array_equal(*(each.coefficients for each in found))
    assert np.isfinite(found[0].coefficients).all()
