"""Power by simulation, where the textbook knows the answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import poolwise as pw
from poolwise.evaluate.power import Power


@pytest.mark.long
def test_power_and_precision_are_the_textbook_s():
    """A balanced treatment within groups: the variance of its effect is 4 sigma^2 / n, whatever the groups."""
    design = pw.balanced_design(10, school=10, within={"t": [0, 1]})
    found = pw.power("y ~ t + (1 | school)", design, effects={"t": 0.5}, sd=0.7, sigma=1.0, studies=200, seed=1)
    se = 2 / np.sqrt(100)
    line = found.table.loc["t"]
    assert line["posterior_sd"] == pytest.approx(se, rel=0.05)
    assert line["spread"] == pytest.approx(se, rel=0.15)
    assert line["mean"] == pytest.approx(0.5, abs=4 * se / np.sqrt(200))
    expected = norm.cdf(0.5 / se - norm.ppf(0.95))
    assert line["power"] == pytest.approx(expected, abs=4 * line["power_se"] + 0.02)
    assert line["coverage"] == pytest.approx(0.9, abs=0.09)
    assert "told from zero" in found.verdict


@pytest.mark.long
@pytest.mark.parametrize(("studies", "within"), [(100, 0.115), pytest.param(200, 0.08, marks=pytest.mark.long)])
def test_without_an_effect_the_power_is_the_level(studies, within):
    design = pw.balanced_design(6, g=8, within={"t": [0, 1]})
    found = pw.power(
        "y ~ t + (1 | g)", design, effects={"t": 0.0}, sd={"sd_g": 0.5}, studies=studies, seed=2, draws=250
    )
    assert found.table.loc["t", "power"] == pytest.approx(0.1, abs=within)


def test_the_same_seed_whatever_the_threads():
    design = pw.balanced_design(4, g=5, between={"x": [0.0, 1.0]})
    one, two = (
        pw.power("y ~ x + (1 | g)", design, effects={"x": 1.0}, sd=0.5, studies=8, draws=50, seed=3, threads=k).table
        for k in (1, 2)
    )
    pd.testing.assert_frame_equal(one, two)


def test_complete_pooling_and_progress():
    steps = []
    design = pd.DataFrame({"x": np.linspace(-1, 1, 30)})
    found = pw.power(
        "y ~ x", design, effects={"x": 1.0}, studies=20, seed=1, progress=lambda step, share: steps.append(share)
    )
    assert found.table.loc["x", "power"] > 0.5
    assert steps[-1] == 1.0


def test_a_balanced_design():
    design = pw.balanced_design(3, school=2, grade=2, within={"t": ["a", "b"]}, between={"public": [0, 1]})
    assert len(design) == 12
    assert design.groupby(["school", "grade"])["public"].nunique().max() == 1
    assert list(design["t"][:3]) == ["a", "b", "a"]
    for name in ("school", "grade"):
        assert (design.groupby(name)["public"].nunique() == 2).all()
    crossed = pw.balanced_design(8, school=4, within={"t": [0, 1], "when": ["am", "pm"]})
    assert (crossed.groupby(["school", "t", "when"]).size() == 2).all()
    with pytest.raises(pw.DataError, match="Name the groups"):
        pw.balanced_design(3)
    with pytest.raises(pw.DataError, match="school must be"):
        pw.balanced_design(3, school=0)


def test_bad_plans():
    design = pw.balanced_design(4, g=5, within={"t": [0, 1]})
    formula = "y ~ t + (1 | g)"
    with pytest.raises(pw.DataError, match="no coefficient 'tt'.*'t'"):
        pw.power(formula, design, effects={"tt": 1.0})
    with pytest.raises(pw.DataError, match="effects lacks t"):
        pw.power(formula, design, effects={})
    with pytest.raises(pw.DataError, match="sd lacks 'sd_g"):
        pw.power(formula, design, effects={"t": 1.0}, sd={"sd_h": 1.0})
    with pytest.raises(pw.DataError, match="sigma positive"):
        pw.power(formula, design, effects={"t": 1.0}, sigma=0.0)
    with pytest.raises(pw.FormulaError, match="plain name"):
        pw.power("log(y) ~ t + (1 | g)", design, effects={"t": 1.0})
    with pytest.raises(pw.DataError, match="no column 'z'"):
        pw.power("y ~ z", design, effects={"z": 1.0})


@pytest.mark.parametrize(("share", "studies", "said"), [(1.0, 50, "93% to 100%"), (0.1, 20, "3% to 30%")])
def test_how_likely_the_power_is_is_wilson_s_interval(share, studies, said):
    table = pd.DataFrame({"truth": [0.3], "power": [share], "power_se": [0.0], "width": [0.2]}, index=["x"])
    assert f"({said})" in Power(table, studies, 0.95, "10 groups", 0.1).verdict


def test_an_interval_of_power_has_its_own_name():
    table = pd.DataFrame({"truth": [0.3], "power": [0.5], "power_se": [0.0], "width": [0.2]}, index=["x"])
    assert "97.5% intervals" in repr(Power(table, 50, 0.975, "10 groups", 0.1))
