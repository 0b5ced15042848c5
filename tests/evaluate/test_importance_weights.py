"""Weights of units that nearly all draws find certain."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.evaluate.loo.importance_weights import average, left_out, noise, with_refits


def test_tails_of_equal_weights_are_told_from_tails_that_can_be_smoothed():
    rng = np.random.default_rng(0)
    density = -np.exp(8 * rng.normal(size=(4_000, 4)) - 60)  # a zero that is all but certain, in most draws
    density[:40, 0] = -np.linspace(0.5, 2.0, 40)
    density[:, 1] = rng.normal(size=4_000)
    density[:900, 2] = -1.0  # the whole tail is one value
    found, weights, shapes = left_out(density)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(weights.sum(axis=0), 1.0)
    assert shapes[0] > 0.7
    assert shapes[1] < 0.5
    assert shapes[2] == -np.inf
    expected = -np.log(np.mean(np.exp(-density), axis=0))
    np.testing.assert_allclose(found[[0, 2, 3]], expected[[0, 2, 3]], atol=1e-3)


def test_noise_is_the_spread_of_averages():
    rng = np.random.default_rng(1)
    densities = 0.7 * rng.normal(size=(400, 2_000))
    assert noise(densities[:, :1]) == pytest.approx(average(densities).std(), rel=0.2)
    assert noise(np.repeat(densities[:, :1], 3, axis=1)) == pytest.approx(3 * noise(densities[:, :1]))
    one_has_all = np.array([[0.0], *np.full((999, 1), -800.0)])
    assert noise(one_has_all) == pytest.approx(1.0, abs=0.01)
    assert noise(np.full((10, 1), -np.inf)) == np.inf
    assert with_refits(3.0, np.array([4.0, 12.0])) == pytest.approx(13.0)


@pytest.mark.long
def test_units_that_refits_do_not_tell_are_no_refits():
    """Known errors that are far too small: each group is in a tail that hardly a draw of the rest reaches."""
    rng = np.random.default_rng(5)
    g, h = np.repeat(np.arange(5), 5), np.tile(np.arange(3), 9)[:25]
    frame = pd.DataFrame({"g": g, "h": h, "x": rng.normal(size=25), "e": 0.25})
    frame["y"] = rng.normal(size=5)[g] + frame.x * g + 0.5 * rng.normal(size=25)
    found = pw.fit("y | se(e) ~ x + (x | h)", frame, seed=1, draws=400).loo(by="g")
    assert found.bad > 0
    assert found.bad + found.refitted.sum() == (found.pareto_k > 0.5).sum()
    assert found.error > 0.3


@pytest.mark.long
def test_averages_over_refits_have_an_error_too():
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"g": np.repeat(np.arange(6), 4), "e": 0.8})
    frame["y"] = rng.normal(size=24) + rng.normal(size=6)[frame.g]
    fit = pw.fit("y | se(e) ~ 1 + (1 | g)", frame, seed=1, draws=400)
    by_weights, by_rows, by_groups = fit.loo(), fit.kfold(24, draws=300), fit.kfold(by="g", draws=300)
    assert 0 < by_rows.error < 1
    assert abs(by_weights.elpd - by_rows.elpd) < 5 * np.hypot(by_weights.error, by_rows.error)
    assert abs(fit.loo(by="g").elpd - by_groups.elpd) < 5 * by_groups.error + 0.1
