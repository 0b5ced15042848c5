"""The same spelling gives the same model as in lme4: 52 formulas, with lme4's own design as reference.

`tests/reference/formulas.R` writes the reference: column names, levels, and the products of X and of Z Sigma Z' with
fixed vectors, for effects with the sd 0.5 + 0.25 k (k-th of its term) and correlations of 0.3 within a term.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poolwise import FormulaError
from poolwise.design import build, needed_columns
from poolwise.formula import parse
from poolwise.sources import as_table

REFERENCES = Path(__file__).parent.parent / "reference"
TABLE = json.loads((REFERENCES / "formulas.json").read_text())["formulas"]
# lme4 by default makes correlated indicators of `(f || a)`; here, as in glmmTMB and lme4's own diag(), `||` is
# independent.
OWN_WAY = {"y ~ f + (f || a)", "y ~ f + (0 + f || a)"}
# lme4 fits two intercepts that nothing can tell apart; we say so.
TWICE = {"y ~ x + (1 | a) + (x | a)"}


@pytest.fixture(scope="module")
def frame():
    return pd.read_csv(REFERENCES / "formulas.csv")


def encoded(formula, frame):
    design, _, rows = build(needed_columns(parse(formula)), as_table(frame))
    return design, rows, np.column_stack([np.ones(len(frame)), rows.values[:, :-1]])


def is_same(row):
    return row["formula"] not in OWN_WAY | TWICE


def test_the_table_is_long_enough():
    assert sum(map(is_same, TABLE)) >= 45
    assert {row["formula"] for row in TABLE} >= OWN_WAY | TWICE


@pytest.mark.parametrize("row", list(filter(is_same, TABLE)), ids=lambda row: row["ours"])
def test_same_spelling_same_model(row, frame):
    design, rows, basis = encoded(row["ours"], frame)
    x = basis @ design.common_map
    np.testing.assert_allclose(x @ (0.1 * np.arange(1, x.shape[1] + 1)), row["fixed"]["x_product"], atol=1e-10)
    ours = {frozenset(factor.keys): len(factor.levels) for factor in design.factors}
    theirs = {
        frozenset(term["group"].replace("(", "").replace(")", "").split(":")): term["levels"] for term in row["terms"]
    }
    assert ours == theirs
    assert (
        sum(len(f.effects) + int(np.sum(np.arange(len(f.starts)) - f.starts)) for f in design.factors) == row["theta"]
    )
    product = np.zeros(len(frame))
    for factor in design.factors:
        place = np.arange(len(factor.effects)) - factor.starts
        sd = 0.75 + 0.25 * place
        together = np.equal.outer(factor.starts, factor.starts)
        correlation = np.where(np.eye(len(sd)), 1.0, 0.3 * together)
        z, codes = basis @ factor.group_map, factor.codes[rows.codes]
        between = z @ (np.outer(sd, sd) * correlation) @ z.T
        product += (np.equal.outer(codes, codes) * between) @ np.cos(np.arange(1, len(frame) + 1))
    np.testing.assert_allclose(product, row["v_product"], atol=1e-10)


@pytest.mark.parametrize("formula", sorted(OWN_WAY))
def test_double_bars_keep_indicators_independent(formula, frame):
    design, _, _ = encoded(formula, frame)
    assert not design.factors[0].correlated
    assert len(design.factors[0].effects) == 3


@pytest.mark.parametrize("formula", sorted(TWICE))
def test_two_intercepts_by_one_factor_are_refused(formula, frame):
    with pytest.raises(FormulaError, match="Intercepts vary by a in two group terms .* or start the second with 0"):
        encoded(formula, frame)
