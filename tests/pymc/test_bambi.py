"""Models of Bambi, by the same door."""

from __future__ import annotations

import bambi as bmb
import numpy as np
import pytest

import poolwise as pw
from poolwise.pymc import explain
from tests.selection import long_but_for


@pytest.mark.parametrize("noncentered", long_but_for(1, [True, False]))
def test_a_model_of_bambi_is_sampled_as_the_same_formula(radon, noncentered):
    priors = {
        "Intercept": bmb.Prior("Normal", mu=0, sigma=3),
        "floor": bmb.Prior("Normal", mu=0, sigma=2),
        "1|county": bmb.Prior("Normal", mu=0, sigma=bmb.Prior("HalfNormal", sigma=1)),
        "sigma": bmb.Prior("HalfNormal", sigma=2),
    }
    model = bmb.Model(
        "log_radon ~ floor + (1|county)", radon, priors=priors, noncentered=noncentered, center_predictors=False
    )
    model.build()
    found = explain(model.backend.model)
    assert {"Intercept", "floor"} <= set(found.block)
    assert {"sigma", "1|county_sigma"} == set(found.left)
    draws = pw.pymc.sample(model.backend.model, seed=1)["posterior"]
    ours = {
        "Intercept": pw.Normal(0, 3),
        "floor": pw.Normal(0, 2),
        "sd": pw.HalfNormal(1),
        "sigma": pw.HalfNormal(2),
    }
    fit = pw.fit("log_radon ~ floor + (1 | county)", radon, priors=ours, seed=2)
    beta = fit.posterior["beta"]
    for name in ("Intercept", "floor"):
        theirs = beta.sel(coefficient=name)
        assert float(draws[name].mean()) == pytest.approx(float(theirs.mean()), abs=0.1 * float(theirs.std()))
        assert float(draws[name].std()) == pytest.approx(float(theirs.std()), rel=0.08)
    effects = draws["1|county"].mean(("chain", "draw")).values
    expected = fit.posterior["u_county"].mean(("chain", "draw")).values[:, 0]
    np.testing.assert_allclose(effects, expected, atol=0.03)
