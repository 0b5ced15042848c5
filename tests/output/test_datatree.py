"""Fits as ArviZ knows them: every group against its definition, and ArviZ's own functions on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import poolwise as pw
from poolwise.output.datatree import GROUPS
from poolwise.support.errors import DataError

ROWS = pd.DataFrame(
    {
        "g": np.repeat(list("abcdef"), 8),
        "x": np.tile(np.linspace(-1, 1, 8), 6),
        "w": np.tile([1.0, 2.0, 3.0, 4.0], 12),
        "t": np.tile([3, 5, 8, 9], 12),
    }
)
RNG = np.random.default_rng(4)
ETA = 0.3 + 0.5 * ROWS["x"] + np.repeat(0.4 * RNG.normal(size=6), 8)
ROWS["y"] = ETA + 0.5 * RNG.normal(size=48)
ROWS["n"] = RNG.poisson(np.exp(ETA))
ROWS["k"] = RNG.binomial(ROWS["t"], 1 / (1 + np.exp(-ETA)))
ROWS["c"] = pd.cut(ROWS["y"], 3, labels=["low", "middle", "high"])


@pytest.fixture(scope="module")
def fit():
    return pw.fit("y ~ x + (1 | g)", ROWS, seed=1)


@pytest.fixture(scope="module")
def tree(fit):
    return fit.to_datatree(GROUPS, draws=300)


def eta(fit):
    """Linear predictors (chain, draw, row), by hand."""
    drawn = fit.posterior
    groups = drawn["coef_g"].sel(g=ROWS["g"].tolist()).values[..., 0]
    return groups + drawn["beta"].sel(coefficient="x").values[..., None] * ROWS["x"].to_numpy()


def test_nothing_dear_is_made_unasked(fit, tmp_path):
    assert set(fit.to_datatree().children) == {"posterior", "observed_data", "constant_data"}
    fit.save(tmp_path / "fit")
    assert set(pw.load(tmp_path / "fit").to_datatree().children) == {"posterior"}
    assert set(fit.to_datatree(["prior", "posterior"]).children) == {"posterior", "prior"}


def test_log_likelihoods_are_densities_of_the_outcomes(fit, tree):
    sigma = fit.posterior["sigma"].values[..., None]
    expected = stats.norm.logpdf(ROWS["y"].to_numpy(), eta(fit), sigma)
    np.testing.assert_allclose(tree["log_likelihood"]["y"], expected, rtol=1e-9)
    counts = pw.fit("n ~ x + (1 | g)", ROWS, family="poisson", seed=1, draws=100)
    expected = stats.poisson.logpmf(ROWS["n"].to_numpy(), np.exp(eta(counts)))
    np.testing.assert_allclose(counts.to_datatree(["log_likelihood"])["log_likelihood"]["n"], expected, rtol=1e-8)
    shares = pw.fit("k | trials(t) ~ x + (1 | g)", ROWS, family="binomial", seed=1, draws=100)
    expected = stats.binom.logpmf(ROWS["k"].to_numpy(), ROWS["t"].to_numpy(), 1 / (1 + np.exp(-eta(shares))))
    np.testing.assert_allclose(shares.to_datatree(["log_likelihood"])["log_likelihood"]["k"], expected, rtol=1e-8)
    weighted = pw.fit("y | weights(w) ~ x + (1 | g)", ROWS, seed=1, draws=100)
    sigma = weighted.posterior["sigma"].values[..., None] / np.sqrt(ROWS["w"].to_numpy())
    expected = stats.norm.logpdf(ROWS["y"].to_numpy(), eta(weighted), sigma)
    np.testing.assert_allclose(weighted.to_datatree(["log_likelihood"])["log_likelihood"]["y"], expected, rtol=1e-9)


def test_nuts_says_what_it_knows_of_each_draw(tmp_path):
    fit = pw.fit("k | trials(t) ~ x + (1 | g)", ROWS, family="binomial", sampler="nuts", draws=300, seed=1)
    told = fit.to_datatree(["sample_stats"])["sample_stats"]
    assert {"lp", "energy", "n_steps", "tree_depth", "diverging", "acceptance_rate"} == set(told.data_vars)
    assert told["energy"].sizes == {"chain": 4, "draw": 300}
    assert ((told["energy"] + told["lp"]) >= 0).all()
    fit.save(tmp_path / "fit")
    again = pw.load(tmp_path / "fit").to_datatree(["sample_stats"])["sample_stats"]
    for name in told.data_vars:
        np.testing.assert_array_equal(again[name], told[name])


def test_lp_is_the_density_of_the_variances():
    """That of y with all coefficients integrated out, times the priors of log sds, up to one constant."""
    priors = {"Intercept": pw.Normal(0, 2), "x": pw.Normal(0, 1), "sd": pw.HalfNormal(1), "sigma": pw.HalfNormal(0.7)}
    fit = pw.fit("y ~ x + (1 | g)", ROWS, priors=priors, draws=10, seed=1)
    z = np.eye(6)[np.repeat(np.arange(6), 8)]
    x = ROWS["x"].to_numpy()
    sd, sigma = fit.posterior["sd_g"].values.ravel(), fit.posterior["sigma"].values.ravel()
    expected = []
    for s, t in zip(sd, sigma, strict=True):
        covariance = t**2 * np.eye(48) + s**2 * z @ z.T + 4 * np.ones((48, 48)) + np.outer(x, x)
        of_priors = stats.halfnorm.logpdf(s, scale=1) + np.log(s) + stats.halfnorm.logpdf(t, scale=0.7) + np.log(t)
        expected.append(stats.multivariate_normal.logpdf(ROWS["y"], np.zeros(48), covariance) + of_priors)
    found = fit.to_datatree(["sample_stats"])["sample_stats"]
    lp = found["lp"].values.ravel()
    assert np.ptp(lp) > 1
    np.testing.assert_allclose(lp - lp[0], np.array(expected) - expected[0], atol=1e-8)
    assert (found.attrs["sampler"], found.attrs["passed"]) == ("independence", 1)
    assert found.attrs["log_evidence"] == fit.log_evidence


def test_new_outcomes_and_priors(fit, tree):
    new = tree["posterior_predictive"]["y"].values
    assert new.mean() == pytest.approx(float(ROWS["y"].mean()), abs=0.03)
    np.testing.assert_array_equal(new.reshape(4, 1000, -1), fit.predict(kind="response", draws=True).values)
    assert tree["prior"]["beta"].dims == ("chain", "draw", "coefficient")
    assert tree["prior_predictive"]["y"].shape == (1, 300, 48)
    assert {"beta", "sigma", "sd_g"} <= set(tree["prior"].data_vars)
    np.testing.assert_array_equal(tree["observed_data"]["y"], ROWS["y"])
    assert set(tree["constant_data"].data_vars) == {"x", "g"}


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("c ~ x + (1 | g)", "cumulative"),
        (["y ~ x + (1 | g)", "sigma ~ x"], "gaussian"),
        pytest.param("y ~ x", "gaussian", marks=pytest.mark.long),
        pytest.param("n ~ s(x) + (1 | g)", "poisson", marks=pytest.mark.long),
    ],
)
def test_every_kind_of_fit_has_every_group(formula, family, tmp_path):
    found = pw.fit(formula, ROWS, family=family, seed=1, draws=100).to_datatree(GROUPS)
    assert set(found.children) == set(GROUPS)
    assert np.isfinite(next(iter(found["log_likelihood"].data_vars.values()))).all()
    found.to_netcdf(tmp_path / "fit.nc")


def test_files_keep_every_number(tree, tmp_path):
    tree.to_netcdf(tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc") as back:
        for name in GROUPS:
            xr.testing.assert_equal(back[name].to_dataset().load(), tree[name].to_dataset())
    zarr = pytest.importorskip("zarr")
    assert zarr
    tree.to_zarr(tmp_path / "fit.zarr", zarr_format=2)
    with xr.open_datatree(tmp_path / "fit.zarr", engine="zarr") as back:
        xr.testing.assert_allclose(back["posterior"].to_dataset().load(), tree["posterior"].to_dataset())


def test_arviz_1_reads_it(fit, tree):
    plots, numbers = pytest.importorskip("arviz_plots"), pytest.importorskip("arviz_stats")
    table = numbers.summary(tree, var_names=["beta", "sigma"])
    mean = float(table.loc["sigma", "mean"])
    assert mean == pytest.approx(fit.summary().loc["sigma", "mean"], abs=0.006)
    loo = numbers.loo(tree)
    assert loo.elpd == pytest.approx(fit.loo().elpd, abs=2.5)
    plain = pw.fit("y ~ 1 + (1 | g)", ROWS, seed=1).to_datatree(["posterior", "log_likelihood", "observed_data"])
    assert numbers.compare({"with x": tree, "without": plain}).index[0] == "with x"
    for plot in (plots.plot_trace, plots.plot_forest):
        plot(tree, var_names=["beta", "sd_g"], backend="none")
    plots.plot_ppc_dist(tree, backend="none")


def test_arviz_0_reads_it(fit, tree):
    arviz = pytest.importorskip("arviz")
    if not arviz.__version__.startswith("0."):
        pytest.skip("this is ArviZ 1")
    data = arviz.InferenceData(**{name: node.to_dataset() for name, node in tree.children.items()})
    assert arviz.loo(data).elpd_loo == pytest.approx(fit.loo().elpd, abs=2.5)
    assert arviz.summary(data, var_names=["sigma"]).loc["sigma", "mean"] > 0


def test_bad_input(fit, tmp_path):
    with pytest.raises(DataError, match="There is no group 'posteriors'. Did you mean 'posterior'"):
        fit.to_datatree(["posteriors"])
    with pytest.raises(DataError, match="groups is a list"):
        fit.to_datatree("posterior")
    with pytest.raises(DataError, match="draws"):
        fit.to_datatree(["prior"], draws=0)
    fit.save(tmp_path / "fit")
    with pytest.raises(DataError, match="rows"):
        pw.load(tmp_path / "fit").to_datatree(["log_likelihood"])
