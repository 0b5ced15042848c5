"""Every formula from every source: the same design, the same statistics, the same draws."""

from __future__ import annotations

import numpy as np
import pytest
from tests.selection import long_but_for
from tests.sources.engines import EVIL, IN_PROCESS, MAIN_KINDS, rows, source, spark_frame

import poolwise as pw

QUERY = [
    "y ~ x + (x | g)",
    "log(y + 10) ~ x * z + I(w ** 2) + (1 + w || g)",
    "y ~ scale(x) + center(w) * z + C(k) + (scale(x) | g)",
    "y ~ 0 + z + x:w + flag + (0 + x | g)",
    "y ~ C(z, contr.sum) * C(k) + np.sqrt(w) + x / w + (1 | g)",
    "y ~ z:k + I((x - 2) / w ** 1.5 - exp(-w)) + (1 | k)",
    f"y ~ `{EVIL}` + (1 | g)",
    "y ~ x + w",
    "y ~ x + z + (1 | flag)",
]
STREAM = [
    "y ~ bs(w, df=4) + poly(x, 2) + z + (1 | g)",
    "y ~ np.sin(x) * C(k) + np.where(w > 1.5, x, 0) + (1 + w | g)",
    "y ~ scale(np.log1p(w)) + z + (1 | g)",
]
COLLECT = ["y ~ lag(x, 0) + z + (1 | g)"]
FORMULAS = QUERY + STREAM + COLLECT
DATA = rows()


@pytest.fixture(scope="module")
def expected():
    return {formula: pw.SufficientStatistics.from_data(formula, DATA) for formula in FORMULAS}


def assert_same(found, wanted):
    assert found.design.columns == wanted.design.columns
    assert found.design.coefficients == wanted.design.coefficients
    assert [f.effects for f in found.design.factors] == [f.effects for f in wanted.design.factors]
    np.testing.assert_array_equal(found.design.common_map, wanted.design.common_map)
    assert found.dropped == wanted.dropped
    mine, theirs = found.products, wanted.products
    assert [c.tolist() for c in mine.cells] == [c.tolist() for c in theirs.cells]
    np.testing.assert_array_equal(mine.counts, theirs.counts)
    scale = np.sqrt(np.diag(theirs.merged().scatter[0]))
    error = np.abs((mine.means + mine.origin) - (theirs.means + theirs.origin))
    assert np.all(error <= 1e-12 * (scale + np.abs(theirs.origin)))
    assert np.all(np.abs(mine.scatter - theirs.scatter) <= 1e-11 * np.outer(scale, scale))


@pytest.mark.long
@pytest.mark.parametrize("kind", IN_PROCESS)
def test_every_formula_from_every_source(kind, expected, tmp_path, monkeypatch):
    data = source(kind, DATA, tmp_path, monkeypatch)
    for formula in FORMULAS:
        found = pw.SufficientStatistics.from_data(formula, data)
        assert_same(found, expected[formula])
        if kind not in ("pandas", "polars", "arrow", "dict"):
            way = "one aggregate query" if formula in QUERY else "in batches" if formula in STREAM else "collected"
            assert way in found.reading, formula


@pytest.fixture(scope="module")
def in_spark(spark):
    return spark_frame(spark, DATA).cache()


@pytest.mark.parametrize("formula", long_but_for(1, [QUERY[6], STREAM[1], *QUERY[:4], *COLLECT]))
def test_spark_gives_the_same_statistics(formula, expected, in_spark):
    assert_same(pw.SufficientStatistics.from_data(formula, in_spark), expected[formula])


FIT = "y ~ scale(x) * z + (scale(x) | g)"


@pytest.fixture(scope="module")
def fitted():
    return pw.fit(FIT, DATA.dropna(), seed=7, draws=300)


def assert_same_draws(fit, fitted):
    for name, variable in fitted.result.variables().items():
        scale = np.abs(variable.values).max()
        np.testing.assert_allclose(fit.result.variables()[name].values, variable.values, rtol=1e-6, atol=1e-6 * scale)


@pytest.mark.parametrize("kind", MAIN_KINDS)
def test_same_seed_same_draws_from_every_source(kind, fitted, tmp_path, monkeypatch):
    fit = pw.fit(FIT, source(kind, DATA.dropna(), tmp_path, monkeypatch), seed=7, draws=300)
    assert_same_draws(fit, fitted)


@pytest.mark.long
def test_same_seed_same_draws_from_spark(fitted, in_spark):
    assert_same_draws(pw.fit(FIT, in_spark.dropna(), seed=7, draws=300), fitted)


@pytest.mark.long
def test_charts_and_comparisons_fetch_the_rows_they_need(tmp_path, monkeypatch):
    data = source("parquet", DATA.dropna(), tmp_path, monkeypatch)
    fit = pw.fit("y ~ x + (x | g)", data, seed=1, draws=100)
    assert fit.rows is None
    assert "group 3" in fit.plot.groups(["group 3"]).to_json()
    pooling = pw.compare_pooling("y ~ x", by="g", data=data, folds=3, seed=1, draws=100)
    memory = pw.compare_pooling("y ~ x", by="g", data=DATA.dropna(), folds=3, seed=1, draws=100)
    for name in ("rmsd_in_sample", "rmsd_3_fold"):
        np.testing.assert_allclose(pooling.table[name], memory.table[name], rtol=0.02)


