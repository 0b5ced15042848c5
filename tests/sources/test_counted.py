"""Equal rows counted where they live: the same draws from every source, and counts that add, subtract and travel."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from tests.selection import long_but_for
from tests.sources.engines import MAIN_KINDS, source

import poolwise as pw
from poolwise.statistics import routes

FORMULA = "y ~ a + b + (1 | g) + (1 | h)"


def _rows(n=3000, seed=1):
    rng = np.random.default_rng(seed)
    g, h, a = rng.integers(0, 7, n), rng.integers(0, 4, n), rng.integers(0, 3, n)
    frame = pd.DataFrame({"a": a, "b": rng.choice(["u", "v"], n), "g": [f"g{k}" for k in g], "h": h})
    eta = -0.4 + 0.3 * a + 0.6 * (frame["b"] == "v") + rng.normal(size=7)[g] + 0.4 * rng.normal(size=4)[h]
    frame["y"] = (rng.random(n) < expit(eta)).astype(int)
    frame["n"] = rng.poisson(np.exp(0.3 * eta))
    frame.loc[::100, "b"] = None
    return frame


DATA = _rows()
FEW = {"seed": 3, "draws": 100}


@pytest.fixture
def dropping():
    """Rows with missing values are left out, and nothing is said."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pw.PoolwiseWarning)
        yield


@pytest.fixture
def counting(monkeypatch):
    """Rows are counted however few they are."""
    monkeypatch.setattr(routes, "LARGE", 0)


@pytest.fixture(scope="module")
def of_rows():
    with pytest.warns(pw.PoolwiseWarning, match="30 of 3,000 rows"):
        return {
            "y": pw.fit(FORMULA, DATA, family="bernoulli", **FEW),
            "n": pw.fit("n ~ a + b + (a | g)", DATA, family="poisson", **FEW),
        }


