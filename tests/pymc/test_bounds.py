"""Uniform priors: taken as flat where no bound is near, and sampled where one is."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
from pymc.distributions import transforms
from scipy import stats

import poolwise as pw
from poolwise.support.errors import DataError, SamplingError
from tests.selection import long_but_for

GROUPS, ROWS = 3, 10
G = np.repeat(np.arange(GROUPS), ROWS)


def outcomes():
    return np.array([0.0, 0.5, 1.0])[G] + np.random.default_rng(2).normal(size=len(G))


def hierarchy(location, spread):
    with pm.Model() as model:
        mean, tau, sd = location(), spread(), pm.HalfNormal("sd", 2.0)
        effects = pm.Normal("effects", mean, tau, shape=GROUPS)
        pm.Normal("y", effects[G], sd, observed=outcomes())
    return model


def quantiles_of_spread(low, high, log_prior, levels):
    """Of tau, with the effects and the mean between bounds integrated out, on a grid of both standard deviations."""
    y = outcomes().reshape(GROUPS, ROWS)
    means, within = y.mean(axis=1), np.square(y - y.mean(axis=1, keepdims=True)).sum()
    tau, sd = np.meshgrid(np.exp(np.linspace(-11, 13, 2400)), np.exp(np.linspace(-1.2, 1.2, 150)), indexing="ij")
    variance = tau**2 + sd**2 / ROWS
    inside = stats.norm(means.mean(), np.sqrt(variance / GROUPS))
    with np.errstate(divide="ignore"):
        logs = np.log(inside.cdf(high) - inside.cdf(low))
    logs += -0.5 * (GROUPS - 1) * np.log(variance) - 0.5 * np.square(means - means.mean()).sum() / variance
    logs += -GROUPS * (ROWS - 1) * np.log(sd) - 0.5 * within / sd**2 - 0.125 * sd**2
    logs += log_prior(tau) + np.log(tau) + np.log(sd)  # on a grid of logs
    density = np.exp(logs - logs.max()).sum(axis=1)
    below = (np.cumsum(density) - 0.5 * density) / density.sum()
    return np.interp(levels, below, tau[:, 0])


@pytest.mark.parametrize("low", [-1e4, 0.4])
def test_tails_of_a_spread_of_few_groups_are_as_long_as_they_are(low):
    """With a mean that is sampled, 95% quantiles of certified fits were down to 2.6 for 3.2."""
    levels, many = [0.05, 0.5, 0.95, 0.99], 4000
    model = hierarchy(lambda: pm.Uniform("mean", low, 1e4), lambda: pm.HalfCauchy("tau", 1.0))
    tree = pw.pymc.sample(model, seed=3)
    assert tree.sample_stats.attrs["passed"] or low > 0
    expected = quantiles_of_spread(low, 1e4, lambda tau: -np.log1p(tau**2), levels)
    tau, ess = tree.posterior["tau"].values.ravel(), 0.3 * many
    for level, quantile in zip(levels, expected, strict=True):
        assert abs((tau < quantile).mean() - level) < 4 * np.sqrt(level * (1 - level) / ess), (level, quantile)
    assert tree.posterior["mean"].min() >= low
    assert list(tree.posterior) == ["mean", "tau", "sd", "effects"]


def test_bounds_that_are_far_away_are_as_none():
    trees = [
        pw.pymc.sample(hierarchy(location, lambda: pm.HalfNormal("tau", 1.0)), seed=1, draws=200).posterior
        for location in (lambda: pm.Flat("mean"), lambda: pm.Uniform("mean", -1e3, 1e3))
    ]
    np.testing.assert_allclose(trees[0]["mean"], trees[1]["mean"], rtol=1e-6)


def test_what_is_integrated_out_with_a_uniform_prior():
    """A spread is not, nor is what has bounds that are sampled."""
    with pm.Model() as model:
        slope, sd = pm.Uniform("slope", -50.0, 50.0), pm.Uniform("sd", 0.0, 10.0)
        moving = pm.Uniform("moving", -9.0 - sd, 9.0)
        pm.Normal("y", slope * G + moving, sd, observed=outcomes())
    explained = pw.pymc.explain(model)
    assert set(explained.block) == {"slope"}
    assert set(explained.left) == {"sd", "moving"}


def test_a_vector_of_bounds_is_kept():
    with pm.Model() as model:
        ends = pm.Uniform("ends", np.array([-50.0, 0.0]), np.array([50.0, 0.2]), shape=2)
        pm.Normal("y", ends[0] + ends[1] * G, pm.HalfNormal("sd", 2.0), observed=outcomes())
    with pytest.raises(DataError, match="Nothing can be integrated out"):  # once the second one's bounds are met
        pw.pymc.sample(model, seed=1, draws=200)


def test_initial_values_and_nested_models():
    with pm.Model() as model:
        slope = pm.Uniform("slope", -50.0, 50.0, initval=3.0)
        with pm.Model("inner"):
            level = pm.Uniform("level", -50.0, 50.0)
        pm.Normal("y", slope * G + level, pm.HalfNormal("sd", 2.0, initval=1.0), observed=outcomes())
    assert set(pw.pymc.explain(model).block) == {"slope", "inner::level"}
    posterior = pw.pymc.sample(model, seed=1, draws=200).posterior
    assert list(posterior) == ["slope", "inner::level", "sd"]
    assert float(posterior["slope"].mean()) == pytest.approx(np.polyfit(G, outcomes(), 1)[0], abs=0.05)
    assert model.rvs_to_transforms[slope] is not None  # the model is as it was


def test_whole_numbers_that_overflow_are_said():
    """PyMC subtracts bounds that are Python's whole numbers in eight bits, and has no density between -100 and 100."""
    with pm.Model() as model:
        pm.Normal("y", pm.Uniform("mean", -100, 100), pm.HalfNormal("sd", 2.0), observed=outcomes())
    with pytest.raises(SamplingError, match="'mean' has no finite log density"):
        pw.pymc.sample(model, seed=1)


