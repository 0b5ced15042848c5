"""`ar1(t)`: its covariance for any correlation, its density beside a plain one, and what makes no sense."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

import poolwise as pw
from poolwise.density.gaussian import gaussian
from poolwise.design.structures.hyperparameters import follow, follows_of, log_precisions
from poolwise.inference.prepare import prepare
from poolwise.priors import Autocorrelation

GAPS = np.array([3, 4, 5, 8, 9, 14])
CORRELATIONS = [-0.9999, -0.99, -0.5, 0.0, 1e-9, 0.3, 0.9, 0.999999]


def known_covariance(times, rho):
    return rho ** np.abs(np.subtract.outer(times, times))


@pytest.mark.parametrize("rho", CORRELATIONS)
@pytest.mark.parametrize("times", [np.arange(4), np.arange(1990, 2031), GAPS, 7 * GAPS - 3.0], ids=len)
def test_covariances_are_powers_of_the_correlation(times, rho):
    frame = pd.DataFrame({"y": np.arange(len(times)) * 1.0, "t": times})
    model, rows = prepare("y ~ ar1(t)", frame, priors={}, missing="drop", threads=1)
    places = list(model.design.structures[0].places)
    columns = (np.column_stack([np.ones(len(times)), rows.values[:, :-1]]) @ model.design.common_map)[:, places]
    log_precision = log_precisions(model.priors.follows[places], np.array([np.log(1.7), np.arctanh(rho)]))
    steps = np.gcd.reduce(np.diff(times).astype(int))
    known = 1.7**2 * known_covariance((times - times[0]) // steps, rho)
    np.testing.assert_allclose(columns * np.exp(-log_precision) @ columns.T, known, atol=1e-12)


@pytest.mark.parametrize("x", [-250.0, -3.0, -0.2, 0.0, 1e-12, 0.4, 2.0, 9.0, 250.0])
@pytest.mark.parametrize("lag", [2, -2, 7, -7, 200, -200])
def test_the_kernel_and_its_derivative(x, lag):
    row = follows_of(wave=[[0.3]], lag=[[lag]]).reshape(1, -1)
    value, slope = follow(x, row, 0, 0)
    if abs(x) < 200:  # beyond, what is left of one minus the power is beyond a plain formula
        assert value == pytest.approx(log_precisions(row.reshape(1, 1, 4), np.array([x]))[0], rel=1e-12, abs=1e-12)
        step = 1e-6
        ahead, behind = (follow(x + sign * step, row, 0, 0)[0] for sign in (1, -1))
        assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-5, abs=1e-6)
    assert np.isfinite(value) and np.isfinite(slope)


def test_the_collapsed_density_is_that_of_a_plain_normal_distribution():
    rng = np.random.default_rng(1)
    times = rng.choice(GAPS, 40)
    times[:6] = GAPS
    frame = pd.DataFrame({"t": times, "x": rng.normal(size=40), "y": rng.normal(size=40) + 0.1 * times})
    priors = {"Intercept": pw.Normal(0.5, 2), "x": pw.Normal(0, 1), "sd": pw.HalfNormal(1), "sigma": pw.HalfNormal(1)}
    model, _ = prepare("y ~ x + ar1(t)", frame, priors=priors, missing="drop", threads=1)
    density = gaussian(model.statistics, model.design, model.priors, threads=1)
    theta = np.array([[np.log(sigma), np.log(sd), np.arctanh(rho)] for sigma, sd, rho in
                      ((0.5, 1.3, 0.8), (1.2, 0.4, -0.6), (0.8, 0.9, 0.0))])  # fmt: skip
    x = np.column_stack([np.ones(40), frame["x"]])
    known = []
    for log_sigma, log_sd, z in theta:
        sigma, sd, rho = np.exp(log_sigma), np.exp(log_sd), np.tanh(z)
        covariance = sigma**2 * np.eye(40) + sd**2 * known_covariance(times, rho) + x * [4, 1] @ x.T
        value = multivariate_normal.logpdf(frame["y"], np.full(40, 0.5), covariance)
        value += -0.5 * (sigma**2 + sd**2) + log_sigma + log_sd + np.log(1 - rho**2)  # priors and their Jacobians
        known.append(value)
    found = density.log_density(theta)
    np.testing.assert_allclose(found - found[0], np.array(known) - known[0], atol=1e-8)


@pytest.mark.parametrize("eta", [0.5, 1.0, 3.0])
def test_the_prior_of_the_correlation(eta):
    prior = Autocorrelation(eta)
    rho = np.linspace(-0.999999, 0.999999, 400_001)
    h = np.exp(np.arctanh(rho))
    density = np.exp(prior.log_density(h)) * h / (1 - rho**2)
    shape = (1 - rho**2) ** (eta - 1)
    np.testing.assert_allclose(density / density[200_000], shape, rtol=1e-8)
    assert np.trapezoid(density, rho) == pytest.approx(1.0, abs=2e-3)
    drawn = np.tanh(np.log(prior.sample(np.random.default_rng(1), (100_000,))))
    assert drawn.var() == pytest.approx(1 / (2 * eta + 1), rel=0.02)


@pytest.mark.long
def test_a_correlation_is_found_again_and_told_in_its_own_units():
    rng = np.random.default_rng(3)
    level = [rng.normal()]
    for _ in range(59):
        level.append(0.8 * level[-1] + 0.6 * rng.normal())
    times = np.repeat(np.arange(2000, 2060), 5)
    frame = pd.DataFrame({"t": times, "y": 3 + np.array(level)[times - 2000] + 0.7 * rng.normal(size=300)})
    fit = pw.fit("y ~ ar1(t, ahead=30)", frame, seed=1)
    table = fit.summary()
    assert fit.outcome.passed
    assert abs(table.loc["cor_ar1(t, ahead=30)", "mean"] - 0.8) < 3 * table.loc["cor_ar1(t, ahead=30)", "sd"]
    assert "LKJ(eta 1)" in str(fit.priors)
    ahead = fit.predict({"t": [2059, 2060, 2064, 2089]})
    assert (np.diff(ahead["sd"]) > 0).all()
    # Far ahead nothing is left of the last level: its mean is the intercept.
    assert ahead["mean"].iloc[-1] == pytest.approx(table.loc["beta[Intercept]", "mean"], abs=0.1)


def test_priors_of_the_correlation_can_be_set():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"t": np.repeat(np.arange(10), 4), "y": rng.normal(size=40)})
    name = "cor_ar1(t)"
    narrow = pw.fit("y ~ ar1(t)", frame, priors={name: pw.LKJ(200.0)}, seed=1)
    assert narrow.summary().loc[name, "sd"] < 0.1
    with pytest.raises(pw.PriorError, match="LKJ"):
        pw.fit("y ~ ar1(t)", frame, priors={name: pw.HalfNormal(1)}, draws=50)
    table = narrow.sensitivity("sd_ar1(t)", draws=100).table
    assert len(table)
    with pytest.raises(pw.PriorError, match="no term 'cor_ar1"):
        narrow.sensitivity(name)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ ar1(half)", "takes whole-numbered times, not 0.5"),
        ("y ~ ar1(two)", "needs 3 different times at least, not 2"),
        ("y ~ ar1(word)", "takes a column of numbers"),
        ("y ~ ar1(far)", "spans 1,001 times; it takes 201 at most"),
        ("y ~ ar1(t, ahead=-1)", "a whole number of steps ahead"),
        ("y ~ ar1(t, x)", "takes one column, of times"),
        ("y ~ ar1(t):x", "it is a term by itself"),
    ],
)
def test_bad_times(formula, message):
    frame = pd.DataFrame(
        {
            "y": np.random.default_rng(0).normal(size=12),
            "x": np.arange(12.0),
            "t": np.arange(12),
            "half": np.arange(12) / 2,
            "two": np.arange(12) % 2,
            "word": list("abcdefghijkl"),
            "far": [*range(11), 1000],
        }
    )
    with pytest.raises(pw.PoolwiseError, match=message):
        pw.fit(formula, frame, draws=50)
    fit = pw.fit("y ~ ar1(t)", frame, draws=50, seed=1)
    with pytest.raises(pw.DataError, match=r"knows the times from 0 to 11 in steps of 1, and not 12.*ahead=12"):
        fit.predict({"t": [12]})