def test_categories_keep_their_declared_order_in_an_engine():
    import polars as pl

    frame = pl.from_pandas(DATA.dropna()).with_columns(pl.col("z").cast(pl.Enum(["c", "a", "b", "unused"])))
    for data in (frame, frame.lazy()):
        found = pw.SufficientStatistics.from_data("y ~ z + (1 | g)", data)
        assert found.design.coefficients == ("Intercept", "z[T.a]", "z[T.b]")


def test_identifiers_beyond_double_precision_stay_apart():
    import polars as pl

    identifier = 2**60 + np.arange(40) // 4
    frame = pl.DataFrame({"y": np.random.default_rng(0).normal(size=40), "g": identifier})
    for data in (frame, frame.lazy(), frame.to_arrow()):
        levels = pw.SufficientStatistics.from_data("y ~ 1 + (1 | g)", data).products.cells[0]
        assert levels.tolist() == sorted(set(identifier.tolist()))
    with pytest.raises(pw.DataError, match="lost digits"):
        pw.fit("y ~ 1 + (1 | g)", frame.with_columns(pl.col("g").cast(pl.Float64)))


def engines(frame, tmp_path):
    """The same rows by DuckDB from Parquet (which has no statistics of NaN), and by Polars."""
    import duckdb
    import polars as pl

    pl.from_pandas(frame, nan_to_null=False).write_parquet(tmp_path / "rows.parquet")
    yield duckdb.connect().read_parquet(str(tmp_path / "rows.parquet"))
    yield pl.from_pandas(frame, nan_to_null=False).lazy()


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ w + (1 | g)",
        "y ~ C(w) + x + (1 | g)",
        "y ~ I(w ** 0 * x) + (1 | g)",
        "y ~ np.where(w > 1.5, x, 0) + (1 | g)",
        "y ~ x + (1 | w)",
    ],
)
def test_nan_is_missing_wherever_it_hides(formula, tmp_path):
    frame = DATA.dropna().head(400).assign(w=lambda f: np.round(2 * f.w))
    frame.loc[frame.index[::7], "w"] = np.nan
    wanted = pw.SufficientStatistics.from_data(formula, frame)
    assert wanted.dropped == 58
    for data in engines(frame, tmp_path):
        assert_same(pw.SufficientStatistics.from_data(formula, data), wanted)


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ C(k + 1) + (1 | g)",
        "y ~ C(x > 3) * w + (1 | g)",
        "y ~ C(k) + (1 | k)",
        "y ~ `a name` * C(k) + (1 | g)",
        "y ~ lag(x, 0) + (1 | g)",
    ],
)
def test_terms_that_look_harmless(formula, tmp_path):
    frame = DATA.dropna().rename(columns={"z": "a name"})
    wanted = pw.SufficientStatistics.from_data(formula, frame)
    for data in engines(frame, tmp_path):
        assert_same(pw.SufficientStatistics.from_data(formula, data), wanted)
    new = frame.head(5)
    again = pw.SufficientStatistics.from_data(formula, new, like=wanted)
    assert again.design.columns == wanted.design.columns


def test_categories_of_pandas_are_the_same_in_memory_and_in_an_engine(monkeypatch):
    import pandas as pd

    from poolwise.statistics import routes

    frame = DATA.dropna().reset_index(drop=True)
    frame["numbers"] = pd.Categorical(frame.k, categories=[3, 1, 2])
    frame["words"] = pd.Categorical(frame.z, categories=["c", "a", "b"])
    frame["mixed"] = frame.w.round(1).astype(object)
    formulas = ["y ~ numbers + (1 | g)", "y ~ words * x + (1 | g)", "y ~ mixed + (1 | g)", "y ~ x + (1 | numbers)"]
    wanted = [pw.SufficientStatistics.from_data(formula, frame) for formula in formulas]
    assert wanted[0].design.coefficients == ("Intercept", "numbers[T.1]", "numbers[T.2]")
    assert wanted[1].design.coefficients[1:3] == ("words[T.a]", "words[T.b]")
    monkeypatch.setattr(routes, "LARGE", 0)
    for formula, one in zip(formulas, wanted, strict=True):
        assert_same(pw.SufficientStatistics.from_data(formula, frame), one)


def test_levels_that_only_incomplete_rows_have_are_no_levels(tmp_path):
    import pandas as pd

    frame = DATA.dropna().assign(z=lambda f: pd.Categorical(f.z))
    frame.loc[frame.z == "a", "y"] = np.nan
    wanted = pw.SufficientStatistics.from_data("y ~ z + (1 | g)", frame)
    assert wanted.design.coefficients == ("Intercept", "z[T.c]")
