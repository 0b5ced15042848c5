"""Sources that break: one clear sentence, and no result."""

from __future__ import annotations

import os

import duckdb
import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for
from tests.sources.engines import rows, spark_frame

import poolwise as pw
from poolwise.sources import as_source
from poolwise.sources import files as source_files
from poolwise.statistics import routes

FORMULA = "y ~ x + (x | g)"


@pytest.fixture(params=[source_files.SMALL, 0], ids=["small", "large"])
def folder(request, tmp_path, monkeypatch):
    """A folder for files that are read into memory, or left where they are."""
    monkeypatch.setattr(source_files, "SMALL", request.param)
    return tmp_path


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 30_000
    return pd.DataFrame({"y": rng.normal(size=n), "x": rng.integers(0, 5, n), "g": rng.integers(0, 50, n)})


def csv_with(folder, frame, line, text):
    path = folder / "rows.csv"
    frame.to_csv(path, index=False)
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("line", [8, 25_001])
@pytest.mark.parametrize("text", ["1,2", "1,2,3,4,5"])
def test_a_ragged_line_is_named(line, text, folder, frame):
    with pytest.raises(pw.FileError, match=rf"rows\.csv'?,? line {line}"):
        pw.fit(FORMULA, csv_with(folder, frame, line, text))


def test_a_word_among_numbers_is_named(folder, frame):
    with pytest.raises(pw.FileError, match=r"rows.csv', line 25001: .*\"x\".*\"oops\""):
        pw.fit(FORMULA, csv_with(folder, frame, 25_001, "1,oops,3"))


def test_a_late_fraction_is_not_rounded(folder, frame):
    found = pw.SufficientStatistics.from_data(FORMULA, csv_with(folder, frame, 25_001, "1,1000.5,3"))
    values = frame.x.to_numpy(dtype=float)
    values[24_999] = 1000.5
    total = found.products.merged()
    assert total.means[0, 0] + total.origin[0] == pytest.approx(values.mean(), rel=1e-12)


