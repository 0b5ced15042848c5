"""Ordered categories of pandas, whatever they are categories of: as outcome, predictor and grouping column."""

from __future__ import annotations

import warnings
from contextlib import nullcontext

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.statistics import routes

LEVELS = {
    "numbers": [1, 2, 3],
    "numbers in another order": [10, 5, 7],
    "broken numbers": [1.5, 2.5, 3.5],
    "text": ["low", "middle", "high"],
    "days": list(pd.to_datetime(["2020-01-01", "2020-02-01", "2020-03-01"])),
    "intervals": list(pd.interval_range(0, 3)),
    "truths": [True, False],
}


@pytest.mark.parametrize("ordered", long_but_for(1, [True, False]))
@pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
def test_no_level_is_lost(levels, ordered):
    rng = np.random.default_rng(0)
    k = rng.integers(0, len(levels), 120)
    frame = pd.DataFrame({"y": k + rng.normal(size=120), "x": rng.normal(size=120)})
    frame["c"] = pd.Categorical.from_codes(k, levels, ordered=ordered)
    predictor = pw.fit("y ~ c", frame, draws=50, seed=1)
    assert len(predictor.result.model.design.coefficients) == len(levels)
    assert predictor.result.model.statistics.rows == 120
    grouped = pw.fit("y ~ 1 + (1 | c)", frame, draws=50, seed=1)
    assert len(grouped.result.model.design.factors[0].levels) == len(levels)
    with nullcontext() if ordered else pytest.warns(pw.PoolwiseWarning, match="The order of the categories"):
        outcome = pw.fit("c ~ x", frame, family="cumulative", draws=50, seed=1)
    counts = [int((k == place).sum()) for place in range(len(levels))]
    assert np.bincount(outcome.rows.response.astype(int)).tolist() == counts  # in the order that the type declares


CATEGORIES = pd.DataFrame(
    {
        "won": pd.Categorical(np.tile(["yes", "no", "yes", "yes"], 30), ["yes", "no"]),
        "lev": pd.Categorical(np.tile(["high", "low", "mid"], 40), ["low", "mid", "high"], ordered=True),
        "x": np.linspace(-1, 1, 120),
        "n": np.tile([0, 3, 1, 2, 5, 2], 20),
    }
)


def _enums():
    connection = duckdb.connect()
    connection.register("frame", CATEGORIES)
    return connection.sql("select * from frame")


def _polars():
    kinds = {"won": pl.Enum(["yes", "no"]), "lev": pl.Enum(["low", "mid", "high"])}
    return pl.from_pandas(CATEGORIES.astype({"won": str, "lev": str})).with_columns(
        pl.col(name).cast(kind) for name, kind in kinds.items()
    )


SOURCES = {"pandas": lambda: CATEGORIES, "DuckDB": _enums, "Polars": _polars, "lazy": lambda: _polars().lazy()}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("source", long_but_for(("pandas", "DuckDB", "lazy").__contains__, SOURCES))
def test_the_declared_order_is_kept_by_every_route(source, large, monkeypatch):
    """Which outcome is the success, and which category the reference, is no matter of how many rows there are."""
    if large:
        monkeypatch.setattr(routes, "LARGE", 5)
    read = pw.SufficientStatistics.from_data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome = read("won ~ n", SOURCES[source](), family="bernoulli")
        counts = read("n ~ lev", SOURCES[source](), family="poisson")
        normal = read("x ~ lev + lag(n, 0)", SOURCES[source]())
        ordinal = read("lev ~ n", SOURCES[source](), family="cumulative")
        computed = read("x ~ I(lev > 'low') + n", SOURCES[source]())
    assert outcome.encoding.labels == ("yes", "no")
    assert counts.design.coefficients == ("Intercept", "lev[T.mid]", "lev[T.high]")
    assert normal.design.coefficients[:3] == ("Intercept", "lev[T.mid]", "lev[T.high]")
    assert ordinal.encoding.labels == ("low", "mid", "high")
    total = computed.products.merged()
    assert total.means[0, 0] + total.origin[0] == pytest.approx(2 / 3)


