"""Contrasts, comparisons, weights and equivalence of averages, against sums written by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

import poolwise as pw


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    n = 240
    g = rng.integers(0, 8, n)
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.choice(["a", "b", "c"], n), "t": rng.integers(0, 2, n)})
    eta = 0.4 * frame["x"] + 0.8 * (frame["z"] == "b") + 0.6 * frame["t"] + rng.normal(size=8)[g]
    frame["y"] = (rng.random(n) < expit(eta)).astype(int)
    frame["g"] = [f"g{k}" for k in g]
    frame["many"] = rng.integers(1, 50, n).astype(float)
    return frame


@pytest.fixture(scope="module")
def fit(data):
    return pw.fit("y ~ x + z + t + (1 + t | g)", data, family="bernoulli", seed=1, draws=250)


def _probabilities(fit, frame, **fixed):
    """Draws (m, n) of the probability of each row, with some columns at other values."""
    frame, post = frame.assign(**fixed), fit.posterior
    beta = post["beta"].values.reshape(-1, 5)
    u = post["u_g"].sel(g=frame["g"].tolist()).values.reshape(len(beta), len(frame), 2)
    columns = [np.ones(len(frame)), frame["x"], frame["z"] == "b", frame["z"] == "c", frame["t"]]
    eta = beta @ np.array(columns, dtype=float) + u[..., 0] + u[..., 1] * frame["t"].to_numpy()
    return expit(eta)


def _of(found):
    return found.draws.values.reshape(-1, found.draws.shape[-1])


def test_functions_of_two_averages(fit, data):
    high, low = (_probabilities(fit, data, t=t).mean(axis=1) for t in (1, 0))
    for comparison, expected in (
        ("difference", high - low),
        ("ratio", high / low),
        ("lnratio", np.log(high / low)),
        ("lnor", logit(high) - logit(low)),
        ("lift", (high - low) / low),
        (lambda one, other: one**2 - other, high**2 - low),
    ):
        found = pw.avg_comparisons(fit, "t", comparison=comparison)
        np.testing.assert_allclose(_of(found)[:, 0], expected, atol=1e-12)
    ratio = pw.avg_comparisons(fit, "t", comparison="ratio").table
    assert ratio["above_one"][0] == pytest.approx((high > low).mean())
    by_row = pw.comparisons(fit, "t", comparison="ratio")
    np.testing.assert_allclose(_of(by_row), _probabilities(fit, data, t=1) / _probabilities(fit, data, t=0))


def test_weighted_averages(fit, data):
    drawn, many = _probabilities(fit, data), data["many"].to_numpy()
    found = pw.avg_predictions(fit, weights="many")
    np.testing.assert_allclose(_of(found)[:, 0], drawn @ many / many.sum())
    by = pw.predictions(fit, by=["z", "t"], weights="many")
    for k, (z, t) in enumerate(zip(by.table["z"], by.table["t"], strict=True)):
        mine = ((data["z"] == z) & (data["t"] == t)).to_numpy()
        np.testing.assert_allclose(_of(by)[:, k], drawn[:, mine] @ many[mine] / many[mine].sum())
    repeated = data.loc[data.index.repeat(data["many"].astype(int))]
    np.testing.assert_allclose(_of(pw.avg_predictions(fit, repeated)), _of(found))


def test_words_are_the_contrasts_that_they_name(fit):
    plain = pw.avg_predictions(fit, by="z")
    a, b, c = _of(plain).T
    expected = {
        "pairwise": {"b - a": b - a, "c - a": c - a, "c - b": c - b},
        "reference": {"b - a": b - a, "c - a": c - a},
        "sequential": {"b - a": b - a, "c - b": c - b},
        "meandev": {"a - mean": a - (a + b + c) / 3, "b - mean": b - (a + b + c) / 3, "c - mean": c - (a + b + c) / 3},
    }
    for word, contrasts in expected.items():
        found = pw.avg_predictions(fit, by="z", hypothesis=word)
        assert list(found.table["hypothesis"]) == list(contrasts)
        np.testing.assert_allclose(_of(found), np.column_stack(list(contrasts.values())), atol=1e-14)
        assert found.table["above_zero"].to_numpy() == pytest.approx((_of(found) > 0).mean(axis=0))


def test_equations_name_lines_by_number_or_label(fit):
    plain = pw.avg_predictions(fit, by="z")
    a, b, c = _of(plain).T
    for text, expected in (
        ("b2 = b1", b - a),
        ("b = a", b - a),
        ("b2 - b1 = b3 - b2", 2 * b - a - c),
        ("exp(b3) / b1 = 2", np.exp(c) / a - 2),
        ("b3", c),
        ("b2 = 0.5", b - 0.5),
    ):
        np.testing.assert_allclose(_of(plain.hypothesis(text))[:, 0], expected, atol=1e-14)
    both = plain.hypothesis(["b = a", "pairwise"])
    assert list(both.table["hypothesis"]) == ["b = a", "b - a", "c - a", "c - b"]


def test_contrasts_within_the_values_of_a_column(fit):
    plain = pw.avg_predictions(fit, by=["t", "z"])
    found = plain.hypothesis("reference | t")
    assert list(found.table["hypothesis"]) == ["b - a", "c - a"] * 2
    assert list(found.table["t"]) == [0, 0, 1, 1]
    drawn = _of(plain)
    np.testing.assert_allclose(_of(found), drawn[:, [1, 2, 4, 5]] - drawn[:, [0, 0, 3, 3]])
    again = found.hypothesis("b3 = b1")  # of contrasts: what the effect differs by
    np.testing.assert_allclose(_of(again)[:, 0], _of(found)[:, 2] - _of(found)[:, 0])


def test_equivalence_is_the_probability_to_lie_within(fit):
    found = pw.avg_comparisons(fit, "t", equivalence=(0.0, 0.2))
    drawn = _of(found)[:, 0]
    line = found.table.iloc[0]
    assert line["inside"] == pytest.approx(((drawn >= 0) & (drawn <= 0.2)).mean())
    assert line["below"] + line["inside"] + line["above"] == pytest.approx(1.0)
    assert {"below", "inside", "above"} <= set(found.hypothesis("b1 = 0").table)


def test_a_balanced_grid_has_every_combination_and_plain_averages(fit, data):
    grid = pw.datagrid(fit, "balanced")
    assert len(grid) == 6
    assert (grid["x"] == data["x"].mean()).all()
    means = pw.avg_predictions(fit, grid, by="z", new_groups="population")
    beta = fit.posterior["beta"].values.reshape(-1, 5)
    base = beta[:, 0] + beta[:, 1] * data["x"].mean()
    by_hand = [(expit(base + own) + expit(base + own + beta[:, 4])) / 2 for own in (0, beta[:, 2], beta[:, 3])]
    np.testing.assert_allclose(_of(means), np.column_stack(by_hand), atol=1e-12)
    assert "g" not in pw.predictions(fit, grid, new_groups="population").table
    five = pw.datagrid(fit, "tukey", t=[0, 1])
    np.testing.assert_allclose(five["x"].unique(), np.quantile(data["x"], [0, 0.25, 0.5, 0.75, 1]))


def test_names_of_lines_that_are_numbers_too_and_columns_of_our_names():
    rng = np.random.default_rng(9)
    data = pd.DataFrame({"y": rng.normal(size=90), "arm": np.tile(["b0", "b1", "b2"], 30), "g": np.arange(90) % 5})
    data["hypothesis"] = np.where(data["g"] > 2, "u", "v")
    fit = pw.fit("y ~ arm + hypothesis + (1 | g)", data, seed=1, draws=100)
    with pytest.raises(pw.DataError, match="'b1' is the label of a line, and the number of one"):
        pw.avg_predictions(fit, by="arm", hypothesis="b1 = b0")
    found = pw.avg_predictions(fit, by=["arm", "hypothesis"], hypothesis=["reference | hypothesis", "pairwise"]).table
    assert list(found["hypothesis_"][:4]) == ["b1 - b0", "b2 - b0"] * 2
    assert list(found["hypothesis"][:5]) == ["u", "u", "v", "v", ""]
    with pytest.raises(pw.DataError, match="names a column twice"):
        pw.avg_predictions(fit, by=["arm", "arm"])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda fit: pw.avg_predictions(fit, by="z", hypothesis="b4 = b1"), "no quantity 'b4'"),
        (lambda fit: pw.avg_predictions(fit, by="z", hypothesis="b1 < b2"), "must be an equation"),
        (lambda fit: pw.avg_predictions(fit, by="z", hypothesis="b1 = b2 = b3"), "must have one sign"),
        (lambda fit: pw.avg_predictions(fit, by="z", hypothesis="b1 +"), "Cannot read"),
        (lambda fit: pw.avg_predictions(fit, by="z", hypothesis="log(b1 - 2)"), "no finite value"),
        (lambda fit: pw.avg_predictions(fit, by="z", hypothesis="scale(b1)"), "learns from data"),
        (lambda fit: pw.avg_predictions(fit, by="z", hypothesis="__import__('os')"), "Cannot read"),
        (lambda fit: pw.avg_predictions(fit, by="z", hypothesis="1 = 2"), "names no quantity"),
        (lambda fit: pw.avg_predictions(fit, by="z", hypothesis=3), "must be a text or a list"),
        (lambda fit: pw.avg_predictions(fit, hypothesis="pairwise"), "two lines or more"),
        (lambda fit: pw.avg_predictions(fit, by="z", hypothesis="pairwise | zz"), "no column 'zz'"),
        (lambda fit: pw.avg_predictions(fit, weights="zz"), "no column 'zz'"),
        (lambda fit: pw.avg_predictions(fit, weights="z"), "must hold numbers"),
        (lambda fit: pw.avg_predictions(fit, weights="x"), "not negative"),
        (lambda fit: pw.predictions(fit, weights="many"), "weights= are of averages"),
        (lambda fit: pw.avg_comparisons(fit, "t", comparison="odds"), "no comparison 'odds'"),
        (lambda fit: pw.avg_comparisons(fit, "t", comparison=lambda one, other: 3.0), "gives one of that shape"),
        (lambda fit: pw.avg_comparisons(fit, "t", comparison="ratio", kind="linear"), None),
        (lambda fit: pw.avg_comparisons(fit, "t", comparison="lnratio", kind="linear"), "no finite value"),
        (lambda fit: pw.avg_comparisons(fit, "t", equivalence=(1, 0)), "from a smaller to a larger"),
        (lambda fit: pw.avg_comparisons(fit, "t", equivalence="ab"), "two numbers"),
        (lambda fit: pw.avg_comparisons(fit, "t", comparison=["ratio"]), "no comparison"),
        (lambda fit: pw.datagrid(fit, "square"), "no grid 'square'"),
        (lambda fit: pw.datagrid(fit, x=None), "one value or a list"),
        (lambda fit: pw.datagrid(fit, x=range(1001), t=range(1000)), "1,001,000 rows"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(fit, call, said):
    if said is None:
        call(fit)
        return
    with pytest.raises(pw.DataError, match=said):
        call(fit)


@pytest.mark.parametrize("kind", ["mean", "linear"])
def test_rows_stay_in_their_groups_while_a_predictor_changes(kind):
    """Of a number that is a grouping column too, one end of a step would be in another group."""
    rng = np.random.default_rng(6)
    rows = pd.DataFrame({"year": rng.integers(1, 9, 200)})
    rows["y"] = 0.1 * rows["year"] + rng.normal(size=9)[rows["year"]] + rng.normal(size=200)
    fit = pw.fit("y ~ year + (1 | year)", rows, seed=1, draws=100)
    slope = fit.posterior["beta"].sel(coefficient="year").values.mean()
    for new_groups in ("error", "population", "sample"):
        for found in (
            pw.avg_slopes(fit, kind=kind, new_groups=new_groups),
            pw.avg_comparisons(fit, "year", kind=kind, new_groups=new_groups),
        ):
            assert found.table["mean"][0] == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "Int8", "float16"])
def test_steps_do_not_begin_again_at_the_other_end(dtype):
    rng = np.random.default_rng(7)
    rows = pd.DataFrame({"percent": rng.integers(0, 101, 200)})
    rows["y"] = 0.1 * rows["percent"] + rng.normal(size=200)
    fit = pw.fit("y ~ percent", rows.astype({"percent": dtype}), seed=1, draws=100)
    slope = fit.posterior["beta"].sel(coefficient="percent").values.mean()
    for step in (50, -1, 300):
        found = pw.avg_comparisons(fit, {"percent": step}).table["mean"][0]
        assert found == pytest.approx(step * slope, rel=1e-6)


def test_averages_of_counts_of_categories_are_over_rows():
    rng = np.random.default_rng(8)
    rows = pd.DataFrame({"x": np.sort(rng.normal(size=60)), "g": rng.choice(list("abcd"), 60)})
    shares = np.exp(np.column_stack([0 * rows["x"], rows["x"], -rows["x"]]))
    counts = [
        rng.multinomial(k, p) for k, p in zip(rng.integers(1, 6, 60), shares / shares.sum(1)[:, None], strict=True)
    ]
    rows[["A", "B", "C"]] = counts
    fit = pw.fit("cbind(A, B, C) ~ x + (1 | g)", rows, family="categorical", seed=1, draws=100)
    for mine, theirs in (
        (pw.avg_predictions(fit), pw.avg_predictions(fit, rows)),
        (pw.avg_comparisons(fit, "x"), pw.avg_comparisons(fit, "x", rows)),
    ):
        pd.testing.assert_frame_equal(mine.table, theirs.table)
    assert len(fit.predict()) == 3 * 60
    assert pw.datagrid(fit)["x"][0] == pytest.approx(rows["x"].mean())


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_two_new_outcomes_are_independent(family):
    rng = np.random.default_rng(9)
    rows = pd.DataFrame({"x": rng.normal(size=200)})
    rows["y"] = rng.poisson(np.exp(1 + 0.3 * rows["x"]))
    fit = pw.fit("y ~ x", rows, family=family, seed=1, draws=1000)
    one = rows[["x"]].iloc[[5]]
    found = pw.comparisons(fit, "x", one, kind="response").table.iloc[0]
    high, low = (
        fit.predict(each, kind="response", draws=True, seed=seed).values.ravel()
        for each, seed in ((one + 1, 11), (one, 12))
    )
    assert found["sd"] == pytest.approx((high - low).std(), rel=0.08)
    assert found["above_zero"] == pytest.approx((high > low).mean(), abs=0.04)


def test_a_frame_that_is_changed_after_the_fit_changes_nothing():
    rng = np.random.default_rng(10)
    rows = pd.DataFrame({"x": rng.normal(size=100), "y": rng.normal(size=100)})
    fit = pw.fit("y ~ x", rows, seed=1, draws=100)
    before, tree = fit.predict(), fit.to_datatree(["constant_data"])
    rows["x"] = 7.0
    rows.drop(columns="y", inplace=True)  # noqa: PD002
    pd.testing.assert_frame_equal(fit.predict(), before)
    np.testing.assert_array_equal(fit.to_datatree(["constant_data"])["constant_data"]["x"], tree["constant_data"]["x"])


@pytest.mark.parametrize("term", ["t", "scale(t)", "I(2 * t)", "x:t"])
def test_a_column_of_zeros_and_ones_is_an_indicator_however_it_stands_in_the_formula(term):
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"t": np.arange(200) % 2, "x": 1.0 + rng.random(200)})
    rows["z"] = (rng.random(200) < expit(-1 + 2.5 * rows["t"])) * 1
    fit = pw.fit(f"z ~ {term}", rows, family="bernoulli", seed=1, draws=200)
    found = pw.avg_comparisons(fit, "t")
    assert found.table["contrast"].tolist() == ["1 - 0"]
    if term != "x:t":
        plain = pw.avg_comparisons(pw.fit("z ~ t", rows, family="bernoulli", seed=1, draws=200), "t")
        np.testing.assert_allclose(found.table["mean"], plain.table["mean"], atol=0.03)


@pytest.mark.parametrize("where", [0.0, 1e9])
def test_average_slopes_do_not_depend_on_where_zero_is(where):
    rng = np.random.default_rng(6)
    x = rng.normal(size=100)
    rows = pd.DataFrame({"t": where + x, "y": 2 * x + rng.normal(size=100), "g": np.arange(100) % 5})
    fit = pw.fit("y ~ t + (1 | g)", rows, seed=1, draws=200)
    by_row = pw.slopes(fit, "t").table["mean"]
    average = pw.avg_slopes(fit, "t").table["mean"].iloc[0]
    assert average == pytest.approx(by_row.mean(), rel=1e-6)
    assert average == pytest.approx(fit.summary().loc["beta[t]", "mean"], rel=1e-6)


def test_new_outcomes_have_no_slope(fit):
    with pytest.raises(pw.DataError, match="New outcomes have no slope"):
        pw.avg_slopes(fit, kind="response")
