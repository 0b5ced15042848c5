"""A quoted column is that column, whatever its name looks like."""

import re

import numpy as np
import pandas as pd
import pytest

import poolwise as pw

RNG = np.random.default_rng(1)
FRAME = pd.DataFrame({"x": RNG.normal(size=80), "g": RNG.integers(0, 8, 80)}).assign(
    y=lambda frame: frame["x"] + RNG.normal(size=80)
)
NAMES = [
    "score (of 10)",
    "s(x)",
    "gr(a)",
    "icar(a, b)",
    "(1 | gr(a))",
    "rw1(x",
    "log(x)",
    "x:g",
    "x*2",
    "t2)",
    "it's (1",
]


@pytest.fixture(scope="module")
def plain():
    return pw.fit("y ~ x + (x | g)", FRAME, draws=50, seed=1).result.beta


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("column", ["x", "g", "y"])
def test_a_quoted_name_is_a_column(name, column, plain):
    formula = re.sub(rf"\b{column}\b", lambda _: f"`{name}`", "y ~ x + (x | g)")
    fit = pw.fit(formula, FRAME.rename(columns={column: name}), draws=50, seed=1)
    np.testing.assert_array_equal(fit.result.beta, plain)
