"""Power of studies whose outcomes are not normal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import poolwise as pw
from poolwise.design import build, needed_columns
from poolwise.design.completion import completed
from poolwise.evaluate.power import Plan, simulate, truth_of
from poolwise.families import FAMILIES, family_of
from poolwise.formula import parse
from poolwise.sources.frames import as_table

SHARED = {"shape": 3.0, "phi": 4.0, "nu": 6.0, "sigma": 0.5, "tau": 0.4}


def plan_of(formula, design, family, link=None):
    found = family_of(family)
    needed = needed_columns(completed(parse(formula), found), None, linear=False, labelled=found.labelled)
    table = as_table(design.assign(y=np.arange(len(design)) % 2 * 1.0))
    built, encoding, rows = build(needed, table, missing="error")
    return Plan(built, encoding, rows, found, found.link(link), {})


# Categories and choices have tests of their own below, and angles have a mean of another kind.
SIMULATED = [name for name, each in FAMILIES.items() if not (each.labels or each.signed or name == "von_mises")]


@pytest.mark.parametrize("family", [name for name in SIMULATED if name != "gaussian"])
def test_simulated_outcomes_have_the_stated_mean(family):
    """Of 60,000 rows at x = 0 and at x = 1, against the family's own expectation."""
    found = FAMILIES[family]
    design = pd.DataFrame({"x": np.tile([0.0, 1.0], 60_000)})
    plan = plan_of("y | trials(5) ~ x" if found.trials else "y ~ x", design, family)
    others = {f"{name}_Intercept": -0.5 for name in found.unshared}
    own = {each.name for each in found.parameters} - set(found.unshared)
    fixed = found.fixed([(each.name, each.fixed) for each in found.parameters if each.fixed is not None])
    shared = {name: value for name, value in SHARED.items() if name in own and name not in fixed}
    truth = truth_of(plan.design, {"Intercept": 0.4, "x": 0.6, **others}, 0.0, 1.0, found, shared)
    y = simulate(plan, truth, np.random.default_rng(1)).values[:, -1] / (5 if found.trials else 1)
    location = np.array([0.4, 1.0])
    at = {name: np.log(value) for name, value in shared.items()} | dict.fromkeys(found.unshared, -0.5) | fixed
    parameters = tuple(np.full(2, at[each.name]) for each in found.parameters)
    expected = found.expectation(found.scale.mean(location), parameters)
    for k in range(2):
        mine = y[k::2]
        assert mine.mean() == pytest.approx(expected[k], abs=5 * mine.std() / np.sqrt(len(mine)))


def test_groups_offsets_and_formulas_enter_the_simulation():
    design = pw.balanced_design(400, g=300, within={"x": [0.0, 1.0]}).assign(o=np.log(3.0))
    plan = plan_of(["y ~ x + (1 | g) + offset(o)", "zi ~ x"], design, "zero_inflated_poisson")
    effects = {"Intercept": 1.0, "x": 0.0, "zi_Intercept": -1.0, "zi_x": 2.0}
    truth = truth_of(plan.design, effects, {"sd_g": 0.7}, 1.0, plan.family)
    design["y"] = simulate(plan, truth, np.random.default_rng(2)).values[:, -1]
    above = design[design["y"] > 0].groupby("g")["y"].mean()
    assert np.log(above).mean() == pytest.approx(1.0 + np.log(3), abs=0.15)
    assert np.log(above).std() == pytest.approx(0.7, abs=0.1)
    high = design[design["g"].isin(above.index[above > 20])]  # whose zeros are of zi alone
    assert (high["y"] == 0).groupby(high["x"]).mean().tolist() == pytest.approx(
        [1 / (1 + np.exp(1.0)), 1 / (1 + np.exp(-1.0))], abs=0.02
    )


def simulated(monkeypatch, *arguments, **options):
    """The rows of the one study that `pw.power` would fit, and its plan."""
    from poolwise.api import power as module

    found = []

    def once(plan, truth, settings, **_):
        found.append((plan, simulate(plan, truth, np.random.default_rng(4))))
        return pd.DataFrame({"truth": truth.beta})

    monkeypatch.setattr(module, "simulated_power", once)
    pw.power(*arguments, **options)
    return found[0]


