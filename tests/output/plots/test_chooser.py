"""The chart of one group in a report says what predictions say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.output.plots import theme
from poolwise.output.plots.chooser import chooser

KINDS = ["beans", "meat", "fish"]


@pytest.fixture(scope="module")
def meals() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n = 240
    data = pd.DataFrame({"g": rng.integers(0, 6, n), "x": rng.normal(size=n), "t": 8})
    scores = np.column_stack([np.zeros(n), data["x"], -data["x"]]) + rng.gumbel(size=(n, 3))
    food = np.array(KINDS)[scores.argmax(axis=1)]
    y, s = data["x"] ** 2 + rng.normal(size=n), rng.binomial(8, 1 / (1 + np.exp(-data["x"])))
    return data.assign(y=y, s=s, food=food, liked=pd.Categorical(food, KINDS, ordered=True))


def drawn(fit, group):
    """The specification, and the rows of its tables for a group."""
    factor = fit.result.model.design.factors[0]
    groups = np.arange(len(factor.levels))
    chart = chooser({"pooled": (fit.result, theme.PARTIAL)}, fit.behind.of_all_groups(), factor, groups, "0")
    spec = chart.to_dict()
    tables = [pd.DataFrame(table) for table in spec["datasets"].values() if table]
    return spec, [table[table["group"] == str(group)] for table in tables]


@pytest.mark.parametrize(
    ("formula", "family"),
    long_but_for(
        lambda formula, family: family not in ("student", "poisson", "binomial"),
        [
            ("y ~ x + (1 | g)", "gaussian"),
            ("y ~ x + I(x**2) + (1 | g)", "gaussian"),
            ("y ~ x + (1 | g) + (0 + x | g)", "gaussian"),
            ("y ~ x + I(x**2) + (x | g)", "student"),
            ("s | trials(t) ~ x + (x | g)", "binomial"),
            ("s ~ x + (1 | g)", "poisson"),
            ("s ~ x + (1 | g)", "hurdle_poisson"),
            ("liked ~ x + (1 | g)", "cumulative"),
        ],
    ),
)
def test_lines_are_predictions(meals, formula, family):
    fit = pw.fit(formula, meals, family=family, seed=1, draws=60)
    spec, tables = drawn(fit, 2)
    lines = next(table for table in tables if "model" in table)
    table = fit.predict(pd.DataFrame({"x": lines["x"], "g": 2, "t": 1}))
    if family == "cumulative":
        table["place"] = table["category"].map(KINDS.index).astype(float) * table["mean"]
        table = pd.DataFrame({"mean": table.groupby("x")["place"].sum()}).loc[lines["x"]]
    np.testing.assert_allclose(lines["y"], table["mean"], rtol=1e-6, atol=1e-9)
    if family != "cumulative":
        np.testing.assert_allclose(lines["high"], table["95%"], rtol=1e-6, atol=1e-9)
    titles = {layer["encoding"]["y"]["title"] for layer in spec["layer"]}
    assert len(titles) == 1
    if family == "cumulative":
        assert KINDS[1] in spec["layer"][2]["encoding"]["y"]["axis"]["labelExpr"]


def test_categories_without_an_order_have_their_probabilities(meals):
    fit = pw.fit("food ~ x + (1 | g)", meals, family="categorical", seed=1, draws=60)
    _, (lines, *_, ticks) = drawn(fit, 3)
    said = fit.predict(pd.DataFrame({"x": lines.loc[lines["category"] == "fish", "x"], "g": 3}))
    for kind in KINDS:
        mean = said.loc[said["category"] == kind, "mean"]
        np.testing.assert_allclose(lines.loc[lines["category"] == kind, "y"], mean, atol=1e-9)
    mine = meals[meals["g"] == 3]
    assert ticks.groupby("category").size().to_dict() == mine.groupby("food").size().to_dict()


@pytest.mark.long
def test_what_cannot_be_drawn_is_left_out_of_the_page(meals, tmp_path):
    many = meals.assign(kind=np.arange(240) % 9)
    fit = pw.fit("kind ~ 1 + (1 | g)", many, family="categorical", seed=1, draws=25)
    page = fit.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "One group of" not in page


def test_rows_without_predictors_lie_side_by_side(meals):
    fit = pw.fit("y ~ 1 + (1 | g)", meals, seed=1, draws=60)
    _, tables = drawn(fit, 1)
    lines = next(table for table in tables if "model" in table)
    assert lines["y"].nunique() == 1
    assert lines["y"].iloc[0] == pytest.approx(fit.predict(pd.DataFrame({"g": [1]}))["mean"].iloc[0])
