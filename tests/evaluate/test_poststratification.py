"""Estimates for a population, against weighted sums of predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from tests.sources.engines import source

import poolwise as pw


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(2)
    state, age = rng.integers(0, 9, 600), rng.choice(["young", "old"], 600)
    eta = -0.2 + 0.7 * (age == "old") + 0.8 * rng.normal(size=9)[state]
    data = pd.DataFrame({"y": (rng.random(600) < expit(eta)) * 1, "age": age, "state": [f"s{k}" for k in state]})
    return pw.fit("y ~ age + (1 | state)", data, family="bernoulli", seed=1, draws=200)


@pytest.fixture(scope="module")
def population():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame([(f"s{k}", age) for k in range(11) for age in ("young", "old")], columns=["state", "age"])
    return frame.assign(n=rng.integers(10, 1000, len(frame)), region=np.where(frame["state"] < "s4", "north", "south"))


def _by_hand(fit, population, new_groups="sample"):
    drawn = fit.predict(population, new_groups=new_groups, draws=True).values.reshape(800, -1)
    return drawn, population["n"].to_numpy()


def test_the_whole_population_and_its_parts(fit, population):
    drawn, many = _by_hand(fit, population)
    whole = fit.poststratify(population)
    np.testing.assert_allclose(whole.draws.values.ravel(), drawn @ many / many.sum())
    by = fit.poststratify(population, by=["region", "age"])
    for k, (region, age) in enumerate(zip(by.table["region"], by.table["age"], strict=True)):
        mine = ((population["region"] == region) & (population["age"] == age)).to_numpy()
        expected = drawn[:, mine] @ many[mine] / many[mine].sum()
        np.testing.assert_allclose(by.draws.values.reshape(800, -1)[:, k], expected)
    apart = by.hypothesis("pairwise | region")
    assert list(apart.table["hypothesis"]) == ["young - old"] * 2


@pytest.mark.parametrize("kind", ["polars", "duckdb table", "parquet", "csv", "polars lazy"])
def test_from_every_source(kind, fit, population, tmp_path, monkeypatch):
    split = pd.concat([population.assign(n=population["n"] - 5), population.assign(n=5)], ignore_index=True)
    split["y"] = 0
    found = fit.poststratify(source(kind, split, tmp_path, monkeypatch), by="region")
    expected = fit.poststratify(population, by="region")
    np.testing.assert_allclose(found.draws.values, expected.draws.values, rtol=1e-10)


def test_averages_over_all_groups_need_no_labels(fit, population):
    cells = population.groupby("age", as_index=False)["n"].sum()
    found = fit.poststratify(cells, new_groups="marginal")
    drawn, many = _by_hand(fit, cells, "marginal")
    np.testing.assert_allclose(found.draws.values.ravel(), drawn @ many / many.sum())


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda p: p.drop(columns="n"), {}, "no column 'n'"),
        (lambda p: p.drop(columns="age"), {}, "no column 'age'"),
        (lambda p: p.assign(n=-1), {}, "numbers from 0"),
        (lambda p: p.assign(n=np.nan), {}, "numbers from 0"),
        (lambda p: p.assign(n="many"), {}, "numbers from 0"),
        (lambda p: p.assign(n=True), {}, "numbers from 0"),
        (lambda p: p, {"by": 3}, "by must be a list"),
        (lambda p: p, {"by": ["age", "age"]}, "names a column twice"),
        (lambda p: p, {"by": "regio"}, "Did you mean 'region'"),
        (lambda p: p, {"counts": "age"}, "is a predictor or group"),
        (lambda p: p, {"new_groups": "error"}, "has not seen state"),
        (
            lambda p: p.assign(n=p["n"].where(p["region"] == "south", 0)),
            {"by": ["region", "age"]},
            "with region = north and age = young, and in 1 more of its 4 parts: 'n' is zero in all of its cells",
        ),
        (lambda p: p.assign(n=0), {}, "nobody in the population: 'n' is zero in all"),
    ],
)
def test_what_is_no_population_is_refused_in_a_sentence(fit, population, change, options, said):
    with pytest.raises(pw.DataError, match=said):
        fit.poststratify(change(population), **options)


@pytest.mark.parametrize("odd", [np.nan, -5.0])
def test_an_engine_refuses_what_a_frame_does(fit, population, odd, tmp_path, monkeypatch):
    """A count that is missing or negative does not vanish in the sum of its cell."""
    split = pd.concat([population.assign(n=20.0), population.assign(n=odd).iloc[:1]], ignore_index=True)
    for kind in ("pandas", "duckdb table", "polars lazy"):
        with pytest.raises(pw.DataError, match="numbers from 0"):
            fit.poststratify(source(kind, split.assign(y=0), tmp_path, monkeypatch))
