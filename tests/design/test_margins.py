"""Which terms are margins of which."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.inference.prepare import prepare

FRAME = pd.DataFrame(
    {
        "y": np.random.default_rng(0).normal(size=60),
        "x": np.random.default_rng(1).normal(3, 1, 60),
        "z": np.random.default_rng(2).normal(-2, 1, 60),
        "c": np.resize(["a", "b", "c"], 60),
        "g": np.arange(60) // 10,
    }
)


def margins(formula: str) -> dict[str, set[str]]:
    model, _ = prepare(formula, FRAME, priors={}, missing="drop", threads=1)
    names = model.design.coefficients
    return {
        name: {names[j] for j in np.flatnonzero(row)} - {"Intercept"}
        for name, row in zip(names, model.design.margins, strict=True)
    }


@pytest.mark.parametrize(
    ("formula", "term", "wanted"),
    [
        ("y ~ x * z", "x:z", {"x", "z"}),
        ("y ~ x + z + I(x * z)", "I(x * z)", {"x", "z"}),
        ("y ~ x + I(x**2) + I(x**3)", "I(x ** 3)", {"x", "I(x ** 2)"}),
        ("y ~ I(x**2) + x", "I(x ** 2)", {"x"}),
        ("y ~ x + I(x / 10 * z) + z", "I(x / 10 * z)", {"x", "z"}),
        ("y ~ x * c", "x:c[T.b]", {"x", "c[T.b]", "c[T.c]"}),
        ("y ~ x + np.log(x)", "np.log(x)", set()),
        ("y ~ x + I((x - 3)**2)", "I((x - 3) ** 2)", set()),
        ("y ~ x + z", "z", set()),
    ],
)
def test_margins(formula, term, wanted):
    assert margins(formula)[term] == wanted


def test_columns_at_the_centre_are_uncorrelated_with_their_margins():
    model, rows = prepare("y ~ x * z + I(x**2) + (x * z | g)", FRAME, priors={}, missing="drop", threads=1)
    design, factor = model.design, model.design.factors[0]
    basis = np.column_stack([np.ones(60), rows.values[:, :-1]])
    columns = basis @ factor.group_map @ model.priors.layout.map_to_zero
    np.testing.assert_allclose(columns[:, 1:].mean(axis=0), 0, atol=1e-8)
    np.testing.assert_allclose(columns[:, 1:].std(axis=0), 1, rtol=1e-8)
    for k, of in enumerate(factor.margins):
        for j in np.flatnonzero(of)[1:]:
            assert abs(columns[:, k] @ columns[:, j]) < 1e-6
    # The coefficient that the intercept's prior is on: the mean of the linear predictor over the rows.
    beta = np.random.default_rng(3).normal(size=len(design.coefficients))
    assert (model.priors.rows @ beta)[0] == pytest.approx(float((basis @ design.common_map @ beta).mean()), rel=1e-6)
    assert np.linalg.det(model.priors.rows) == pytest.approx(1)


def test_words_say_what_is_about_the_mean():
    said = pw.fit("y ~ x * z + (x | g)", FRAME, seed=1, draws=20).priors
    assert "at the mean of every predictor" in said["x"] and "at the mean" in said["Intercept"]
    assert "at the mean" not in said["x:z"] and "at the mean" not in said["sd_g[x]"]
    assert "at the mean" in said["sd_g[Intercept]"] and "at the mean" in said["cor_g"]
    kept = {"sd_g[Intercept]": pw.HalfNormal(1)}
    at_zero = pw.fit("y ~ x + (x | g)", FRAME, seed=1, draws=20, priors=kept).priors
    assert at_zero["sd_g[Intercept]"] == "half-Normal(sd 1)" and at_zero["cor_g"] == "LKJ(eta 2)"
    alone = pw.fit("y ~ x + (x || g)", FRAME, seed=1, draws=20).priors
    assert "at the mean" not in alone["sd_g[Intercept]"]
