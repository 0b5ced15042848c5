"""A shift, sampled in a coordinate without a bound: its density, its gradient, and which models have one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.density.latent.test_density import Case, assert_slopes, drawn, made, oracle, some_points
from tests.selection import long_but_for

import poolwise as pw

ROWS = 60
SHIFT = Case("shifted_lognormal", "y ~ x + (x | g) + (1 | h)")


def table(unit: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"g": rng.integers(0, 5, ROWS), "h": rng.integers(0, 4, ROWS), "x": rng.normal(size=ROWS)})
    eta = -0.5 + 0.3 * frame.x + rng.normal(0, 0.4, 5)[frame.g]
    return frame.assign(y=unit * (0.3 + np.exp(eta + 0.7 * rng.normal(size=ROWS))))


@pytest.mark.parametrize(
    "formula", long_but_for(lambda formula: formula != SHIFT.formula, [SHIFT.formula, "y ~ x", "y ~ 1 + (1 | g)"])
)
def test_value_is_that_of_plain_sums_with_the_volume_of_the_coordinates(formula):
    model, rows, density = made(replace(SHIFT, formula=formula), table())
    assert np.isfinite(density.problem.mixing.bounds[0]).sum() == 1
    step = 1e-5
    for point in some_points(density, 4):
        theta, beta, u, _ = drawn(density, point)
        moves = step * np.eye(point.size)[theta.size :]
        both = [np.hstack(density.expanded(point + sign * moves, 1)[1:]) for sign in (1, -1)]
        volume = np.linalg.slogdet((both[0] - both[1]) / (2 * step))[1]
        known = oracle(model, rows, theta, beta, u) + volume
        assert density.value_and_gradient(point)[0] == pytest.approx(known, abs=1e-5)
        assert_slopes(density, point)


def test_no_point_lies_at_or_above_the_bound():
    frame = table()
    model, _, density = made(SHIFT, frame)
    k = model.design.coefficients.index("ndt_Intercept")
    rng = np.random.default_rng(0)
    points = density.start + 3 * rng.normal(size=(500, density.dimension))
    shift = density.expanded(points, 1)[1][:, k]
    assert np.all(shift < np.log(frame.y.min()))
    assert shift.max() > np.log(0.99 * frame.y.min())
    assert all(np.isfinite(density.value_and_gradient(point)[0]) for point in points[:50])


def test_the_mode_is_where_the_coordinates_begin():
    _, _, density = made(SHIFT, table())
    _, beta, u, _ = drawn(density, density.start)
    np.testing.assert_allclose(beta, density.to_written @ density.mode.beta, rtol=1e-10)
    np.testing.assert_allclose(u, density.mode.u, atol=0.01)  # Newton stops where a step is worth little


@pytest.mark.parametrize("shift", long_but_for(1, ["ndt ~ x", "ndt ~ 1 + (1 | g)", "ndt ~ 0 + C(h)"]))
def test_shifts_that_differ_between_rows_have_no_bound(shift):
    """None that one coefficient could have: the chain learns from its density."""
    _, _, density = made(replace(SHIFT, formula=["y ~ x + (1 | g)", shift]), table())
    assert np.isinf(density.problem.mixing.bounds[0]).all()
    assert_slopes(density, some_points(density, 1)[0])


def test_the_search_begins_below_the_smallest_outcome_whatever_the_prior():
    priors = {"ndt_Intercept": pw.Normal(3.0, 2.0)}
    model, _, density = made(replace(SHIFT, formula="y ~ x", priors=priors), table())
    assert np.isfinite(density.mode.value)
    assert np.exp(density.mode.beta).min() < table().y.min()
    assert model.priors.coefficients[2].mean == 3.0


@pytest.mark.long
def test_units_of_the_outcome_do_not_matter():
    one, other = (made(replace(SHIFT, priors={}), table(unit))[2] for unit in (1.0, 1000.0))
    rng = np.random.default_rng(0)
    for _ in range(3):
        z = 0.5 * rng.normal(size=one.dimension)
        values = [each.value_and_gradient(each.start + z)[0] for each in (one, other)]
        assert values[0] - values[1] == pytest.approx(ROWS * np.log(1000.0), abs=0.05)
