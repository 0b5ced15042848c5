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


@pytest.mark.parametrize(
    ("formula", "change", "message"),
    [
        ("y | se(s) ~ 1", {"s": 0.0}, "standard errors 's' must be positive"),
        ("y | se(s) ~ 1", {"s": -1.0}, "standard errors 's' must be positive"),
        ("y | se(s) ~ 1", {"s": "a"}, "'s' must hold numbers"),
        ("y | se(s, sigma=TRUE) ~ 1", {}, "Number the rows"),
        ("y | se(s * 2) ~ 1", {}, "takes the column"),
        ("y | se(s) + weights(s) ~ 1", {}, "weights beside standard errors"),
        (["y | se(s) ~ 1", "sigma ~ 1"], {}, "says of sigma what the standard errors say"),
        ("y | se(t) ~ 1", {}, "no column 't'"),
    ],
)
def test_messages(formula, change, message):
    with pytest.raises((pw.DataError, pw.FormulaError), match=message):
        pw.fit(formula, SCHOOLS.assign(**change), draws=50)


def test_other_families_have_no_standard_errors():
    with pytest.raises(pw.FormulaError, match="normal and log-normal"):
        pw.fit("y | se(s) ~ 1", SCHOOLS.assign(y=[1, 2, 3, 4, 5, 6, 7, 8]), family="poisson", draws=50)
