"""What is asked after a fit, of families with zeros of their own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import poolwise as pw

FEW = {"draws": 300, "seed": 3}


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(5)
    group, x = rng.integers(0, 8, 240), rng.normal(size=240)
    linear = 0.6 + 0.5 * x + 0.5 * rng.normal(size=8)[group]
    hidden = rng.random(240) < expit(-0.8 + x)
    return pd.DataFrame(
        {
            "g": [f"g{j}" for j in group],
            "x": x,
            "count": np.where(hidden, 0, rng.poisson(np.exp(linear))),
            "amount": np.where(hidden, 0.0, rng.gamma(3.0, np.exp(linear) / 3.0)),
        }
    )


@pytest.fixture(scope="module")
def inflated(frame):
    formulas = ["count ~ x + (x | g)", "zi ~ x + (1 | g)"]
    return pw.fit(formulas, frame, family="zero_inflated_poisson", **FEW)


def predictors(fit, x, group):
    """Draws of the linear predictors of the count and of the zeros for one row, from the posterior's names."""
    draws = fit.posterior
    count = draws.coef_g.sel(g=group, effect_g="Intercept") + draws.coef_g.sel(g=group, effect_g="x") * x
    zeros = draws.beta.sel(coefficient="zi_Intercept") + draws.beta.sel(coefficient="zi_x") * x
    return count.to_numpy(), (zeros + draws.u_zi_g.sel(zi_g=group, effect_zi_g="Intercept")).to_numpy()


def test_means_count_the_zeros(inflated):
    new = pd.DataFrame({"x": [0.4], "g": ["g2"]})
    count, zeros = predictors(inflated, 0.4, "g2")
    found = inflated.predict(new, draws=True).to_numpy()[..., 0]
    np.testing.assert_allclose(found, (1 - expit(zeros)) * np.exp(count), rtol=1e-10)
    drawn = inflated.predict(pd.concat([new] * 400), kind="response", draws=True).to_numpy()
    assert drawn.mean() == pytest.approx(found.mean(), rel=0.05)


def test_a_parameter_without_a_formula_has_an_intercept(frame):
    plain = pw.fit("count ~ x + (1 | g)", frame, family="zero_inflated_poisson", **FEW)
    written = pw.fit(["count ~ x + (1 | g)", "zi ~ 1"], frame, family="zero_inflated_poisson", **FEW)
    assert plain.result.model.design.coefficients == ("Intercept", "x", "zi_Intercept")
    np.testing.assert_array_equal(plain.result.beta, written.result.beta)
    near = {"zi_Intercept": pw.Normal(-3, 0.01)}
    pulled = pw.fit("count ~ x + (1 | g)", frame, family="zero_inflated_poisson", priors=near, **FEW)
    assert pulled.summary().loc["beta[zi_Intercept]", "mean"] == pytest.approx(-3, abs=0.1)


def test_saved_fits_come_back(inflated, frame, tmp_path):
    inflated.save(tmp_path / "fit.pw")
    again = pw.load(tmp_path / "fit.pw")
    for kind in ("mean", "response"):
        pd.testing.assert_frame_equal(again.predict(frame[:5], kind=kind), inflated.predict(frame[:5], kind=kind))


@pytest.mark.long
def test_the_better_model_is_preferred(frame):
    poisson = pw.fit("count ~ x + (1 | g)", frame, family="poisson", **FEW)
    inflated = pw.fit(["count ~ x + (1 | g)", "zi ~ x"], frame, family="zero_inflated_poisson", **FEW)
    found = pw.compare(poisson=poisson, inflated=inflated)
    assert found.table.index[0] == "inflated"


@pytest.mark.long
def test_amounts_with_zeros_are_checked_and_drawn(frame, tmp_path):
    fit = pw.fit(["amount ~ x + (1 | g)", "hu ~ x"], frame, family="hurdle_gamma", **FEW)
    checks = fit.check()
    assert "zeros" in checks.table.index
    assert checks.table.loc["zeros", "observed"] == np.mean(frame["amount"] == 0)
    assert 0.01 < checks.table.loc["zeros", "tail"] < 0.99
    assert "% observed" in str(fit.plot.ppc().to_dict()["title"])
    page = fit.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "logit(hu) = " in page


def test_lines_are_of_the_mean_of_all_rows(inflated, frame):
    """They bend where zeros grow more likely."""
    chart = inflated.plot.groups(groups=["g2"]).to_dict()
    drawn = [line for data in chart["datasets"].values() for line in data if "model" in line and "draw" not in line]
    lines = sorted(drawn, key=lambda line: line["x"])
    count, zeros = predictors(inflated, lines[-1]["x"], "g2")
    expected = ((1 - expit(zeros)) * np.exp(count)).mean()
    assert lines[-1]["y"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("formulas", "family", "message"),
    [
        (["count ~ x", "hu ~ x"], "zero_inflated_poisson", "no parameter 'hu'.*It has: zi"),
        (["count ~ x", "zi ~ x"], "poisson", "no parameter 'zi'"),
        ("x ~ 1", "hurdle_gamma", "must not be below zero"),
        ("amount ~ x", "hurdle_poisson", "not whole"),
    ],
)
def test_bad_models_are_refused(frame, formulas, family, message):
    with pytest.raises(pw.PoolwiseError, match=message):
        pw.fit(formulas, frame, family=family)


def test_single_trials_are_refused(frame):
    for family in ("beta_binomial", "zero_inflated_binomial"):
        with pytest.raises(pw.DataError, match="more than one trial"):
            pw.fit("seen | trials(1) ~ x", frame.assign(seen=1.0 * (frame["count"] > 0)), family=family)


def test_default_priors_of_a_hurdle_are_about_what_is_above_zero(frame):
    many = pd.concat([frame, frame.assign(amount=0.0), frame.assign(amount=0.0)])
    fits = (pw.fit("amount ~ x", data, family="hurdle_gamma", draws=20, seed=1) for data in (frame, many))
    one, two = (fit.result.model.priors.coefficients[0] for fit in fits)
    assert one.mean == pytest.approx(two.mean, abs=0.05)


def test_nothing_but_zeros_is_refused(frame):
    with pytest.raises(pw.DataError, match="is zero"):
        pw.fit("zero ~ x", frame.assign(zero=0.0), family="hurdle_lognormal")
