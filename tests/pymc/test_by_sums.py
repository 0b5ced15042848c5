"""Sums that are made once, beside rows at every theta, and where standard deviations go to zero."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest

import poolwise as pw
from poolwise.pymc.by_rows import ByRows
from poolwise.pymc.by_sums import BySums
from poolwise.pymc.density import CollapsedModel
from poolwise.pymc.draw import _first_points
from poolwise.pymc.graph import find_block
from poolwise.pymc.linear_rows import linear_rows
from poolwise.pymc.rest import rest_of
from poolwise.pymc.standardised import standardised
from poolwise.support.errors import DataError
from tests.pymc import models
from tests.selection import long_but_for


def collapsed(model):
    block = find_block(model)
    rest = rest_of(block)
    return CollapsedModel.of(linear_rows(block, rest, _first_points(rest)), rest)


def priors_on_priors():
    """Means of priors with coefficients of other numbers, and of what is left; and outcomes of many scales."""
    rng = np.random.default_rng(6)
    x, g = rng.normal(size=90), rng.integers(0, 9, 90)
    with pm.Model() as model:
        level = pm.Normal("level", 0, 10)
        top = pm.Normal("top", 2 * level - 1, pm.HalfNormal("sd_top", 1), shape=3)
        low = pm.Normal("low", 0.5 * top[np.arange(9) // 3] + 3, pm.HalfNormal("sd_low", 1), shape=9)
        slope = pm.Normal("slope", pm.HalfNormal("mean_slope", 1), 0.7)
        scale = pm.Exponential("scale", 1)
        pm.Normal("y", 4 + scale * low[g] + slope * x, pm.HalfNormal("s", 1), observed=x + g)
    return model, {"level", "top", "low", "slope"}


def known_errors():
    """Standard deviations of each row, times numbers that all share, and of priors."""
    rng = np.random.default_rng(6)
    x, g, error = rng.normal(size=90), rng.integers(0, 9, 90), rng.uniform(0.5, 1.5, 90)
    known, weights = rng.uniform(0.5, 1.5, 9), pm.floatX(rng.integers(1, 5, 90))
    with pm.Model() as model:
        s, tau = pm.HalfNormal("s", 1), pm.HalfNormal("tau", 1)
        a = pm.Normal("a", pm.Normal("m", 0, 10), tau * known, shape=9)
        b = pm.Normal("b", 0, known, shape=9)
        pm.Normal("y", a[g] + b[g] * x, s * error * 2, observed=x + g)
        pm.Normal("z", a[g], error, observed=g - x)
        pm.Normal("w", a[g], s / np.sqrt(weights), observed=g - x)
    return model, {"a", "b", "m"}


def test_a_number_that_rows_share_is_computed_once():
    parts = collapsed(known_errors()[0]).rows.parts
    assert len(parts.constants) <= 6  # of three outcomes and three priors
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("a", 0, 1), pm.HalfNormal("s", 1) * np.array([1.0, -1.0]), observed=np.arange(2.0))
    with pytest.raises(DataError, match="sigma > 0"):
        pw.pymc.sample(model, 100, seed=1)


@pytest.mark.parametrize(
    "build",
    long_but_for(
        (models.two_outcomes, models.random_walk, models.autoregressive_outcomes).__contains__,
        [*long_but_for(models.MAIN.__contains__, models.ALL), priors_on_priors, known_errors],
    ),
)
def test_sums_are_those_of_rows(build):
    """At thetas far from where sums count from too, and draws have the same mean and spread."""
    density = collapsed(build()[0])
    assert isinstance(density.normal, BySums)
    rng = np.random.default_rng(1)
    points = density.rest.start + rng.standard_normal((40, density.dimension))
    np.testing.assert_allclose(density.log_density(points), density.by_rows().log_density(points), rtol=1e-8, atol=1e-7)
    many = np.repeat(points[:1], 4000, axis=0)
    one, other = density.block(many, rng)[0], density.by_rows().block(many, rng)[0]
    spread = other.std(axis=0)
    assert np.abs((one.mean(axis=0) - other.mean(axis=0)) / spread).max() < 6 * np.sqrt(2 / 4000)
    np.testing.assert_allclose(one.std(axis=0), spread, rtol=0.09)


@pytest.mark.parametrize("build", [models.hierarchical, models.crossed, models.nested, models.eight_schools])
def test_where_a_standard_deviation_goes_to_zero_the_density_has_a_limit(build):
    density = collapsed(build()[0])
    logs = density.log_scales[:-1] if build is not models.eight_schools else density.log_scales
    point = np.repeat(density.rest.start[None], 5, axis=0)
    for place in logs:
        point[:, place] = [-7.0, -12.0, -20.0, -50.0, -150.0]
        without = density.log_density(point) - density.rows.log_prior(point)
        np.testing.assert_allclose(without[1:], without[-1], atol=1e-6)
        assert abs(without[0] - without[-1]) < 0.05
        point[:, place] = density.rest.start[place]


def test_standardised_rows_are_taken_where_priors_end():
    def walk(steps):
        with pm.Model() as model:
            first = pm.Normal("b0", 0, 1)
            now, sd = first, pm.HalfNormal("sd", 1)
            for k in range(1, steps):
                now = pm.Normal(f"b{k}", now, sd)
            pm.Normal("y", now + first, pm.HalfNormal("s", 1), observed=np.arange(8.0))
        block = find_block(model)
        rest = rest_of(block)
        return linear_rows(block, rest, _first_points(rest))

    assert standardised(walk(4)) is not None
    assert standardised(walk(20)) is None
    with pm.Model() as by_coefficient:
        rho = pm.Uniform("rho", -1, 1)
        one = pm.Normal("one", 0, 1)
        pm.Normal("y", pm.Normal("two", rho * one, 1.0), 1.0, observed=np.arange(5.0))
    density = collapsed(by_coefficient)
    assert isinstance(density.normal, BySums)
    assert standardised(density.rows) is None
    point = np.array([[0.4]])
    np.testing.assert_allclose(density.log_density(point), density.by_rows().log_density(point), rtol=1e-10)


def test_means_that_are_not_affine_in_a_few_numbers_go_by_rows():
    t = np.arange(30.0)
    with pm.Model() as model:
        rate = pm.HalfNormal("rate", 1)
        pm.Normal("y", pm.Normal("a", 0, 10) * pt.exp(-rate * t), 1.0, observed=np.exp(-0.2 * t))
    assert isinstance(collapsed(model).normal, ByRows)
    with pm.Model() as squared:
        sd = pm.HalfNormal("sd", 1)
        pm.Normal("y", pm.Normal("z", 0, 1) * (sd * (1 + sd)), 1.0, observed=t)
    assert isinstance(collapsed(squared).normal, BySums)  # of the product, which is one number
    with pm.Model() as apart:
        one, two = pm.HalfNormal("one", 1), pm.HalfNormal("two", 1)
        pm.Normal("y", (pm.Normal("z", 0, 1, shape=3)[np.arange(30) % 3] * one) * two, 1.0, observed=t)
    assert isinstance(collapsed(apart).normal, ByRows)


def test_covariances_of_any_make():
    """As a wide matrix with its transpose, as a covariance, as a precision; the block's density is the model's own."""
    wide = np.array([[1.0, 0.3, 0.2], [0.0, 0.8, 0.5]])
    made = {"chol": np.linalg.cholesky(wide @ wide.T), "cov": wide @ wide.T, "tau": np.linalg.inv(wide @ wide.T)}
    found, group, rng = [], np.arange(60) % 6, np.random.default_rng(1)
    y = rng.normal(size=60)
    for name, matrix in [*made.items(), ("cov", pt.as_tensor(wide) @ pt.as_tensor(wide).T)]:
        with pm.Model() as model:
            scale = pm.HalfNormal("scale", 1)
            both = pm.MvNormal("both", np.zeros(2), shape=(6, 2), **{name: matrix})
            pm.Normal("y", scale * both[group, 0] + both[group, 1], 1.0, observed=y)
        density = collapsed(model)
        assert isinstance(density.normal, BySums)
        found.append(density.log_density(np.array([[-1.0], [0.5]])))
        pw.pymc.sample(model, 50, seed=1)  # with its check of the density
    for each in found[1:]:
        np.testing.assert_allclose(each, found[0], rtol=1e-9)


def test_a_check_of_signs_does_not_end_a_fit():
    """Coordinates are put to zero when entries are looked for, where some graphs refuse to be computed."""
    with pm.Model() as model:
        sd = pm.HalfNormal("sd", 1)
        checked = pt.sqrt(pt.square(sd))
        pm.Normal("y", pm.Normal("z", 0, 1) / pm.Deterministic("d", 1 / checked), 1.0, observed=np.arange(5.0))
    assert pw.pymc.sample(model, 100, seed=1)["sample_stats"].attrs["passed"] == 1
