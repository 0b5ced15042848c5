"""Parts of the independence sampler against plain formulas."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_t, norm

from poolwise.samplers.convergence import bulk_and_tail_ess
from poolwise.samplers.mixture import StudentMixture, fit_mixture
from poolwise.samplers.warp import Warp
from poolwise.samplers.weights import efficiency, log_mean, normalised, resampled, tail_ess, tail_shape


@pytest.fixture
def mixture():
    factors = np.array([[[1.0, 0.0], [0.5, 0.8]], [[0.3, 0.0], [-0.2, 1.5]]])
    return StudentMixture(np.array([0.3, 0.7]), np.array([[0.0, 1.0], [4.0, -2.0]]), factors, np.array([4.0, 9.0]))


def test_mixture_density(mixture):
    points = np.random.default_rng(0).normal(size=(20, 2)) * 3
    parts = [
        np.log(w) + multivariate_t(m, f @ f.T, df).logpdf(points)
        for w, m, f, df in zip(mixture.weights, mixture.means, mixture.factors, mixture.degrees, strict=True)
    ]
    np.testing.assert_allclose(mixture.log_density(points), logsumexp(parts, axis=0), rtol=1e-12)


def test_mixture_draws_have_its_density(mixture):
    """E[f / q] = 1 for any density f, here a Normal, averaged over draws from q."""
    draws = mixture.sample(np.random.default_rng(1), 200_000)
    f = norm.logpdf(draws[:, 0], 2, 1) + norm.logpdf(draws[:, 1], -1, 1)
    ratio = np.exp(f - mixture.log_density(draws))
    assert ratio.mean() == pytest.approx(1, abs=5 * ratio.std() / np.sqrt(len(ratio)))


def test_em_recovers_a_mixture(mixture):
    draws = mixture.sample(np.random.default_rng(2), 20_000)
    start = StudentMixture(
        np.full(2, 0.5), np.array([[1.0, 1.0], [3.0, 0.0]]), np.repeat(np.eye(2)[None], 2, 0), mixture.degrees
    )
    fitted = fit_mixture(draws, np.full(20_000, 1 / 20_000), start, 60)
    np.testing.assert_allclose(fitted.weights, mixture.weights, atol=0.02)
    np.testing.assert_allclose(fitted.means, mixture.means, atol=0.08)
    for one, two in zip(fitted.factors, mixture.factors, strict=True):
        np.testing.assert_allclose(one @ one.T, two @ two.T, rtol=0.12, atol=0.05)


def test_warp_is_smooth_and_its_jacobian_right():
    warp = Warp(np.array([0.3, np.nan]), np.array([4.0, np.nan]))
    y = np.array(
        [
            [-20.0, 1.0],
            [-6.0, 0.0],
            [-5.000001, 0.0],
            [-4.999999, 0.0],
            [-1.0, 2.0],
            [0.0, 0.0],
            [3.0, 0.0],
            [3.999999, 0.0],
            [4.000001, 0.0],
            [40.0, -1.0],
        ]
    )
    theta, log_jacobian = warp.forward(y)
    for k in range(len(y)):
        step = 1e-6
        up, down = (warp.forward(y[k : k + 1] + [[sign * step, 0]])[0][0, 0] for sign in (1, -1))
        assert np.exp(log_jacobian[k]) == pytest.approx((up - down) / (2 * step), rel=1e-4)
    np.testing.assert_array_equal(theta[:, 1], y[:, 1])
    back, slope = warp.inverse(theta[5])
    np.testing.assert_allclose(back, y[5], atol=1e-9)
    assert slope[0] == pytest.approx(np.exp(-log_jacobian[5]), rel=1e-6)
    assert warp.inverse(theta[-1])[0][0] == pytest.approx(40.0)
    assert np.isneginf(warp.forward(np.array([[1e6, 0.0]]))[1])[0] or np.isposinf(
        warp.forward(np.array([[1e6, 0.0]]))[0][0, 0]
    )


def test_tail_ess_sees_a_tail_that_rests_on_few_weights():
    rng = np.random.default_rng(3)
    points = rng.normal(size=(4_000, 3))
    assert tail_ess(points, np.zeros(4_000)) == pytest.approx(4_000, rel=0.02)
    # The target is twice as wide in one direction, where the proposal hardly goes: two in a hundred lie beyond.
    log_weights = norm.logpdf(points[:, 1], scale=1.4) - norm.logpdf(points[:, 1])
    found, whole = tail_ess(points, log_weights), 4_000 * efficiency(log_weights)
    assert found < 0.5 * whole
    assert tail_ess(-points[:, [1]], log_weights) == pytest.approx(tail_ess(points[:, [1]], log_weights))


def test_ess_of_tails_sees_a_chain_that_stays_in_one():
    drawn = np.random.default_rng(4).normal(size=(4, 1_000, 2))
    assert bulk_and_tail_ess(drawn) > 3_000
    drawn[2, 400:460, 1] = 2.5  # 1.5% of the draws
    assert bulk_and_tail_ess(drawn) < 400
    assert bulk_and_tail_ess(np.zeros((4, 100, 1))) == 0.0


@pytest.mark.parametrize("df", [1.5, 3.0, 8.0])
def test_tail_shape_equals_arviz(df):
    from arviz_stats.base import array_stats

    log_weights = np.log(np.abs(np.random.default_rng(3).standard_t(df, 4000)) + 0.01)
    known = float(array_stats.psislw(-log_weights)[1])  # it wants log likelihoods, whose negatives are log weights
    assert tail_shape(log_weights) == pytest.approx(known, abs=0.01)


def test_weights_of_a_perfect_and_of_a_useless_proposal():
    assert efficiency(np.zeros(100)) == pytest.approx(1)
    assert efficiency(np.where(np.arange(100) == 7, 0.0, -np.inf)) == pytest.approx(0.01)
    assert log_mean(np.log([1.0, 3.0])) == pytest.approx(np.log(2))
    assert tail_shape(np.zeros(1000)) == -np.inf


def test_a_mode_is_found_where_the_density_falls_by_millions():
    """With many groups BFGS gives up far from the mode; damped Newton steps go on."""
    import pandas as pd

    import poolwise as pw
    from poolwise.density.collapsed import collapse
    from poolwise.inference.prepare import model_of
    from poolwise.samplers.mode import find_modes

    rng = np.random.default_rng(0)
    groups = 20_000
    group, x = np.repeat(np.arange(groups), 4), rng.uniform(-0.5, 0.5, 4 * groups)
    y = 1 + rng.normal(size=groups)[group] + rng.normal(size=groups)[group] * x + rng.normal(size=4 * groups)
    model = model_of(
        pw.SufficientStatistics.from_data("y ~ x + (x | g)", pd.DataFrame({"y": y, "x": x, "g": group})), {}
    )
    density = collapse(model.statistics, model.design, model.priors, threads=2)
    for seed in range(4):
        best = find_modes(density, np.random.default_rng(seed))[0]
        gradient = density.value_and_gradient(best.point)[1]
        assert gradient @ best.covariance @ gradient < 0.01


def test_points_are_drawn_again_as_often_as_their_weights_say():
    rng = np.random.default_rng(3)
    log_weights = rng.normal(size=50)
    often = [np.bincount(resampled(log_weights, rng), minlength=50) for _ in range(4000)]
    expected = 50 * normalised(log_weights)
    assert (np.abs(often - expected) < 1).all()
    np.testing.assert_allclose(np.mean(often, axis=0), expected, atol=0.03)
    np.testing.assert_array_equal(resampled(np.full(9, 2.0), rng), np.arange(9))
