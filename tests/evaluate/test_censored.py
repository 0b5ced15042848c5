"""Censored and truncated outcomes after the fit, and together: against numerical integration and by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import trapezoid

import poolwise as pw

FLAT = {"Intercept": pw.Normal(0, 100)}


def posterior_mean(log_likelihood, low, high):
    """Mean of a parameter with a flat prior, on a grid."""
    at = np.linspace(low, high, 301)
    values = np.array([log_likelihood(one) for one in at])
    weight = np.exp(values - values.max())
    return trapezoid(weight * at, at) / trapezoid(weight, at)


def test_censored_within_bounds():
    """A time above 5 that came into the data below 8 lies between both."""
    rng = np.random.default_rng(3)
    t = rng.exponential(4.0, 600)
    t = t[t <= 8]
    data = pd.DataFrame({"y": np.minimum(t, 5.0), "s": (t > 5).astype(int)})
    fit = pw.fit("y | cens(s) + trunc(ub=8) ~ 1", data, family="exponential", priors=FLAT, seed=1)
    events = t[t <= 5]

    def log_likelihood(log_mean):
        of = stats.expon(scale=np.exp(log_mean))
        hidden = (len(t) - len(events)) * np.log(of.cdf(8) - of.cdf(5))
        return of.logpdf(events).sum() + hidden - len(t) * of.logcdf(8)

    mean = fit.summary().loc["beta[Intercept]", "mean"]
    assert abs(mean - posterior_mean(log_likelihood, 0.5, 3.0)) < 0.02
    assert fit.loo().elpd < 0


def test_left_censored_above_a_bound():
    rng = np.random.default_rng(4)
    y = rng.normal(3.0, 1.5, 600)
    y = y[y > 2]
    data = pd.DataFrame({"y": np.maximum(y, 3.0), "s": -(y < 3).astype(int)})
    fit = pw.fit("y | cens(s) + trunc(lb=2) ~ 1", data, priors=FLAT, seed=1)
    found = fit.summary()["mean"]

    def log_likelihood(mean, sigma):
        of = stats.norm(mean, sigma)
        return of.logpdf(y[y >= 3]).sum() + (y < 3).sum() * np.log(of.cdf(3) - of.cdf(2)) - len(y) * of.logsf(2)

    mean = posterior_mean(lambda one: log_likelihood(one, found["sigma"]), 0.0, 5.0)
    assert abs(found["beta[Intercept]"] - mean) < 0.15


@pytest.mark.parametrize(
    ("formula", "data", "message"),
    [
        ("y | cens(s) + trunc(ub=8) ~ 1", {"y": [1.0, 8.0, 2.0], "s": [0, 1, 0]}, "nothing of its interval"),
        ("y | cens('right') ~ 1", {"y": [1.0, 2.0], "s": [0, 1]}, "is text: the status is a column"),
        ("Surv(y, s) ~ 1", {"y": [1.0, 2.0], "s": [0, 1]}, r"time \| cens\(status\)"),
        ("y | trunc() ~ 1", {"y": [1.0, 2.0]}, r"trunc\(\) of .* is empty"),
    ],
)
def test_messages(formula, data, message):
    with pytest.raises((pw.DataError, pw.FormulaError), match=message):
        pw.fit(formula, data, draws=50)


def test_counts_may_lie_on_their_bounds():
    y = np.random.default_rng(3).poisson(1.5, 300)
    data = pd.DataFrame({"y": y})
    with pytest.raises(pw.DataError, match="'y' lies below its lower bound"):
        pw.fit("y | trunc(lb=1) ~ 1", data, family="poisson", draws=50)
    kept = y[y > 0]
    fit = pw.fit("y | trunc(lb=1) ~ 1", data[y > 0], family="poisson", priors=FLAT, seed=1)

    def log_likelihood(log_mean):
        of = stats.poisson(np.exp(log_mean))
        return of.logpmf(kept).sum() - len(kept) * np.log(of.sf(0))

    assert abs(fit.summary().loc["beta[Intercept]", "mean"] - posterior_mean(log_likelihood, -1, 2)) < 0.01
    drawn = np.asarray(fit.predict({"k": [0.0] * 50}, kind="response", draws=True))
    assert drawn.min() == 1


@pytest.mark.parametrize(
    ("family", "draw"),
    [
        ("geometric", lambda rng: rng.geometric(0.25, 600) - 1),
        ("negative_binomial", lambda rng: rng.negative_binomial(3, 0.4, 600)),
    ],
)
def test_truncated_counts_are_fitted(family, draw):
    """Far from the mode truncation takes more information away than there is."""
    for seed in range(4):
        y = draw(np.random.default_rng(seed))
        kept = pd.DataFrame({"y": y[(y > 1) & (y <= 8)]})
        fit = pw.fit("y | trunc(lb=2, ub=8) ~ 1", kept, family=family, draws=200, seed=1)
        assert np.isfinite(fit.summary()["mean"]).all()


def test_checks_do_not_blame_a_model_for_censoring_that_depends_on_predictors():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, 600).astype(float)
    t = rng.weibull(1.5, 600) * np.exp(1 + 1.2 * x)
    c = np.where(x == 1, rng.exponential(2, 600), 50.0)
    data = pd.DataFrame({"x": x, "y": np.minimum(t, c), "s": (t > c).astype(int)})
    right = pw.fit("y | cens(s) ~ x", data, family="weibull", seed=1).check()
    assert right.table["tail"].between(0.025, 0.975).all()
    wrong = pw.fit("y | cens(s) ~ x", data, family="exponential", seed=1).check()
    assert not wrong.table["tail"].between(0.025, 0.975).all()


def test_new_outcomes_respect_bounds():
    rng = np.random.default_rng(4)
    x = rng.normal(size=400)
    data = pd.DataFrame({"x": x, "y": 1 + 0.5 * x + rng.normal(size=400), "a": 0.5})
    data = data[data["y"] > 0.5]
    fit = pw.fit("y | trunc(lb=a) ~ x", data, draws=200, seed=1)
    new = {"x": [-2.0, -12.0], "a": [0.5, 0.5]}  # the second is so far out that no draw falls there by chance
    drawn = np.asarray(fit.predict(new, kind="response", draws=True))
    assert drawn.min() > 0.5
    assert drawn[..., 1].mean() < drawn[..., 0].mean()
    free = fit.predict({"x": [-2.0], "a": [-50.0]}, kind="response")
    assert free["5%"][0] < 0
    with pytest.raises(pw.DataError, match="no column 'a'"):
        fit.predict({"x": [-2.0]}, kind="response")
    assert np.isnan(fit.rmsd())
    assert fit.loo().rmsd is None


def test_outcomes_far_from_the_model_are_drawn_from_their_tail():
    """By inversion, since hardly any draw falls there: beside the tail of a normal distribution."""
    data = pd.DataFrame({"y": np.random.default_rng(1).normal(size=200), "b": 5.0})
    fit = pw.fit("y | trunc(ub=b) ~ 1", data, draws=1000, seed=1)
    drawn = np.asarray(fit.predict({"b": [-4.0]}, kind="response", draws=True)).ravel()
    assert drawn.max() <= -4
    mean, sigma = fit.summary()["mean"].loc[["beta[Intercept]", "sigma"]]
    known = stats.truncnorm(-np.inf, (-4 - mean) / sigma, mean, sigma)
    assert abs(np.median(drawn) - known.median()) < 0.03


def test_an_interval_may_begin_where_outcomes_do():
    rng = np.random.default_rng(0)
    y = rng.weibull(1.5, 300) * 3
    early = y < 1
    data = pd.DataFrame({"y": np.where(early, 0.0, y), "u": np.where(early, 1.0, np.nan)})
    data["s"] = np.where(early, "interval", "none")
    fit = pw.fit("y | cens(s, u) ~ 1", data, family="weibull", draws=200, seed=1)
    computed = pw.fit("y | cens(s, u * 1) ~ 1", data, family="weibull", draws=200, seed=1)
    pd.testing.assert_frame_equal(fit.summary(), computed.summary())
    left = data.assign(y=np.where(early, 1.0, y), s=np.where(early, "left", "none"))
    other = pw.fit("y | cens(s) ~ 1", left, family="weibull", draws=1000, seed=1)
    np.testing.assert_allclose(fit.summary()["mean"], other.summary()["mean"], rtol=0.02)


def test_status_as_text_of_numbers():
    data = pd.DataFrame({"y": [1.0, 2.0, 3.0, 2.5] * 10, "s": ["0", "1", "0", "0"] * 10})
    fit = pw.fit("y | cens(s) ~ 1", data, family="exponential", draws=100, seed=1)
    known = pw.fit("y | cens(s) ~ 1", data.assign(s=data["s"].astype(int)), family="exponential", draws=100, seed=1)
    pd.testing.assert_frame_equal(fit.summary(), known.summary())


def test_angles_deviate_the_shorter_way_round():
    turned = np.angle(np.exp(1j * (2.9 + np.random.default_rng(0).vonmises(0, 4, 400))))
    fit = pw.fit("y ~ 1", {"y": turned}, family="von_mises", draws=200, seed=1)
    middle = pw.fit("y ~ 1", {"y": np.angle(np.exp(1j * (turned - 2.9)))}, family="von_mises", draws=200, seed=1)
    assert abs(fit.rmsd() - middle.rmsd()) < 0.01
    with pytest.raises(pw.DataError, match="angles, whose mean depends on where zero is"):
        fit.predict(kind="response")


def test_a_count_censored_on_its_lower_bound_is_that_count():
    data = pd.DataFrame({"y": [0, 3, 2, 5, 1, 2, 4], "s": [-1, 0, 0, 0, 0, 0, 0]})
    options = {"family": "poisson", "draws": 200, "seed": 1}
    censored = pw.fit("y | cens(s) + trunc(lb=0) ~ 1", data, **options).summary()
    plain = pw.fit("y ~ 1", data, **options).summary()
    np.testing.assert_allclose(censored["mean"], plain["mean"], rtol=1e-6)
    with pytest.raises(pw.DataError, match="nothing of its interval"):  # of a measurement nothing is left there
        pw.fit("y | cens(s) + trunc(lb=1) ~ 1", data.assign(y=data["y"] + 1.0), family="gamma", draws=50)
