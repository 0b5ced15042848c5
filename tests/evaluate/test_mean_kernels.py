"""Means of expected outcomes by the kernel, beside means of draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.evaluate.mean_kernels import mean_expectations
from poolwise.evaluate.predict import predictor_of, quantities
from poolwise.evaluate.prediction_request import Question
from poolwise.families.links import LOG, LOGIT, REAL
from poolwise.sources.source import table_of

N, GROUPS = 120, 9
FITS = {
    "logit": ("b ~ x + (x | g)", {"family": "bernoulli"}),
    "probit": ("b ~ x + (1 | g)", {"family": "bernoulli", "link": "probit"}),
    "cloglog": ("b ~ x + (1 | g)", {"family": "bernoulli", "link": "cloglog"}),
    "offset": ("k ~ x + offset(log(time)) + (1 | g)", {"family": "poisson"}),
    "square roots": ("k ~ 1 + (1 | g)", {"family": "poisson", "link": "sqrt"}),
    "dispersion": ("k ~ x + (1 | g)", {"family": "negative_binomial"}),
    "expected elsewhere": ("time ~ x + (1 | g)", {"family": "lognormal"}),
    "no groups": ("b ~ x", {"family": "bernoulli"}),
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"x": rng.normal(size=N), "g": rng.integers(0, GROUPS, N).astype(str)})
    frame["b"], frame["k"] = rng.integers(0, 2, N), rng.poisson(2.0 * np.exp(0.3 * frame["x"]))
    return frame.assign(time=rng.gamma(3.0, size=N))


@pytest.mark.parametrize("name", FITS)
def test_means_are_those_of_draws(name, data):
    formula, options = FITS[name]
    fit = pw.fit(formula, data, seed=1, draws=50, chains=2, **options)
    new = pd.concat([data.iloc[::-1], data.assign(g="another"), data.assign(x=0.0).head(3)])
    for one in quantities(fit.result, Question.asked("mean", "sample", 3)):
        predictor = predictor_of(fit.result, table_of(new), one)
        np.testing.assert_allclose(predictor.means(), predictor.draws().mean(axis=0), rtol=1e-12)


def test_rows_are_the_same_beside_any_others(data):
    fit = pw.fit("b ~ x + (x | g)", data, family="bernoulli", seed=1, draws=300)
    asked = Question.asked("mean", "sample", 3)
    whole = predictor_of(fit.result, table_of(data), asked).means()
    for some in (slice(0, 1), slice(5, 60), slice(None, None, -1)):
        assert (predictor_of(fit.result, table_of(data.iloc[some]), asked).means() == whole[some]).all()


@pytest.mark.parametrize(("scale", "ends"), [(REAL, (-1e4, 1e4)), (LOG, (0.0, np.inf)), (LOGIT, (0.0, 1.0))])
def test_predictors_beyond_all_bounds(scale, ends):
    weights = np.array([-1e4, 1e4])[:, None, None] * np.ones((1, 1, 3))
    found = np.empty(2)
    mean_expectations(0, scale.code, np.array([0, 1]), np.zeros((2, 0)), np.zeros(2), weights, found)
    np.testing.assert_allclose(found, ends, atol=1e-300)
