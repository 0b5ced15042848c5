"""R's dot stands for the columns without another role, in any of the formulas."""

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.formula import parse

COLUMNS = ["y", "x", "z", "g", "h", "n", "if"]


@pytest.mark.parametrize(
    ("formula", "common"),
    [
        ("y ~ . + (1 | g)", "(x + z + h + n + `if`)"),
        ("log(y) ~ . + (1 | p | g/h)", "(x + z + n + `if`)"),
        ("y ~ . + (1 | (g + n)/h)", "(x + z + `if`)"),
        ("y ~ . + us(1 + x | g) + offset(log(n))", "(x + z + h + `if`)"),
        ("y | trials(n) ~ . + f(x | z)", "(x + z + g + h + `if`) + f(x | z)"),
        ("y | cens(z, h) + trunc(lb=x) ~ . - n", "(g + n + `if`) - n"),
        ("y ~ . + (1 | gr(g, cov=n))", "(x + z + h + n + `if`) + gr(g, cov=n)"),
        ("y ~ . + icar(g, h)", "(x + z + h + n + `if`) + icar(g, 'h')"),
    ],
)
def test_of_one_formula(formula, common):
    assert parse(formula, columns=COLUMNS).common == common


def test_of_several_formulas():
    formula = ["y | weights(n) ~ . + (1 | g)", "sigma ~ . + (1 | h)"]
    parsed = parse(formula, columns=[*COLUMNS, "p"], used=["if"])
    assert parsed.common == "(x + z + p)"
    assert dict(parsed.further)["sigma"].common == "(x + z + p)"
    assert dict(parse("y ~ x; sigma ~ .", columns=COLUMNS[:3]).further)["sigma"].common == "(x + z)"


def test_the_outcome_does_not_predict_its_own_sigma():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=80), "z": rng.normal(size=80), "g": rng.integers(0, 5, 80)})
    frame["y"] = frame.x + rng.normal(size=80)
    dotted = pw.fit(["y ~ x + (1 | g)", "sigma ~ ."], frame, draws=50, seed=1)
    written = pw.fit(["y ~ x + (1 | g)", "sigma ~ x + z"], frame, draws=50, seed=1)
    assert dotted.result.model.design.coefficients == written.result.model.design.coefficients
