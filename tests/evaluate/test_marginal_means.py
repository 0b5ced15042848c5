"""Means over all groups that there could be, against integrals and drawn groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

import poolwise as pw


def _data(family):
    rng = np.random.default_rng(7)
    g, x = rng.integers(0, 12, 300), rng.normal(size=300)
    effects = rng.normal(size=(12, 2)) @ np.array([[1.2, 0.4], [0.0, 0.7]])
    eta = 0.3 + 0.5 * x + effects[g, 0] + effects[g, 1] * x
    y = rng.random(300) < expit(eta) if family == "bernoulli" else rng.poisson(np.exp(0.5 * eta))
    return pd.DataFrame({"y": y.astype(int), "x": x, "g": g})


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_the_integral_over_the_effects_of_a_group(family):
    fit = pw.fit("y ~ x + (1 + x | g)", _data(family), family=family, seed=1, draws=50)
    post = fit.posterior
    beta, sd, cor = (post[name].values.reshape(200, *post[name].shape[2:]) for name in ("beta", "sd_g", "cor_g"))
    found = fit.predict({"x": [0.0, 1.5]}, new_groups="marginal", draws=True).values.reshape(200, 2)
    mean = expit if family == "bernoulli" else np.exp
    for k in (0, 77, 199):
        covariance = np.outer(sd[k], sd[k]) * cor[k]
        for i, x in enumerate((0.0, 1.5)):
            eta, z = beta[k, 0] + beta[k, 1] * x, np.array([1.0, x])
            spread = np.sqrt(z @ covariance @ z)
            expected = quad(lambda u: norm.pdf(u) * mean(eta + spread * u), -12, 12, epsabs=1e-12)[0]  # noqa: B023
            assert found[k, i] == pytest.approx(expected, rel=1e-5)


def test_it_is_the_average_of_many_drawn_groups():
    fit = pw.fit("y ~ x + (1 + x | g)", _data("bernoulli"), family="bernoulli", seed=1, draws=50)
    labels = [f"new {k}" for k in range(4000)]
    drawn = fit.predict({"x": np.full(4000, 0.7), "g": labels}, new_groups="sample", draws=True, seed=3)
    fit_of_labels = drawn.mean("observation").values.ravel()
    marginal = fit.predict({"x": [0.7]}, new_groups="marginal", draws=True).values.ravel()
    assert np.abs(fit_of_labels - marginal).max() < 5 * 0.35 / np.sqrt(4000)


def test_under_the_identity_it_is_the_average_group(radon_fit):
    grid = {"floor": [0, 1]}
    marginal, average = (radon_fit.predict(grid, new_groups=word) for word in ("marginal", "population"))
    pd.testing.assert_frame_equal(marginal, average)


def test_one_argument_away(radon):
    high = radon.assign(high=(radon["log_radon"] > 1.3).astype(int))
    fit = pw.fit("high ~ floor + (1 | county)", high, family="bernoulli", seed=1, draws=200)
    known, marginal, average = (
        pw.avg_predictions(fit, by="floor", new_groups=word) for word in ("error", "marginal", "population")
    )
    assert "groups of county that the rows have" in repr(known)
    assert "that there could be" in repr(marginal)
    assert "average group of county" in repr(average)
    spread = [np.abs(each.table["mean"] - 0.5) for each in (marginal, average)]
    assert (spread[0] < spread[1]).all()  # means over groups lie nearer to a half


@pytest.mark.long
def test_what_has_no_such_mean_is_refused(radon):
    high = radon.assign(high=(radon["log_radon"] > 1.3).astype(int))
    separate = pw.compare_pooling("high ~ floor", by="county", data=high, family="bernoulli", seed=1, draws=50).separate
    with pytest.raises(pw.DataError, match="no distribution of groups"):
        separate.predict({"floor": [0]}, new_groups="marginal")
    fit = pw.fit("high ~ floor + (1 | county)", high, family="bernoulli", seed=1, draws=50)
    with pytest.raises(pw.DataError, match="is a mean over groups"):
        fit.predict({"floor": [0]}, new_groups="marginal", kind="response")
    counts = radon.assign(n=np.maximum(0, np.round(np.exp(radon["log_radon"]))).astype(int))
    zeros = pw.fit(
        ["n ~ floor + (1 | county)", "zi ~ 1 + (1 | county)"],
        counts,
        family="zero_inflated_poisson",
        seed=1,
        draws=50,
        sampler="nuts",
    )
    with pytest.raises(pw.DataError, match="differ in other parameters"):
        zeros.predict({"floor": [0]}, new_groups="marginal")
