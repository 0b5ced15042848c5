"""Random estimates of the density of theta are unbiased, and depend on theta alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import gammaln, logsumexp
from scipy.stats import kstest, norm

import poolwise as pw
from poolwise.density.latent.density import latent
from poolwise.density.latent.extended import ExtendedDensity
from poolwise.families import family_of
from poolwise.inference.prepare import prepare

GROUPS = 8
GROUP = np.repeat(np.arange(GROUPS), 8)
PRIORS = {"Intercept": pw.Normal(0, 1), "sd": pw.HalfNormal(1)}
NEAR, FAR = np.array([-1.4, -1.2, -1.0, -0.8]), np.array([-1.0, 0.0])  # the posterior's mean is -1, its sd a third


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"y": rng.poisson(np.exp(1.5 + rng.normal(0, 0.7, GROUPS)[GROUP])), "g": GROUP})


@pytest.fixture(scope="module")
def density(frame):
    asked = {"priors": PRIORS, "family": family_of("poisson"), "missing": "drop", "threads": 1}
    model, _ = prepare("y ~ 1 + (1 | g)", frame, **asked)
    return latent(model.observations, model.design, model.priors, model.family, model.link)


def by_quadrature(y: np.ndarray, thetas: np.ndarray) -> np.ndarray:
    """log p(theta, y): grids over the intercept, and over the linear predictor of each group given it."""
    sums, counts, middle = np.bincount(GROUP, y), np.bincount(GROUP), np.log(y.mean())
    level, eta = np.linspace(middle - 3.5, middle + 3.5, 141), np.linspace(middle - 9, middle + 5, 351)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    found = []
    for theta in thetas:
        sd, total = np.exp(theta), norm.logpdf(level)
        wide = sd > 0.15  # wider than the grid's steps
        at = np.broadcast_to(eta, (len(level), len(eta))) if wide else level[:, None] + sd * nodes
        weight = norm.pdf(at, level[:, None], sd) * (eta[1] - eta[0]) if wide else weights / weights.sum()
        for g in range(GROUPS):
            likely = sums[g] * at - counts[g] * np.exp(at)
            with np.errstate(divide="ignore"):  # levels far away
                total = total + likely.max() + np.log((np.exp(likely - likely.max()) * weight).sum(axis=1))
        found.append(logsumexp(total) + np.log((level[1] - level[0]) * 2) + norm.logpdf(sd) + theta)
    return np.array(found) - gammaln(y + 1).sum()


def averages(density, thetas: np.ndarray, each: int = 20_000) -> np.ndarray:
    """Means of many estimates at each of some thetas, which differ in their last digits only."""
    points = np.repeat(thetas, each) + 1e-12 * np.tile(np.arange(each), len(thetas))
    values = ExtendedDensity(density, 2).log_density(points[:, None]).reshape(len(thetas), each)
    return np.asarray(logsumexp(values, axis=1)) - np.log(each)


def test_estimates_are_unbiased(frame, density):
    np.testing.assert_allclose(averages(density, NEAR), by_quadrature(frame.y.to_numpy(), NEAR), atol=0.02)


def test_estimates_far_from_the_mode(frame, density):
    known, estimated = by_quadrature(frame.y.to_numpy(), FAR), averages(density, FAR)
    assert estimated[1] - estimated[0] == pytest.approx(known[1] - known[0], abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["independence", "nuts"])
def test_draws_have_the_tails_of_the_posterior(frame, sampler):
    """Of every seed whose certificate holds: shares below quantiles of the log of the sd, and its moments."""
    grid = np.linspace(-10, 2.5, 626)
    density = by_quadrature(frame.y.to_numpy(), grid)
    share = np.exp(density - density.max()) / np.exp(density - density.max()).sum()
    below = np.cumsum(share)
    ends = [int(np.searchsorted(below, level)) for level in (0.05, 0.5, 0.9, 0.97)]
    mean = share @ grid
    known = np.array([mean, np.sqrt(share @ (grid - mean) ** 2), *below[ends]])
    found = []
    for seed in range(40):
        fit = pw.fit("y ~ 1 + (1 | g)", frame, family="poisson", priors=PRIORS, seed=seed, sampler=sampler)
        if fit.outcome.passed and (sampler == "nuts" or fit.outcome.sampler == "independence"):
            theta = fit.result.theta.ravel()
            found.append([theta.mean(), theta.std(), *((theta <= grid[end] + 0.01).mean() for end in ends)])
    errors = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    assert np.all(np.abs(np.mean(found, axis=0) - known) < 4 * errors + 5e-4), (np.mean(found, axis=0), known)


def test_estimates_hang_on_theta_alone(density):
    thetas = np.random.default_rng(1).normal(-1, 0.4, (500, 1))
    one, two = (ExtendedDensity(density, threads).log_density(thetas) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)
    order = np.random.default_rng(2).permutation(500)[:77]
    np.testing.assert_array_equal(ExtendedDensity(density, 1).log_density(thetas[order]), one[order])
    assert len(np.unique(one)) == 500


def test_points_are_those_at_which_estimates_were_made(density):
    extended = ExtendedDensity(density, 1)
    thetas = np.minimum(np.random.default_rng(1).normal(-1, 0.4, (50, 1)), density.mode.theta)  # nothing is widened
    points = extended.completed(thetas)
    np.testing.assert_array_equal(points[:, :1], thetas)
    known = []
    for theta, point in zip(thetas[:, 0], points, strict=True):
        spread = np.ones(len(point) - 1)  # mixed coordinates are wider than at the mode where the sd is larger
        spread[density.problem.mixing.places] = np.exp(max(0.0, theta - density.mode.theta[0]))
        known.append(density.value_and_gradient(point)[0] - norm.logpdf(point[1:], 0, spread).sum())
    np.testing.assert_allclose(extended.log_density(thetas), known, atol=1e-10)


def test_numbers_are_standard_normal_however_near_the_thetas(density):
    """Each coordinate over thetas, coordinates of one theta, and products of neighbours."""
    extended = ExtendedDensity(density, 1)
    near = -1.2 + np.arange(20_000) * 2.0**-52
    numbers = extended.completed(near[:, None])[:, 1:]
    assert min(kstest(column, "norm").pvalue for column in numbers.T) > 1e-4
    products = np.corrcoef(numbers.T) - np.eye(numbers.shape[1])
    assert np.abs(products).max() < 5 / np.sqrt(len(near))
    assert abs(np.mean(numbers[1:] * numbers[:-1])) < 5 / np.sqrt(numbers.size)


def test_the_mode_is_where_the_density_is_highest(frame, density):
    extended, grid = ExtendedDensity(density, 1), np.linspace(-2, 0, 81)
    best = grid[np.argmax(by_quadrature(frame.y.to_numpy(), grid))]
    assert extended.mode().point[0] == pytest.approx(best, abs=0.1)
    low, high = extended.box()
    assert low[0] < best < high[0]
