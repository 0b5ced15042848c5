"""Charts hold what they should; how they look was judged by eye."""

import base64
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.output.plots import theme
from poolwise.output.plots.export import save_chart, script_json


def data_of(chart):
    """All tables of a chart."""
    return [table for table in chart.to_dict()["datasets"].values() if table]


def test_trace_has_a_row_for_each_parameter(radon_fit):
    assert len(radon_fit.plot.trace().vconcat) == 5
    assert len(radon_fit.plot.trace(["sigma"]).vconcat) == 1


def test_forest_lists_every_county_once_for_each_effect(radon_fit):
    tables = [table for table in data_of(radon_fit.plot.forest()) if "group" in table[0]]
    assert [len(table) for table in tables] == [85, 85]
    assert len(radon_fit.plot.forest("floor").hconcat) == 1


def test_lines_show_all_rows_of_the_counties(pooling):
    chart = pooling.plot.lines(["CASS", "CROW WING", "FREEBORN"], labels={0: "basement", 1: "first floor"})
    assert len(chart.concat) == 3
    dots = [table for table in data_of(chart) if set(table[0]) == {"x", "y"}]
    assert sorted(len(table) for table in dots) == [5, 9, 12]
    assert "first floor" in json.dumps(chart.to_dict())


def test_lines_end_at_the_posterior_means(pooling):
    chart = pooling.plot.lines(["CASS"])
    means = [row for table in data_of(chart) for row in table if set(row) == {"x", "y", "model"}]
    table = pooling.partial.group_coefficients().set_index(["county", "effect"])["mean"]
    ends = {row["x"]: row["y"] for row in means if row["model"] == "partial pooling"}
    assert ends[0] == pytest.approx(table["CASS", "Intercept"])
    assert ends[1] == pytest.approx(table["CASS", "Intercept"] + table["CASS", "floor"])


def test_arrows_start_at_separate_and_end_at_pooled_means(pooling):
    tables = data_of(pooling.plot.shrinkage(label=["CASS"]))
    arrows = next(table for table in tables if "x2" in table[0])
    assert len(arrows) == 85
    cass = next(row for row in arrows if row["group"] == "CASS")
    separate = pooling.separate.group_coefficients().set_index(["county", "effect"])["mean"]
    assert cass["x"] == pytest.approx(separate["CASS", "Intercept"])
    assert cass["told by"] == "one coefficient from the prior alone"
    assert [
        row["group"]
        for table in tables
        if "n" not in table[0] and "order" not in table[0]
        for row in table
        if "group" in row
    ] == ["CASS"]


def test_charts_that_cannot_be_drawn_say_why(small):
    pooling = pw.compare_pooling("y ~ 1", by="g", data=small, folds=0, seed=1, draws=50)
    with pytest.raises(pw.DataError, match="need two coefficients"):
        pooling.plot.shrinkage()
    with pytest.raises(pw.DataError, match="intercepts only"):
        pooling.plot.lines(["a"])
    fit = pw.fit("y ~ x + (x | g)", small, seed=1, draws=50)
    with pytest.raises(pw.DataError, match="no effect 'z'"):
        fit.plot.forest("z")
    pooled = pw.fit("y ~ x", small, seed=1, draws=50)
    with pytest.raises(pw.DataError, match="no groups"):
        pooled.plot.forest()


@pytest.mark.long
@pytest.mark.parametrize(
    "ending", long_but_for(".html".__eq__, [".svg", ".html", pytest.param(".png", marks=pytest.mark.long)])
)
def test_charts_are_written_whole(ending, radon_fit, tmp_path):
    path = save_chart(radon_fit.plot.trace(["sigma"]), tmp_path / f"trace{ending}")
    assert path.stat().st_size > 5000
    assert len(list(tmp_path.iterdir())) == 1
    if ending == ".html":
        assert "cdn" not in path.read_text()[:2000]


def test_charts_of_an_unknown_kind(radon_fit, tmp_path):
    with pytest.raises(pw.FileError, match="must end in"):
        save_chart(radon_fit.plot.trace(["sigma"]), tmp_path / "trace.gif")
    with pytest.raises(pw.FileError, match="Cannot write"):
        save_chart(radon_fit.plot.trace(["sigma"]), tmp_path / "no" / "trace.png")


