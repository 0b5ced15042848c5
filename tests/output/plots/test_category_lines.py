"""Curves of categories say what predictions say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw

KINDS = ["beans", "fish", "meat"]


@pytest.fixture(scope="module")
def meals() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    g, x = rng.integers(0, 6, 300), rng.normal(size=300)
    scores = np.column_stack([np.zeros(300), x + rng.normal(0, 0.7, 6)[g], -0.3 * x]) + rng.gumbel(size=(300, 3))
    return pd.DataFrame({"food": np.array(KINDS)[scores.argmax(axis=1)], "x": x, "g": g})


def tables(chart):
    """Tables of the first panel: bands, lines, ticks."""
    spec = chart.to_dict()
    return [pd.DataFrame(spec["datasets"][layer["data"]["name"]]) for layer in spec["concat"][0]["layer"]]


@pytest.mark.parametrize("bar", long_but_for(1, ["(x | g)", "(x || g)"]))
def test_curves_are_predictions(meals, bar):
    fit = pw.fit(f"food ~ x + {bar}", meals, family="categorical", draws=100, seed=1)
    by = fit.result.model.design.factors[0].name
    _, lines, ticks = tables(fit.plot.groups([2], by=by))
    along = lines.loc[lines["category"] == "fish", "x"]
    said = fit.predict(pd.DataFrame({"x": along, "g": 2}), interval=0.9)
    for kind in KINDS:
        drawn = lines[lines["category"] == kind]
        table = said[said["category"] == kind]
        np.testing.assert_allclose(drawn["y"], table["mean"], atol=1e-9)
        np.testing.assert_allclose(drawn["low"], table["5%"], atol=1e-9)
    mine = meals[meals["g"] == 2]
    assert ticks.groupby("category").size().to_dict() == mine.groupby("food").size().to_dict()
    assert (ticks["y"] < 0).all()


@pytest.mark.long
def test_two_poolings_of_a_category(meals):
    found = pw.compare_pooling("food ~ x", by="g", data=meals, family="categorical", folds=0, draws=100, seed=1)
    bands, lines, _ = tables(found.plot.lines([0, 3]))
    assert set(lines["model"]) == {"no pooling", "partial pooling"}
    assert set(bands["model"]) == {"partial pooling"}
    np.testing.assert_allclose(lines.groupby(["model", "x"])["y"].sum(), 1.0)


def test_an_ordered_outcome_has_its_words_on_the_axis(meals):
    ordered = meals.assign(food=pd.Categorical(meals["food"], KINDS, ordered=True))
    fit = pw.fit("food ~ x + (x | g)", ordered, family="cumulative", draws=100, seed=1)
    spec = fit.plot.groups([0]).to_dict()["concat"][0]["layer"][0]["encoding"]["y"]["axis"]
    assert spec["values"] == [0, 1, 2]
    assert spec["labelExpr"].startswith('["beans", "fish", "meat"]')


@pytest.mark.long
def test_what_cannot_be_drawn(meals):
    with pytest.raises(pw.DataError, match="intercepts only"):
        pw.fit("food ~ x + (1 | g)", meals, family="categorical", draws=50, seed=1).plot.groups([0])
    many = meals.assign(food=np.arange(300) % 9)
    with pytest.raises(pw.DataError, match="Curves of 9 categories cannot be told apart"):
        pw.fit("food ~ x + (x | g)", many, family="categorical", draws=25, seed=1).plot.groups([0])
