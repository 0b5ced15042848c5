"""Explanations of groups in families that are sampled, by the normal approximation that they state."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit

import poolwise as pw


def frame():
    rng = np.random.default_rng(2)
    sizes = [2, 4, 8, 40, 150, 60]
    g = np.repeat(np.arange(6), sizes)
    x = rng.normal(size=len(g))
    level = np.array([0.3, -0.5, 0.8, 1.0, -0.7, 0.0])[g]
    data = pd.DataFrame({"x": x, "g": np.array(list("abcdef"))[g], "n": 4})
    data["y"] = (rng.random(len(g)) < expit(level + 0.5 * x)) * 1
    data["s"] = rng.binomial(4, expit(level + 0.5 * x))
    data["c"] = rng.poisson(np.exp(1 + level + 0.3 * x)) * (rng.random(len(g)) < 0.8)
    data["real"] = level + 0.5 * x + rng.normal(size=len(g))
    return data


@pytest.fixture(scope="module")
def fits():
    data = frame()
    return {
        "bernoulli": pw.fit("y ~ x + (1 | g)", data, family="bernoulli", seed=1),
        "binomial": pw.fit("s | trials(n) ~ x + (1 | g)", data, family="binomial", seed=1),
    }


def test_of_normal_outcomes_it_is_the_exact_one():
    """The normal family is sampled where sigma has a formula: the same shares and tipping points as in closed form."""
    data = frame()
    exact = pw.fit("real ~ x + (1 | g)", data, seed=1)
    sampled = pw.fit(["real ~ x + (1 | g)", "sigma ~ 1"], data, seed=1)
    for label in "abcde":
        one, two = exact.explain(label).shares[0], sampled.explain(label).shares[0]
        assert two.own == pytest.approx(one.own, abs=0.03)
        assert abs(two.tipping - one.tipping) <= 1
        mine = data[data["g"] == label]
        beta = sampled.result.beta.mean(axis=(0, 1))
        alone = float(np.mean(mine["real"] - beta[1] * mine["x"]))  # least squares of the group's level
        assert two.parts.own == pytest.approx(alone, abs=1e-6)
        assert two.parts.pool == pytest.approx(beta[0], abs=1e-9)


@pytest.mark.parametrize("family", ["bernoulli", "binomial"])
def test_own_data_of_a_large_group_are_its_likelihood(fits, family):
    fit, data = fits[family], frame()
    found = fit.explain("e")
    mine = data[data["g"] == "e"]
    slope = float(fit.result.beta[..., 1].mean())
    y, n = (mine["y"], 1) if family == "bernoulli" else (mine["s"], 4)

    def cost(level):
        p = expit(level + slope * mine["x"])
        return -np.sum(y * np.log(p) + (n - y) * np.log1p(-p))

    best = minimize_scalar(cost, bounds=(-4, 4), method="bounded").x
    share = found.shares[0]
    assert share.parts.own == pytest.approx(best, abs=0.02)
    p = expit(share.parts.own + slope * mine["x"])
    curve = n * np.sum(p * (1 - p))
    theta = fit.result.theta.reshape(-1, 1)
    tau2 = np.exp(2 * theta[:, 0])
    assert share.own == pytest.approx(np.mean(tau2 * curve / (1 + tau2 * curve)), abs=0.03)
    together = share.own * share.parts.own + (1 - share.own) * share.parts.pool
    assert share.parts.fit == pytest.approx(together, abs=0.05)
    assert share.parts.fit == pytest.approx(fit.group_coefficients(groups=["e"])["mean"][0], abs=1e-9)
    assert found.outcome.own == pytest.approx(float(np.mean(y / n)), abs=0.01)
    assert found.outcome.fit == pytest.approx(float(fit.predict(mine)["mean"].mean()), abs=0.01)


def test_the_sentence(fits):
    text = fits["bernoulli"].explain("a", noun="women").text
    assert text.startswith("a: 2 women; intercept ")
    for part in ("on the logit scale", "by own data", "by the pool", "together", "mean outcome of its women"):
        assert part in text
    assert "more women would bring its own share to 50%" in text


def test_more_rows_than_the_tipping_point_would_outweigh(fits):
    fit = fits["bernoulli"]
    tipping = fit.explain("b").shares[0].tipping
    assert tipping > 0
    more = pd.concat([frame(), *[frame()[frame()["g"] == "b"]] * (1 + tipping // 4)])
    again = pw.fit("y ~ x + (1 | g)", more, family="bernoulli", priors=None, seed=1)
    assert again.explain("b").shares[0].own > fit.explain("b").shares[0].own
    assert again.explain("b").shares[0].own == pytest.approx(0.5, abs=0.15)


def test_slopes_and_groups_of_other_parameters():
    data = frame()
    data.loc[data["g"] == "c", "x"] = 0.0
    fit = pw.fit(["c ~ x + (x || g)", "zi ~ 1 + (1 | g)"], data, family="zero_inflated_poisson", seed=1, draws=300)
    slope = fit.explain("c").shares[1]
    assert not slope.told and slope.own == 0.0 and slope.parts.own is None and slope.tipping is None
    zeros = fit.explain("d", by="zi_g")
    assert "on the logit scale" in zeros.text
    assert zeros.outcome.fit == pytest.approx(fit.explain("d", by="g").outcome.fit, rel=1e-12)


def test_it_needs_rows_and_groups(fits, tmp_path):
    fits["bernoulli"].save(tmp_path / "fit.pw")
    with pytest.raises(pw.DataError, match="fit the rows"):
        pw.load(tmp_path / "fit.pw").explain("a")
    pooling = pw.compare_pooling("y ~ x", by="g", data=frame(), family="bernoulli", seed=1, folds=0, draws=20)
    with pytest.raises(pw.DataError, match="no group borrows"):
        pooling.separate.explain("a")
    with pytest.raises(pw.DataError, match="no groups"):
        pooling.complete.explain("a")


@pytest.mark.parametrize("family", ["poisson", "bernoulli"])
def test_the_fit_lies_between_own_data_and_the_pool(family):
    """Of small groups the posterior is skewed, and at its mean the score does not balance the prior."""
    rng = np.random.default_rng(13)
    g = np.repeat(np.arange(60), rng.integers(1, 8, 60))
    eta = 0.1 + 0.7 * rng.normal(size=60)[g]
    y = rng.poisson(np.exp(eta)) if family == "poisson" else (rng.random(len(g)) < expit(eta)).astype(int)
    fit = pw.fit("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": g}), family=family, seed=1)
    for group in range(60):
        parts = fit.explain(group).shares[0].parts
        if parts.own is not None:
            low, high = sorted((parts.own, parts.pool))
            assert low - 1e-9 <= parts.fit <= high + 1e-9, group


def test_means_of_categories_are_said_to_be_those_of_positions():
    rng = np.random.default_rng(0)
    g = np.repeat(list("abcd"), 40)
    y = pd.Categorical(np.array([3, 5, 6])[rng.integers(0, 3, 160)], ordered=True)
    fit = pw.fit("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": g}), family="cumulative", draws=200, seed=1)
    assert "mean position (the first category is 0) of its rows" in fit.explain("a").text
