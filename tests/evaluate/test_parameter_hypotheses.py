"""Hypotheses about parameters: shares of draws, and Bayes factors against ratios of exact evidences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw

PRIORS = {"x": pw.Normal(0, 1), "z": pw.StudentT(4, 0, 0.5), "Intercept": pw.Normal(0, 3), "sigma": pw.HalfNormal(2)}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(2)
    g, x, z = rng.integers(0, 10, 120), rng.normal(size=120), rng.normal(size=120)
    y = 1 + 0.3 * x + 0.1 * z + 0.6 * rng.normal(size=10)[g] + rng.normal(size=120)
    return pd.DataFrame({"y": y, "x": x, "z": z, "g": g, "b": (y > 1) * 1})


@pytest.fixture(scope="module")
def fit(data):
    return pw.fit("y ~ x + z + (1 + x | g)", data, priors=PRIORS, seed=1, draws=1000)


def test_inequalities_are_shares_of_draws(fit):
    post = fit.posterior
    x, z = (post["beta"].sel(coefficient=name).values for name in ("x", "z"))
    sd = post["sd_g"].values
    one = post["coef_g"].sel(g=3, effect="x").values
    asked = {
        "x > 0": x > 0,
        "beta[x] < 2 * z": x < 2 * z,
        "sd_g[Intercept] > sd_g[x]": sd[..., 0] > sd[..., 1],
        "exp(x) > 1.2": np.exp(x) > 1.2,
        "coef_g[3, x] < x": one < x,
        "0 < x": x > 0,
    }
    table = fit.hypothesis(list(asked)).table
    np.testing.assert_allclose(table["probability"], [holds.mean() for holds in asked.values()])
    share = table["probability"][1]
    assert table["odds"][1] == pytest.approx(share / (1 - share))
    assert "beta[x] < 2 * z" in repr(fit.hypothesis(list(asked)))


def test_a_point_without_groups_is_a_ratio_of_evidences(data):
    """Both evidences are integrated on a grid; what leaves a predictor out keeps the priors of the others."""
    centred = data.assign(x=data["x"] - data["x"].mean(), z=data["z"] - data["z"].mean())
    priors = {"x": pw.Normal(0, 1), "z": pw.Normal(0.2, 0.5), "Intercept": pw.Normal(0, 3), "sigma": pw.HalfNormal(2)}
    both = pw.fit("y ~ x + z", centred, priors=priors, seed=1)
    for name, value in (("z", 0.0), ("x", 0.0), ("x", 0.2)):
        rest = {key: prior for key, prior in priors.items() if key != name}
        less = centred.assign(y=centred["y"] - value * centred[name])
        without = pw.fit(f"y ~ {'x' if name == 'z' else 'z'}", less, priors=rest, seed=1)
        found = both.hypothesis(f"{name} = {value}").table.iloc[0]
        exact = np.exp(without.log_evidence - both.log_evidence)
        assert abs(found["bayes_factor"] - exact) < 5 * found["error"] + 1e-3 * exact
        assert found["probability"] == pytest.approx(found["bayes_factor"] / (1 + found["bayes_factor"]))


def test_a_point_with_groups_and_student_priors_is_a_ratio_of_evidences(data, fit):
    without = pw.fit("y ~ x + (1 + x | g)", data, priors={k: v for k, v in PRIORS.items() if k != "z"}, seed=1)
    found = fit.hypothesis("z = 0").table.iloc[0]
    assert found["bayes_factor"] == pytest.approx(np.exp(without.log_evidence - fit.log_evidence), rel=0.05)


@pytest.mark.long
def test_sums_of_coefficients_crossed_groups_and_units(data):
    crossed = data.assign(h=np.arange(120) % 7)
    priors = {"x": pw.Normal(0, 1), "z": pw.Normal(0, 1)}
    formula = "y ~ x + z + (1 | g) + (1 | h)"
    fit = pw.fit(formula, crossed, priors=priors, seed=1, draws=20_000)
    factor = fit.hypothesis("x - z = 0.1").table["bayes_factor"][0]
    beta = fit.posterior["beta"].values.reshape(-1, 3)
    share = np.mean(np.abs(beta[:, 1] - beta[:, 2] - 0.1) < 0.03) / 0.06
    prior = np.exp(-0.5 * 0.1**2 / 2) / np.sqrt(2 * np.pi * 2)
    assert factor == pytest.approx(share / prior, rel=0.08)
    far = {"x": pw.Normal(0, 1e-3), "z": pw.Normal(0, 1)}
    scaled = pw.fit(formula, crossed.assign(x=1000 * crossed["x"]), priors=far, seed=1)
    assert scaled.hypothesis("1000 * x - z = 0.1").table["bayes_factor"][0] == pytest.approx(factor, rel=0.02)


@pytest.mark.long
def test_a_sampled_family_by_a_kernel_estimate(data):
    priors = {"x": pw.Normal(0, 1), "Intercept": pw.Normal(0, 2)}
    fit = pw.fit("b ~ x", data, family="bernoulli", priors=priors, seed=1, draws=4000)
    centre, width, x = data["x"].mean(), 1e-3, data["x"].to_numpy()
    intercepts, slopes = np.linspace(-3, 3, 601), np.linspace(-3, 3, 1201)  # by brute force on a grid
    eta = intercepts[:, None, None] + slopes[None, :, None] * (x - centre)
    loglik = (data["b"].to_numpy() * eta - np.logaddexp(0, eta)).sum(axis=-1)
    logp = loglik - 0.5 * (intercepts[:, None] / 2) ** 2 - 0.5 * slopes**2
    marginal = np.exp(logp - logp.max()).sum(axis=0)
    marginal /= marginal.sum() * (slopes[1] - slopes[0])
    at = np.searchsorted(slopes, 0.5 - width)
    exact = marginal[at] / (np.exp(-0.125) / np.sqrt(2 * np.pi))
    found = fit.hypothesis("x = 0.5").table.iloc[0]
    assert found["bayes_factor"] == pytest.approx(exact, rel=0.06)
    assert "kernel" in found["method"]
    with pytest.raises(pw.DataError, match="draws lie near"):
        fit.hypothesis("x = 9")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("xx > 0", "no quantity 'xx'"),
        ("x", None),
        ("sd_g[x] = 0", "only sums of common coefficients"),
        ("x * z = 0", "sum of coefficients with constant weights"),
        ("abs(x) = 0.1", "sum of coefficients with constant weights"),
        ("x > 0 > z", "must have one sign"),
        ("x = 1e9", "beyond anything that the priors"),
        ("log(z) > 0", "no finite value"),
        (3, "is a text"),
        ([], "is a text"),
        ("", "is a text"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(fit, asked, said):
    if said is None:
        fit.hypothesis(asked)
        return
    with pytest.raises(pw.DataError, match=said):
        fit.hypothesis(asked)


def test_structured_terms_and_separate_fits(data):
    curve = pw.fit("y ~ s(x) + z + (1 | g)", data, seed=1, draws=200)
    assert np.isfinite(curve.hypothesis("z = 0").table["bayes_factor"][0])
    separate = pw.compare_pooling("y ~ x", by="g", data=data, seed=1, draws=200).separate
    assert 0 <= separate.hypothesis("coef_g[3, x] > 0").table["probability"][0] <= 1
    with pytest.raises(pw.DataError, match="only coefficients of groups"):
        separate.hypothesis("x > 0")


def test_a_predictor_that_is_called_as_another_parameter():
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"sigma": rng.normal(size=100)})
    rows["y"] = -rows["sigma"] + rng.normal(size=100)
    fit = pw.fit("y ~ sigma", rows, seed=1, draws=100)
    assert fit.hypothesis("beta[sigma] < 0").table["probability"][0] == 1.0
    with pytest.raises(pw.DataError, match=r"write 'beta\[sigma\]'"):
        fit.hypothesis("sigma < 0")
    assert {"beta[sigma]", "sigma"} <= set(fit.table().frame.index)