def test_many_groups_are_cut_and_said():
    rng = np.random.default_rng(0)
    group = np.arange(2000) % 400
    fit = pw.fit(
        "y ~ x + (x | g)", {"y": rng.normal(size=2000), "x": rng.normal(size=2000), "g": group}, seed=1, draws=50
    )
    chart = fit.plot.forest()
    assert "the 150 of 400 groups with most rows" in json.dumps(chart.to_dict()["title"])


def test_a_notebook_draws_charts_without_a_network(radon_fit, monkeypatch):
    import altair as alt

    from poolwise.output.plots import notebook

    monkeypatch.setattr(notebook, "in_notebook", lambda: True)
    with alt.renderers.enable("default"):
        chart = radon_fit.plot.forest()
        assert alt.renderers.active == notebook.NAME
        found = chart._repr_mimebundle_()
    assert [kind.split(".")[:2] for kind in found] == [["application/vnd", "vegalite"], ["image/png"]]
    assert base64.b64decode(found["image/png"]).startswith(b"\x89PNG")
    with alt.renderers.enable("svg"):  # a choice of the user stays
        radon_fit.plot.forest()
        assert alt.renderers.active == "svg"


def test_a_limit_of_addresses_is_refused_before_the_engine_aborts(tmp_path):
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))\n"
        "import altair as alt, pathlib\n"
        "from poolwise.output.plots.export import save_chart\n"
        "chart = alt.Chart(alt.InlineData(values=[{'a': 1}])).mark_point()\n"
        "save_chart(chart, pathlib.Path('kept.json'))\n"
        "save_chart(chart, pathlib.Path('lost.png'))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "reserves 80 GB of addresses (not of memory), and this process is limited to 16 GB" in found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]


@pytest.mark.parametrize(("interval", "said"), [(0.975, "97.5%"), (0.995, "99.5%"), (0.57, "57%"), (0.9, "90%")])
def test_an_interval_has_its_own_name(small, interval, said):
    fit = pw.fit("y ~ x + (x | g)", small, seed=1, draws=50)
    assert f"x (mean and {said} interval)" in json.dumps(fit.plot.forest("x", interval=interval).to_dict())


def test_arrows_name_the_groups_that_are_asked_for():
    rng = np.random.default_rng(0)
    rows = {"g": np.arange(200) % 8, "x": rng.normal(size=200), "y": rng.normal(size=200)}
    pooling = pw.compare_pooling("y ~ x", by="g", data=rows, folds=0, seed=1, draws=50)

    def named(chart):
        return [row["group"] for table in data_of(chart) if set(table[0]) == {"x", "y", "group"} for row in table]

    assert named(pooling.plot.shrinkage(label=[3])) == ["3"]
    assert not named(pooling.plot.shrinkage(label=[]))
    with pytest.raises(pw.DataError, match="no group 'nosuch'"):
        pooling.plot.shrinkage(label=["nosuch"])


def test_pages_hold_json_that_browsers_read():
    found = script_json({"a": [np.nan, np.float64(np.inf), 1.5], "b": (-np.inf, "NaN")})
    assert json.loads(found, parse_constant=lambda name: pytest.fail(name)) == {
        "a": [None, None, 1.5],
        "b": [None, "NaN"],
    }


def test_a_table_without_some_numbers_is_json(tmp_path):
    import altair as alt
    import pandas as pd

    table = theme.data(pd.DataFrame({"x": [1.0, np.nan], "k": [1, 2]}))
    path = save_chart(alt.Chart(table).mark_point(), tmp_path / "chart.json")
    (rows,) = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))["datasets"].values()
    assert rows == [{"x": 1.0, "k": 1}, {"x": None, "k": 2}]


def test_words_stand_at_values_of_any_size():
    rng = np.random.default_rng(1)
    rows = {"g": np.arange(60) % 3, "day": np.repeat([20200101, 20210101], 30), "y": rng.normal(size=60)}
    fit = pw.fit("y ~ day + (day | g)", rows, seed=1, draws=50)
    axis = fit.plot.groups([0], labels={20200101: "old", 20210101: "new"}).to_dict()["concat"][0]["layer"][0]
    said = axis["encoding"]["x"]["axis"]
    assert said["values"] == [20200101, 20210101]
    assert said["labelExpr"] == '["old", "new"][indexof([20200101.0, 20210101.0], datum.value)]'