def assert_same_draws(one, other):
    assert one.outcome.sampler == other.outcome.sampler
    assert one.priors == other.priors
    for name, variable in other.result.variables().items():
        np.testing.assert_allclose(one.result.variables()[name].values, variable.values, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", long_but_for(("polars lazy", "parquet").__contains__, MAIN_KINDS))
@pytest.mark.usefixtures("dropping")
def test_the_same_draws_from_every_source(kind, of_rows, counting, tmp_path, monkeypatch):
    data = source(kind, DATA, tmp_path, monkeypatch)
    fit = pw.fit(FORMULA, data, family="bernoulli", **FEW)
    assert "equal rows counted" in fit.result.model.data.reading
    assert fit.result.model.statistics.rows == 2970
    assert len(fit.result.model.data.counted.codes) < 400
    assert_same_draws(fit, of_rows["y"])


@pytest.mark.long
def test_spark_counts_the_same(spark, of_rows, counting):
    data = spark.createDataFrame(DATA.astype({"b": object}))
    with pytest.warns(pw.PoolwiseWarning, match="missing values"):
        fit = pw.fit("n ~ a + b + (a | g)", data, family="poisson", **FEW)
    assert "equal rows counted by Spark" in fit.result.model.data.reading
    assert_same_draws(fit, of_rows["n"])


@pytest.mark.usefixtures("dropping")
def test_counts_add_subtract_and_travel(of_rows, tmp_path):
    first, second = DATA.iloc[:1200], DATA[DATA["g"] != "g0"].iloc[1200:]
    both = pd.concat([first, second])
    make = lambda rows, **more: pw.SufficientStatistics.from_data(FORMULA, rows, family="bernoulli", **more)  # noqa: E731
    one = make(first)
    two = make(second, like=one)
    together = one + two
    expected = pw.fit(FORMULA, both, family="bernoulli", **FEW)
    assert_same_draws(pw.fit(FORMULA, together, family="bernoulli", **FEW), expected)
    back = together - two
    assert_same_draws(
        pw.fit(FORMULA, back, family="bernoulli", **FEW), pw.fit(FORMULA, first, family="bernoulli", **FEW)
    )
    together.save(tmp_path / "both.stats")
    loaded = pw.SufficientStatistics.load(tmp_path / "both.stats")
    assert_same_draws(pw.fit(FORMULA, loaded, family="bernoulli", **FEW), expected)
    with pytest.raises(pw.DataError, match="not part of these statistics"):
        one - together


@pytest.mark.long
@pytest.mark.usefixtures("dropping")
def test_updates_forgetting_and_merging_are_refits(of_rows):
    first, second = DATA.iloc[:1500], DATA.iloc[1500:]
    fit = pw.fit(FORMULA, first, family="bernoulli", **FEW)
    updated = fit.update(second)
    assert_same_draws(updated, of_rows["y"])
    assert_same_draws(updated.forget(second), fit)
    assert_same_draws(pw.merge(fit, pw.fit(FORMULA, second, family="bernoulli", **FEW)), of_rows["y"])
    assert updated.check(draws=50).table is not None
    assert np.isfinite(updated.loo().elpd)


@pytest.mark.usefixtures("dropping")
def test_rows_are_there_again_for_what_looks_at_each(of_rows, counting):
    fit = pw.fit(FORMULA, DATA, family="bernoulli", **FEW)
    assert fit.rows is None
    assert fit.loo().elpd == pytest.approx(of_rows["y"].loo().elpd, abs=0.05)
    assert fit.rmsd() == pytest.approx(of_rows["y"].rmsd(), rel=1e-6)
    pd.testing.assert_frame_equal(fit.icc(), of_rows["y"].icc())


def test_weights_and_trials_are_parts_of_a_row(counting):
    data = DATA.dropna().assign(t=lambda d: 1 + d["a"], w=lambda d: 1.0 + d["h"] / 2)
    data["s"] = np.minimum(data["y"] * 2, data["t"])
    for formula, options in (
        ("s | trials(t) ~ b + (1 | g)", {"family": "binomial"}),
        ("y ~ b + (1 | g)", {"family": "bernoulli", "weights": "w"}),
        ("n ~ b + offset(a) + (1 | g)", {"family": "poisson"}),
        ("y ~ b + (1 | g)", {"family": "student", "weights": "w"}),
    ):
        counted = pw.fit(formula, data, **options, **FEW)
        assert "equal rows counted" in counted.result.model.data.reading
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(routes, "LARGE", 1 << 20)
            assert_same_draws(counted, pw.fit(formula, data, **options, **FEW))


def test_categories_and_labels(counting):
    data = DATA.dropna().assign(c=lambda d: np.where(d["n"] > 1, "high", np.where(d["n"] == 1, "mid", "low")))
    data["yes"] = np.where(data["y"] == 1, "yes", "no")
    for formula, family in (("c ~ b + (1 | g)", "categorical"), ("yes ~ b + (1 | g)", "bernoulli")):
        counted = pw.fit(formula, data, family=family, **FEW)
        statistics = counted.statistics
        again = pw.fit(formula, statistics, family=family, **FEW)
        assert_same_draws(again, counted)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(routes, "LARGE", 1 << 20)
            assert_same_draws(counted, pw.fit(formula, data, family=family, **FEW))


def test_what_is_not_counted_is_read(counting):
    data = DATA.dropna().assign(x=np.random.default_rng(5).normal(size=2970))
    for formula, why in (
        ("y ~ x + (1 | g)", "'x' has 2,970 values"),
        ("y ~ scale(a) + (1 | g)", "'scale(a)' learns from each row"),
    ):
        import duckdb

        connection = duckdb.connect()
        connection.register("rows", data)
        fit = pw.fit(formula, connection.table("rows"), family="bernoulli", **FEW)
        assert why in fit.result.model.data.reading
    with pytest.raises(pw.DataError, match="learns from each row"):
        pw.SufficientStatistics.from_data("y ~ scale(a) + (1 | g)", data, family="bernoulli")


def test_rare_rows_are_left_out_of_files(tmp_path):
    data = DATA.dropna()
    statistics = pw.SufficientStatistics.from_data(FORMULA, data, family="bernoulli")
    sizes = data.groupby(["a", "b", "g", "h"])["y"].transform("size")
    with pytest.warns(pw.PoolwiseWarning, match=f"{int((sizes < 12).sum()):,} rows whose group"):
        statistics.save(tmp_path / "some.stats", minimum_cell=12)
    kept = pw.SufficientStatistics.load(tmp_path / "some.stats")
    assert kept.rows == int((sizes >= 12).sum())
    expected = pw.fit(FORMULA, data[sizes >= 12], family="bernoulli", **FEW)
    assert_same_draws(pw.fit(FORMULA, kept, family="bernoulli", **FEW), expected)


def test_a_fit_s_file_holds_no_rows(counting, tmp_path):
    fit = pw.fit(FORMULA, DATA.dropna(), family="bernoulli", **FEW)
    fit.save(tmp_path / "fit")
    loaded = pw.load(tmp_path / "fit")
    assert loaded.result.model.data.counted is None
    assert_same_draws(loaded, fit)


def test_a_part_without_a_category_keeps_the_labels():
    data = pd.DataFrame({"i": [0, 1] * 60, "g": list("pqrs") * 30})
    data["cat"] = pd.Categorical(["lo", "mid", "hi"] * 40, ["lo", "mid", "hi"], ordered=True)
    first, rest = data.iloc[:60], data.iloc[60:]
    second = rest[rest["cat"] != "mid"]
    one = pw.SufficientStatistics.from_data("cat ~ i + (1 | g)", first, family="cumulative")
    two = pw.SufficientStatistics.from_data("cat ~ i + (1 | g)", second, family="cumulative", like=one)
    codes = two.counted.response
    assert two.counted.counts[codes == 1].sum() == 0
    together = pw.fit("cat ~ i + (1 | g)", one + two, family="cumulative", **FEW)
    rows = pw.fit("cat ~ i + (1 | g)", pd.concat([first, second]), family="cumulative", **FEW)
    assert_same_draws(together, rows)


def test_groups_may_be_left_with_one_kind_of_outcome():
    data = pd.DataFrame({"y": [0, 1, 1, 1] * 12, "g": list("aaaabbbbcccc") * 4, "i": [0, 1] * 24})
    fit = pw.fit("y ~ i + (1 | g)", data, family="bernoulli", **FEW)
    gone = (data["g"] == "a") & (data["y"] == 0)
    assert_same_draws(fit.forget(data[gone]), pw.fit("y ~ i + (1 | g)", data[~gone], family="bernoulli", **FEW))
