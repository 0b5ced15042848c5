"""The same rows in every kind of source, for tests."""

from __future__ import annotations

import os
import shutil
import sys

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tests.selection import long_but_for

from poolwise.sources import as_table
from poolwise.sources import files as source_files
from poolwise.sources.relation import relation_of

EVIL = 'x"; drop table t; --'


def rows(n: int = 2000) -> pd.DataFrame:
    """Groups, categories, a flag, missing values, and a column whose name is an attack."""
    rng = np.random.default_rng(8)
    group = rng.integers(0, 23, n)
    frame = pd.DataFrame(
        {
            "y": rng.normal(size=n) + np.sin(group),
            "x": rng.normal(3, 1, n),
            "w": rng.uniform(1, 2, n),
            "k": rng.integers(1, 4, n),
            "z": rng.choice(["a", "b", "c"], n),
            "flag": rng.random(n) < 0.4,
            "g": [f"group {j}" for j in group],
            EVIL: rng.normal(size=n),
        }
    )
    frame.loc[::50, "x"] = np.nan
    frame.loc[7::90, "z"] = None
    frame.loc[11::100, "g"] = None
    return frame


IN_PROCESS = (
    "pandas",
    "polars",
    "arrow",
    "dict",
    "polars lazy",
    "pandas by duckdb",
    "arrow by duckdb",
    "duckdb table",
    "duckdb query",
    "csv",
    "csv folder",
    "parquet",
    "parquet pattern",
)
MAIN = ("pandas", "arrow", "polars lazy", "duckdb query", "csv folder", "parquet")
MAIN_KINDS = long_but_for(MAIN.__contains__, IN_PROCESS)


def source(kind: str, frame: pd.DataFrame, folder, monkeypatch) -> object:
    """The rows of `frame` in a source of some kind; files are left where they are however small."""
    half = len(frame) // 2
    if kind.startswith(("csv", "parquet")):
        monkeypatch.setattr(source_files, "SMALL", 0)
        write = "to_csv" if kind.startswith("csv") else "to_parquet"
        ending = kind.split()[0]
        getattr(frame.iloc[:half], write)(folder / f"1.{ending}", index=False)
        getattr(frame.iloc[half:], write)(folder / f"2.{ending}", index=False)
        if kind in ("csv", "parquet"):
            return [folder / f"1.{ending}", str(folder / f"2.{ending}")]
        return folder if kind == "csv folder" else f"{folder}/*.parquet"
    connection = duckdb.connect()
    if kind.startswith("duckdb"):
        connection.register("rows", pa.Table.from_pandas(frame))
        connection.execute("create table t as select * from rows").fetchall()
    return {
        "pandas": lambda: frame,
        "polars": lambda: pl.from_pandas(frame),
        "arrow": lambda: pa.Table.from_pandas(frame),
        "dict": lambda: frame.to_dict("list"),
        "polars lazy": lambda: pl.from_pandas(frame).lazy(),
        "pandas by duckdb": lambda: relation_of(as_table(frame)),
        "arrow by duckdb": lambda: relation_of(as_table(pa.Table.from_pandas(frame))),
        "duckdb table": lambda: connection.table("t"),
        "duckdb query": lambda: connection.sql("select * from t where y is not null"),
    }[kind]()


def spark_session():
    """A local Spark; Java comes from the system (Debian: openjdk-17-jre-headless)."""
    if not shutil.which("java") and "JAVA_HOME" not in os.environ:
        if "POOLWISE_NEEDS_SPARK" in os.environ:
            raise RuntimeError("Java is missing: .ci/run installs it.")
        pytest.skip("Spark needs Java")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    options = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.log.level": "OFF",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "1g",
        # What runs for seconds is started in less time by the quick compiler and one collector.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in options.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def spark_frame(session, frame: pd.DataFrame):
    """The rows in Spark, NULL where they are missing."""
    kinds = {"f": "double", "i": "long", "b": "boolean"}
    schema = ", ".join(f"`{name}` {kinds.get(kind.kind, 'string')}" for name, kind in frame.dtypes.items())
    records = [
        tuple(None if pd.isna(v) else v.item() if hasattr(v, "item") else v for v in row)
        for row in frame.itertuples(index=False, name=None)
    ]
    return session.createDataFrame(records, schema)
