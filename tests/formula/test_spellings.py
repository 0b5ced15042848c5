"""Spellings of R, brms, Bambi and patsy mean what they mean there, or the message says what to write."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.formula import parse


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("y ~ I(x^2)", "y ~ I(x**2)"),
        ("y ~ (a + b)^2", "y ~ (a + b)**2"),
        ("y ~ (a + b)^30", "y ~ (a + b)**2"),
        ("y ~ factor(k) + as.factor(m):x", "y ~ C(k) + C(m):x"),
        ("y ~ as.numeric(k)", "y ~ numeric(k)"),
        ("y ~ ns(x, 3)", "y ~ cr(x, df=3, constraints='center')"),
        ("y ~ ns(x, df = 3)", "y ~ cr(x, df = 3, constraints='center')"),
        ("y ~ relevel(k, ref = 'b')", "y ~ C(k, contr.treatment(base='b'))"),
        ("y ~ interaction(a, b)", "y ~ (a:b)"),
        ("y ~ Q('a b') + x", "y ~ `a b` + x"),
        ("y ~ scale(x, scale = FALSE)", "y ~ scale(x, scale = False)"),
        ("y ~ x > 1", "y ~ I(x > 1)"),
        ("y ~ (x > 1):z", "y ~ I(x > 1):z"),
        ("y ~ log((x > 1) + 1)", "y ~ log((x > 1) + 1)"),
        ("y ~ (x > 1 | g)", "y ~ (I(x > 1) | g)"),
        ("y ~ x > -1", "y ~ I(x > -1)"),
        ("y ~ x > 1e-3", "y ~ I(x > 1e-3)"),
        ("y ~ -1 < x + (1 | g)", "y ~ I(-1 < x) + (1 | g)"),
        ("y ~ (g == 3) - 1", "y ~ I(g == 3) - 1"),
        ("y ~ (g == 3 - 1) + x", "y ~ I(g == 3 - 1) + x"),
        ("y ~ C(k, Sum)", "y ~ C(k, Sum())"),
        ("y ~ C(k, contrasts=Helmert)", "y ~ C(k, contrasts=Helmert())"),
        ("y ~ C(k, sum)", "y ~ C(k, contr.sum)"),
        ("y ~ C(k, 'contr.sum')", "y ~ C(k, contr.sum)"),
        ("y ~ C(k, None)", "y ~ C(k, None)"),
        ("y ~ us(1 + x | g)", "y ~ (1 + x | g)"),
        ("y ~ diag(1 + x | g)", "y ~ (1 + x || g)"),
        ("prop(k, n) ~ x", "k | trials(n) ~ x"),
        ("proportion(k, 10) ~ x", "k | trials(10) ~ x"),
        ("k | trials(n) ~ x", "k | trials(n) ~ x"),
    ],
)
def test_rewritten(theirs, ours):
    assert str(parse(theirs)) == str(parse(ours))
    assert parse(theirs).text == theirs


def test_quoted_text_is_left_alone():
    assert parse("y ~ `a^b` + C(k, contr.treatment(base='x^TRUE'))").common == (
        "`a^b` + C(k, contr.treatment(base='x^TRUE'))"
    )


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("y ~ te(x, z)", "t2"),
        ("y ~ hsgp(x)", "gp\\(x"),
        ("y ~ as.integer(x)", "I\\(x\\)"),
        ("y | rate(c) ~ x", "offset"),
        ("y | nosuch(s) ~ x", "trials\\(n\\), weights\\(w\\), cens\\(status\\)"),
        ("y | trials() ~ x", "empty"),
        ("y ~ relevel(k)", "contr.treatment"),
        ("y ~ g == 3 - 1", r"needs brackets .* such as '\(g == 3\)'"),
        ("y ~ x + z > 1 + (1 | g)", r"needs brackets .* such as '\(z > 1\)'"),
        ("y ~ C(k, Summ)", r"'Summ' in 'C\(k, Summ\)' is no coding .* Did you mean 'Sum'"),
        ("y ~ C(k, 'q')", r"no coding .* C\(k, contr.treatment\(base='b'\)\)"),
        ("y ~ (a+b+c+d+e+f+g+h+i+j)**10", "expand"),
        ("y ~ .", "columns of the data"),
        ("y ~ x" + " + x" * 20_000, "characters"),
    ],
)
def test_what_means_nothing_here_says_what_to_write(formula, said):
    with pytest.raises(pw.FormulaError, match=said):
        parse(formula)


def test_weights_in_the_formula(small):
    small = small.assign(v=np.linspace(1, 2, len(small)))
    inside = pw.fit("y | weights(v) ~ x + (1 | g)", small, seed=1)
    beside = pw.fit("y ~ x + (1 | g)", small, weights="v", seed=1)
    bambi = pw.fit("weighted(y, v) ~ x + (1 | g)", small, seed=1)
    np.testing.assert_array_equal(inside.result.beta, beside.result.beta)
    np.testing.assert_array_equal(bambi.result.beta, beside.result.beta)
    with pytest.raises(pw.DataError, match="give one"):
        pw.fit("y | weights(v) ~ x", small, weights="x")


def test_the_dot_is_every_other_column(small):
    frame = small[["y", "x", "w", "g"]].assign(**{"a b": np.linspace(0, 1, len(small)) ** 2})
    fit = pw.fit("y ~ . + (1 | g)", frame, seed=1)
    assert fit.result.model.design.coefficients == ("Intercept", "x", "w", "a b")
    fewer = pw.fit("y ~ . - w + (x | g)", frame, seed=1)
    assert fewer.result.model.design.coefficients == ("Intercept", "x", "a b")
    assert pw.fit("y ~ .:x", frame[["y", "x", "w"]].abs(), weights="w", seed=1).statistics.design.columns == ("x",)


def test_natural_splines_span_what_those_of_r_do():
    """Natural cubic splines with inner knots at terciles: cubic between the knots, linear beyond the outer ones."""
    x = np.linspace(0, 1, 200)
    frame = pd.DataFrame({"x": x, "y": np.sin(5 * x)})
    fit = pw.fit("y ~ ns(x, df=3)", frame, seed=1)
    fitted = fit.predict(frame)["mean"].to_numpy()
    knots = np.quantile(x, [0, 1 / 3, 2 / 3, 1])

    def hinge(k):
        return (np.maximum(x - knots[k], 0) ** 3 - np.maximum(x - knots[3], 0) ** 3) / (knots[3] - knots[k])

    basis = np.column_stack([np.ones_like(x), x, hinge(0) - hinge(2), hinge(1) - hinge(2)])
    best = basis @ np.linalg.lstsq(basis, frame.y, rcond=None)[0]
    np.testing.assert_allclose(fitted, best, atol=0.02)
