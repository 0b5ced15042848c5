"""Cells of files as people write them: signs, separators, exponents, missing values, one odd cell."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.sources import files

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"x": RNG.normal(size=120).round(3), "g": np.tile(list("abcdef"), 20)})
FRAME["y"] = (1 + 0.5 * FRAME.x + RNG.normal(size=120)).round(3)
PLAIN = [f"{value:.3f}" for value in FRAME.x]


def fitted(data):
    return pw.fit("y ~ x + (1 | g)", data, seed=1, draws=50)


def csv_with(cells, path, separator=","):
    lines = [separator.join(each) for each in zip(map(str, FRAME.y), cells, FRAME.g, strict=True)]
    if separator == ";":
        lines = [line.replace(".", ",") for line in lines]
    path.write_text("\n".join([separator.join(["y", "x", "g"]), *lines]))
    return path


@pytest.mark.parametrize("small", long_but_for(1, [True, False]))
@pytest.mark.parametrize(
    ("write", "separator"),
    [
        (lambda cell: cell if cell.startswith("-") else f"+{cell}", ","),
        (lambda cell: cell.replace("-", "\u2212"), ","),
        (lambda cell: f"{float(cell) * 1000:.3f}e-03", ","),
        (lambda cell: f" {cell} ", ","),
        (lambda cell: cell.replace("0.", ".", 1), ","),
        (lambda cell: cell, ";"),
    ],
)
def test_numbers_as_people_write_them(write, separator, small, tmp_path, monkeypatch):
    if not small:
        monkeypatch.setattr(files, "SMALL", 0)
    found = fitted(csv_with([write(cell) for cell in PLAIN], tmp_path / "rows.csv", separator))
    np.testing.assert_allclose(found.result.beta, fitted(FRAME).result.beta, atol=1e-8)


def test_thousands_in_groups(tmp_path):
    data = FRAME.assign(x=(FRAME.x * 1000).round(2))
    cells = [f'"{value:,.2f}"' for value in data.x]
    lines = [",".join(each) for each in zip(map(str, data.y), cells, data.g, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["y,x,g", *lines]))
    np.testing.assert_allclose(fitted(tmp_path / "rows.csv").result.beta, fitted(data).result.beta, atol=1e-8)


@pytest.mark.parametrize("reader", ["small", "large", "pandas", "polars", "dict"])
def test_one_odd_cell_is_named(reader, tmp_path, monkeypatch):
    cells = [*PLAIN[:58], "n.a.", *PLAIN[59:]]
    path = csv_with(cells, tmp_path / "rows.csv")
    if reader == "large":
        monkeypatch.setattr(files, "SMALL", 0)
    frame = FRAME.assign(x=cells)
    data = {"pandas": frame, "polars": __import__("polars").from_pandas(frame), "dict": frame.to_dict("list")}
    where = "row 59" if reader != "large" else "n.a."
    with pytest.raises(pw.DataError, match=f"'x' holds numbers, but 1 of its cells are text: 'n.a.' in {where}|'n.a.'"):
        fitted(data.get(reader, path))


def test_numbers_written_as_text_are_not_a_hundred_categories():
    with pytest.raises(pw.DataError, match="different numbers, written as text"):
        fitted(FRAME.assign(x=PLAIN))
    few = fitted(FRAME.assign(x=np.resize(["1", "2", "3+"], 120)))
    assert few.result.model.design.coefficients == ("Intercept", "x[T.2]", "x[T.3+]")


@pytest.mark.parametrize("missing", ["", "NA", "n/a", "#N/A", "<NA>", "NULL", "."])
def test_missing_cells(missing, tmp_path):
    path = csv_with([*PLAIN[:58], missing, *PLAIN[59:]], tmp_path / "rows.csv")
    with pytest.warns(pw.PoolwiseWarning, match="1 of 120 rows"):
        found = fitted(path)
    np.testing.assert_allclose(found.result.beta, fitted(FRAME.drop(58)).result.beta, atol=1e-8)


def test_folders_that_look_like_partitions(tmp_path):
    folder = tmp_path / "x=9" / "what=ever"
    folder.mkdir(parents=True)
    FRAME.to_parquet(folder / "rows.parquet")
    np.testing.assert_array_equal(fitted(folder / "rows.parquet").result.beta, fitted(FRAME).result.beta)
    for g, part in FRAME.groupby("g"):
        (tmp_path / "parts" / f"g={g}").mkdir(parents=True)
        part.drop(columns="g").to_parquet(tmp_path / "parts" / f"g={g}" / "rows.parquet")
    np.testing.assert_allclose(fitted(tmp_path / "parts").result.beta, fitted(FRAME).result.beta, atol=1e-8)
    (tmp_path / "mixed" / "a=b").mkdir(parents=True)
    FRAME.head(60).to_parquet(tmp_path / "mixed" / "a=b" / "one.parquet")
    FRAME.tail(60).to_parquet(tmp_path / "mixed" / "two.parquet")
    np.testing.assert_allclose(fitted(tmp_path / "mixed").result.beta, fitted(FRAME).result.beta, atol=1e-8)


def test_damaged_archives_end_in_one_sentence(tmp_path):
    whole = gzip.compress(FRAME.to_csv(index=False).encode())
    rng = np.random.default_rng(0)
    for k in range(12):
        damaged = bytearray(whole if k else whole[: len(whole) // 2])
        for _ in range(3 * (k > 0)):
            damaged[rng.integers(20, len(damaged))] ^= 255
        (tmp_path / "rows.csv.gz").write_bytes(bytes(damaged))
        with pytest.raises(pw.PoolwiseError):
            fitted(tmp_path / "rows.csv.gz")
    for path in ("x" * 5000, "a\0b.csv"):
        with pytest.raises(pw.FileError):
            fitted(path)


@pytest.mark.parametrize(
    "term", long_but_for(2, ["I(v == 0.1)", "I(v > 0.1)", "I(0.3 > v)", "I(v <= 0.2)", "I(-v != -0.3)"])
)
def test_numbers_of_single_precision_are_compared_as_they_are_written(term, tmp_path):
    """Of a column of single precision 0.1 is no double 0.1; from a file of text it is."""
    frame = FRAME.assign(v=np.tile([0.1, 0.2, 0.3, 0.4], 30))
    single = frame.assign(v=frame.v.astype("float32"))
    single.to_parquet(tmp_path / "v.parquet")
    single.to_csv(tmp_path / "v.csv", index=False)
    expected = pw.fit(f"y ~ {term}", frame, seed=1, draws=50)
    for source in (single, pl.from_pandas(single), tmp_path / "v.parquet", tmp_path / "v.csv"):
        found = pw.fit(f"y ~ {term}", source, seed=1, draws=50)
        np.testing.assert_allclose(found.summary()["mean"], expected.summary()["mean"], rtol=1e-6)
        for new in ({"v": np.array([0.1, 0.3])}, {"v": np.array([0.1, 0.3], dtype="float32")}):
            np.testing.assert_allclose(found.predict(new)["mean"], expected.predict({"v": [0.1, 0.3]})["mean"])
