"""Outcomes with known standard errors: eight schools by quadrature, the picture, what makes no sense."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import poolwise as pw

SCHOOLS = pd.DataFrame(
    {
        "y": [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0],
        "s": [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0],
        "school": list("ABCDEFGH"),
    }
)  # Rubin 1981
PRIORS = {"Intercept": pw.Normal(0, 20), "sd": pw.HalfCauchy(10)}


@pytest.fixture(scope="module")
def fit():
    return pw.fit("y | se(s) ~ 1 + (1 | school)", SCHOOLS, priors=PRIORS, seed=1)


def test_posterior_is_that_on_a_grid(fit):
    mean, tau = np.meshgrid(np.linspace(-40, 60, 401), np.linspace(1e-3, 120, 1200), indexing="ij")
    value = stats.norm.logpdf(mean, 0, 20) + stats.cauchy.logpdf(tau, 0, 10)
    for y, s in zip(SCHOOLS["y"], SCHOOLS["s"], strict=True):
        value += stats.norm.logpdf(y, mean, np.hypot(tau, s))
    weight = np.exp(value - value.max())
    weight /= weight.sum()
    known = [(weight * mean).sum(), (weight * tau).sum()]
    found = fit.summary()
    np.testing.assert_allclose(found["mean"], known, atol=0.12)
    first = weight * (mean + tau**2 / (tau**2 + 15**2) * (28 - mean))
    coefficients = fit.group_coefficients()
    assert abs(coefficients["mean"][0] - first.sum()) < 0.25


def test_a_weight_counts_beside_a_fixed_sigma():
    """y with weights 1 / s^2 and sigma = 1 is the same model: the weights were not read then."""
    data = SCHOOLS.assign(w=SCHOOLS["s"] ** -2)
    one = pw.fit("y | se(s) ~ 1", data, draws=200, seed=1)
    other = pw.fit(["y ~ 1", "sigma = 1"], data, weights="w", draws=200, seed=1)
    np.testing.assert_allclose(one.summary()["mean"], other.summary()["mean"], rtol=1e-6)
    weights = data["w"] / data["w"].sum()
    assert abs(one.summary()["mean"].iloc[0] - (weights * data["y"]).sum()) < 1.0


def test_new_outcomes_have_their_own_errors(fit, tmp_path):
    new = SCHOOLS[["school"]].assign(s=[0.01] * 4 + [100.0] * 4)
    table = fit.predict(new, kind="response")
    assert (table["sd"][:4] < 20).all()
    assert (table["sd"][4:] > 90).all()
    with pytest.raises(pw.DataError, match="no column 's'"):
        fit.predict(SCHOOLS[["school"]], kind="response")
    fit.save(tmp_path / "fit")
    pd.testing.assert_frame_equal(pw.load(tmp_path / "fit").predict(new, kind="response"), table)


def test_the_forest_has_studies_average_and_a_new_one(fit):
    chart = fit.plot.forest().to_dict(validate=False)
    assert len(chart["layer"]) == 4
    tables = list(chart["datasets"].values())
    lines = max(tables, key=len)
    assert len(lines) == 2 * 8 + 1
    published = [line["mean"] for line in lines if line["what"] == "as published"]
    assert published == sorted(SCHOOLS["y"])
    with_predictor = pw.fit("y | se(s) ~ x + (1 | school)", SCHOOLS.assign(x=range(8)), draws=50, seed=1)
    assert "hconcat" in with_predictor.plot.forest().to_dict(validate=False)


def test_studies_with_an_offset_are_shown_less_it():
    moved = SCHOOLS.assign(off=np.linspace(100, 900, 8), y=lambda d: d["y"] + d["off"])
    fit = pw.fit("y | se(s) ~ 1 + (1 | school) + offset(off)", moved, draws=50, seed=1)
    chart = fit.plot.forest().to_dict(validate=False)
    lines = max(chart["datasets"].values(), key=len)
    published = [line["mean"] for line in lines if line["what"] == "as published"]
    np.testing.assert_allclose(published, sorted(SCHOOLS["y"]), atol=1e-9)
    assert "y less its offset" in str(chart)


@pytest.mark.parametrize(
    ("formula", "change", "message"),
    [
        ("y | se(s) ~ 1", {"s": 0.0}, "standard errors 's' must be positive"),
        ("y | se(s) ~ 1", {"s": -1.0}, "standard errors 's' must be positive"),
        ("y | se(s) ~ 1", {"s": "a"}, "'s' must hold numbers"),
        ("y | se(s, sigma=2) ~ 1", {}, "takes the column"),
        ("y | se(s, TRUE, 1) ~ 1", {}, "takes the column"),
        (["y | se(s, sigma=TRUE) ~ 1", "se ~ 1"], {}, "no parameter 'se'"),
        (["y | se(s, sigma=TRUE) ~ 1", "se = 2"], {}, "no parameter 'se'"),
        ("y | se(s * 2) ~ 1", {}, "takes the column"),
        ("y | se(s) + weights(s) ~ 1", {}, "weights beside standard errors"),
        (["y | se(s) ~ 1", "sigma ~ 1"], {}, "says of sigma what the standard errors say"),
        ("y | se(t) ~ 1", {}, "no column 't'"),
    ],
)
def test_messages(formula, change, message):
    with pytest.raises((pw.DataError, pw.FormulaError), match=message):
        pw.fit(formula, SCHOOLS.assign(**change), draws=50)


RESIDUAL = {"Intercept": pw.Normal(0, 3), "sigma": pw.HalfNormal(1)}


@pytest.fixture(scope="module")
def measured():
    """Rows with errors of their own, and a residual beside."""
    rng = np.random.default_rng(3)
    errors, group = rng.uniform(0.2, 0.9, 120), np.repeat(np.arange(12), 10)
    y = 1 + rng.normal(0, 0.6, 12)[group] + np.hypot(errors, 0.5) * rng.normal(size=120)
    return pd.DataFrame({"y": y, "s": errors, "g": group, "row": np.arange(120), "x": rng.normal(size=120)})


def test_a_residual_beside_errors_is_that_on_a_grid(measured):
    fit = pw.fit("y | se(s, sigma=True) ~ 1", measured, priors=RESIDUAL, seed=1)
    mean, sigma = np.meshgrid(np.linspace(0, 2, 201), np.linspace(1e-4, 2, 400), indexing="ij")
    value = stats.norm.logpdf(mean, 0, 3) + stats.halfnorm.logpdf(sigma, 0, 1)
    for y, s in zip(measured["y"], measured["s"], strict=True):
        value += stats.norm.logpdf(y, mean, np.hypot(sigma, s))
    weight = np.exp(value - value.max())
    weight /= weight.sum()
    table = fit.summary()
    np.testing.assert_allclose(table["mean"], [(weight * mean).sum(), (weight * sigma).sum()], atol=0.008)
    spread = [np.sqrt((weight * np.square(each - (weight * each).sum())).sum()) for each in (mean, sigma)]
    np.testing.assert_allclose(table["sd"], spread, rtol=0.06)


@pytest.mark.long
def test_a_residual_beside_errors_is_an_effect_of_each_row(measured):
    priors = {"sd": pw.HalfNormal(1), "Intercept": pw.Normal(0, 3)}
    one = pw.fit("y | se(s, sigma=True) ~ x + (1 | g)", measured, priors=priors | RESIDUAL, seed=1).summary()
    other = pw.fit("y | se(s) ~ x + (1 | g) + (1 | row)", measured, priors=priors, seed=1).summary()
    np.testing.assert_allclose(
        one.loc["sigma", ["mean", "sd"]], other.loc["sd_row[Intercept]", ["mean", "sd"]], atol=0.01
    )
    for name in ("beta[Intercept]", "beta[x]", "sd_g[Intercept]"):
        np.testing.assert_allclose(one.loc[name, ["mean", "sd"]], other.loc[name, ["mean", "sd"]], atol=0.015)


def test_units_do_not_matter_beside_errors(measured):
    moved = measured.assign(y=1e6 * measured["y"], s=1e6 * measured["s"])
    one, other = (pw.fit("y | se(s, sigma=True) ~ x + (1 | g)", each, seed=1).summary() for each in (measured, moved))
    np.testing.assert_allclose(other["mean"] / 1e6, one["mean"], atol=0.1 * one["sd"].min())
    np.testing.assert_allclose(other["sd"] / 1e6, one["sd"], rtol=0.06)


def test_what_follows_a_fit_knows_of_both_spreads(measured, tmp_path):
    fit = pw.fit(["y | se(s, sigma=True) ~ x + (1 | g)", "sigma ~ x"], measured, draws=300, seed=1)
    new = measured.head(4).assign(s=[0.01, 0.01, 50.0, 50.0])
    table = fit.predict(new, kind="response")
    assert (table["sd"][:2] < 5).all()
    assert (table["sd"][2:] > 40).all()
    with pytest.raises(pw.DataError, match="no column 's'"):
        fit.predict(measured[["g", "x"]], kind="response")
    fit.save(tmp_path / "fit")
    pd.testing.assert_frame_equal(pw.load(tmp_path / "fit").predict(new, kind="response"), table)
    plain = pw.fit("y | se(s, sigma=True) ~ x + (1 | g)", measured, draws=300, seed=1)
    assert plain.loo().elpd == pytest.approx(fit.loo().elpd, abs=3)
    assert "se(s, sigma = TRUE)" in plain.as_code("brms")
    assert "pm.math.sqrt(sigma**2 + errors**2)" in plain.as_code("pymc")
    assert str(plain.result.model.design.formula) == "y | se(s, sigma=True) ~ x + (1 | g)"


def test_a_bayes_factor_of_fits_with_and_without_errors(measured):
    """Statistics have weights, so that their means are not those of the outcomes."""
    priors = {"Intercept": pw.Normal(0, 3), "sigma": pw.HalfNormal(1)}
    one = pw.fit("y | se(s, sigma=True) ~ 1", measured, priors=priors, seed=1, sampler="independence")
    other = pw.fit("y ~ 1 + (1 | g)", measured, priors=priors, seed=1)
    by_hand = np.exp(one.log_evidence - other.log_evidence)
    assert pw.bayes_factor(one, other) == pytest.approx(by_hand)
    renamed = pw.fit("x ~ 1 + (1 | g)", measured, priors=priors, draws=50, seed=1)
    with pytest.raises(pw.DataError, match="different outcomes"):
        pw.bayes_factor(one, renamed)


def test_weights_that_count_rows_are_those_rows(measured):
    """The prior of a scale was widened by the root of their mean."""
    counts = np.random.default_rng(1).integers(1, 9, 120)
    weighed = pw.fit("y ~ x", measured.assign(w=counts), weights="w", family="exgaussian", draws=8, seed=1)
    written = pw.fit("y ~ x", measured.loc[np.repeat(measured.index, counts)], family="exgaussian", draws=8, seed=1)
    assert weighed.priors["tau"] == written.priors["tau"]
    assert weighed.priors["sigma"] == written.priors["sigma"]


def test_other_families_have_no_standard_errors():
    with pytest.raises(pw.FormulaError, match="no variance to add"):
        pw.fit("y | se(s, sigma=True) ~ 1", SCHOOLS, family="student", draws=50)
    with pytest.raises(pw.FormulaError, match="se.. is for normal outcomes"):
        pw.fit("y | se(s) ~ 1", SCHOOLS.assign(y=[1, 2, 3, 4, 5, 6, 7, 8]), family="poisson", draws=50)
