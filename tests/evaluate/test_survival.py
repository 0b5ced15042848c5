"""Censored and truncated outcomes after the fit: survival, leave-one-out, checks, replications."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import poolwise as pw
from poolwise.evaluate.shown_groups import shown_groups


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n, g = 300, np.repeat(np.arange(15), 20)
    arm = rng.choice(["new", "old"], n)
    time = np.exp(1 + 0.6 * (arm == "new") + 0.4 * rng.normal(size=15)[g]) * rng.weibull(1.5, n)
    end = rng.exponential(8, n)
    return pd.DataFrame({"t": np.minimum(time, end), "gone": (end < time) * 1, "arm": arm, "g": g, "whole": time})


@pytest.fixture(scope="module")
def fit(frame):
    return pw.fit("t | cens(gone) ~ arm + (1 | g)", frame, family="weibull", draws=300, seed=1)


def test_survival_is_that_of_the_distribution(fit, frame):
    new = frame.head(3)
    table = fit.survival(new, times=[1.0, 4.0])
    location = fit.predict(new, kind="linear", draws=True).values
    shape = fit.posterior["shape"].values[..., None]
    for time in (1.0, 4.0):
        known = stats.weibull_min(shape, scale=np.exp(location)).sf(time).mean(axis=(0, 1))
        np.testing.assert_allclose(table.loc[table["time"] == time, "mean"], known, rtol=1e-9)
    assert fit.survival(new)["time"].nunique() == 9
    with pytest.raises(pw.DataError, match="finite"):
        fit.survival(new, times=[np.inf])


def test_words_truths_and_numbers_are_one_status(fit, frame):
    for gone in (frame["gone"].map({0: "none", 1: "right"}), frame["gone"].astype(bool), 1.0 * frame["gone"]):
        again = pw.fit("t | cens(gone) ~ arm + (1 | g)", frame.assign(gone=gone), family="weibull", draws=300, seed=1)
        np.testing.assert_array_equal(again.result.beta, fit.result.beta)
    event = frame.assign(event=1 - frame["gone"])
    again = pw.fit("t | cens(1 - event) ~ arm + (1 | g)", event, family="weibull", draws=300, seed=1)
    np.testing.assert_array_equal(again.result.beta, fit.result.beta)


def test_nothing_censored_is_the_plain_model(frame):
    plain = pw.fit("whole ~ arm + (1 | g)", frame, family="weibull", draws=100, seed=1)
    never = pw.fit("whole | cens(never) ~ arm + (1 | g)", frame.assign(never=0), family="weibull", draws=100, seed=1)
    np.testing.assert_allclose(never.result.beta, plain.result.beta, atol=1e-9)


def test_missing_ends_of_intervals_do_not_lose_rows(frame):
    both = frame.assign(status=np.where(frame["gone"] == 1, "interval", "none"), end=np.nan)
    both.loc[both["status"] == "interval", "end"] = both["t"] + 2
    fit = pw.fit("t | cens(status, end) ~ arm + (1 | g)", both, family="weibull", draws=100, seed=1)
    assert fit.result.model.statistics.rows == len(frame)
    assert len(fit.frame()) == len(frame)


@pytest.mark.long
@pytest.mark.parametrize("status", [0, pytest.param(1, marks=pytest.mark.long)])
def test_leave_one_out_of_censored_rows_is_that_of_refits(fit, frame, status):
    loo = fit.loo()
    for i in [int(np.flatnonzero(frame["gone"] == status)[4])]:
        rest = frame.drop(index=i)
        again = pw.fit("t | cens(gone) ~ arm + (1 | g)", rest, family="weibull", draws=1000, seed=2)
        location = again.predict(frame.loc[[i]], kind="linear", draws=True).values[..., 0]
        known = stats.weibull_min(again.posterior["shape"].values, scale=np.exp(location))
        each = known.sf(frame["t"][i]) if frame["gone"][i] else known.pdf(frame["t"][i])
        assert loo.elpd_i[i] == pytest.approx(np.log(each.mean()), abs=0.05)


def test_checks_complete_what_was_censored(fit, frame):
    checks = fit.check()
    assert list(checks.table.index.str.slice(0, 11)) == ["share above"] * 3
    shares = checks.table["observed"].to_numpy()
    assert (np.diff(shares) < 0).all()
    assert (shares > [0.7, 0.45, 0.2]).all()  # of events alone these are quartiles; censored ones lie above
    assert checks.table["tail"].between(0.005, 0.995).all()
    assert np.isnan(checks.rmsd_in_sample)
    naive = pw.fit("t ~ arm + (1 | g)", frame, family="weibull", draws=200, seed=1)  # as if all had been events
    beyond = naive.survival(frame, times=[4.0])["mean"].mean()
    assert beyond < fit.survival(frame, times=[4.0])["mean"].mean() - 0.03


def test_the_picture_has_both_curves(fit, frame):
    chart = fit.plot.survival("arm").to_dict(validate=False)
    assert len(chart["layer"]) == 4
    names = [chart["data"]["name"], chart["layer"][2]["data"]["name"]]
    model, steps = (pd.DataFrame(chart["datasets"][name]) for name in names)
    assert set(model["group"]) == {"new", "old"}
    assert model.groupby("group")["mean"].apply(lambda each: each.is_monotonic_decreasing).all()
    assert steps.groupby("group")["mean"].first().eq(1).all()


@pytest.mark.long
def test_detection_limits_are_got_over():
    """Left-censored outcomes: the slope of all rows, which those above the limit alone do not give."""
    rng = np.random.default_rng(5)
    g, x = np.repeat(np.arange(20), 25), rng.normal(size=500)
    y = 0.5 + 0.8 * x + 0.3 * rng.normal(size=20)[g] + rng.normal(size=500)
    whole = pw.fit("y ~ x + (1 | g)", {"y": y, "x": x, "g": g}, seed=1)
    data = {"y": np.maximum(y, 0.0), "below": np.where(y < 0, "left", "none"), "x": x, "g": g}
    fit = pw.fit("y | cens(below) ~ x + (1 | g)", data, seed=1)
    names = ["beta[Intercept]", "beta[x]", "sigma"]
    one, other = whole.summary().loc[names], fit.summary().loc[names]
    assert (np.abs(one["mean"] - other["mean"]) < 2 * other["sd"]).all()
    ignored = pw.fit("y ~ x + (1 | g)", data, seed=1).summary()
    assert ignored.loc["beta[x]", "mean"] < one.loc["beta[x]", "mean"] - 4 * one.loc["beta[x]", "sd"]
    both = {"y": np.clip(y, -0.5, 1.5), "x": x, "g": g}  # and on both sides, which checks take too
    both["out"] = np.select([y < -0.5, y > 1.5], ["left", "right"], "none")
    checks = pw.fit("y | cens(out) ~ x + (1 | g)", both, draws=200, seed=1).check()
    known = (y[:, None] > [float(name.split()[-1]) for name in checks.table.index]).mean(axis=0)
    np.testing.assert_allclose(checks.table["observed"], known, atol=0.03)


def test_truncated_outcomes_are_replicated_within_their_bounds():
    rng = np.random.default_rng(6)
    y, g = rng.normal(0.5, 1, 900), rng.integers(0, 10, 900)
    kept = y > 0
    fit = pw.fit("y | trunc(lb=0) ~ 1 + (1 | g)", {"y": y[kept], "g": g[kept]}, seed=1)
    line = fit.summary().loc["beta[Intercept]"]
    assert abs(line["mean"] - 0.5) < 3 * line["sd"]
    checks = fit.check()
    assert checks.replicated.min() > 0
    assert checks.table["tail"].between(0.01, 0.99).all()


@pytest.mark.parametrize(
    ("formula", "change", "said"),
    [
        ("t | cens(gone) ~ 1", {"gone": 3}, "must be 0 or 'none'.*holds 3"),
        ("t | cens(gone) ~ 1", {"gone": "rihgt"}, "Did you mean 'right'"),
        ("t | cens(gone) ~ 1", {"gone": 1}, "Every outcome is censored on the right"),
        ("t | cens(gone) ~ 1", {"gone": 2}, "say where they end"),
        ("t | cens(gone, whole) ~ 1", {"gone": 2, "whole": 0.0}, "must end above its start"),
        ("t | trunc(lb=2, ub=1) ~ 1", {}, "lb below ub"),
        ("t | trunc(ub=0.5) ~ 1", {}, "lies above its upper bound"),
        ("t | trunc(lb=0.5) ~ 1", {}, "lies below its lower bound"),
        ("t | trunc(top=1) ~ 1", {}, "'top=1' is not expected"),
        ("t | cens() ~ 1", {}, "cens\\(\\) of .* is empty"),
        ("t | dec(gone) ~ 1", {}, "dec\\(\\) is for family='wiener'"),
    ],
)
def test_codes_and_bounds_that_make_no_sense(formula, change, said, frame):
    with pytest.raises((pw.DataError, pw.FormulaError), match=said):
        pw.fit(formula, frame.assign(**change), family="weibull")


def test_a_family_without_a_distribution_function_says_so(frame):
    with pytest.raises(pw.FormulaError, match="no distribution function"):
        pw.fit("t | cens(gone) ~ 1", frame, family="von_mises")
    plain = pw.fit("g ~ 1", frame.assign(g=frame["g"] / 20 + 0.01), family="beta", draws=50, seed=1)
    with pytest.raises(pw.DataError, match="no distribution function"):
        plain.survival(times=[0.5])


def test_rows_that_count_as_many_have_the_curves_of_these():
    rng = np.random.default_rng(5)
    x = (rng.random(600) < 0.3) * 1
    time, end = np.ceil(np.exp(1 + x) * rng.weibull(1.7, 600)), rng.integers(1, 9, 600)
    rows = pd.DataFrame({"y": np.minimum(time, end), "c": (end < time) * 1, "x": x})
    cells = rows.groupby(["y", "c", "x"]).size().reset_index(name="w")
    one, other = (
        pw.fit("y | cens(c) ~ x", data, weights=weights, family="weibull", seed=1, draws=200).plot.survival().to_dict()
        for data, weights in ((rows, None), (cells, "w"))
    )

    def drawn(spec):
        tables = [pd.DataFrame(each) for each in spec["datasets"].values()]
        return sorted((each for each in tables if "mean" in each), key=len)

    for mine, theirs in zip(drawn(one), drawn(other), strict=True):
        np.testing.assert_allclose(theirs[["mean", "low", "high"]], mine[["mean", "low", "high"]], rtol=1e-4)


def test_shares_above_times_that_are_near_each_other_keep_their_own_names():
    rng = np.random.default_rng(2)
    t = 2000.0 + rng.uniform(0, 10, 80)
    frame = pd.DataFrame({"t": np.minimum(t, 2008.0), "s": (t > 2008.0).astype(int)})
    found = pw.fit("t | cens(s) ~ 1", frame, seed=1, draws=50).check().table
    assert len(found) == 3
    assert found.index.is_unique


def test_groups_are_shown_in_the_order_of_their_type():
    """Numbers by their size, and what declares an order by that: as text 10 stood before 2."""
    whole, codes = shown_groups(pd.Series([10.0, 2.0, 2.0, 1.0]))
    assert list(whole) == ["1", "2", "10"] and list(codes) == [2, 1, 1, 0]
    declared = pd.Series(pd.Categorical(["low", "high", "low"], ["low", "middle", "high"], ordered=True))
    levels, codes = shown_groups(declared)
    assert list(levels) == ["low", "high"] and list(codes) == [0, 1, 0]
    assert list(shown_groups(np.array(["b", "a"], dtype=object))[0]) == ["a", "b"]
    with pytest.raises(pw.DataError, match="missing in 1 of them"):
        shown_groups(pd.Series(["a", None]))


def test_panels_and_lines_of_groups_keep_that_order(frame):
    fit = pw.fit("t | cens(gone) ~ arm + (1 | g)", frame.query("g < 12"), family="weibull", draws=50, seed=1)
    assert fit.plot.survival(by="g").to_dict()["layer"][1]["encoding"]["color"]["sort"] == [str(k) for k in range(12)]
