"""A quoted column is that column, whatever its name looks like."""

import re

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

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
    "if",
    "lambda",
    "None",
    "inf",
    "e",
    "\u00b5",
]
CALLS = "y ~ exp(x) + scale(x) + (center(x) | g)"


@pytest.fixture(scope="module")
def plain():
    return pw.fit("y ~ x + (x | g)", FRAME, draws=50, seed=1).result.beta


@pytest.mark.parametrize("name", long_but_for(9, NAMES))
@pytest.mark.parametrize("column", ["x", "g", pytest.param("y", marks=pytest.mark.long)])
def test_a_quoted_name_is_a_column(name, column, plain):
    formula = re.sub(rf"\b{column}\b", lambda _: f"`{name}`", "y ~ x + (x | g)")
    fit = pw.fit(formula, FRAME.rename(columns={column: name}), draws=50, seed=1)
    np.testing.assert_array_equal(fit.result.beta, plain)


@pytest.mark.parametrize("name", long_but_for(8, [*NAMES, "x"]))
def test_a_quoted_name_in_calls(name):
    fit = pw.fit(CALLS.replace("(x)", f"(`{name}`)"), FRAME.rename(columns={"x": name}), draws=50, seed=1)
    np.testing.assert_array_equal(fit.result.beta, pw.fit(CALLS, FRAME, draws=50, seed=1).result.beta)
    new = FRAME.head(3).rename(columns={"x": name})
    assert np.isfinite(fit.predict(new)["mean"]).all()


def test_names_that_python_would_normalise(tmp_path):
    """The micro sign is another column than the letter mu."""
    micro, mu = "\u00b5", "\u03bc"
    frame = FRAME.assign(**{micro: FRAME.x + 10, mu: FRAME.x**2 + 1})
    fit = pw.fit(f"y ~ log({micro}) + log({mu}) + scale({micro})", frame, draws=50, seed=1)
    assert fit.result.model.design.coefficients == ("Intercept", f"log({micro})", f"log({mu})", f"scale({micro})")
    plain = pw.fit("y ~ log(a) + log(b) + scale(a)", frame.rename(columns={micro: "a", mu: "b"}), draws=50, seed=1)
    np.testing.assert_array_equal(fit.result.beta, plain.result.beta)
    fit.save(tmp_path / "names.poolwise")
    again = pw.load(tmp_path / "names.poolwise").predict(frame.head(3))
    np.testing.assert_array_equal(again["mean"], fit.predict(frame.head(3))["mean"])
