"""What the page says of labels, of tables that are cut off, and of fits without rows or distances."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.output.report.test_report import frame, text_of

import poolwise as pw
from poolwise.output.report import page


@pytest.mark.parametrize(
    "levels",
    [[False, True], [0.5, 123456.5, 123457.5], ["a", "nan"], ["p\nq", "p\tq", "p q_"]],
    ids=["booleans", "decimals", "nan", "controls"],
)
def test_groups_keep_their_labels_and_stay_apart(levels):
    data = frame(60)
    data["h"] = np.array(levels, dtype=object)[np.arange(60) % len(levels)]
    if not isinstance(levels[0], str):
        data["h"] = data["h"].astype(type(levels[0]))
    fit = pw.fit("y ~ x + (1 | h)", data, seed=1, draws=50).result
    _, groups = page._charts(fit, None, None, None)
    rows = [line[0] for line in page._group_table(fit)["rows"]]
    assert rows == list(groups)
    if "\n" in str(levels[0]):
        assert rows == ["p q", "p q_", "p q__"]  # as they are sorted: "p\tq" first
        assert not page._how_many(fit, groups)
    else:
        assert rows == [str(level) for level in levels]


def test_the_table_of_coefficients_says_what_it_leaves_out_and_keeps_the_spreads():
    data = frame()
    data["c"] = np.arange(len(data)) % 60
    fit = pw.fit("y ~ factor(c) + (1 | g)", data, seed=1, draws=50)
    table, said = page._population(fit.result)
    assert len(table) == 42
    assert list(table["parameter"][-2:]) == ["sigma", "sd_g[Intercept]"]
    assert said.startswith("42 of 62 lines are shown")


def test_of_categories_there_are_no_deviations_and_the_chart_has_bars(tmp_path):
    data = frame(90).assign(u=lambda d: np.where(d.x > 0.3, "red", np.where(d.x < -0.5, "blue", "green")))
    fit = pw.fit("u ~ 1", data, family="categorical", seed=1, draws=50)
    text = text_of(fit.report(tmp_path / "page.html"))
    assert "RMSD" not in text
    assert "How often each u was observed beside replicated data" in text
    assert "RMSD of outcomes" in text_of(pw.fit("y ~ 1", data, seed=1, draws=50).report(tmp_path / "normal.html"))


def test_a_loaded_fit_of_a_sampled_family_has_its_page(tmp_path):
    data = frame().assign(b=lambda d: (d.y > 1) * 1)
    pw.fit("b ~ x + (1 | g)", data, family="bernoulli", seed=1, draws=50).save(tmp_path / "fit")
    text = text_of(pw.load(tmp_path / "fit").report(tmp_path / "page.html"))
    assert "The rows are not at hand" in text


@pytest.mark.long
def test_a_comparison_of_categories_has_its_page(tmp_path):
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"u": rng.choice(["a", "b", "c"], 90), "x": rng.normal(size=90), "g": np.arange(90) % 3})
    pooling = pw.compare_pooling("u ~ x", by="g", data=data, family="categorical", folds=0, seed=1, draws=50)
    assert not pooling.in_a_plane
    assert "What pooling bought" in text_of(pooling.report(tmp_path / "page.html"))


def test_coefficients_by_group_say_what_they_are_of():
    data = frame(60).assign(y=lambda d: np.exp(d.y))
    fit = pw.fit("y ~ x + (1 | g)", data, family="lognormal", seed=1, draws=50).result
    assert page._how_many(fit, dict.fromkeys(fit.model.design.factors[0].levels)).startswith(
        "Coefficients are those of the mean of the log of y;"
    )


def test_charts_of_categories_are_titled_by_what_their_effects_move():
    data = frame(90).assign(u=lambda d: np.where(d.x > 0.3, "red", np.where(d.x < -0.5, "blue", "green")))
    fit = pw.fit("u ~ 1 + (1 | g)", data, family="categorical", seed=1, draws=50).result
    charts, groups = page._charts(fit, None, None, None)
    titles = [chart.title for chart in charts if chart.name.startswith("forest")]
    assert titles[0] == "Level of the odds of u being green instead of blue by g" and "red instead of blue" in titles[1]
    fit = pw.fit("y ~ 1 + (1 | g)", data, seed=1, draws=50).result
    assert page._charts(fit, None, None, None)[0][-1].title == "Intercept by g"