def test_tooltips_show_numbers_of_any_size(small):
    fit = pw.fit("y ~ x + (x | g)", small.assign(y=1e-9 * small["y"]), seed=1, draws=50)
    formats = re.findall(r'"format": "([^"]*)"', json.dumps(fit.plot.forest().to_dict()))
    assert set(formats) == {theme.NUMBER}


def test_lines_bend_with_all_columns_of_their_predictor():
    rng = np.random.default_rng(1)
    x, g = rng.normal(size=200), np.arange(200) % 5
    rows = {"x": x, "g": g, "z": rng.integers(0, 2, 200), "y": x**2 + 0.1 * rng.normal(size=200)}
    pooling = pw.compare_pooling("y ~ x + I(x**2) + z", by="g", data=rows, folds=0, seed=1, draws=60)
    means = [row for table in data_of(pooling.plot.lines([3])) for row in table if set(row) == {"x", "y", "model"}]
    share = rows["z"][g == 3].mean()
    for kind, fit in (("partial pooling", pooling.partial), ("no pooling", pooling.separate)):
        mine = [row for row in means if row["model"] == kind]
        at = [row["x"] for row in mine]
        assert len(at) > 10
        said = fit.predict({"x": at, "g": [3] * len(at), "z": [share] * len(at)})
        np.testing.assert_allclose([row["y"] for row in mine], said["mean"], atol=1e-9)
    arrows = next(table for table in data_of(pooling.plot.shrinkage(y="x", outcome=True)) if "x2" in table[0])
    chart = pooling.plot.shrinkage(y="x", outcome=True).to_dict()
    low = x.mean() - x.std()
    said = pooling.partial.predict({"x": [low], "g": [3], "z": [share]})["mean"].iloc[0]
    assert arrows[3]["x2"] == pytest.approx(said)
    assert f"expected y where x is {low:.3g}" in json.dumps(chart)


def test_lines_of_a_group_without_rows():
    names = [f"a{k}" for k in range(12)]
    sires, dams = ([None] * 4 + [f"a{k % 2 + more}" for k in range(8)] for more in (0, 2))
    rng = np.random.default_rng(2)
    rows = {"animal": np.array(names)[4 + np.arange(80) % 8], "x": rng.normal(size=80), "y": 200 + rng.normal(size=80)}
    relatives = {"id": names, "sire": sires, "dam": dams}
    fit = pw.fit("y ~ x + (x | gr(animal, cov='A'))", rows, tables={"A": relatives}, seed=1, draws=60)
    chart = fit.plot.groups(["a3"])
    means = [row for table in data_of(chart) for row in table if set(row) == {"x", "y", "model"}]
    said = fit.predict({"x": [row["x"] for row in means], "animal": ["a3"] * len(means)})
    np.testing.assert_allclose([row["y"] for row in means], said["mean"])


def test_lines_along_a_category_stand_at_its_labels():
    rng = np.random.default_rng(3)
    rows = {"k": np.array(["u", "v", "w"])[rng.integers(0, 3, 90)], "g": np.arange(90) % 3, "y": rng.normal(size=90)}
    fit = pw.fit("y ~ k + (k | g)", rows, seed=1, draws=60)
    chart = fit.plot.groups([1])
    means = [row for table in data_of(chart) for row in table if set(row) == {"x", "y", "model"}]
    np.testing.assert_allclose([row["y"] for row in means], fit.predict({"k": ["u", "v", "w"], "g": [1] * 3})["mean"])
    axis = chart.to_dict()["concat"][0]["layer"][0]["encoding"]["x"]
    assert axis["title"] == "k"
    assert axis["axis"]["labelExpr"].startswith('["u", "v", "w"]')


@pytest.mark.long
def test_every_group_that_is_asked_for_is_named(pooling):
    counties = ["CASS", "CROW WING", "ST LOUIS", "HENNEPIN", "ANOKA", "DAKOTA"]
    tables = data_of(pooling.plot.shrinkage(label=counties, outcome=True))
    named = [row["group"] for table in tables if set(table[0]) == {"x", "y", "group"} for row in table]
    assert sorted(named) == sorted(counties)
    chart = json.dumps(pooling.plot.shrinkage(outcome=True).to_dict())
    assert 'expected log_radon where floor is 0"' in chart
