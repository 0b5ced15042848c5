"""Witnesses must find a sample that is wrong on purpose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp
from tests.samplers.test_contract import Gaussian, settings

from poolwise.samplers import sample
from poolwise.samplers.bridge import bridge
from poolwise.samplers.independence import sample_independence
from poolwise.samplers.missed_modes import log_evidence_about, missed_modes
from poolwise.samplers.mode import Mode, find_modes


class TwoModes(Gaussian):
    """Two normals far from each other; starts know only the smaller one."""

    def __init__(self, apart: float = 14.0, share: float = 0.9):
        super().__init__(3)
        self.centres = np.array([np.zeros(3), np.full(3, apart)])
        self.log_shares = np.log([1 - share, share])

    def _terms(self, points):
        away = points[:, None] - self.centres
        return self.log_shares - 0.5 * np.square(away).sum(axis=-1) - 1.5 * np.log(2 * np.pi)

    def log_density(self, points):
        return logsumexp(self._terms(points), axis=1)

    def value_and_gradient(self, point):
        terms = self._terms(point[None])[0]
        weights = np.exp(terms - logsumexp(terms))
        return float(logsumexp(terms)), weights @ (self.centres - point)

    def box(self):
        return np.full(3, -3.0), np.full(3, 20.0)


def draws_of_first(count=2000):
    return np.random.default_rng(0).normal(size=(count, 3))


def mode_at(density, point) -> Mode:
    return Mode(np.asarray(point, float), float(density.log_density(np.array([point]))[0]), np.eye(3))


@pytest.mark.parametrize("seed", range(5))
def test_a_mode_without_draws_is_found(seed):
    density = TwoModes()
    known = mode_at(density, np.zeros(3))
    missed = missed_modes(density, draws_of_first(), np.log(0.1), [known], np.random.default_rng(seed))
    assert len(missed) == 1
    np.testing.assert_allclose(missed[0].point, density.centres[1], atol=0.05)


def test_a_mode_that_holds_nothing_is_no_reproach():
    density = TwoModes(share=1e-4)
    known = mode_at(density, np.zeros(3))
    assert not missed_modes(density, draws_of_first(), 0.0, [known], np.random.default_rng(0))


class Spike(TwoModes):
    """The second mode is a peak of such a width, which differences of its gradient do not see."""

    def __init__(self, width: float, share: float):
        super().__init__()
        self.width = np.array([1.0, width])
        self.log_shares = np.log([1 - share, share]) - 3 * np.log(self.width)

    def _terms(self, points):
        away = (points[:, None] - self.centres) / self.width[:, None]
        return self.log_shares - 0.5 * np.square(away).sum(axis=-1) - 1.5 * np.log(2 * np.pi)

    def value_and_gradient(self, point):
        terms = self._terms(point[None])[0]
        weights = np.exp(terms - logsumexp(terms)) / self.width**2
        return float(logsumexp(terms)), weights @ (self.centres - point)


@pytest.mark.parametrize(("share", "missed"), [(1e-6, False), (0.1, True)])
def test_a_peak_is_judged_by_its_own_width(share, missed):
    density = Spike(1e-5, share)
    known = [mode_at(density, density.centres[0])]
    wide = replace(mode_at(density, density.centres[1]), covariance=1e-5 * np.eye(3))  # as differences find it
    assert wide.log_mass > 0.0
    found = missed_modes(density, draws_of_first(), 0.0, [*known, wide], np.random.default_rng(0))
    assert bool(found) == missed


def test_modes_with_draws_near_them_are_no_reproach():
    density = TwoModes()
    both = np.vstack([draws_of_first(200), draws_of_first(1800) + density.centres[1]])
    modes = [mode_at(density, centre) for centre in density.centres]
    assert not missed_modes(density, both, 0.0, modes, np.random.default_rng(0))


@pytest.mark.long
@pytest.mark.parametrize("sampler", ["auto", "nuts"])
def test_a_sampler_is_told_of_what_it_missed(sampler, monkeypatch):
    """The search is made to miss the larger mode; the witness finds it, and the second sample has both."""
    from poolwise.samplers import automatic as choose

    density = TwoModes(apart=9.0, share=0.6)
    monkeypatch.setattr(choose, "find_modes", lambda *_: [mode_at(density, np.zeros(3))])
    drawn = sample(density, replace(settings(draws=500), sampler=sampler))
    near = np.linalg.norm(drawn.points - density.centres[1], axis=-1) < 5
    if sampler == "auto":
        assert drawn.certificate.passed
        assert near.mean() == pytest.approx(0.6, abs=0.06)
    else:  # chains do not cross from one to the other, and R-hat says so
        assert 0 < near.mean() < 1 and not drawn.certificate.passed


def test_the_search_finds_both_by_itself():
    modes = find_modes(TwoModes(), np.random.default_rng(0))
    assert len(modes) == 2
    assert modes[0].log_mass == pytest.approx(np.log(0.9), abs=1e-3)


def test_evidence_by_a_bridge():
    density = Gaussian(4)
    exact = 0.5 * np.linalg.slogdet(2 * np.pi * density.covariance)[1]
    rng = np.random.default_rng(1)
    draws = rng.multivariate_normal(density.mean, density.covariance, 2000)
    found, error = bridge(draws, density.log_density(draws), density.log_density, rng, 300)
    assert abs(found - exact) < 5 * error + 1e-6
    assert error < 0.02
    assert log_evidence_about(density, draws) == pytest.approx(exact, abs=0.3)


def test_draws_of_another_density_are_seen_by_the_bridge():
    """The weights say one thing, draws that miss half of the density another."""
    density = Gaussian(2)
    rng = np.random.default_rng(1)
    draws = rng.multivariate_normal(density.mean, density.covariance, 4000)
    half = draws[draws[:, 0] > density.mean[0]]
    exact = 0.5 * np.linalg.slogdet(2 * np.pi * density.covariance)[1]
    found, error = bridge(half, density.log_density(half), density.log_density, rng, 300)
    assert abs(found - exact) > 5 * error + 0.05


def test_witnesses_cost_little():
    density = Gaussian(3)
    count = [0]
    plain = density.values_and_gradients

    def counted(points):
        count[0] += len(points)
        return plain(points)

    found = sample_independence(density, settings(draws=1000))
    density.values_and_gradients = counted
    draws = found.points.reshape(-1, 3)
    missed_modes(density, draws, 0.0, find_modes(Gaussian(3), np.random.default_rng(0)), np.random.default_rng(1))
    assert 3 * count[0] < 0.1 * found.certificate.figures["evaluations"]
