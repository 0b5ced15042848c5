"""Codings of categories, and the calls that name them."""

import numpy as np
import pandas as pd
import pytest

import poolwise as pw

RNG = np.random.default_rng(1)
FRAME = pd.DataFrame({"x": RNG.normal(size=60), "cyl": np.tile([4, 6, 8], 20), "k": np.tile(list("abc"), 20)}).assign(
    y=lambda frame: frame.x + RNG.normal(size=60), t=np.arange(60) % 12
)


def beta(formula):
    return pw.fit(formula, FRAME, draws=50, seed=1).result.beta


@pytest.mark.parametrize(
    "term",
    [
        "relevel(factor(cyl), ref='6')",
        "relevel(factor(cyl), ref=6)",
        "C(cyl, contr.treatment(base='6'))",
        "C(cyl, contr.SAS(base=6.0))",
        "C(cyl, Treatment('6'))",
    ],
)
def test_a_reference_by_its_label(term):
    np.testing.assert_array_equal(beta(f"y ~ {term}"), beta("y ~ C(cyl, contr.treatment(base=6))"))


@pytest.mark.parametrize(("theirs", "ours"), [("Sum", "contr.sum"), ("'contr.helmert'", "contr.helmert")])
def test_codings_by_their_names(theirs, ours):
    np.testing.assert_array_equal(beta(f"y ~ C(k, {theirs})"), beta(f"y ~ C(k, {ours})"))


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("relevel(factor(cyl), ref=5)", "^The reference 5 is none of the categories. Valid names: 4, 6, 8"),
        ("relevel(k, ref='q')", "^The reference 'q' is none of the categories. Valid names: a, b, c"),
        ("C(k, contr.SAS(base='q'))", "^The reference 'q' is none of the categories"),
        ("C(k, 5)", r"^The second argument of C\(\) is the coding of the categories, not 5"),
        ("C(k, x + 1)", "not a column: write C"),
        ("C(k, [1, 2])", "not a list of numbers: write C"),
    ],
)
def test_what_is_no_coding(term, said):
    with pytest.raises(pw.FormulaError, match=said):
        beta(f"y ~ {term}")
