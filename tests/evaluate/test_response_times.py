"""The drift diffusion model after the fit: choices and times by hand, quantiles, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.families.first_passage_draws import first_passages

FORMULAS = ["rt | dec(choice) ~ x + (1 | g)", "bs ~ 1", "ndt ~ 1", "bias ~ 1"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(10), 30), rng.normal(size=300)
    drift = 0.8 + 0.5 * x + 0.4 * rng.normal(size=10)[g]
    times, upper = first_passages(rng, drift, np.full(300, 1.4), np.full(300, 0.45))
    return pd.DataFrame({"rt": 0.25 + times, "choice": upper * 1, "x": x, "g": g})


@pytest.fixture(scope="module")
def fit(frame):
    return pw.fit(FORMULAS, frame, family="wiener", draws=300, seed=1)


def test_the_truth_is_found(fit):
    assert fit.outcome.passed
    table = fit.summary()
    truth = {
        "x": 0.5,
        "bs_Intercept": np.log(1.4),
        "ndt_Intercept": np.log(0.25),
        "bias_Intercept": np.log(0.45 / 0.55),
    }
    for name, value in truth.items():
        line = table.loc[f"beta[{name}]"]
        assert abs(line["mean"] - value) < 3.5 * line["sd"], (name, line)


def test_tables_have_choices_and_times(fit, frame):
    table = fit.predict(frame.head(50))
    assert table["quantity"].tolist()[:2] == ["upper", "time"]
    shares, times = (table.loc[table["quantity"] == name, "mean"].to_numpy() for name in ("upper", "time"))
    drawn = fit.predict(frame.head(50), kind="response", draws=True).values
    np.testing.assert_allclose((drawn > 0).mean(axis=(0, 1)), shares, atol=0.06)
    np.testing.assert_allclose(np.abs(drawn).mean(axis=(0, 1)), times, rtol=0.12)
    moved = pw.avg_comparisons(fit, "x").table
    assert moved.loc[moved["quantity"] == "upper", "mean"].item() > 0
    assert moved.loc[moved["quantity"] == "time", "mean"].item() < 0


@pytest.fixture(scope="module")
def few(frame):
    rows = frame[::3]
    return rows, pw.fit(FORMULAS, rows, family="wiener", draws=50, seed=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda choice: 2 * choice - 1,
        lambda choice: choice.astype(bool),
        lambda choice: choice.map({0: "lower", 1: "upper"}),
    ],
)
def test_choices_may_be_written_in_several_ways(few, change):
    rows, one = few
    other = pw.fit(FORMULAS, rows.assign(choice=change(rows["choice"])), family="wiener", draws=50, seed=1)
    np.testing.assert_array_equal(one.result.beta, other.result.beta)


def test_the_unit_of_time_does_not_matter(fit, frame):
    """In milliseconds boundary and drift move with the root of a thousand, the non-decision time by a thousand."""
    thousand = pw.fit(FORMULAS, frame.assign(rt=1000 * frame["rt"]), family="wiener", draws=300, seed=1)
    assert thousand.outcome.passed
    one, other = fit.result.beta.mean(axis=(0, 1)), thousand.result.beta.mean(axis=(0, 1))
    spread = fit.result.beta.std(axis=(0, 1))
    root = np.sqrt(1000.0)
    back = other * [root, root, 1, 1, 1] - np.log([1, 1, root, 1000, 1])
    assert (np.abs(back - one) < 0.25 * spread).all()


def test_parameters_can_be_fixed(frame):
    fit = pw.fit([*FORMULAS[:3], "bias = 0.45", "p_outlier = 0"], frame, family="wiener", draws=100, seed=1)
    assert not any(name.startswith("bias") for name in fit.posterior["coefficient"].values)
    fixed = dict(fit.result.model.design.formula.fixed)
    assert fixed == {"bias": 0.45, "p_outlier": 0.0, "longest": frame["rt"].max()}
    assert np.exp(fit.result.beta[..., -1]).max() < frame["rt"].min()  # no trial is a contaminant


def test_starts_work_where_one_response_is_very_fast(frame):
    fast = pd.concat([frame, frame.head(1).assign(rt=0.01)], ignore_index=True)
    fit = pw.fit(FORMULAS, fast, family="wiener", draws=200, seed=1)
    assert fit.outcome.passed
    assert np.exp(fit.result.beta[..., -2]).mean() == pytest.approx(0.25, abs=0.05)


def test_quantiles_of_times_are_replicated(fit, frame):
    chart = fit.plot.quantiles()
    spec = chart.to_dict(validate=False)
    table = pd.DataFrame(spec["datasets"][spec["data"]["name"]])
    assert len(table) == 10
    upper = table[table["choice"] == "upper boundary"]
    np.testing.assert_allclose(upper["observed"], np.quantile(frame["rt"][frame["choice"] == 1], upper["quantile"]))
    assert ((upper["low"] <= upper["observed"]) & (upper["observed"] <= upper["high"])).mean() > 0.5
    with pytest.raises(pw.DataError, match="no picture shows so many"):
        fit.plot.quantiles("x")


@pytest.mark.parametrize(
    ("change", "formulas", "said"),
    [
        ({"rt": 0.0}, FORMULAS, "Response times must be above zero"),
        ({"rt": -0.4}, FORMULAS, "Response times must be above zero"),
        ({"choice": 2}, FORMULAS, "choices 'choice' must be 0 and 1"),
        ({"choice": "uper"}, FORMULAS, "Did you mean 'upper'"),
        ({}, ["rt ~ x"], "Which response is it.*dec\\(choice\\)"),
        ({}, [FORMULAS[0], "bias = 1.2"], "between 0 and 1"),
        ({}, [FORMULAS[0], "boundary ~ x"], "no parameter 'boundary'.*bs, ndt, bias"),
        ({}, [FORMULAS[0], "bias ~ 1 | dec(choice)"], "."),
    ],
)
def test_what_makes_no_sense(change, formulas, said, frame):
    with pytest.raises((pw.DataError, pw.FormulaError), match=said):
        pw.fit(formulas, frame.assign(**change), family="wiener")
