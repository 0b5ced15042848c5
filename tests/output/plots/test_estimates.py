"""Charts of predictions, comparisons and slopes: what they show is what the tables hold."""

from __future__ import annotations

import numpy as np
import pytest

import poolwise as pw


@pytest.fixture(scope="module")
def fit(radon):
    data = radon.assign(log_uranium=np.log(radon["Uppm"]))
    return pw.fit("log_radon ~ floor * log_uranium + (floor | county)", data, seed=1, draws=100)


def _values(chart):
    """Rows of the chart's own table."""
    spec = chart.to_dict()
    return spec, next(iter(spec["datasets"].values())) if "datasets" in spec else spec["data"]["values"]


def test_a_band_along_a_number_in_two_colours(fit):
    spec, rows = _values(pw.plot_predictions(fit, ["log_uranium", "floor"]))
    assert len(rows) == 100
    assert {each["mark"]["type"] for each in spec["layer"]} == {"area", "line"}
    at = [{"floor": int(row["colour"]), "log_uranium": row["x"]} for row in rows]
    columns = {name: [one[name] for one in at] for name in at[0]}
    expected = fit.predict(columns, new_groups="population")
    np.testing.assert_allclose([row["mean"] for row in rows], expected["mean"])
    np.testing.assert_allclose([row["high"] for row in rows], expected["95%"])


def test_points_by_group_with_a_panel_for_each_term(fit):
    spec, rows = _values(pw.plot_comparisons(fit, ["floor", "log_uranium"], {"county": ["CASS", "CLAY"]}))
    assert {row["panel"] for row in rows} == {"floor, 1 - 0", "log_uranium, +1"}
    assert {row["x"] for row in rows} == {"CASS", "CLAY"}
    assert "data" not in spec["spec"]["layer"][0]  # panels have their own rows


def test_averages_over_rows_and_slopes(fit):
    _, rows = _values(pw.plot_predictions(fit, by="floor"))
    np.testing.assert_allclose([row["mean"] for row in rows], pw.avg_predictions(fit, by="floor").table["mean"])
    _, rows = _values(pw.plot_slopes(fit, "log_uranium", "floor"))
    assert [row["x"] for row in rows] == ["0", "1"]


def test_values_that_differ_have_colours_that_differ(small):
    years = pw.fit("y ~ x * year", small.assign(year=np.linspace(1990, 2010, len(small))), seed=1, draws=50)
    for values, said in (
        ([1999.0, 2001.0], ["1999", "2001"]),
        ([1999.0, 2000.25], ["1999.0", "2000.2"]),
        ([0.0, 1.0, 1.00001], ["0.0", "1.0", "1.00001"]),
    ):
        _, rows = _values(pw.plot_predictions(years, {"x": [0.0, 1.0], "year": values}))
        assert list(dict.fromkeys(row["colour"] for row in rows)) == said


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda fit: pw.plot_predictions(fit), "either condition="),
        (lambda fit: pw.plot_predictions(fit, "floor", by="floor"), "either condition="),
        (lambda fit: pw.plot_predictions(fit, ["floor", "floor"]), "one to three different"),
        (lambda fit: pw.plot_predictions(fit, "flor"), "Did you mean 'floor'"),
        (lambda fit: pw.plot_predictions(3, "floor"), "must be a fit"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(fit, call, said):
    with pytest.raises(pw.DataError, match=said):
        call(fit)
