"""Columns along a predictor: what predictions of all rows of a group are on average, with the predictor at a value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.evaluate.along import along
from poolwise.output.plots.lines import expected

KINDS = ["low", "mid", "high"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 160
    data = pd.DataFrame(
        {
            "x": rng.normal(1.0, 1.0, n),
            "z": rng.integers(0, 2, n),
            "year": rng.integers(2001, 2006, n),
            "k": pd.Categorical(rng.choice(KINDS, n), KINDS),
            "t": rng.choice(["a", "b"], n),
            "a b": rng.normal(size=n),
            "g": np.array(list("pqrs"))[rng.integers(0, 4, n)],
        }
    )
    bend = data["x"] ** 2 + data["x"] * data["z"] + (data["k"] == "mid") + 0.1 * data["year"] + data["a b"]
    return data.assign(y=bend + rng.normal(0, 0.3, n), b=(bend > 204).astype(int))


def line(fit, column, group, points=5):
    """Places along a predictor, and the draws of the expected outcome of a group there."""
    model, factor = fit.result.model, fit.result.model.design.factors[0]
    found = along(model, fit.behind.of_all_groups(), model.design.columns.index(column))
    places = found.spread(points)
    (columns,) = found.columns(model, factor, np.array([group]), places)
    return found, places, expected(fit.result, factor, group, columns)


@pytest.mark.parametrize(
    ("formula", "column", "variable"),
    long_but_for(
        9,
        [
            ("y ~ x + I(x**2) + (1 | g)", "x", "x"),
            ("y ~ x + I(x**2) + z + (x + I(x**2) | g)", "I(x ** 2)", "x"),
            ("y ~ x * z + (x * z | g)", "x", "x"),
            ("y ~ scale(x) * z + (1 | g)", "scale(x)", "x"),
            ("y ~ poly(x, 2) + (1 | g)", "poly(x, 2)[1]", "x"),
            ("y ~ s(x) + z + (s(x) | g)", "s(x)[linear]", "x"),
            ("y ~ s(x, by=z) + z + (1 | g)", None, "x"),
            ("y ~ `a b` + I(`a b`**2) + (1 | g)", "a b", "a b"),
            ("y ~ k * z + (k | g)", "k[T.mid]", "k"),
            ("y ~ k + x:k + (1 | g)", "k[T.high]", "k"),
            ("y ~ t * x + (1 | g)", "t[T.b]", "t"),
            ("y ~ C(year) + (1 | g)", "C(year)[T.2003]", "year"),
            ("y ~ mo(year, by=z) + z + (1 | g)", None, "year"),
            ("y ~ x + x:z + offset(z) + (1 | g) + (0 + x | g)", "x", "x"),
        ],
    ),
)
def test_lines_are_predictions(frame, formula, column, variable):
    fit = pw.fit(formula, frame, seed=1, draws=60)
    column = column or fit.result.model.design.columns[0]
    found, places, drawn = line(fit, column, 1)
    assert found.title == variable
    mine = frame[frame["g"] == "q"]
    for place, value in zip(places, drawn.mean(axis=0), strict=True):
        at = found.words.get(place, int(place) if variable == "year" else place)
        new = mine.assign(**{variable: pd.Categorical([at] * len(mine), KINDS) if variable == "k" else at})
        less = mine["z"].mean() if "offset" in formula else 0.0  # lines are without offsets
        assert value == pytest.approx(fit.predict(new)["mean"].mean() - less, abs=1e-9)


@pytest.mark.parametrize("family", ["bernoulli", "gamma", "student"])
def test_columns_that_move_alone(frame, family):
    data = frame.assign(y=frame["b"] if family == "bernoulli" else np.exp(0.1 * frame["y"] - 20))
    fit = pw.fit("y ~ scale(x) + z + k + (scale(x) | g)", data, family=family, seed=1, draws=60)
    found, places, drawn = line(fit, "scale(x)", 2)
    assert found.title == "scale(x)"
    assert found.raw is None
    mine = data["g"] == "r"
    if family == "student":
        x = data["x"].mean() + places * data["x"].std()
        means = [fit.predict(data[mine].assign(x=at))["mean"].mean() for at in x]
        np.testing.assert_allclose(drawn.mean(axis=0), means, rtol=1e-9)
    assert len(places) == 5


def test_a_group_without_rows_is_at_the_means_of_all(frame):
    names = [f"a{k}" for k in range(12)]
    sires, dams = ([None] * 4 + [f"a{k % 2 + more}" for k in range(8)] for more in (0, 2))
    relatives = pd.DataFrame({"id": names, "sire": sires, "dam": dams})
    data = frame.assign(animal=np.array(names)[4 + np.arange(len(frame)) % 8])
    fit = pw.fit("y ~ x + I(x**2) + year + (x | gr(animal, cov='A'))", data, tables={"A": relatives}, seed=1, draws=60)
    levels = [str(level) for level in fit.result.model.design.factors[0].levels]
    _, places, drawn = line(fit, "x", levels.index("a1"))
    new = pd.DataFrame({"x": places, "year": frame["year"].mean(), "animal": "a1"})
    np.testing.assert_allclose(drawn.mean(axis=0), fit.predict(new)["mean"], rtol=1e-9)


def test_rows_that_were_left_in_a_file(frame, tmp_path, monkeypatch):
    from poolwise.statistics import routes

    frame.to_parquet(tmp_path / "rows.parquet")
    here = pw.fit("y ~ x * k + (1 | g)", frame, seed=1, draws=60)
    monkeypatch.setattr(routes, "LARGE", 10)
    there = pw.fit("y ~ x * k + (1 | g)", str(tmp_path / "rows.parquet"), seed=1, draws=60)
    assert there.rows is None
    (_, places, drawn), (_, expected_places, expected_draws) = line(there, "x", 0), line(here, "x", 0)
    np.testing.assert_allclose(places, expected_places)
    np.testing.assert_allclose(drawn.mean(axis=0), expected_draws.mean(axis=0), rtol=0.01)


def test_rows_that_changed_are_not_drawn(frame):
    fit = pw.fit("y ~ x * z + (1 | g)", frame, seed=1, draws=60)
    shown = fit.behind.of_all_groups()
    gone = type(shown)(shown.rows, lambda: None)
    assert along(fit.result.model, gone, 0) is None
