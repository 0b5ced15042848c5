"""What every sampler promises, on densities whose moments are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from tests.selection import long_but_for

from poolwise.samplers import LogDensity, SamplerSettings, independence, sample
from poolwise.samplers.independence import sample_independence
from poolwise.samplers.nuts import sample_nuts
from poolwise.samplers.proposal import adapt, refined, weighted
from poolwise.samplers.weights import efficiency


class Gaussian:
    """Correlated Normal in d dimensions."""

    def __init__(self, d: int):
        self.dimension = d
        self.mean = np.arange(d, dtype=float)
        self.covariance = 0.7 * np.ones((d, d)) + 0.3 * np.eye(d)
        self.precision = np.linalg.inv(self.covariance)
        self.log_scales = np.zeros(0, dtype=int)
        self.cost = 1.0

    def log_density(self, points):
        rest = points - self.mean
        return -0.5 * np.einsum("mi,ij,mj->m", rest, self.precision, rest)

    def value_and_gradient(self, point):
        return float(self.log_density(point[None])[0]), -self.precision @ (point - self.mean)

    def values_and_gradients(self, points):
        values, gradients = zip(*map(self.value_and_gradient, points), strict=True)
        return np.array(values), np.array(gradients)

    def starts(self):
        return np.zeros((1, self.dimension))

    def box(self):
        return np.full(self.dimension, -10.0), np.full(self.dimension, 10.0)

    def native(self):
        return None


class HalfNormalScale(Gaussian):
    """log tau for tau half-Normal: a posterior of a variance that the data cannot tell from zero."""

    def __init__(self):
        super().__init__(1)
        self.log_scales = np.array([0])

    def log_density(self, points):
        return points[:, 0] - 0.5 * np.exp(2 * points[:, 0])

    def value_and_gradient(self, point):
        return float(self.log_density(point[None])[0]), np.array([1 - np.exp(2 * point[0])])


SAMPLERS = [sample_independence, sample_nuts]


def settings(seed=0, draws=2000):
    return SamplerSettings(draws, 4, np.random.SeedSequence(seed))


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("d", long_but_for((6).__eq__, [1, 6, 3]))
def test_moments_of_a_normal(sampler, d):
    density = Gaussian(d)
    assert isinstance(density, LogDensity)
    drawn = sampler(density, settings())
    assert drawn.points.shape == (4, 2000, d)
    assert drawn.certificate.passed
    flat = drawn.points.reshape(-1, d)
    assert np.max(np.abs(flat.mean(axis=0) - density.mean)) < 0.09
    np.testing.assert_allclose(np.cov(flat.T).reshape(d, d), density.covariance, atol=0.12)


@pytest.mark.parametrize("d", [1, 4])
def test_a_density_that_costs_much_takes_few_evaluations(d):
    density = Gaussian(d)
    density.cost = 1e9
    drawn = sample_independence(density, settings())
    assert drawn.certificate.passed
    assert drawn.certificate.figures["evaluations"] < 1.25 * 4 * 2020 + 600
    assert drawn.certificate.figures["efficiency"] > 0.85
    flat = drawn.points.reshape(-1, d)
    assert np.max(np.abs(flat.mean(axis=0) - density.mean)) < 0.09
    np.testing.assert_allclose(np.cov(flat.T).reshape(d, d), density.covariance, atol=0.12)
    exact = 0.5 * np.linalg.slogdet(2 * np.pi * density.covariance)[1]
    assert drawn.certificate.log_evidence == pytest.approx(exact, abs=0.03)


def test_a_skewed_density_that_costs_much():
    density = HalfNormalScale()
    density.cost = 1e9
    tau = np.exp(sample_independence(density, settings()).points).ravel()
    quantiles = np.quantile(tau, [0.05, 0.25, 0.5, 0.95])
    np.testing.assert_allclose(quantiles, norm.ppf((1 + np.array([0.05, 0.25, 0.5, 0.95])) / 2), atol=0.06)


@pytest.mark.parametrize("sampler", long_but_for(lambda sampler: sampler is sample_independence, SAMPLERS))
def test_a_scale_next_to_zero(sampler):
    drawn = sampler(HalfNormalScale(), settings())
    tau = np.exp(drawn.points).ravel()
    quantiles = np.quantile(tau, [0.05, 0.25, 0.5, 0.95])
    np.testing.assert_allclose(quantiles, norm.ppf((1 + np.array([0.05, 0.25, 0.5, 0.95])) / 2), atol=0.06)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_same_seed_same_draws(sampler):
    one, two, three = (sampler(Gaussian(2), settings(seed, 200)).points for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, three)


def test_evidence_of_a_normal():
    density = Gaussian(3)
    exact = 0.5 * np.linalg.slogdet(2 * np.pi * density.covariance)[1]
    assert sample_independence(density, settings()).certificate.log_evidence == pytest.approx(exact, abs=0.02)


class Banana(Gaussian):
    """Curved, far from any mixture of few components."""

    def __init__(self):
        super().__init__(8)

    def log_density(self, points):
        x, y = points[:, ::2], points[:, 1::2]
        return -0.5 * (x**2 / 4 + 400 * (y - x**2) ** 2).sum(axis=1)

    def value_and_gradient(self, point):
        x, y = point[::2], point[1::2]
        gradient = np.empty(8)
        gradient[::2] = -x / 4 + 800 * x * (y - x**2)
        gradient[1::2] = -400 * (y - x**2)
        return float(self.log_density(point[None])[0]), gradient


@pytest.mark.long
def test_a_density_that_the_mixture_does_not_fit_is_not_certified_and_handed_to_nuts():
    direct = sample_independence(Banana(), settings(draws=200))
    assert not direct.certificate.passed
    assert "sampler='nuts'" in direct.certificate.advice
    chosen = sample(Banana(), SamplerSettings(50, 1, np.random.SeedSequence(0)))  # NUTS calls Python here: slow
    assert chosen.certificate.sampler == "nuts"
    assert "not certified" in chosen.certificate.reason


def test_few_draws_say_how_little_they_tell():
    few = sample(Gaussian(2), SamplerSettings(4, 1, np.random.SeedSequence(1)), 1).certificate
    assert "few: means are known to 0." in few.advice
    many = sample(Gaussian(2), SamplerSettings(1000, 4, np.random.SeedSequence(1)), 1).certificate
    assert "few" not in many.advice


def test_a_second_estimate_that_cannot_be_computed_is_no_agreement(monkeypatch):
    monkeypatch.setattr(independence, "bridge", lambda *_: (np.nan, np.inf))
    found = sample_independence(Gaussian(2), SamplerSettings(1000, 4, np.random.SeedSequence(1))).certificate
    assert not found.passed
    assert "could not be computed" in found.advice


def test_a_better_proposal_is_judged_by_new_points_of_its_own():
    class Counted(Gaussian):
        seen = 0

        def log_density(self, points):
            self.seen += len(points)
            return super().log_density(points)

    density, rng = Counted(2), np.random.default_rng(1)
    adapted = adapt(density, rng)
    points, log_weights, _ = weighted(density, adapted.warp, adapted.proposal, rng, 3_000)
    before = density.seen
    better = refined(density, adapted, points, log_weights, rng)
    assert len(better.log_weights) == density.seen - before == better.evaluations - adapted.evaluations - 3_000
    assert len(np.unique(better.log_weights)) == len(better.log_weights)  # old points drawn again would repeat
    assert efficiency(better.log_weights) > 0.9
