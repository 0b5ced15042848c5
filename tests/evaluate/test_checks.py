"""Posterior predictive checks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.evaluate import posterior_checks as checks


def frame(rows=200, groups=8, seed=1):
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, groups, rows), rng.normal(size=rows)
    y = 1 + 0.5 * x + rng.normal(size=groups)[g] + rng.normal(size=rows)
    return pd.DataFrame({"y": y, "x": x, "g": g})


@pytest.fixture(scope="module")
def fit():
    return pw.fit("y ~ x + (1 | g)", frame(), seed=1, draws=500)


def test_replications_are_data_of_the_model(fit):
    found = fit.check(draws=400)
    post = fit.posterior
    mean = fit.predict(draws=True).values.reshape(-1, 200)
    assert found.replicated.mean(axis=0) == pytest.approx(mean.mean(axis=0), abs=0.3)
    residual = found.replicated - mean[np.linspace(0, 1999, 400).astype(int)]
    assert residual.std() == pytest.approx(float(post["sigma"].mean()), rel=0.03)
    for name in ("mean", "sd", "min", "max"):
        statistic = checks.STATISTICS[name]
        assert found.table.loc[name, "observed"] == pytest.approx(statistic(frame()["y"].to_numpy()))
        assert found.table.loc[name, "tail"] == np.mean(
            statistic(found.replicated) > statistic(frame()["y"].to_numpy())
        )
    assert 0.01 < found.table["tail"]["sd"] < 0.99


def test_groups_have_their_own_tails(fit):
    found = fit.check(draws=300)
    table = found.groups["g"].set_index("g")
    data = frame()
    np.testing.assert_allclose(table["mean"].sort_index(), data.groupby("g")["y"].mean())
    np.testing.assert_allclose(table["sd"].sort_index(), data.groupby("g")["y"].std())
    mine = (data["g"] == 3).to_numpy()
    assert table.loc[3, "tail_mean"] == np.mean(found.replicated[:, mine].mean(axis=1) >= data["y"][mine].mean())
    spread = found.replicated[:, mine].std(axis=1, ddof=1)
    assert table.loc[3, "tail_sd"] == np.mean(spread >= data["y"][mine].std())


def test_rmsd_in_sample_and_out_of_sample(fit):
    found = fit.check()
    assert found.rmsd_in_sample == pytest.approx(fit.rmsd())
    assert found.rmsd_out_of_sample == pytest.approx(fit.loo().rmsd, rel=1e-3)
    assert found.rmsd_out_of_sample > found.rmsd_in_sample


def test_a_wrong_model_is_found_out():
    data = frame()
    data.loc[7, "y"] = 40.0
    found = pw.fit("y ~ x + (1 | g)", data, seed=1, draws=200).check()
    assert found.table.loc["max", "tail"] < 0.01
    assert "does not make the observed" in found.verdict


def test_the_same_seed_gives_the_same_replications(fit):
    np.testing.assert_array_equal(fit.check(draws=10).replicated, fit.check(draws=10).replicated)
    assert not np.array_equal(fit.check(draws=10).replicated, fit.check(draws=10, seed=7).replicated)


def test_many_rows_are_a_random_part_and_said(fit, monkeypatch):
    monkeypatch.setattr(checks, "MOST", 50)
    found = fit.check()
    assert found.replicated.shape[1] == 50
    assert "50 rows taken at random" in repr(found)


@pytest.mark.parametrize("kind", ["complete", "separate"])
def test_other_kinds_of_pooling(kind):
    pooling = pw.compare_pooling("y ~ x", by="g", data=frame(), seed=1, folds=0, draws=200)
    found = getattr(pooling, kind).check()
    assert found.rmsd_out_of_sample == pytest.approx(getattr(pooling, kind).loo().rmsd)
    assert 0.01 < found.table["tail"]["mean"] < 0.99


def test_ties_of_groups_count_half():
    """A group without a success lies where nearly half of its replications do."""
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"g": np.repeat(np.arange(80), 3), "y": rng.binomial(1, 0.25, 240)})
    found = pw.fit("y ~ 1 + (1 | g)", rows, family="bernoulli", seed=1, draws=200).check()
    table = found.groups["g"]
    none = table["mean"] == 0
    codes = rows["g"].to_numpy()
    for group, tail in zip(table["g"][none], table["tail_mean"][none], strict=True):
        means = found.replicated[:, codes == group].mean(axis=1)
        assert tail == pytest.approx((means > 0).mean() + 0.5 * (means == 0).mean())
    assert "0% of 80" in found.verdict


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_rows_without_which_draws_are_too_few_are_told(family):
    """The model predicts them badly without them, and weights of the draws do not know how badly."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=30)
    y = x + rng.normal(size=30) if family == "gaussian" else rng.poisson(np.exp(0.5 * x))
    data = pd.DataFrame({"x": x, "y": y, "g": np.arange(30) % 6})
    formula = "y ~ x + (1 | g)" if family == "gaussian" else "y ~ x"
    assert "rough" not in pw.fit(formula, data, family=family, seed=1).check().deviations
    data.loc[0, ["x", "y"]] = (0, 60) if family == "gaussian" else (10, 30)
    fit = pw.fit(formula, data, family=family, seed=1)
    found = fit.check()
    assert found.heavy == 1 == fit.loo().refitted.sum()
    assert "unreliable: one row has a Pareto k-hat above 0.7" in found.deviations
