"""Labels and categories as people have them: text, numbers, truth values, times with a zone, tuples, colons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.selection import long_but_for

import poolwise as pw

RNG = np.random.default_rng(0)
ROWS = 120
B = RNG.random(ROWS) < 0.4
X = RNG.normal(size=ROWS)
G = RNG.integers(0, 6, ROWS)
FRAME = pd.DataFrame(
    {"b": B, "x": X, "g": G, "y": RNG.normal(size=6)[G] * (1 + B) + X * (1 + B) + RNG.normal(size=ROWS) * 0.5}
)
FRAME["t"] = np.where(B, "yes", "no")
FRAME["k"] = G % 3 + 2018.0


def fitted(formula, data=FRAME, **options):
    return pw.fit(formula, data, seed=1, draws=100, **options)


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ {} + (1 | g)",
        "y ~ {}:x + (0 + {} | g)",
        "y ~ {} * x + ({} || g)",
        "y ~ 0 + {} + (1 | g)",
        "y ~ x + (1 | {})",
    ],
)
def test_truth_values_and_text_give_the_same_fit(formula):
    text, truth = (fitted(formula.format(name, name)) for name in ("t", "b"))
    np.testing.assert_array_equal(text.result.beta, truth.result.beta)
    np.testing.assert_array_equal(text.result.theta, truth.result.theta)
    names = [name.replace("t[", "b[").replace("no", "False").replace("yes", "True") for name in _names(text)]
    assert _names(truth) == names


def _names(fit):
    return [*fit.result.model.design.coefficients, *fit.result.model.design.factors[0].effects]


@pytest.mark.parametrize(
    "formula",
    long_but_for(1, ["y ~ b:x + (0 + b | g)", "y ~ I(b * x) + b", "y ~ b * x + (b || g)", "y ~ x + (1 | b)"]),
)
def test_truth_values_from_every_source(formula, tmp_path, monkeypatch):
    from poolwise.statistics import routes

    wanted = fitted(formula)
    FRAME.to_parquet(tmp_path / "rows.parquet")
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    objects = FRAME.assign(b=FRAME.b.astype(object))
    sources = [
        objects,
        pl.from_pandas(FRAME),
        pl.from_pandas(FRAME).lazy(),
        tmp_path / "rows.parquet",
        tmp_path / "rows.csv",
    ]
    monkeypatch.setattr(routes, "LARGE", 0)
    for data in (*sources, FRAME):
        if "I(" in formula and data is sources[-1]:
            continue  # in a CSV file true and false are text
        found = fitted(formula, data)
        assert found.result.model.design.coefficients == wanted.result.model.design.coefficients
        np.testing.assert_allclose(found.result.beta, wanted.result.beta, atol=1e-8)
        if found.result.model.design.factors and data is not sources[-1]:
            assert list(found.result.model.design.factors[0].levels) == list(
                wanted.result.model.design.factors[0].levels
            )
    for b in ([True, False], [1, 0], ["True", "False"], np.array([True, False])):
        new = {"b": b, "x": [0.5, 0.5], "g": [1, 1]}
        if formula != "y ~ x + (1 | b)":
            np.testing.assert_allclose(wanted.predict(new)["mean"], wanted.predict({**new, "b": [True, False]})["mean"])


def test_categories_of_numbers_are_asked_for_by_their_numbers():
    years = FRAME.assign(year=pd.Categorical(FRAME.k.astype(int), categories=[2019, 2018, 2020]))
    fit = fitted("y ~ year + (1 | g)", years)
    assert fit.result.model.design.coefficients[1:] == ("year[T.2018]", "year[T.2020]")
    wanted = fit.predict({"year": [2020], "g": [1]})["mean"][0]
    for year in (2020.0, "2020", np.int16(2020)):
        assert fit.predict({"year": [year], "g": [1]})["mean"][0] == wanted
    assert fit.predict(pw.datagrid(fit, year=[2020], g=[1]))["mean"][0] == wanted
    with pytest.raises(pw.DataError, match="'year' is 2021. Known: 2019, 2018, 2020"):
        fit.predict({"year": [2021], "g": [1]})
    groups = fitted("y ~ x + (1 | year)", years)
    assert list(groups.result.model.design.factors[0].levels) == [2018, 2019, 2020]
    assert groups.predict({"year": [2019.0], "x": [0.0]}).shape[0] == 1


def test_whole_numbers_have_one_name_however_they_are_stored(tmp_path):
    FRAME.to_parquet(tmp_path / "rows.parquet")
    for data in (FRAME, FRAME.assign(k=FRAME.k.astype("int16")), tmp_path / "rows.parquet"):
        fit = fitted("y ~ C(k) + (1 | g)", data)
        assert fit.result.model.design.coefficients == ("Intercept", "C(k)[T.2019]", "C(k)[T.2020]")
        assert fitted("y ~ x + (1 | k:g)", data).result.model.design.factors[0].levels[0] == "2018:0"
        assert pw.avg_comparisons(fit, "k").table["contrast"].tolist() == ["2019 - 2018", "2020 - 2018"]


def test_combinations_with_colons_are_told_apart():
    data = pd.DataFrame({"a": np.where(B, "k:l", "k"), "b": np.where(B, "m", "l:m"), "y": 5.0 * B + 0.1 * X})
    fit = pw.fit("y ~ 1 + (1 | a:b)", data, seed=1)
    assert list(fit.result.model.design.factors[0].levels) == ['k:"l:m"', '"k:l":m']
    found = fit.predict({"a": ["k:l", "k"], "b": ["m", "l:m"]})["mean"]
    np.testing.assert_allclose(found, [5, 0], atol=0.1)
    assert len(fit.group_draws(['"k:l":m'])) > 0
    with pytest.raises(pw.DataError, match="has not seen"):
        fit.predict({"a": ["k"], "b": ["m"]})


def test_times_with_a_zone_read_as_they_were_given():
    days = pd.date_range("2020-03-28", periods=3, tz="Europe/Berlin")
    for data in (FRAME.assign(day=days[G % 3]), pl.from_pandas(FRAME.assign(day=days[G % 3]))):
        fit = fitted("y ~ x + (1 | day)", data)
        assert list(fit.group_coefficients()["day"]) == list(days)
        assert len(fit.predict({"day": [days[1]], "x": [0.0]})) == 1
    with pytest.raises(pw.DataError, match="dates or times"):
        fitted("y ~ day + (1 | g)", FRAME.assign(day=days[G % 3]))


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ([[1, 2]] * ROWS, "list"),
        ([np.array([1, 2])] * ROWS, "ndarray"),
        ([{"a": 1}] * ROWS, "dict"),
        (pd.Series(["\ud800" + str(i % 3) for i in range(ROWS)], dtype=object), "Unicode"),
        ([1j] * ROWS, "complex"),
    ],
)
@pytest.mark.parametrize("formula", ["y ~ odd + (1 | g)", "y ~ x + (1 | odd)", "odd ~ x"])
def test_odd_values_are_named(odd, said, formula):
    if said == "complex" and "| odd" in formula:
        pytest.skip("a complex number is a label")
    with pytest.raises(pw.DataError, match=f"'odd'.*({said}|must hold numbers)"):
        fitted(formula, FRAME.assign(odd=odd))


def test_intervals_are_categories():
    cut = FRAME.assign(part=pd.cut(FRAME.x, [-9, 0, 9]))
    fit = fitted("y ~ part + (1 | g)", cut)
    assert fit.result.model.design.coefficients == ("Intercept", "part[T.(0, 9]]")
    assert len(fit.predict(cut.head(3))) == 3


def test_labels_that_no_integer_of_the_machine_holds():
    labels = [2**63 + 1, 2**63 + 5, None, 7]
    frame = pd.DataFrame({"y": np.arange(40.0) % 7, "g": pd.array(labels * 10, dtype="UInt64")})
    with pytest.warns(pw.PoolwiseWarning, match="10 of 40 rows"):
        fit = fitted("y ~ 1 + (1 | g)", frame)
    assert fit.result.model.design.factors[0].levels.tolist() == [7, 2**63 + 1, 2**63 + 5]


def test_whole_numbers_with_gaps_keep_their_digits(tmp_path):
    labels = [2**53 + 1, 2**53 + 3, None, 7]
    frame = pd.DataFrame({"y": np.arange(40.0) % 7, "g": pd.array(labels * 10, dtype="Int64")})
    frame.to_parquet(tmp_path / "ids.parquet")
    with pytest.warns(pw.PoolwiseWarning, match="10 of 40 rows"):
        fit = fitted("y ~ 1 + (1 | g)", tmp_path / "ids.parquet")
    assert fit.result.model.design.factors[0].levels.tolist() == [7, 2**53 + 1, 2**53 + 3]


def test_complex_numbers_among_objects_are_named():
    with pytest.raises(pw.DataError, match="'odd' holds complex numbers"):
        fitted("y ~ odd + (1 | g)", FRAME.assign(odd=pd.Series([1, 1j] * (ROWS // 2), dtype=object)))
