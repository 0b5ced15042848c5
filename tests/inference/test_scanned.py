"""Fits of rows that stay where they are, by scans, against fits of the same rows in memory."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.special import expit
from tests.selection import long_but_for

import poolwise as pw
from poolwise.inference import first_scan, scanned, streamed
from poolwise.statistics import stream
from poolwise.statistics.reduce import reduce_rows
from poolwise.support.errors import DataError, PoolwiseError, PoolwiseWarning


@pytest.fixture(autouse=True)
def however_few_rows(monkeypatch):
    monkeypatch.setattr(streamed, "LARGE", 1000)
    monkeypatch.setattr(first_scan, "_SOME", 6000)
    monkeypatch.setattr(stream, "BATCH", 5000)


def frame(rows=20_000, groups=30, seed=0):
    rng = np.random.default_rng(seed)
    g, x, exposure = rng.integers(0, groups, rows), rng.normal(1.0, 2.0, rows), rng.uniform(0.5, 2.0, rows)
    u, v, kind = rng.normal(0, 0.6, groups), rng.normal(0, 0.2, groups), rng.integers(0, 2, rows)
    eta, trials = 0.2 * x + u[g] + v[g] * x - 0.5 + 0.3 * kind, rng.integers(1, 5, rows)
    return pd.DataFrame(
        {
            "y": (rng.random(rows) < expit(eta)).astype(int),
            "count": rng.poisson(exposure * np.exp(0.3 * eta) * rng.gamma(4.0, 0.25, rows)),
            "hits": rng.binomial(trials, expit(eta)),
            "trials": trials,
            "x": x,
            "kind": np.where(kind, "b", "a"),
            "exposure": exposure,
            "time": rng.gamma(2.5, np.exp(0.3 * eta) / 2.5),
            "wait": rng.exponential(np.exp(0.3 * eta)),
            "level": 1000 + eta + 0.7 * rng.standard_t(4, rows),
            "visits": np.random.default_rng(9).poisson(np.exp(1.0 + 0.3 * eta)) * (rng.random(rows) > 0.25),
            "g": [f"g{k:02d}" for k in g],
        }
    )


def in_duckdb(data):
    connection = duckdb.connect()
    connection.register("rows_of_data", data)
    connection.execute("create table stored as select * from rows_of_data")
    return connection.table("stored")


def is_scanned(fit):
    return "scanned in batches" in fit.result.model.data.reading


@pytest.mark.parametrize(
    ("formula", "family"),
    long_but_for(
        lambda _, family: family == "poisson",
        [
            ("y ~ x + kind + (x | g)", "bernoulli"),
            ("count ~ x + offset(log(exposure)) + (1 | g)", "poisson"),
            ("visits ~ x + (1 | g)", "zero_inflated_poisson"),
            ("hits | trials(trials) ~ scale(x) + (1 | g)", "binomial"),
            ("wait ~ x + kind + (1 | g)", "exponential"),
            ("count ~ x + offset(log(exposure)) + (1 | g)", "negative_binomial"),
            ("y ~ x + (1 | g) + (1 | kind:g)", "bernoulli"),
            ("y ~ x + kind", "bernoulli"),
            ("time ~ x + offset(log(exposure)) + (x | g)", "gamma"),
            ("level ~ x + (1 | g)", "student"),
            (["level ~ x + (1 | g)", "sigma ~ 1"], "student"),
        ],
    ),
)
def test_posteriors_by_scans_are_those_of_rows_in_memory(formula, family):
    data = frame()
    far = pw.fit(formula, in_duckdb(data), family=family, seed=1)
    near = pw.fit(formula, data, family=family, seed=2)
    assert is_scanned(far)
    assert not is_scanned(near)
    assert far.outcome.passed
    assert far.outcome.figures["left_out"] < 0.02
    assert dict(far.priors) == dict(near.priors)
    ours, theirs = far.summary(), near.summary()
    error = np.sqrt(ours["sd"] ** 2 / ours["ess_bulk"] + theirs["sd"] ** 2 / theirs["ess_bulk"])
    assert ((ours["mean"] - theirs["mean"]).abs() < 4.5 * error).all()
    assert (np.abs(np.log(ours["sd"] / theirs["sd"])) < 0.12).all()
    if near.log_evidence is not None:
        assert abs(far.log_evidence - near.log_evidence) < 0.2
    new = data.head(5)
    np.testing.assert_allclose(far.predict(new)["mean"], near.predict(new)["mean"], atol=0.05)


@pytest.mark.long
def test_draws_are_the_same_from_every_source_and_in_any_order(tmp_path):
    data = frame(8_000).astype({"y": float})
    data.to_parquet(tmp_path / "rows.parquet")
    sources = [
        in_duckdb(data), in_duckdb(data.sample(frac=1.0, random_state=1)), pl.from_pandas(data).lazy(),
        pl.scan_parquet(tmp_path / "rows.parquet"),
    ]  # fmt: skip
    fits = [pw.fit("y ~ x + (x | g)", one, family="bernoulli", seed=1, draws=300) for one in sources]
    alone = pw.fit("y ~ x + (x | g)", sources[0], family="bernoulli", seed=1, draws=300, threads=1)
    for fit in (*fits, alone):
        assert is_scanned(fit)
        np.testing.assert_allclose(fit.result.beta, fits[0].result.beta, atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_a_few_outcomes_have_the_mean_the_spread_and_the_ends_of_all(seed):
    rng = np.random.default_rng(seed)
    y = np.exp(rng.uniform(0.1, 3) * rng.normal(size=rng.integers(3, 200))) * rng.choice([1.0, -1e6])
    products = reduce_rows(y[:, None], np.zeros(len(y), dtype=np.int64), ("y",), ())
    values, trials, counts = first_scan._few_like(products, [y.min(), y.max()]).T
    assert counts.sum() == pytest.approx(len(y))
    assert (trials == 1).all()
    assert (values.min(), values.max()) == (y.min(), y.max())
    assert np.average(values, weights=counts) == pytest.approx(y.mean())
    assert np.average((values - y.mean()) ** 2, weights=counts) == pytest.approx(y.var())


def test_outcomes_that_a_family_cannot_have_are_refused():
    with pytest.raises(PoolwiseError, match="'time' must be above zero for this family, but a row holds -"):
        pw.fit("time ~ x + (1 | g)", in_duckdb(frame().assign(time=lambda d: d.time - 1)), family="gamma", seed=1)


def test_groups_of_few_rows_keep_them_and_missing_values_are_dropped(monkeypatch):
    monkeypatch.setattr(scanned, "_MOST_KEPT", 400)
    data = frame()
    few = data.head(60).assign(g=[f"few{k % 20:02d}" for k in range(60)])
    both = pd.concat([data, few]).reset_index(drop=True)
    both.loc[[3, 5], "x"] = np.nan
    with pytest.warns(PoolwiseWarning, match="2 of 20,060 rows"):
        far = pw.fit("y ~ x + (1 | g)", in_duckdb(both), family="bernoulli", seed=1)
    assert is_scanned(far)
    near = pw.fit("y ~ x + (1 | g)", both.dropna(), family="bernoulli", seed=2)
    ours, theirs = far.group_coefficients(), near.group_coefficients()
    np.testing.assert_allclose(ours["mean"], theirs["mean"], atol=0.06)
    np.testing.assert_allclose(ours["sd"], theirs["sd"], rtol=0.15)
    assert abs(far.log_evidence - near.log_evidence) < 0.2


def test_where_scans_are_no_way_rows_are_read(monkeypatch):
    """Too many rows to be kept, or few rows; what else there is follows below."""
    data, formula = in_duckdb(frame(3000)), "y ~ x + (1 | g)"
    monkeypatch.setattr(scanned, "_MOST_KEPT", -1)
    assert not is_scanned(pw.fit(formula, data, family="bernoulli", seed=1, draws=100))
    monkeypatch.setattr(scanned, "_MOST_KEPT", 1000)
    monkeypatch.setattr(streamed, "LARGE", 5000)
    assert not is_scanned(pw.fit(formula, data, family="bernoulli", seed=1, draws=100))


@pytest.mark.parametrize(
    ("formula", "asked", "why"),
    long_but_for(
        lambda formula, asked, why: "shape" not in why and "shifted" not in why,
        [
            ("y ~ x + (1 | g)", {"family": "bernoulli", "weights": "exposure"}, "rows have weights"),
            ("y ~ x + (1 | g)", {"family": "bernoulli", "sampler": "nuts"}, "NUTS needs them"),
            ("count ~ x + (1 | g); shape ~ x", {"family": "negative_binomial"}, "'shape' has a formula or a value"),
            ("time ~ x + (1 | g)", {"family": "shifted_lognormal"}, "'shifted_lognormal' is not made for it"),
            ("time | trunc(lb=0) ~ x + (1 | g)", {"family": "exponential"}, "censored, truncated or measured"),
            ("kind ~ x + (1 | g)", {"family": "bernoulli"}, "outcomes are not numbers"),
        ],
    ),
)
def test_why_rows_are_not_scanned_is_told(formula, asked, why):
    fit = pw.fit(formula, in_duckdb(frame(1_500, 8)), draws=20, seed=1, **asked)
    said = fit.result.model.data.reading
    assert "; not scanned: " in said
    assert why in said
    assert said in str(fit.describe())


@pytest.mark.long
def test_a_group_that_a_student_t_likelihood_may_pull_to_two_places_is_named():
    data, rng = frame(), np.random.default_rng(5)
    of_group = np.flatnonzero(data["g"] == "g07")
    apart = np.where(np.arange(len(of_group)) % 2, 6.0, -6.0)
    data.loc[of_group, "level"] = 1000 + apart + rng.normal(0, 0.5, len(of_group))
    fit = pw.fit("level ~ x + (1 | g)", in_duckdb(data), family="student", seed=1)
    assert is_scanned(fit)
    assert not fit.outcome.passed
    assert "g g07 may lie elsewhere" in fit.outcome.advice


def test_few_rows_and_rows_in_memory_are_not_said_to_be_left_unscanned():
    data = frame(900, 8)
    for source in (in_duckdb(data), data):
        fit = pw.fit("y ~ x + (1 | g)", source, family="bernoulli", weights="exposure", draws=20, seed=1)
        assert "scanned" not in fit.result.model.data.reading


def test_a_table_that_changes_between_scans_is_noticed(monkeypatch):
    connection = duckdb.connect()
    connection.register("rows_of_data", frame())
    connection.execute("create table stored as select * from rows_of_data")
    first = first_scan.learn

    def then_a_row_more(*arguments, **more):
        found = first(*arguments, **more)
        connection.execute("insert into stored select * from stored limit 1")
        return found

    monkeypatch.setattr(streamed, "learn", then_a_row_more)
    with pytest.raises(DataError, match="changed while it was read"):
        pw.fit("y ~ x + (1 | g)", connection.table("stored"), family="bernoulli", seed=1)


def test_values_that_change_between_scans_are_noticed(monkeypatch):
    """As many rows as before: what draws say of them differs."""
    connection = duckdb.connect()
    connection.register("rows_of_data", frame(4_000))
    connection.execute("create table stored as select * from rows_of_data")
    exactly = scanned._Scans.exactly

    def after_a_change(self, *arguments):
        connection.execute("update stored set y = 1 where g < 'g05'")
        return exactly(self, *arguments)

    monkeypatch.setattr(scanned._Scans, "exactly", after_a_change)
    fit = pw.fit("y ~ x + (1 | g)", connection.table("stored"), family="bernoulli", seed=1, draws=200)
    assert not is_scanned(fit)


def test_outcomes_that_the_family_cannot_have_are_refused():
    data = frame().assign(y=lambda d: d["y"] + (np.arange(len(d)) == 19_000))
    with pytest.raises(DataError, match="'y'"):
        pw.fit("y ~ x + (1 | g)", in_duckdb(data), family="bernoulli", seed=1)
    with pytest.raises(DataError, match="missing"):
        pw.fit("y ~ x + (1 | g)", in_duckdb(frame().assign(x=np.nan)), family="bernoulli", seed=1)


def test_what_needs_rows_says_that_they_stayed_where_they_are(tmp_path):
    fit = pw.fit("y ~ x + (1 | g)", in_duckdb(frame()), family="bernoulli", seed=1, draws=200)
    for question in (fit.loo, lambda: fit.statistics, lambda: fit.loo(by="g")):
        with pytest.raises(DataError, match="left its rows where they are"):
            question()
    fit.save(tmp_path / "fit")
    again = pw.load(tmp_path / "fit")
    np.testing.assert_allclose(again.result.beta, fit.result.beta)


def test_an_error_of_the_engine_is_a_sentence(monkeypatch):
    connection = duckdb.connect()
    connection.register("rows_of_data", frame())
    connection.execute("create table stored as select * from rows_of_data")
    first = first_scan.learn

    def then_no_table(*arguments, **more):
        found = first(*arguments, **more)
        connection.execute("drop table stored")
        return found

    monkeypatch.setattr(streamed, "learn", then_no_table)
    with pytest.raises(PoolwiseError):
        pw.fit("y ~ x + (1 | g)", connection.table("stored"), family="bernoulli", seed=1)


def test_an_interrupt_ends_a_scan(monkeypatch):
    def interrupted(self, rows):
        raise KeyboardInterrupt

    monkeypatch.setattr(first_scan.Tally, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pw.fit("y ~ x + (1 | g)", in_duckdb(frame()), family="bernoulli", seed=1)


def test_draws_do_not_follow_units_nor_where_zero_is():
    data, formula = frame(8_000), "y ~ x + offset(exposure) + (x | g)"
    moved = data.assign(x=1000.0 * data["x"] - 5e4)
    one, two = (pw.fit(formula, in_duckdb(each), family="bernoulli", seed=1, draws=300) for each in (data, moved))
    assert is_scanned(one)
    assert is_scanned(two)
    same = np.isclose(two.result.beta[..., 1] * 1000, one.result.beta[..., 1], atol=1e-6)
    assert same.mean() > 0.98  # rounding may take a theta into another cell of noise


def test_rows_that_differ_in_their_offset_alone_are_sampled_one_by_one():
    data = frame().assign(z=lambda d: np.log(d["exposure"]))
    fit = pw.fit("count ~ kind + offset(z) + (1 | g)", in_duckdb(data), family="poisson", seed=1, draws=300)
    assert is_scanned(fit)


@pytest.mark.parametrize("seed", long_but_for(1, range(3)))
def test_three_groups_are_scanned(seed):
    data = frame(groups=3, seed=seed)
    fit = pw.fit("y ~ x + (x | g)", in_duckdb(data), family="bernoulli", seed=seed, draws=300)
    assert is_scanned(fit)


@pytest.mark.long
def test_equal_rows_of_small_groups_count_each_in_the_evidence():
    """Cells of few rows keep them, and those that are equal are put together: each has its own working outcome."""
    rng = np.random.default_rng(0)
    g = np.concatenate([rng.integers(0, 5, 14_000), rng.integers(5, 605, 7_000)])
    x = np.where(rng.random(len(g)) < 0.45, 0.0, rng.normal(1, 2, len(g)))
    z, u = rng.integers(0, 2, len(g)).astype(float), rng.normal(0, 0.6, 605)
    y = rng.random(len(g)) < expit(0.2 * x + u[g] - 1.2 + 0.2 * z)
    data = pd.DataFrame({"y": y.astype(int), "x": x, "z": z, "g": [f"g{k:03d}" for k in g]})
    data = data.sample(frac=1, random_state=0).reset_index(drop=True)
    far = pw.fit("y ~ x + z + (1 | g)", in_duckdb(data), family="bernoulli", seed=1, draws=300)
    near = pw.fit("y ~ x + z + (1 | g)", data, family="bernoulli", seed=1, draws=300)
    assert is_scanned(far) and far.outcome.passed
    assert abs(far.log_evidence - near.log_evidence) < 0.2
