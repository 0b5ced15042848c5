"""Structured terms by group: their effects' sds follow a few numbers of theta."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.density.gaussian import gaussian
from poolwise.density.ties import sampled_part
from poolwise.evaluate.loo.importance_weights import control_variates
from poolwise.inference.prepare import prepare
from tests.density.models import dense_log_density

FORMULAS = [
    "y ~ x + (0 + ar1(t) | g)",
    "y ~ x + (ar1(t) | g)",
    "y ~ x + (rw1(t) | g) + (1 | h)",
    "y ~ s(x, k=5) + (s(x, k=5) | g)",
    "y ~ w + (0 + gp(x, k=4) | g) + (w | h)",
    "y ~ w + (w + s(x, k=4) || g) + (rw2(t) | h)",
    "y ~ mo(t) + (s(x, k=4) | g)",
]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(6)
    n = 90
    g, h, t = rng.integers(0, 7, n), rng.integers(0, 5, n), rng.integers(0, 6, n)
    x, w = rng.uniform(-1, 2, n), rng.normal(size=n)
    y = 1 + np.sin(2 * x) * rng.normal(size=7)[g] + 0.5 * w + rng.normal(size=(7, 6))[g, t] + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "w": w, "t": t, "g": g, "h": h})


def made(formula, frame, priors=None):
    model, rows = prepare(formula, frame, priors=priors or {}, missing="drop", threads=1)
    density = gaussian(model.statistics, model.design, model.priors, threads=1)
    return model, rows, density, sampled_part(density, model.priors.ties)


def points_of(sampled, count=4):
    rng = np.random.default_rng(2)
    return sampled.starts()[0] + 0.5 * rng.normal(size=(count, sampled.dimension))


@pytest.mark.parametrize("formula", FORMULAS)
def test_densities_are_those_of_dense_matrices(formula, frame):
    model, rows, _, sampled = made(formula, frame)
    points = points_of(sampled)
    thetas = model.priors.ties.theta(points)
    known = [dense_log_density(model, rows, theta) for theta in thetas]
    np.testing.assert_allclose(sampled.log_density(points), known, atol=1e-7)
    assert sampled.dimension < thetas.shape[1] == model.priors.layout.dimension


@pytest.mark.parametrize("formula", FORMULAS)
def test_gradients_are_differences(formula, frame):
    _, _, _, sampled = made(formula, frame)
    points = points_of(sampled, 2)
    values, gradients = sampled.values_and_gradients(points)
    for point, value, gradient in zip(points, values, gradients, strict=True):
        alone = sampled.value_and_gradient(point)
        np.testing.assert_allclose([value, *gradient], [alone[0], *alone[1]])
        steps = 1e-5 * np.eye(point.size)
        ends = [sampled.log_density(point + sign * steps) for sign in (1, -1)]
        np.testing.assert_allclose(gradient, (ends[0] - ends[1]) / 2e-5, rtol=2e-5, atol=2e-5)


def test_curves_of_groups_are_those_of_columns(frame):
    """`s(x, g, bs='fs')` has the same curves as columns of one regression: the same density of sds."""
    _, _, _, bars = made("y ~ w + (s(x, k=5) | g)", frame)
    _, _, _, columns = made("y ~ w + s(x, g, k=5, bs='fs')", frame)
    rng = np.random.default_rng(5)
    level, line, sigma, bent = rng.normal(-0.3, 0.5, (4, 6))
    one = bars.log_density(np.column_stack([level, line, sigma, bent]))
    other = columns.log_density(np.column_stack([sigma, bent, level, line]))
    np.testing.assert_allclose(one - one[0], other - other[0], atol=1e-6)


@pytest.mark.parametrize("formula", FORMULAS[:2])
def test_control_variates_have_no_mean(formula, frame):
    """Gradients in what is not sampled are no derivatives of the density: they had a mean, and moved `loo`."""
    fit = pw.fit(formula, frame, seed=1)
    model, _, density, _ = made(formula, frame)
    theta = fit.result.theta.reshape(-1, model.priors.layout.dimension)[::2]
    found = control_variates(model.priors.ties, theta, density.values_and_gradients(theta)[1])
    error = found.std(axis=0) / np.sqrt(len(found))
    assert np.abs(found.mean(axis=0) / error).max() < 5


@pytest.mark.long
def test_leaving_rows_out_is_what_folds_say(frame):
    fit = pw.fit("y ~ w + (0 + ar1(t) | g)", frame, seed=1)
    loo = fit.loo()
    assert loo.pareto_k.max() < 0.7
    refitted = sum(_left_out(frame, row) for row in range(0, 90, 9))
    assert loo.elpd_i[::9].sum() == pytest.approx(refitted, abs=0.3)


def _left_out(frame, row):
    rest = pw.fit("y ~ w + (0 + ar1(t) | g)", frame.drop(index=row), seed=2, draws=500)
    mean = rest.predict(frame.iloc[[row]], draws=True).values.ravel()
    sigma = rest.posterior["sigma"].values.ravel()
    density = np.exp(-0.5 * ((frame["y"].iloc[row] - mean) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    return np.log(density.mean())


def test_effects_without_a_common_term_and_of_new_groups(frame):
    """A group without rows has a series from the prior, whose correlation over a step is that of the fit."""
    fit = pw.fit("y ~ 1 + (0 + ar1(t) | g)", frame, seed=1)
    new = pd.DataFrame({"t": [0, 1, 2], "g": "none"})
    drawn = fit.predict(new, new_groups="sample", draws=True).values.reshape(-1, 3)
    drawn = drawn - fit.posterior["beta"].values.reshape(-1, 1)
    sd, rho = (fit.posterior[name].values.ravel() for name in ("sd_g[ar1(t)]", "cor_g[ar1(t)]"))
    np.testing.assert_allclose(drawn.var(axis=0), np.square(sd).mean(), rtol=0.15)
    lagged = (drawn[:, :-1] * drawn[:, 1:]).mean()
    assert lagged == pytest.approx((np.square(sd) * rho).mean(), abs=0.15 * np.square(sd).mean())


def test_priors_and_tables(frame):
    fit = pw.fit("y ~ w + (ar1(t) | g)", frame, seed=1, priors={"sd_g": pw.HalfNormal(0.7), "cor_g[ar1(t)]": pw.LKJ(3)})
    assert str(fit.priors).count("half-Normal(sd 0.7)") == 2
    assert "cor_g[ar1(t)] ~ LKJ(eta 3)" in str(fit.priors)
    assert list(fit.summary().index[-3:]) == ["sd_g[ar1(t)]", "cor_g[ar1(t)]", "sd_g[Intercept]"]
    assert set(fit.group_coefficients()["effect"]) == {"Intercept"}
    table = fit.smooth_term("(ar1(t) | g)", groups=[2, 5]).table
    assert sorted(table["by"].unique()) == ["2", "5"]
    assert len(table) == 12
    with pytest.raises(pw.PriorError, match=r"sd_g\[ar1\(t\)\]"):
        pw.fit("y ~ w + (ar1(t) | g)", frame, priors={"sd_g[ar1(t)[1]]": pw.HalfNormal(1)})


def test_prior_draws_of_effects_are_those_of_a_series(frame):
    """Variances of levels, and their products over a step, with a fixed sd and correlations around zero."""
    priors = {"sd_g[ar1(t)]": pw.HalfNormal(0.7), "cor_g[ar1(t)]": pw.LKJ(3)}
    fit = pw.fit("y ~ w + (0 + ar1(t) | g)", frame, seed=1, priors=priors, draws=50)
    effects = fit.prior_predictive(3000, seed=1)["u_g"].values
    (factor,), rows = fit.result.model.design.factors, fit.rows
    first, next_one = (int(np.flatnonzero(frame["t"] == t)[0]) for t in (2, 3))
    values = np.column_stack([np.ones(len(frame)), rows.values[:, :-1]])[[first, next_one]] @ factor.group_map
    levels = effects @ values.T
    assert np.square(levels).mean() == pytest.approx(0.49, rel=0.1)
    assert abs((levels[..., 0] * levels[..., 1]).mean()) < 0.05


def test_no_density_where_numbers_end(frame):
    """Two infinities that cancel are no density: what looked at sums could be made of another order of them."""
    for formula in ("y ~ x + (0 + ar1(t) | g) + (1 | h)", "y ~ x + (0 + ar1(t) | g)"):
        _, _, _, sampled = made(formula, frame)
        rng = np.random.default_rng(3)
        far = rng.uniform(-299, 299, (4000, sampled.dimension))
        assert not np.isnan(sampled.log_density(far)).any()


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("y ~ (mo(t) | g)", "monotonic effect cannot vary by group"),
        ("y ~ (ar1(t) | p | g)", "plain groups"),
        ("y ~ (ar1(w) | g)", "whole-numbered times"),
        ("y ~ (ar1(t) | g) + (ar1(t) | g)", "two group terms"),
    ],
)
def test_what_cannot_vary_by_group(formula, said, frame):
    with pytest.raises(pw.PoolwiseError, match=said):
        pw.fit(formula, frame)