def test_new_rows_have_the_categories_of_the_fit(tmp_path):
    """In comparisons and in functions of one's own: a row by itself does not say which others there are."""
    data = CATEGORIES.assign(y=10.0 * (CATEGORIES["lev"] > "low") + 0.01 * CATEGORIES["x"])
    fit = pw.fit("y ~ I(lev > 'low') + x", data, seed=1, draws=50)
    new = {"lev": ["low", "mid", "high"], "x": [0.0, 0.0, 0.0]}
    for rows in (new, pl.DataFrame(new)):
        np.testing.assert_allclose(fit.predict(rows)["mean"], [0, 10, 10], atol=0.1)
    np.testing.assert_allclose(fit.predict(data.iloc[[1]])["mean"], [0.0], atol=0.1)
    fit.save(tmp_path / "fit.poolwise")
    np.testing.assert_allclose(pw.load(tmp_path / "fit.poolwise").predict(new)["mean"], [0, 10, 10], atol=0.1)
    with pytest.raises(pw.DataError, match="'lev' is unheard of. Known: low, mid, high"):
        fit.predict({"lev": ["unheard of"], "x": [0.0]})
    own = {"code": lambda values: values.cat.codes.astype(float)}
    coded = pw.fit("y ~ code(lev) + x", data, seed=1, draws=50, functions=own)
    alone = [coded.predict({"lev": [level], "x": [0.0]})["mean"].iloc[0] for level in new["lev"]]
    np.testing.assert_allclose(alone, coded.predict(new)["mean"])


def test_added_rows_have_the_categories_of_the_fit():
    """Text from an engine, which computes in batches what no query can say."""
    data = CATEGORIES.assign(y=10.0 * (CATEGORIES["lev"] > "low") + 0.01 * CATEGORIES["x"] + 0.1 * CATEGORIES["n"])
    fit = pw.fit("y ~ I(lev > 'low') + x", data, seed=1, draws=50)
    text = data.assign(lev=data["lev"].astype(str))
    expected = fit.update(data).summary()["mean"]
    for rows in (duckdb.from_df(text), pl.from_pandas(text).lazy()):
        np.testing.assert_allclose(fit.update(rows).summary()["mean"], expected, rtol=1e-9)
    whole = fit.update(data)
    np.testing.assert_allclose(whole.forget(duckdb.from_df(text)).summary()["mean"], fit.summary()["mean"], rtol=1e-6)
    compared = pw.avg_comparisons(fit, "lev").table
    assert compared["contrast"].tolist() == ["mid - low", "high - low"]
    coefficient = fit.summary()["mean"]["beta[I(lev > 'low')]"]
    np.testing.assert_allclose(compared["mean"], coefficient, rtol=1e-9)
    with pytest.raises(pw.DataError, match="'kind' is no number: give the values to compare"):
        pw.avg_comparisons(pw.fit("y ~ I(kind == 'a')", text.assign(kind=np.tile(["a", "b"], 60)), seed=1), "kind")


def test_text_is_compared_alike_by_every_route():
    text = CATEGORIES.assign(lev=CATEGORIES["lev"].astype(str), won=CATEGORIES["won"].astype(str))
    for rows in (text, duckdb.from_df(text), pl.from_pandas(text).lazy()):
        total = pw.SufficientStatistics.from_data("x ~ I(lev > 'low')", rows).products.merged()
        assert total.means[0, 0] + total.origin[0] == pytest.approx(1 / 3)  # by the alphabet: mid alone


@pytest.mark.parametrize("large", [False, True])
def test_ordered_dictionaries_of_arrow(large, monkeypatch):
    if large:
        monkeypatch.setattr(routes, "LARGE", 5)
    table = pa.Table.from_pandas(CATEGORIES)
    assert table.schema.field("lev").type.ordered
    read = pw.SufficientStatistics.from_data
    assert read("x ~ lev", table).design.coefficients == ("Intercept", "lev[T.mid]", "lev[T.high]")
    assert read("lev ~ x", table, family="cumulative").encoding.labels == ("low", "mid", "high")
    total = read("x ~ I(lev > 'low')", table).products.merged()
    assert total.means[0, 0] + total.origin[0] == pytest.approx(2 / 3)
