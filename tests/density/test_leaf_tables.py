"""Interpolated roots against dense matrices, and against elimination."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.density.blocks import leaf_tables
from poolwise.density.blocks.leaf_tables import LeafTables
from tests.density.models import dense_log_density, model_of
from tests.density.test_collapsed import random_theta

FORMULAS = ["y ~ x + (1 | a) + (1 | c)", "y ~ x + (x | a) + (1 | c)", "y ~ x + (1 + w || a) + (0 + x | c)"]


@pytest.fixture
def crossed(monkeypatch):
    monkeypatch.setattr(leaf_tables, "_CHEAPER", 0.0)
    rng = np.random.default_rng(5)
    a, c = rng.integers(0, 5, 160), rng.integers(0, 12, 160)
    y = rng.normal(size=5)[a] + rng.normal(size=12)[c] + rng.normal(size=160)
    return pd.DataFrame({"a": a, "c": c, "x": rng.normal(2, 1, 160), "w": rng.normal(size=160), "y": y})


@pytest.mark.parametrize("formula", FORMULAS)
def test_densities_and_draws_are_those_of_elimination(formula, crossed):
    model, rows, density = model_of(formula, crossed)
    assert density.tables is not None
    points = 0.5 * random_theta(density, 200)
    values = density.log_density(points)
    assert len(density.tables.known) > 1
    eliminated = replace(density, tables=None)
    np.testing.assert_allclose(values, eliminated.log_density(points), rtol=1e-12)
    for theta, value in zip(points[:3], values, strict=False):
        assert value == pytest.approx(dense_log_density(model, rows, theta), rel=1e-9)
    noise = np.random.default_rng(1).normal(size=(200, density.kept_size))
    for ours, theirs in zip(density.common_from(points, noise), eliminated.common_from(points, noise), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_far_away_and_beyond_all_numbers(crossed):
    _, _, density = model_of(FORMULAS[0], crossed)
    points = np.repeat(0.5 * random_theta(density, 1), 60, axis=0)
    for place, far in enumerate((-300.0, -40.0, 40.0, 300.0, np.nan, np.inf)):
        points[place * 10 : place * 10 + 10, 1] = far
    values, expected = density.log_density(points), replace(density, tables=None).log_density(points)
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_a_value_does_not_depend_on_what_was_asked_before(crossed):
    _, _, one = model_of(FORMULAS[0], crossed)
    _, _, other = model_of(FORMULAS[0], crossed)
    points = 0.5 * random_theta(one, 200)
    other.log_density(points[::-1])
    other.log_density(3.0 * points)
    np.testing.assert_array_equal(one.log_density(points), other.log_density(points))


def test_other_leaves_are_eliminated(crossed):
    _, _, slopes = model_of("y ~ x + (1 | a) + (x | c)", crossed)
    assert slopes.tables is None
    _, _, three = model_of("y ~ x + (1 | a) + (1 | c)", crossed)
    assert LeafTables.suit(three.smaller)


def test_fits_with_and_without_tables_have_the_same_draws(crossed, monkeypatch):
    formula = FORMULAS[0]
    by_tables = pw.fit(formula, crossed, seed=1, draws=300)
    monkeypatch.setattr(leaf_tables, "_CHEAPER", np.inf)
    by_elimination = pw.fit(formula, crossed, seed=1, draws=300)
    np.testing.assert_allclose(by_tables.result.theta, by_elimination.result.theta, atol=1e-6)
