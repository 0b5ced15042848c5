"""The compiled No-U-Turn sampler on densities whose moments are known, and whether its chains are judged rightly."""

from __future__ import annotations

import time
from dataclasses import replace

import numba
import numpy as np
import pytest
from arviz_stats.base import array_stats
from numba.core import types
from scipy.stats import chi2, kstest, norm

import poolwise as pw
from poolwise.compiled import pointer
from poolwise.samplers import hamiltonian
from poolwise.samplers.convergence import agreement, certify_chains, largest_rhat, rhat_and_ess
from poolwise.samplers.hamiltonian import sample_carefully, sample_whitened
from poolwise.samplers.interface import Certificate, NativeDensity, SamplerSettings
from poolwise.samplers.trajectory import density_at
from poolwise.support.errors import SamplingError

_SIGNATURE = types.int64(
    types.uint64,
    types.CPointer(types.double),
    types.CPointer(types.double),
    types.CPointer(types.double),
    types.voidptr,
)
D = 6
MEAN = np.arange(D) - 2.0
# Of unequal scales and correlated: what is left where whitening was not perfect.
SD = np.array([0.5, 1.0, 2.0, 1.0, 0.8, 1.3])
COVARIANCE = np.outer(SD, SD) * (0.6 * np.ones((D, D)) + 0.4 * np.eye(D))


@numba.cfunc(_SIGNATURE)
def _normal(dimension, point, gradient, value, words):
    """words: addresses of mean and precision, and how often to do the work."""
    d = np.int64(dimension)
    said = numba.carray(words, (3,), np.int64)
    mean, precision = (
        numba.carray(pointer(said[0]), (d,), np.float64),
        numba.carray(pointer(said[1]), (d, d), np.float64),
    )
    x, slope = numba.carray(point, (d,)), numba.carray(gradient, (d,))
    total = 0.0
    for _ in range(said[2]):
        total = 0.0
        for i in range(d):
            slope[i] = 0.0
            for j in range(d):
                slope[i] -= precision[i, j] * (x[j] - mean[j])
            total += 0.5 * slope[i] * (x[i] - mean[i])
    numba.carray(value, (1,))[0] = total
    return 0


@numba.cfunc(_SIGNATURE)
def _half(dimension, point, gradient, value, words):
    """A normal that ends at zero: no density where any coordinate is negative."""
    d = np.int64(dimension)
    x, slope = numba.carray(point, (d,)), numba.carray(gradient, (d,))
    total, inside = 0.0, True
    for i in range(d):
        slope[i] = -x[i]
        total -= 0.5 * x[i] * x[i]
        inside = inside and x[i] > 0.0
    numba.carray(value, (1,))[0] = total
    return 0 if inside else 4


@numba.cfunc(_SIGNATURE)
def _two_humps(dimension, point, gradient, value, words):
    """In every coordinate half a normal at -a and half one at a; words: address of a."""
    d = np.int64(dimension)
    a = numba.carray(pointer(numba.carray(words, (1,), np.int64)[0]), (1,), np.float64)[0]
    x, slope = numba.carray(point, (d,)), numba.carray(gradient, (d,))
    total = 0.0
    for i in range(d):
        slope[i] = a * np.tanh(a * x[i]) - x[i]
        total += np.log(np.cosh(a * x[i])) - 0.5 * x[i] * x[i]
    numba.carray(value, (1,))[0] = total
    return 0


@numba.cfunc(_SIGNATURE)
def _nowhere(dimension, point, gradient, value, words):
    numba.carray(value, (1,))[0] = np.nan
    return 4


def normal(mean=MEAN, covariance=COVARIANCE, times=1) -> NativeDensity:
    arrays = np.ascontiguousarray(mean, dtype=float), np.ascontiguousarray(np.linalg.inv(covariance))
    words = np.array([*(each.ctypes.data for each in arrays), times], dtype=np.int64)
    return NativeDensity(_normal.address, words, arrays)


def settings(draws=1000, chains=4, seed=2, **others) -> SamplerSettings:
    return SamplerSettings(draws, chains, np.random.SeedSequence(seed), **others)


@pytest.fixture(scope="module")
def found():
    return sample_whitened(normal(), MEAN, np.ones(D), settings(2000), threads=2)


def test_native_functions_are_what_they_say():
    density, gradient, spot = normal(), np.empty(D), np.empty(1)
    point = MEAN + SD
    known = -0.5 * (point - MEAN) @ np.linalg.solve(COVARIANCE, point - MEAN)
    assert density_at(density.address, density.words, point, gradient, spot) == pytest.approx(known)
    np.testing.assert_allclose(gradient, -np.linalg.solve(COVARIANCE, point - MEAN))
    assert density_at(_half.address, density.words, -np.ones(2), np.empty(2), spot) == -np.inf


