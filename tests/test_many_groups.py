"""More groups than draws of them can be kept: summaries by blocks, draws on demand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.density import offsets


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(700), 3)
    spread = rng.normal(size=(700, 2))[group]
    x = rng.normal(size=2100)
    frame = pd.DataFrame({"y": 1 + spread[:, 0] + spread[:, 1] * x + rng.normal(size=2100), "x": x, "g": group})
    return pw.fit("y ~ x + (x | g)", frame, seed=2, draws=100)


def test_summaries_are_those_of_the_draws(fit):
    table = fit.group_coefficients(interval=0.8)
    draws = fit.posterior["coef_g"].values.reshape(400, 700, 2)
    np.testing.assert_allclose(table["mean"], draws.mean(axis=0).ravel(), rtol=1e-10)
    np.testing.assert_allclose(table["sd"], draws.std(axis=0, ddof=1).ravel(), rtol=1e-10)
    for column, share in (("10%", 0.1), ("90%", 0.9)):
        np.testing.assert_allclose(table[column], np.quantile(draws, share, axis=0).ravel(), rtol=1e-10)
    some = fit.group_coefficients(groups=[699, 0, 300])
    expected = fit.group_coefficients().set_index("g").loc[[699, 0, 300]].reset_index()
    pd.testing.assert_frame_equal(some, expected)


def test_draws_of_chosen_groups_are_those_among_all(fit):
    chosen = fit.group_draws([5, 698])
    everything = fit.posterior["coef_g"]
    np.testing.assert_array_equal(chosen.values, everything.sel(g=[5, 698]).transpose(*chosen.dims).values)


def test_too_many_draws_are_left_out_and_said(fit, monkeypatch):
    monkeypatch.setattr(offsets, "_KEPT", 1000)
    with pytest.warns(pw.PoolwiseWarning, match="Draws of 700 groups are left out"):
        assert "coef_g" not in fit.posterior
    with pytest.raises(pw.DataError, match="Draws of 700 groups would take"):
        fit.summary(groups=True)
    assert len(fit.group_coefficients()) == 1400
    assert fit.group_draws([1]).shape == (4, 100, 1, 2)
    assert "sd_g[x]" in repr(fit)


def test_the_mean_without_noise_is_near_the_mean_of_draws(fit):
    draws = fit.result.u[0].draws()
    error = fit.result.u[0].mean() - draws.mean(axis=(0, 1))
    assert np.abs(error / (draws.std(axis=(0, 1)) / np.sqrt(400))).max() < 5


def test_progress_over_groups(fit):
    said = []
    fit.group_coefficients(progress=lambda step, share: said.append((step, share)))
    assert said[-1] == ("summarising groups", 1.0)