def test_simulated_categories_occur_as_often_as_stated(monkeypatch):
    """P(Y <= k) = F(t_k - x) by thresholds at -1, 0.5 and 1, of labels in their own order."""
    design = pd.DataFrame({"x": np.tile([0.0, 1.0], 60_000)})
    _, rows = simulated(
        monkeypatch, "y ~ x", design, effects={"Intercept": 1.0, "x": 0.8}, family="cumulative", link="probit",
        categories=["none", "few", "some", "many"], dispersions={"gap2": 1.5, "gap3": 0.5},
    )  # fmt: skip
    for k, x in enumerate((0.0, 0.8)):
        shares = np.diff([0.0, *norm.cdf(np.array([-1.0, 0.5, 1.0]) - x), 1.0])
        counts = np.bincount(rows.response[k::2].astype(int), minlength=4) / 60_000
        np.testing.assert_allclose(counts, shares, atol=0.01)
    design = pw.balanced_design(400, g=100)
    _, rows = simulated(
        monkeypatch, "y ~ 1 + (1 | g)", design, effects={"mub_Intercept": 0.5, "muc_Intercept": -1.0}, sd=0.0,
        family="categorical", categories=["a", "b", "c"],
    )  # fmt: skip
    odds = np.exp([0.0, 0.5, -1.0])
    np.testing.assert_allclose(np.bincount(rows.response.astype(int)) / 40_000, odds / odds.sum(), atol=0.01)


def test_a_simulated_time_beyond_the_end_is_censored(monkeypatch):
    """The share that lives beyond the end of its row is that of the Weibull distribution."""
    design = pd.DataFrame({"x": np.tile([0.0, 1.0], 40_000), "end": np.tile([2.0, 5.0], 40_000)})
    options = {"effects": {"Intercept": 1.0, "x": 0.5}, "family": "weibull", "dispersions": {"shape": 1.5}}
    plan, rows = simulated(monkeypatch, "t | cens(c) ~ x", design, until="end", **options)
    low, high, lb, ub = rows.limits
    assert np.isneginf(lb).all() and np.isposinf(ub).all()
    for k, end in enumerate((2.0, 5.0)):
        hidden, y = ~np.isnan(low[k::2]), rows.response[k::2]
        scale = np.exp(1.0 + 0.5 * k)
        assert hidden.mean() == pytest.approx(np.exp(-((end / scale) ** 1.5)), abs=0.01)
        assert (low[k::2][hidden] == end).all() and np.isposinf(high[k::2][hidden]).all()
        assert (y[hidden] == end).all() and y[~hidden].max() < end
    _, never = simulated(monkeypatch, "t | cens(c) ~ x", design, until=np.inf, **options)
    assert never.observed.all()


@pytest.mark.long
def test_power_of_choices_censored_times_and_categories():
    """Whole studies: the effects that were put in are found."""
    design = pw.balanced_design(20, g=10, within={"t": [0, 1]})
    choices = pw.power(
        ["rt | dec(response) ~ t + (1 | g)", "bs ~ 1"], design, family="wiener", studies=4, draws=100, seed=1, sd=0.3,
        effects={"Intercept": 1.0, "t": 0.5, "bs_Intercept": 0.3, "ndt_Intercept": -1.2, "bias_Intercept": 0.0},
    )  # fmt: skip
    times = pw.power(
        "weeks | cens(status) ~ t + (1 | g)", design, family="weibull", studies=4, draws=100, seed=1, sd=0.3,
        effects={"Intercept": 2.0, "t": 0.8}, dispersions={"shape": 1.5}, until=9.0,
    )  # fmt: skip
    ratings = pw.power(
        "rating ~ t + (1 | g)", design, family="cumulative", studies=4, draws=100, seed=1, sd=0.3,
        effects={"Intercept": 1.0, "t": 1.5}, categories=[1, 2, 3], dispersions={"gap2": 1.5},
    )  # fmt: skip
    for found in (choices, times, ratings):
        table = found.table
        assert (abs(table["mean"] - table["truth"]) < 4 * table["posterior_sd"] / np.sqrt(4)).all()


def test_bad_categories_and_ends():
    design, effects = pw.balanced_design(4, g=5, within={"t": [0, 1]}), {"t": 1.0}
    bad = {
        "Which categories may the outcome have": {"family": "cumulative"},
        "must be a list of labels, not 'abc'": {"family": "cumulative", "categories": "abc"},
        "each of them once": {"family": "cumulative", "categories": ["a", "a"]},
        "are not categories": {"categories": ["a", "b"]},
        "until= is for outcomes that may be censored": {"until": 3.0},
    }
    for message, options in bad.items():
        with pytest.raises(pw.DataError, match=message):
            pw.power("y ~ t", design, effects=effects, **options)
    ends = {
        None: "When is 'y' censored",
        "tt": "no column 'tt'",
        "g": "too low",
        "s": "must be a number",
        -9.0: "too low",
    }
    for until, message in ends.items():
        with pytest.raises(pw.DataError, match=message):
            pw.power("y | cens(c) ~ t", design.assign(g=-1e9, s="a"), effects=effects, until=until, studies=2)
    taken = {"y ~ t + y": "y", "y ~ t + (1 | y)": "y", "y | cens(c) ~ t + c": "c", "y | cens(y) ~ t": "y"}
    for formula, name in taken.items():
        until = 3.0 if "cens" in formula else None
        with pytest.raises(pw.DataError, match=f"'{name}' is simulated: it can be nothing else"):
            pw.power(formula, design.assign(y=1.0, c=3), effects=effects, until=until)
    with pytest.raises(pw.FormulaError, match="truncated outcomes, and of intervals"):
        pw.power("y | trunc(lb=0) ~ t", design, effects=effects)
    with pytest.raises(pw.FormulaError, match="must be plain names"):
        pw.power("y | cens(c + 1) ~ t", design, effects=effects, until=1.0)


