"""Predictors and intercepts that a structured term can imitate are named."""

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.design.structures import levels

RNG = np.random.default_rng(2)
AREAS = [f"a{k}" for k in range(8)]
PAIRS = pd.DataFrame({"one": AREAS[:-1], "other": AREAS[1:]})
CODE = RNG.integers(0, 8, 160)
DATA = pd.DataFrame(
    {
        "area": [AREAS[k] for k in CODE],
        "wealth": RNG.normal(size=8)[CODE],
        "half": np.where(CODE < 4, "west", "east"),
        "t": np.arange(160) % 10,
        "x": RNG.normal(size=160),
    }
)
DATA["y"] = RNG.normal(size=160) + 0.3 * DATA.t
DATA["n"] = RNG.poisson(2, 160)


def notes_of(formula, **given):
    fit = pw.fit(formula, DATA, tables={"borders": PAIRS}, draws=100, seed=1, **given)
    return [note for note in fit.notes if "told from it" in note or "hardly tell the intercept" in note]


@pytest.mark.parametrize("few", long_but_for(1, [3, 50]))
@pytest.mark.parametrize(
    ("formula", "named", "term"),
    [
        ("y ~ wealth + x + icar(area, borders)", "'wealth' is among", "icar(area, 'borders') can"),
        ("y ~ wealth + half + bym2(area, borders)", "'wealth', 'half[T.west]' are among", "icar(area, 'borders') can"),
        ("y ~ t + x + rw1(t)", "'t' is among", "rw1(t) can"),
        ("y ~ t + x + s(x) + ar1(t)", "'t' is among", "ar1(t) can"),
    ],
)
def test_what_a_term_can_imitate_is_named(formula, named, term, few, monkeypatch):
    monkeypatch.setattr(levels, "FEW", few)
    said = [note for note in notes_of(formula) if "told from it" in note]
    assert any(named in note and term in note for note in said), said


def test_counts_have_the_same_note():
    assert any("'wealth' is among" in note for note in notes_of("n ~ wealth + icar(area, borders)", family="poisson"))


@pytest.mark.parametrize(
    "formula", ["y ~ x + icar(area, borders)", "y ~ x + rw2(t)", "y ~ s(x) + t", "y ~ x + (1 | area)"]
)
def test_nothing_is_said_where_nothing_is_confounded(formula):
    assert notes_of(formula) == []


def test_an_intercept_that_is_left_open_is_named():
    """A walk that hardly returns has any level."""
    walk = 5 * np.cumsum(RNG.normal(size=10))
    data = DATA.assign(y=walk[DATA.t] + 0.1 * RNG.normal(size=160))
    priors = {"Intercept": pw.Normal(0, 1), "cor_ar1(t)": pw.LKJ(1.0)}
    fit = pw.fit("y ~ ar1(t)", data, priors=priors, draws=100, seed=1)
    assert any("hardly tell the intercept from the level of ar1(t)" in note for note in fit.notes)