def placed(**transformed):
    """Group means with a uniform prior, and a slope within groups."""
    x = np.random.default_rng(3).normal(size=len(G))
    y = np.array([0.1, 0.0, -0.1])[G] + 0.5 * x + np.random.default_rng(2).normal(size=len(G))
    with pm.Model() as model:
        means = pm.Uniform("means", -20, 20, shape=GROUPS, **transformed)
        pm.Normal("y", means[G] + pm.Normal("slope", 0.0, 1.0) * x, 1.0, observed=y)
    return model, x, y


@pytest.mark.parametrize("way", long_but_for("default_transform".__eq__, ["transform", "default_transform"]))
def test_an_order_that_a_transform_keeps_is_kept(way):
    """Against draws of the normal posterior without an order, of which those are kept that have it."""
    model, x, y = placed(initval=[-1.0, 0.0, 1.0], **{way: transforms.ordered})
    assert set(pw.pymc.explain(model).left) == {"means"}
    columns = np.column_stack([G[:, None] == np.arange(GROUPS), x])
    covariance = np.linalg.inv(columns.T @ columns + np.diag([0.0, 0.0, 0.0, 1.0]))
    rng = np.random.default_rng(1)
    expected = rng.multivariate_normal(covariance @ columns.T @ y, covariance, 200_000)
    expected = expected[(np.diff(expected[:, :GROUPS], axis=1) > 0).all(axis=1)]
    posterior = pw.pymc.sample(model, seed=1).posterior
    found = np.column_stack([posterior["means"].values.reshape(-1, GROUPS), posterior["slope"].values.ravel()])
    assert (np.diff(found[:, :GROUPS], axis=1) > 0).all()
    assert np.abs((found.mean(axis=0) - expected.mean(axis=0)) / expected.std(axis=0)).max() < 0.1
    np.testing.assert_allclose(found.std(axis=0), expected.std(axis=0), rtol=0.1)


@pytest.mark.parametrize(
    ("transform", "taken"),
    [
        (None, True),
        (transforms.Interval(-20, 20), True),
        (transforms.Interval(-20, 19), False),
        (transforms.Interval(lower=-20), False),
        (transforms.Interval(bounds_fn=lambda rng, size, low, high: (low, high)), True),
        (transforms.Interval(bounds_fn=lambda rng, size, low, high: (low, 0.5 * high)), False),
        (transforms.ZeroSumTransform([0]), False),
    ],
)
def test_a_uniform_prior_is_flat_where_its_bounds_are_all_that_there_is(transform, taken):
    assert ("means" in pw.pymc.explain(placed(default_transform=transform)[0]).block) == taken


def test_that_draws_met_bounds_is_said():
    def model(groups):
        g = np.arange(60) % groups
        with pm.Model() as found:
            a = pm.Uniform("a", 0.0, 10.0, shape=groups)
            y = 0.5 * np.random.default_rng(1).normal(size=60)
            pm.Normal("y", pm.Normal("mean", 0.0, 1.0) + a[g], pm.HalfNormal("s", 1.0), observed=y)
        return found

    assert "sampled too, where draws meet their bounds: a\n" in pw.pymc.explain(model(25)).text
    with pytest.raises(DataError, match="Draws met the bounds of 'a', which .* 26 numbers are left to sample"):
        pw.pymc.sample(model(25), 200, seed=1)
    told = []
    tree = pw.pymc.sample(model(2), seed=1, progress=lambda step, share: told.append(step))
    assert "Draws met the bounds of 'a'" in tree.sample_stats.attrs["advice"]
    assert any("Draws met the bounds of 'a'" in step for step in told)
