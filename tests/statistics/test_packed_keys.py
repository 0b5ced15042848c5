"""Equal rows counted by places, beside a GROUP BY."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.sources.test_counted import FEW, assert_same_draws

import poolwise as pw
from poolwise.sources.files import find_files, open_files
from poolwise.sources.frames import as_table
from poolwise.sources.relation import relation_of
from poolwise.statistics import packed_keys as packing
from poolwise.statistics import routes
from poolwise.statistics.packed_keys import packed_keys
from poolwise.statistics.queries import is_complete
from poolwise.support.progress import Scan


def _rows(n=3000, seed=2):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": rng.integers(0, 2, n).astype("int8"),
            "below": rng.integers(-7, 3, n).astype("int16"),
            "far": 1_700_000_000_000 + rng.integers(0, 11, n),
            "short": rng.integers(250, 256, n).astype("uint8"),
            "flag": rng.random(n) < 0.3,
            "holes": pd.array(np.where(rng.random(n) < 0.1, None, rng.integers(0, 4, n)), dtype="Int64"),
        }
    )


ROWS = _rows()


@pytest.fixture
def parquet(tmp_path):
    """Opens a frame as a Parquet file."""

    def written(frame: pd.DataFrame):
        frame.to_parquet(tmp_path / "rows.parquet", row_group_size=500)
        return open_files(find_files(tmp_path / "rows.parquet"))

    return written


@pytest.mark.parametrize("kind", ["parquet", "pandas", "polars"])
def test_counts_are_those_of_a_group_by(kind, parquet):
    frames = {"parquet": parquet, "pandas": lambda frame: relation_of(as_table(frame))}
    frames["polars"] = lambda frame: relation_of(as_table(pl.from_pandas(frame)))
    relation, names = frames[kind](ROWS), list(ROWS)
    packed = packed_keys(relation, names)
    assert packed.sizes == (2, 10, 11, 6, 2, 4)
    every = packed.count(relation, relation.frame.select(*names).filter(is_complete(relation, names)), Scan())
    there = np.flatnonzero(every)
    found = pd.DataFrame(packed.values(there)).assign(n=every[there])
    wanted = ROWS.dropna().groupby(names).size().rename("n").reset_index()
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
    assert [str(found[name].dtype) for name in names] == ["int8", "int16", "int64", "uint8", "bool", "int64"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows.assign(y=rows["y"] * 0.5), "numbers that are not whole"),
        (lambda rows: rows.assign(y=rows["y"].map({0: "no", 1: "yes"})), "text"),
        (lambda rows: rows.assign(y=rows["y"].astype("uint64") + 2**63), "beyond 64 bits with a sign"),
        (lambda rows: rows.assign(y=pd.array([None] * len(rows), dtype="Int64")), "missing values alone"),
        (lambda rows: rows.assign(y=np.where(rows["y"], 2**62, -(2**62))), "far apart"),
        (lambda rows: rows.iloc[:0], "no rows"),
    ],
)
def test_all_else_is_left_to_the_engine(change, reason, parquet):
    assert packed_keys(parquet(change(ROWS)), list(ROWS)) is None


def test_rows_whose_number_is_not_known_are_read_once(tmp_path):
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    assert packed_keys(open_files(find_files(tmp_path / "rows.csv")), list(ROWS)) is None


def test_fits_are_those_of_rows_in_memory(parquet, monkeypatch):
    rows = ROWS.drop(columns="holes")
    rows["y"] = rows["y"] == 1
    formula = "y ~ below + C(short) + flag + (1 | far)"
    in_memory = pw.fit(formula, rows, family="bernoulli", **FEW)
    monkeypatch.setattr(routes, "LARGE", 0)
    by_places = pw.fit(formula, parquet(rows), family="bernoulli", **FEW)
    assert by_places.result.model.data.reading.endswith("equal rows counted in batches from DuckDB")
    monkeypatch.setattr(packing, "_MOST", 0)
    by_engine = pw.fit(formula, parquet(rows), family="bernoulli", **FEW)
    assert by_engine.result.model.data.reading.endswith("equal rows counted by DuckDB; rows stayed there")
    assert_same_draws(by_places, in_memory)
    for name, variable in by_engine.result.variables().items():
        np.testing.assert_array_equal(by_places.result.variables()[name].values, variable.values)


def test_more_rows_differ_than_are_kept(parquet, monkeypatch):
    monkeypatch.setattr(routes, "LARGE", 0)
    monkeypatch.setattr("poolwise.statistics.counted.MOST", 50)
    fit = pw.fit("y ~ below + (1 | far)", parquet(ROWS.drop(columns="holes")), family="bernoulli", **FEW)
    assert "more than 50 rows differ" in fit.result.model.data.reading


def test_values_beyond_the_ends_that_are_known_are_noticed(parquet):
    relation, names = parquet(ROWS), ["below", "short"]
    packed = packed_keys(relation, names)
    for least, sizes in ((packed.least, (9, 6)), ((-6, 250), packed.sizes)):
        narrower = replace(packed, least=least, sizes=sizes)
        with pytest.raises(pw.PoolwiseError, match="rows.parquet holds values beyond"):
            narrower.count(relation, relation.frame.select(*names), Scan())


def test_a_file_that_changes_before_it_is_counted(parquet):
    relation, names = parquet(ROWS), ["below", "short"]
    packed = packed_keys(relation, names)
    parquet(ROWS.assign(below=ROWS["below"] + 9))
    with pytest.raises(pw.FileError, match="changed while it was read"):
        packed.count(relation, relation.frame.select(*names), Scan())
