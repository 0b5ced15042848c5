import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw


@pytest.fixture
def direct(small):
    return pw.fit("y ~ x + (x | g)", small, seed=1, draws=50)


@pytest.mark.parametrize(
    "name",
    long_but_for(
        ("rows.csv.gz", "rows.parquet", "rows.tsv").__contains__,
        ["rows.csv", "rows.csv.gz", "rows.parquet", "rows.tsv"],
    ),
)
def test_files_give_the_same_draws_as_the_frame(name, small, direct, tmp_path):
    path = tmp_path / name
    if name.endswith("parquet"):
        small.to_parquet(path)
    else:
        small.to_csv(path, sep="\t" if "tsv" in name else ",", index=False)
    for source in (path, str(path), pw.read_file(path)):
        fit = pw.fit("y ~ x + (x | g)", source, seed=1, draws=50)
        np.testing.assert_allclose(fit.result.theta, direct.result.theta, rtol=1e-9)


def test_missing_values_in_a_file(small, tmp_path):
    path = tmp_path / "holes.csv"
    small.loc[[1, 4], "x"] = np.nan
    small.loc[2, "g"] = None
    small.to_csv(path, index=False)
    with pytest.warns(pw.PoolwiseWarning, match="3 of 30 rows"):
        fit = pw.fit("y ~ x + (x | g)", path, seed=1, draws=50)
    assert fit.result.model.statistics.rows == 27


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.csv", None, "There is no file"),
        ("empty.csv", b"", "is empty"),
        ("rows.xlsx", b"PK", "Cannot tell what 'rows.xlsx' is"),
        ("fake.parquet", b"y,x\n1,2\n", "cannot be read as Parquet"),
        ("binary.csv", bytes(range(256)) * 40, "cannot be read as CSV|no column"),
    ],
)
def test_files_that_are_not_what_they_say(name, content, said, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(pw.PoolwiseError, match=said):
        pw.fit("y ~ x + (x | g)", path)


def test_a_missing_file_names_its_neighbours(tmp_path):
    (tmp_path / "radon.csv").write_text("a\n1\n")
    with pytest.raises(pw.FileError, match="In that folder there are: radon.csv"):
        pw.read_file(tmp_path / "radn.csv")


@pytest.mark.parametrize("blank", ["", "NA"])
def test_whole_numbers_with_blanks(blank, small, tmp_path):
    path = tmp_path / "rows.csv"
    frame = small.assign(x=np.arange(len(small)), g=np.arange(len(small)) % 5).astype({"x": object, "g": object})
    frame.loc[[2, 9], "x"] = None
    frame.loc[4, "g"] = None
    frame.to_csv(path, index=False, na_rep=blank)
    found = pw.SufficientStatistics.from_data("y ~ x + (x | g)", path)
    assert (found.dropped, found.products.cells[0].tolist()) == (3, [0, 1, 2, 3, 4])


@pytest.mark.parametrize("first", ["", "inf"])
def test_a_column_that_begins_without_a_number_is_no_category(first, tmp_path):
    path = tmp_path / "rows.csv"
    rng = np.random.default_rng(0)
    lines = [f"{rng.normal():.4f},{first if i < 25_000 else round(rng.normal(), 3)},{i % 9}" for i in range(30_000)]
    path.write_text("\n".join(["y,x,g", *lines]))
    if first:
        with pytest.raises(pw.DataError, match="'x' is .*inf.* every value must be finite"):
            pw.fit("y ~ x + (1 | g)", path)
    else:
        assert pw.SufficientStatistics.from_data("y ~ x + (1 | g)", path).design.columns == ("x",)


def test_folders_named_by_a_column_are_a_column(small, tmp_path):
    for group, part in small.groupby("g"):
        (tmp_path / f"g={group}").mkdir()
        part.drop(columns="g").to_parquet(tmp_path / f"g={group}" / "part.parquet")
    found = pw.SufficientStatistics.from_data("y ~ x + (x | g)", tmp_path)
    wanted = pw.SufficientStatistics.from_data("y ~ x + (x | g)", small)
    assert found.products.cells[0].tolist() == wanted.products.cells[0].tolist()
    np.testing.assert_allclose(found.products.scatter, wanted.products.scatter, atol=1e-12)


@pytest.mark.parametrize(("point", "comma"), [(".", ","), (",", ".")], ids=["decimal comma", "decimal point"])
def test_thousands_in_a_column_without_decimals(point, comma, tmp_path):
    """`1.234` beside `950` is a thousand in a file with decimal commas; one read otherwise turns slopes around."""
    rng = np.random.default_rng(2)
    x = rng.integers(500, 3000, 200)
    y = 0.01 * x + rng.normal(size=200)
    lines = [
        f"{format(b, '.1f').replace('.', comma)};{format(a, ',').replace(',', point)}"
        for a, b in zip(x, y, strict=True)
    ]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["y;x", *lines]))
    found = pw.fit("y ~ x", path, seed=1, draws=100).summary()["mean"]
    assert found["beta[x]"] == pytest.approx(0.01, abs=0.001)


@pytest.mark.parametrize("labels", [["1", "01", "2", "02"], ["0xa4", "0xb5", "12", "0xff"]])
def test_labels_that_are_one_number_stay_apart(labels, tmp_path):
    rows = pd.DataFrame({"id": labels * 20, "y": np.random.default_rng(1).normal(size=80)})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    fit = pw.fit("y ~ 1 + (1 | id)", tmp_path / "rows.csv", seed=1, draws=50)
    assert sorted(fit.result.model.design.factors[0].levels) == sorted(labels)


def test_rows_of_a_large_file_keep_their_places_from_pass_to_pass(tmp_path, monkeypatch):
    """Else two fits of one file leave out other rows, and cannot be compared."""
    from poolwise.sources import as_source, files
    from poolwise.support.progress import Scan

    monkeypatch.setattr(files, "SMALL", 0)
    pd.DataFrame({"y": np.arange(400_000)}).to_parquet(tmp_path / "rows.parquet", row_group_size=5_000)
    there = as_source(tmp_path / "rows.parquet")
    for _ in range(3):
        found = np.concatenate([np.asarray(part["y"]) for part in there.batches(there.frame, 1 << 15, Scan())])
        np.testing.assert_array_equal(found, np.arange(400_000))
    setting = there.connection.execute("SELECT current_setting('preserve_insertion_order')").fetchone()
    assert setting == (False,)  # of queries that are answered at once, where order costs memory
