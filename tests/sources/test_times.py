"""Days and times as labels of groups: the same from every source."""

from __future__ import annotations

import datetime as dt

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.selection import long_but_for

import poolwise as pw

FORMULA = "y ~ 1 + (1 | t)"
START = pd.date_range("2021-03-27 22:30", periods=4, freq="7h")  # a clock is changed within
KINDS = {
    "without a zone": START,
    "UTC": START.tz_localize("UTC"),
    "Berlin": START.tz_localize("UTC").tz_convert("Europe/Berlin"),
    "days": pd.to_datetime(["2021-03-27", "2021-03-28", "2021-04-01", "2021-05-01"]),
    "Python's days": pd.Index([dt.date(2021, 3, day) for day in (27, 28, 29, 30)], dtype=object),
    "Python's times": pd.Index([dt.datetime(2021, 3, 27, hour) for hour in (1, 2, 3, 4)], dtype=object),
}


def sources(frame, folder):
    frame.to_parquet(folder / "t.parquet")
    frame.to_csv(folder / "t.csv", index=False)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'America/New_York'")
    connection.execute(f"create table t as select * from '{folder / 't.parquet'}'")
    polars = pl.from_pandas(frame)
    return {
        "pandas": frame,
        "Polars": polars,
        "Polars, lazy": polars.lazy(),
        "Arrow": polars.to_arrow(),
        "DuckDB": connection.table("t"),
        "Parquet": folder / "t.parquet",
        "CSV": folder / "t.csv",
    }


@pytest.mark.parametrize("kind", long_but_for("Berlin".__eq__, KINDS))
def test_times_are_the_same_labels_from_every_source(kind, tmp_path):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": rng.normal(size=24), "t": pd.Series(KINDS[kind].repeat(6))})
    known, found = pw.fit(FORMULA, frame, seed=1, draws=50), None
    expected = list(pd.to_datetime(known.group_coefficients("t")["t"]))
    assert expected == list(pd.to_datetime(KINDS[kind]))
    for name, source in sources(frame, tmp_path).items():
        fit = pw.fit(FORMULA, source, seed=1, draws=50)
        found = fit.group_coefficients("t")
        assert list(pd.to_datetime(found["t"])) == expected, name  # with a zone or without, as these compare
        new = known.predict(source if name not in ("DuckDB", "Polars, lazy") else frame)
        np.testing.assert_allclose(new["mean"], known.predict()["mean"], rtol=1e-6, err_msg=name)


def test_durations_are_the_same_from_every_source_but_text(tmp_path):
    """Parquet holds them as whole numbers, and says so in the schema of Arrow alone."""
    rng = np.random.default_rng(1)
    spans = pd.Series(pd.to_timedelta([0.0, 7.5, 26.0, 30.0], unit="h").repeat(6))
    frame = pd.DataFrame({"y": rng.normal(size=24), "t": spans})
    expected = list(pw.fit(FORMULA, frame, seed=1, draws=50).group_coefficients("t")["t"])
    connection = duckdb.connect()
    connection.execute("create table t (y double, t interval)")
    for y, t in zip(frame.y, frame.t.dt.to_pytimedelta(), strict=True):
        connection.execute("insert into t values (?, ?)", [y, t])
    all_sources = sources(frame, tmp_path) | {"DuckDB": connection.table("t"), "objects": frame.astype({"t": object})}
    for name in all_sources.keys() - {"CSV"}:
        found = pw.fit(FORMULA, all_sources[name], seed=1, draws=50).group_coefficients("t")["t"]
        assert [pd.Timedelta(each) for each in found] == expected, name
        with pytest.raises(pw.DataError, match="holds dates or times"):
            pw.fit("y ~ t", all_sources[name], seed=1, draws=50)