def test_moments_and_quantiles_of_a_normal(found):
    """Each within four Monte Carlo errors, which come from autocorrelations of what is averaged."""
    assert found.certificate.passed
    assert found.points.shape == (4, 2000, D)
    draws = found.points - MEAN
    lower = np.tril_indices(D)
    products = draws[..., lower[0]] * draws[..., lower[1]]
    probabilities = np.array([0.1, 0.5, 0.9])
    below = draws[..., None] < norm.ppf(probabilities) * SD[:, None]
    for values, known in (
        (draws, np.zeros(D)),
        (products, COVARIANCE[lower]),
        (below.reshape(*draws.shape[:2], -1).astype(float), np.tile(probabilities, D)),
    ):
        ess = rhat_and_ess(values)[1]
        error = np.abs(values.mean(axis=(0, 1)) - known) / (values.std(axis=(0, 1)) / np.sqrt(ess))
        assert error.max() < 4


def test_draws_of_a_normal_are_nearly_independent(found):
    """Dual averaging ends near the acceptance that was asked for: a few leaves a draw, not one and not hundreds."""
    assert found.certificate.figures["ess"] > 2000
    assert found.certificate.figures["rhat"] < 1.01
    assert found.certificate.figures["divergences"] == 0
    assert 2 < found.certificate.figures["leaves"] < 40


def test_what_is_told_of_each_draw(found):
    told, away = found.certificate.of_draws, found.points - MEAN
    values = -0.5 * (away * np.linalg.solve(COVARIANCE, away.reshape(-1, D).T).T.reshape(away.shape)).sum(-1)
    np.testing.assert_allclose(told["lp"], values, atol=1e-9)
    # Energy is that of position and momentum, which is a standard normal of its own in every draw.
    kinetic = 2.0 * (told["energy"] + told["lp"]).ravel()
    assert (kinetic >= 0).all()
    assert abs(kinetic.mean() - D) < 5.0 * np.sqrt(2.0 * D / len(kinetic))
    assert kstest(kinetic[::10], chi2(D).cdf).pvalue > 1e-3
    steps, depth = told["n_steps"], told["tree_depth"]
    assert ((steps >= 2 ** (depth - 1)) & (steps <= 2**depth - 1)).all()
    assert steps.mean() == pytest.approx(found.certificate.figures["leaves"])
    assert not told["diverging"].any()
    assert 0.75 < told["acceptance_rate"].mean() < 0.95


def test_draws_that_are_left_out_take_what_is_told_of_them_along():
    drawn = sample_whitened(two_humps(2.1), np.zeros(1), np.ones(1), settings(), 2)
    assert drawn.certificate.figures["times_longer"] > 1
    values = np.log(np.cosh(2.1 * drawn.points[..., 0])) - 0.5 * drawn.points[..., 0] ** 2
    np.testing.assert_allclose(drawn.certificate.of_draws["lp"], values, atol=1e-9)


def test_scales_are_learned():
    """Told a spread that is wrong by hundreds, warm-up finds it."""
    sd = np.array([1e-3, 1.0, 1e3])
    found = sample_whitened(normal(np.zeros(3), np.diag(sd**2)), np.zeros(3), np.array([1e-2, 1.0, 1e2]), settings(), 2)
    np.testing.assert_allclose(found.points.std(axis=(0, 1)), sd, rtol=0.12)
    assert found.certificate.figures["leaves"] < 100


def test_one_coordinate():
    found = sample_whitened(normal([3.0], [[4.0]]), np.zeros(1), np.ones(1), settings(2000), 2)
    assert found.points.mean() == pytest.approx(3, abs=0.15)
    assert found.points.std() == pytest.approx(2, rel=0.06)


def test_a_density_that_ends_is_not_left():
    """Steps beyond the end diverge and are refused."""
    found = sample_whitened(
        NativeDensity(_half.address, normal().words, None), np.ones(2), np.ones(2), settings(4000), 2
    )
    assert np.all(found.points > 0)
    assert found.certificate.figures["divergences"] > 0
    assert not found.certificate.passed
    assert found.points.mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.05)


def test_nowhere_finite():
    with pytest.raises(SamplingError, match="not finite anywhere near its mode"):
        sample_whitened(NativeDensity(_nowhere.address, normal().words, None), np.zeros(2), np.ones(2), settings(), 2)