@pytest.mark.long
def test_the_power_of_a_logistic_regression_is_that_of_wald():
    """Without groups and with many rows: se^2 = 4 / (n p (1 - p)) for two equal arms near p = 1/2."""
    design = pd.DataFrame({"t": np.tile([0, 1], 300)})
    found = pw.power("y ~ t", design, effects={"t": 0.4}, family="bernoulli", studies=120, seed=1, draws=250)
    p = 1 / (1 + np.exp(-0.4))
    se = np.sqrt(1 / (300 * 0.25) + 1 / (300 * p * (1 - p)))
    line = found.table.loc["t"]
    assert line["posterior_sd"] == pytest.approx(se, rel=0.05)
    assert line["spread"] == pytest.approx(se, rel=0.2)
    assert line["power"] == pytest.approx(norm.cdf(0.4 / se - norm.ppf(0.95)), abs=4 * line["power_se"])
    assert line["coverage"] == pytest.approx(0.9, abs=0.11)
    assert "An effect of 0.4 for t, on the logit scale, is told" in found.verdict


def test_groups_dispersions_trials_and_threads():
    design = pw.balanced_design(8, g=6, within={"t": [0, 1]})
    steps = []
    one, two = (
        pw.power(
            "y | trials(6) ~ t + (1 | g)", design, effects={"t": 0.8}, sd=0.4, family="beta_binomial",
            dispersions={"phi": 5.0}, studies=3, draws=50, seed=3, threads=threads,
            progress=lambda step, share: steps.append((step, share)),
        )
        for threads in (1, 2)
    )  # fmt: skip
    pd.testing.assert_frame_equal(one.table, two.table)
    assert ("simulating studies", 1.0) in steps
    zeros = pw.power(
        ["y ~ t + (1 | g)", "zi ~ t"], design, effects={"t": 0.5, "zi_Intercept": -1.0, "zi_t": 0.5}, sd=0.4,
        family="zero_inflated_poisson", studies=3, draws=50, seed=3,
    )  # fmt: skip
    assert list(zeros.table.index) == ["Intercept", "t", "zi_Intercept", "zi_t"]
    assert "for zi_t, on the logit scale," in zeros.verdict and "zi_Intercept" not in zeros.verdict


def test_fewer_studies_of_families_that_are_sampled(monkeypatch):
    """What is asked for without saying how many."""
    from poolwise.api import power as module

    asked = []

    def counted(plan, truth, settings, *, studies, interval, threads):
        asked.append(studies)
        return pd.DataFrame({"truth": truth.beta})

    monkeypatch.setattr(module, "simulated_power", counted)
    design = pd.DataFrame({"t": [0, 1, 0, 1]})
    pw.power("y ~ t", design, effects={"t": 1.0})
    pw.power("y ~ t", design, effects={"t": 1.0}, family="poisson")
    assert asked == [1_000, 100]


def test_bad_plans_of_families():
    design = pw.balanced_design(4, g=5, within={"t": [0, 1]}).assign(w=2.0)
    formula, effects = "y ~ t + (1 | g)", {"t": 1.0}
    with pytest.raises(pw.DataError, match="dispersions lacks shape: say {'shape'"):
        pw.power(formula, design, effects=effects, family="negative_binomial")
    with pytest.raises(pw.DataError, match="no parameter 'shape' that all rows share. It has none"):
        pw.power(formula, design, effects=effects, family="poisson", dispersions={"shape": 1.0})
    with pytest.raises(pw.DataError, match="'shape' has a formula: give its coefficients among effects"):
        pw.power(
            [formula, "shape ~ t"], design, effects={**effects, "shape_Intercept": 0.0, "shape_t": 0.0},
            family="negative_binomial", dispersions={"shape": 1.0},
        )  # fmt: skip
    with pytest.raises(pw.DataError, match="effects lacks zi_Intercept"):
        pw.power(formula, design, effects=effects, family="zero_inflated_poisson")
    with pytest.raises(pw.DataError, match="as all dispersions"):
        pw.power(formula, design, effects=effects, family="gamma", dispersions={"shape": -1.0})
    with pytest.raises(pw.FormulaError, match="How many trials"):
        pw.power(formula, design, effects=effects, family="binomial")
    with pytest.raises(pw.DataError, match="Weights of the family 'poisson' count rows"):
        pw.power(formula, design, effects=effects, family="poisson", weights="w")
    with pytest.raises(pw.FormulaError, match="no link 'probit'"):
        pw.power(formula, design, effects=effects, family="poisson", link="probit")