def test_a_corrupt_parquet_footer(folder, frame):
    path = folder / "rows.parquet"
    frame.to_parquet(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(pw.FileError, match="rows.parquet' cannot be read as Parquet: .*No magic bytes"):
        pw.fit(FORMULA, path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_with_different_columns_or_types(kind, folder, frame):
    frame = frame.head(2_000)
    write = f"to_{kind}"
    getattr(frame, write)(folder / f"1.{kind}", index=False)
    getattr(frame.drop(columns="x"), write)(folder / f"2.{kind}", index=False)
    with pytest.raises(pw.FileError, match=rf"Column 'x' is in '.*1.{kind}' but not in '.*2.{kind}'"):
        pw.fit(FORMULA, folder)
    getattr(frame.assign(x="text"), write)(folder / f"2.{kind}", index=False)
    with pytest.raises(pw.FileError, match=rf"Column 'x' holds .* values in '.*1.{kind}' but text in '.*2.{kind}'"):
        pw.fit(FORMULA, f"{folder}/*.{kind}")


def test_whole_numbers_in_one_file_and_fractions_in_the_next(folder, frame):
    frame.to_parquet(folder / "1.parquet")
    frame.assign(x=frame.x + 0.5).to_parquet(folder / "2.parquet")
    total = pw.SufficientStatistics.from_data(FORMULA, folder).products.merged()
    assert total.means[0, 0] + total.origin[0] == pytest.approx(frame.x.mean() + 0.25, rel=1e-12)


def test_nothing_to_read(folder):
    (folder / "empty").mkdir()
    for data, said in (
        (f"{folder}/*.csv", "No file matches"),
        (folder / "empty", "holds no CSV or Parquet file"),
        ([], "list of files is empty"),
        ("", "A path is empty"),
        ([" "], "A path is empty"),
    ):
        with pytest.raises(pw.FileError, match=said):
            pw.fit(FORMULA, data)


def test_a_folder_of_both_kinds(folder, frame):
    frame.to_parquet(folder / "1.parquet")
    frame.to_csv(folder / "2.csv", index=False)
    with pytest.raises(pw.FileError, match="cannot be read together"):
        pw.fit(FORMULA, folder)


@pytest.mark.parametrize("formula", [FORMULA, "y ~ np.sin(x) + (1 | g)"])
def test_a_file_that_changes_under_the_scan(formula, tmp_path, frame, monkeypatch):
    monkeypatch.setattr(source_files, "SMALL", 0)
    path = tmp_path / "rows.parquet"
    frame.to_parquet(path)
    relation = as_source(path)
    os.utime(path, (1, 1))
    with pytest.raises(pw.FileError, match="changed while it was read; nothing was fitted"):
        pw.fit(formula, relation)
    path.unlink()
    with pytest.raises(pw.PoolwiseError):
        pw.fit(formula, relation)


def test_no_room_for_the_groups():
    connection = duckdb.connect()
    connection.execute("set memory_limit = '60MB'; set max_temp_directory_size = '1MB'").fetchall()
    data = connection.sql("select random() as y, i % 7 as x, i as g from range(3000000) t(i)")
    with pytest.raises(pw.DataError, match="DuckDB ran out of room"):
        pw.fit(FORMULA, data)


@pytest.mark.parametrize("engine", ["memory", "duckdb", "polars"])
def test_values_that_are_not_finite(engine, frame):
    import polars as pl

    def data(changed):
        if engine == "memory":
            return changed
        if engine == "polars":
            return pl.from_pandas(changed).lazy()
        connection = duckdb.connect()
        connection.register("rows", changed)
        connection.execute("create table t as select * from rows").fetchall()
        return connection.table("t")

    for formula, name in (("y ~ log(x) + (1 | g)", "log"), ("y ~ I(w / x) + (1 | g)", "w / x"), (FORMULA, "y")):
        y = np.where(frame.index == 77, np.inf, frame.y) if formula == FORMULA else frame.y
        with pytest.raises(pw.DataError, match=f"'.*{name}.*' is .*every value must be finite"):
            pw.fit(formula, data(frame.assign(y=y, w=1.0)))
    with pytest.raises(pw.DataError, match="must hold numbers for the outcome"):
        pw.fit("z ~ x + (1 | g)", data(frame.assign(z="a")))
    with pytest.raises(pw.DataError, match="The data hold no rows"):
        pw.fit(FORMULA, data(frame.head(0)))
    with pytest.raises(pw.DataError, match="No row is complete: missing values in x"):
        pw.fit(FORMULA, data(frame.assign(x=np.nan)))
    with pytest.raises(pw.DataError, match="2 of 30000 rows have missing values, in: x .2.. missing='drop'"):
        pw.fit(FORMULA, data(frame.assign(x=frame.x.where(frame.index > 1))), missing="error")
    with pytest.raises(pw.DataError, match="'x' is constant"):
        pw.fit(FORMULA, data(frame.assign(x=0.1)))
    with pytest.raises(pw.DataError, match="There is no column 'xx' in the data. Did you mean 'x'?"):
        pw.fit("y ~ xx + (1 | g)", data(frame))
    with pytest.raises(pw.DataError, match="There is no column 'yy' in the data. Did you mean 'y'?"):
        pw.fit("yy ~ x + (1 | g)", data(frame), family="poisson")


def test_terms_that_look_at_whole_columns_of_too_many_rows(frame, monkeypatch):
    from poolwise.statistics import routes

    monkeypatch.setattr(routes, "LARGE", 0)
    monkeypatch.setattr(routes, "_FITS", 1000)
    with pytest.raises(pw.DataError, match=r"'lag\(x\)' looks at whole columns"):
        pw.fit("y ~ lag(x) + (1 | g)", frame)


@pytest.mark.long
def test_a_spark_session_that_is_gone(spark):
    other = spark.newSession()
    data = spark_frame(other, rows(50))
    context = spark.sparkContext
    gone = type("Gone", (), {"_jsc": None})()
    other._sc = gone
    with pytest.raises(pw.DataError, match="session of these data is gone"):
        pw.fit(FORMULA, data)
    other._sc = context


@pytest.mark.parametrize(
    "change", long_but_for(2, ["UPDATE t SET y = y + 1", "DELETE FROM t WHERE x > 1", "UPDATE t SET x = x * 2"])
)
def test_a_table_that_changed_after_the_fit_is_noticed(change, frame):
    import duckdb

    connection = duckdb.connect()
    connection.execute("CREATE TABLE t AS SELECT * FROM frame LIMIT 3000")
    fit = pw.fit("y ~ x + (1 | g)", connection.table("t"), seed=1, draws=50)
    assert np.isfinite(fit.loo().elpd)
    connection.execute(change)
    with pytest.raises(pw.DataError, match="changed since the fit"):
        fit.loo()
    connection.close()
    with pytest.raises(pw.DataError, match="could not read"):
        fit.loo()


def test_missing_truth_values_of_pandas_are_missing():
    truths = pd.array([True, False, pd.NA, False] * 20, dtype="boolean")
    frame = pd.DataFrame({"y": np.random.default_rng(0).normal(size=80), "s": truths})
    with pytest.warns(pw.PoolwiseWarning, match="20 of 80 rows"):
        assert pw.fit("y ~ s", frame, draws=50, seed=1).result.model.statistics.rows == 60


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_names_in_a_file_that_differ_in_case_alone(kind, tmp_path):
    """DuckDB calls `X, x, x_1` X, x_1 and x_1_1: a formula's x_1 would be x."""
    rows = pd.DataFrame({"X": [1.0, 2.0, 3.0], "x": [3.0, 1.0, 2.0], "x_1": [2.0, 2.0, 1.0], "y": [1.0, 3.0, 2.0]})
    write = rows.to_csv if kind == "csv" else rows.to_parquet
    write(tmp_path / f"rows.{kind}", index=False)
    with pytest.raises(pw.FileError, match="columns 'X' and 'x', which DuckDB does not tell apart"):
        pw.fit("y ~ x_1", tmp_path / f"rows.{kind}", seed=1)


def test_two_columns_of_one_name_are_refused_and_columns_without_a_name_are_not(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text("y,x,x,,\n1,2,3,,\n2,3,1,,\n3,3,5,,\n")
    with pytest.raises(pw.FileError, match=r"twice\.csv' has two columns 'x': rename one\."):
        pw.fit("y ~ x", path)
    path.write_text("y,x,,\n1,2,,\n2,3,,\n3,3,,\n")
    assert pw.fit("y ~ x", path, draws=50, seed=1).result.model.statistics.rows == 3


def test_names_in_a_frame_that_differ_in_case_alone(monkeypatch):
    monkeypatch.setattr(routes, "LARGE", 0)
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"x": rng.integers(0, 3, 200), "X": rng.integers(0, 3, 200), "y": rng.normal(size=200)})
    assert "rows in memory" in pw.fit("y ~ x + X", rows, seed=1, draws=50).result.model.data.reading