def test_a_seed_gives_its_draws_on_any_number_of_threads(found):
    again, alone = (sample_whitened(normal(), MEAN, np.ones(D), settings(100), threads=k) for k in (2, 1))
    np.testing.assert_array_equal(again.points, alone.points)
    np.testing.assert_array_equal(found.points[:, :100], again.points)  # more draws continue fewer
    other = sample_whitened(normal(), MEAN, np.ones(D), settings(100, seed=1), threads=2)
    assert not np.any(other.points == again.points)
    assert len(np.unique(again.points[:, 0, 0])) == 4  # chains differ


def two_humps(a: float) -> NativeDensity:
    apart = np.array([a])
    return NativeDensity(_two_humps.address, np.array([apart.ctypes.data], dtype=np.int64), apart)


def test_chains_that_nearly_agree_go_on():
    """What is returned are draws of the longer run, as many as were asked for."""
    density, start = two_humps(1.7), np.zeros(3)
    for seed in range(20):
        found = sample_whitened(density, start, np.ones(3), settings(300, seed=seed), 2)
        times = int(found.certificate.figures.get("times_longer", 1))
        if times > 1 and found.certificate.passed:
            break
    else:
        pytest.fail("no seed needed more draws")
    assert found.points.shape == (4, 300, 3)
    assert f"{times} times as long" in found.certificate.advice
    longer = sample_whitened(density, start, np.ones(3), settings(300 * times, seed=seed), 2)
    assert longer.certificate.figures["divergences"] == found.certificate.figures["divergences"]
    assert found.certificate.figures["ess"] == rhat_and_ess(found.points)[1].min()  # of what is returned
    np.testing.assert_array_equal(found.points, longer.points[:, times - 1 :: times])
    alone = sample_whitened(density, start, np.ones(3), settings(300, seed=seed), 1)
    np.testing.assert_array_equal(found.points, alone.points)


def test_chains_in_different_places_and_short_ones_are_left_as_they_are():
    apart = sample_whitened(two_humps(8.0), np.array([[-8.0], [8.0]]), np.ones(1), settings(300), 2)
    short = sample_whitened(two_humps(1.7), np.zeros(3), np.ones(3), settings(60), 2)
    for each in (apart, short):
        assert not each.certificate.passed
        assert "times_longer" not in each.certificate.figures


def test_the_largest_of_many_r_hats_is_judged_as_the_largest_of_many():
    """Chains that agree pass, whatever the number of numbers; one that is apart by an sd does not."""
    points = np.random.default_rng(1).standard_normal((4, 250, 5_000))
    rhat, ess = agreement(points)
    limit = largest_rhat(points.shape[2], 4, float(ess.min()))
    assert 1.01 < rhat.max() <= limit < 1.06
    points[0, :, 7] += 1.0
    assert agreement(points[..., :20])[0].max() > limit
    assert largest_rhat(10, 4, 4_000.0) == 1.01
    assert all(len(each) == 0 for each in agreement(points[..., :0]))


def test_chains_end_where_fewer_draws_do():
    """The first draws of the longer run, as many as are worth 1,200 independent ones; as many as asked for else."""
    easy, hard = normal(), two_humps(1.7)
    fewer = sample_whitened(easy, MEAN, np.ones(D), replace(settings(4000), fewer=True), 2)
    whole = sample_whitened(easy, MEAN, np.ones(D), settings(4000), 2)
    size = fewer.points.shape[1]
    assert size in (1000, 2000)  # 1,000 draws of each chain are worth 1,300 to 1,600
    assert fewer.certificate.figures["ess"] >= 1_200
    assert f"{size} draws of each are worth" in fewer.certificate.advice
    np.testing.assert_array_equal(fewer.points, whole.points[:, :size])
    all_of_them = sample_whitened(hard, np.zeros(3), np.ones(3), replace(settings(300), fewer=True), 2)
    assert all_of_them.points.shape == (4, 300, 3)
    few = sample_whitened(easy, MEAN, np.ones(D), replace(settings(40), fewer=True), 2)
    assert few.points.shape == (4, 40, D)


def test_progress_is_said():
    said = []
    sample_whitened(normal(times=300), MEAN, np.ones(D), settings(500, progress=lambda *one: said.append(one)), 2)
    assert said[-1][0].startswith("sampling: 4 of 4 chains, 2,000 of 2,000 draws, 0 divergences")
    assert said[-1][1] == 1
    assert np.all(np.diff([share for _, share in said]) >= 0)


