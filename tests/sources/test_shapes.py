"""Shapes of areas: who shares a border, what is no map; and effects of areas beside single terms."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.support.errors import DataError


def square(name, x, y, size=1):
    ring = [[x, y], [x + size, y], [x + size, y + size], [x, y + size], [x, y]]
    return {"type": "Feature", "properties": {"name": name}, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def collection(*features):
    return {"type": "FeatureCollection", "features": list(features)}


FOUR = collection(square("a", 0, 0), square("b", 1, 0), square("c", 0, 1), square("d", 1, 1))


def test_neighbours_share_more_than_a_corner(tmp_path):
    pairs = pw.neighbours(FOUR, "name")
    assert list(pairs.itertuples(index=False, name=None)) == [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
    path = tmp_path / "map.geojson"
    path.write_text(json.dumps(FOUR))
    pd.testing.assert_frame_equal(pw.neighbours(path, "name"), pairs)


def test_counties_of_minnesota():
    shapes, radon = pw.datasets.load_minnesota(), pw.datasets.load_radon()
    pairs = pw.neighbours(shapes, "county")
    named = set(pairs["area"]) | set(pairs["neighbour"])
    assert len(named) == 87
    assert set(radon["county"]) <= named
    hennepin = pairs[(pairs == "HENNEPIN").any(axis=1)].to_numpy().ravel()
    assert set(hennepin) - {"HENNEPIN"} == {"ANOKA", "CARVER", "DAKOTA", "RAMSEY", "SCOTT", "SHERBURNE", "WRIGHT"}


@pytest.mark.parametrize(
    ("shapes", "key", "message"),
    [
        ({"type": "Feature"}, "name", "collection of features"),
        (3, "name", "collection of features"),
        (FOUR, "nam", "no property 'nam'.*name"),
        (collection(square("a", 0, 0), square("a", 1, 0)), "name", "'a' twice"),
        (collection(square("a", 0, 0), square("b", 5, 5)), "name", "No two of the shapes share a border"),
    ],
)
def test_messages(shapes, key, message):
    with pytest.raises(pw.DataError, match=message):
        pw.neighbours(shapes, key)


def test_a_path_without_shapes(tmp_path):
    with pytest.raises(pw.FileError, match="Cannot read shapes"):
        pw.neighbours(tmp_path / "nothing.geojson", "name")
    (tmp_path / "text.geojson").write_text("no json")
    with pytest.raises(pw.FileError, match="Cannot read shapes"):
        pw.neighbours(tmp_path / "text.geojson", "name")


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(0)
    area = rng.choice(list("abc"), 60)
    data = pd.DataFrame({"area": area, "x": rng.normal(size=60)})
    data["y"] = data["x"] + data["area"].map({"a": -1.0, "b": 0.0, "c": 1.0}) + 0.3 * rng.normal(size=60)
    return pw.fit("y ~ x + bym2(area, map)", data, tables={"map": pw.neighbours(FOUR, "name")}, draws=500, seed=1)


def test_effects_of_areas_are_all_that_their_terms_add(fit):
    table = fit.area_effects("area").set_index("area")
    assert table.index.tolist() == list("abcd")
    assert table.loc["d", "n"] == 0
    assert np.isnan(table.loc["d", "raw"])
    assert table.loc["d", "sd"] > table.loc["a", "sd"]  # no row lies there
    at = fit.predict({"x": [0.0, 0.0], "area": ["a", "c"]})["mean"]
    assert table.loc["c", "mean"] - table.loc["a", "mean"] == pytest.approx(at[1] - at[0], abs=1e-10)
    np.testing.assert_allclose(table.loc[list("abc"), "raw"], table.loc[list("abc"), "mean"], atol=0.2)


def test_the_map_has_its_three_panels(fit):
    chart = fit.plot.map(FOUR, by="area", key="name").to_dict(validate=False)
    assert [panel["title"]["text"] for panel in chart["hconcat"]] == ["own rows alone", "given all areas", "its sd"]
    with pytest.raises(pw.DataError, match="No shape has the name of an area"):
        fit.plot.map(collection(square("v", 0, 0)), by="area", key="name")
    with pytest.raises(pw.DataError, match="No term of this fit is over 'x'"):
        fit.area_effects("x")


def test_identifiers_keep_their_digits():
    """A column of whole numbers comes as floating-point numbers: 12345678 must not become 1.23457e+07."""
    ids = [12345678, 12345679, 12345680]
    pairs = pd.DataFrame({"a": ids[:2], "b": ids[1:]})
    data = pd.DataFrame({"area": ids * 5, "y": np.random.default_rng(1).normal(size=15)})
    fit = pw.fit("y ~ icar(area, map)", data, tables={"map": pairs}, draws=50, seed=1)
    assert fit.area_effects("area")["area"].tolist() == [str(one) for one in ids]


def test_areas_without_neighbours_are_told():
    with pytest.warns(pw.PoolwiseWarning, match="No border is shared by: far"):
        pw.neighbours(collection(*FOUR["features"], square("far", 9, 9)), "name")


def test_frames_of_geopandas_are_brought_to_degrees():
    class Frame:  # what is used of a GeoDataFrame; a real one, in metres, gave the same pairs
        crs = "EPSG:26915"

        def to_crs(self, code):
            assert code == 4326
            degrees = Frame()
            degrees.__geo_interface__ = pw.datasets.load_minnesota()
            return degrees

    assert pw.neighbours(Frame(), "county").equals(pw.neighbours(pw.datasets.load_minnesota(), "county"))


def test_shapes_that_lie_on_one_another_are_no_map():
    with pytest.raises(DataError, match="lie on one another"):
        pw.neighbours(collection(*(square(f"a{k}", 0, 0) for k in range(9))), "name")


def test_a_mark_at_the_beginning_of_a_file_is_read_over(tmp_path):
    (tmp_path / "map.geojson").write_text(json.dumps(FOUR), encoding="utf-8-sig")
    assert len(pw.neighbours(tmp_path / "map.geojson", "name")) == 4