def test_ctrl_c_stops_within_a_second():
    """The work would take minutes; a chain looks up between the points of a step; chains that wait are never begun."""

    def interrupt(step: str, share: float) -> None:
        raise KeyboardInterrupt

    slow = normal(times=3000)
    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        sample_whitened(slow, MEAN, np.ones(D), settings(100_000, 8, progress=interrupt), 2)
    assert time.perf_counter() - started < 1.0
    worked = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - worked < 0.1


def autoregressive(rho, shape, rng):
    noise, x = rng.standard_normal(shape), np.empty(shape)
    x[:, 0] = noise[:, 0] / np.sqrt(1 - rho**2)
    for t in range(1, shape[1]):
        x[:, t] = rho * x[:, t - 1] + noise[:, t]
    return x


@pytest.mark.parametrize("shape", [(4, 1000), (2, 501), (1, 2000), (8, 100)])
@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.5, 0.95])
def test_effective_sizes_are_those_of_arviz(rho, shape):
    """Within 10 % of the method "mean"; where draws alternate, as far as both let the size exceed their number."""
    points = autoregressive(rho, (*shape, 12), np.random.default_rng(3))
    rhat, ess = rhat_and_ess(points)
    known = np.array([array_stats.ess(points[..., k], method="mean") for k in range(12)])
    np.testing.assert_allclose(ess, known, rtol=0.1)
    if shape[0] > 1:  # of one chain arviz says nothing; of an odd number it leaves out another draw
        known = np.array([array_stats.rhat(points[..., k], method="split") for k in range(12)])
        np.testing.assert_allclose(rhat, known, rtol=5e-3 if shape[1] % 2 else 1e-3)


def test_effective_size_is_the_true_one():
    ess = rhat_and_ess(autoregressive(0.8, (4, 20_000, 4), np.random.default_rng(0)))[1]
    np.testing.assert_allclose(ess, 80_000 * 0.2 / 1.8, rtol=0.1)


def test_chains_apart_and_chains_that_stand_still_are_not_certified():
    rng = np.random.default_rng(5)
    fine = rng.normal(size=(4, 500, 3))
    assert certify_chains(fine, 0).passed
    assert not certify_chains(fine, 3).passed  # divergences
    assert not certify_chains(fine + np.arange(4)[:, None, None] * [0, 0, 0.3], 0).passed
    drifting = fine + np.linspace(0, 1, 500)[:, None] * [0, 1.0, 0]
    assert not certify_chains(drifting, 0).passed
    still = fine.copy()
    still[..., 1] = 2.0
    assert not certify_chains(still, 0).passed
    still[1:, :, 1] = fine[1:, :, 1]
    assert not certify_chains(still, 0).passed
    assert "R-hat" in certify_chains(drifting, 0).advice


def test_chains_that_stay_in_a_tail_are_not_certified():
    drawn = np.random.default_rng(5).normal(size=(4, 1_000, 3))
    figures = certify_chains(drawn, 0).figures
    assert figures["tail_ess"] > 1_000
    drawn[2, 300:370, 1] = 2.5  # means are known well, and chains agree of them
    found = certify_chains(drawn, 0)
    assert found.figures["ess"] > 400 and found.figures["rhat"] < 1.01
    assert not found.passed and f"({found.figures['tail_ess']:.0f} in tails)" in found.advice


def test_where_many_trajectories_diverge_steps_are_shorter():
    """Three groups have a spread with a long tail, and a categorical outcome two of them."""
    rng = np.random.default_rng(4)
    g, x = rng.integers(0, 3, 3000), rng.integers(0, 2, 3000)
    y = np.digitize(0.3 * x + rng.normal(size=3)[g] + rng.logistic(size=3000), [-1, 1])
    fit = pw.fit("y ~ x + (1 | g)", {"y": y, "x": x, "g": g}, family="categorical", seed=1)
    assert fit.outcome.passed and fit.outcome.figures["target_acceptance"] == 0.99
    assert fit.outcome.figures["divergences"] <= 0.001 * 4000


def test_long_work_is_not_done_twice(monkeypatch):
    drawn = replace(
        sample_whitened(normal(), MEAN, np.ones(D), settings(200), 2),
        certificate=Certificate("nuts", "", False, "", {"divergences": 100.0, "leaves": 7.0}),
    )
    asked = []

    def once(*arguments):
        asked.append(arguments)
        return drawn

    monkeypatch.setattr(hamiltonian, "sample_whitened", once)
    sample_carefully(normal(), MEAN, np.ones(D), settings(200), 2, 1e9)
    assert len(asked) == 1
    sample_carefully(normal(), MEAN, np.ones(D), settings(200), 2, 1e3)
    assert len(asked) == 3 and asked[-1][-1] == 0.99
