import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.design.design import linear_predictor
from poolwise.evaluate import posterior_checks
from poolwise.evaluate.loo import part_of_rows
from poolwise.evaluate.loo import sampled_families as sampled
from poolwise.evaluate.rmsd import squared_error
from poolwise.statistics import routes


@pytest.mark.parametrize("kind", ["complete", "separate", "partial"])
def test_rmsd_from_statistics_equals_rmsd_over_rows(kind, pooling):
    fit = getattr(pooling, kind)
    weights = fit.result.mean_weights()
    predicted = linear_predictor(fit.rows.values[:, :-1], fit.rows.codes, weights)
    assert fit.rmsd() == pytest.approx(np.sqrt(np.mean((fit.rows.response - predicted) ** 2)), rel=1e-10)


def test_squared_error_far_from_the_origin(small):
    fit = pw.fit("y ~ x + (x | g)", small.assign(y=small.y + 1e6), seed=1, draws=50)
    predicted = linear_predictor(fit.rows.values[:, :-1], fit.rows.codes, fit.result.mean_weights())
    direct = np.sum((fit.rows.response - predicted) ** 2)
    assert squared_error(fit.result.model.statistics, fit.result.mean_weights()) == pytest.approx(direct, rel=1e-6)


def test_cross_validation_equals_refits_on_rows(small):
    """Ten folds from statistics against fits to the rows that are left in, with the same folds."""
    frame = small[small.g != "a"].reset_index(drop=True)
    priors = {"Intercept": pw.Normal(0, 2), "x": pw.Normal(0, 1), "sd": pw.HalfNormal(1), "sigma": pw.HalfNormal(1)}
    pooling = pw.compare_pooling("y ~ x", by="g", data=frame, priors=priors, folds=4, seed=7)
    rng = np.random.default_rng(np.random.SeedSequence(7, spawn_key=(97,)))
    fold_of = rng.permutation(len(frame)) % 4
    error = 0.0
    for k in range(4):
        fit = pw.fit("y ~ x + (x || g)", frame[fold_of != k], priors=priors, seed=k, draws=2000)
        weights, levels = fit.result.mean_weights(), list(fit.result.model.design.factors[0].levels)
        held = frame[fold_of == k]
        assert set(held.g) <= set(levels)
        of_row = weights[[levels.index(g) for g in held.g]]
        error += np.sum((held.y - of_row[:, 0] - of_row[:, 1] * held.x) ** 2)
    partial = pooling.scores[pooling.partial.result.model.pooling]
    assert partial.cross_validated == pytest.approx(np.sqrt(error / len(frame)), abs=0.01)


def test_comparison_without_cross_validation(small):
    pooling = pw.compare_pooling("y ~ x", by="g", data=small, folds=0, seed=1, draws=50)
    assert list(pooling.table.columns) == ["parameters", "rmsd_in_sample", "seconds"]
    assert "says little" in pooling.verdict


def test_student_t_priors_in_all_three(small):
    priors = {"slopes": pw.StudentT(3, 0, 1)}
    pooling = pw.compare_pooling("y ~ x", by="g", data=small, priors=priors, folds=0, seed=1, draws=200)
    normal = pw.compare_pooling(
        "y ~ x", by="g", data=small, priors={"slopes": pw.StudentT(1e6, 0, 1)}, folds=0, seed=1, draws=2000
    )
    exact = pw.compare_pooling(
        "y ~ x", by="g", data=small, priors={"slopes": pw.Normal(0, 1)}, folds=0, seed=1, draws=2000
    )
    assert pooling.separate.result.beta.shape == (4, 200, 6, 2)
    one, two = normal.separate.result.beta, exact.separate.result.beta
    np.testing.assert_allclose(one.mean(axis=(0, 1)), two.mean(axis=(0, 1)), atol=0.09)


def test_prior_predictive_follows_the_priors(small):
    priors = {
        "Intercept": pw.Normal(3, 0.1),
        "x": pw.Normal(-1, 0.2),
        "sd": pw.HalfNormal(0.5),
        "sigma": pw.Exponential(2),
    }
    fit = pw.fit("y ~ x + (x | g)", small, priors=priors, seed=1, draws=50)
    drawn = fit.prior_predictive(4000, seed=2)
    assert drawn["beta"].sel(coefficient="x").mean() == pytest.approx(-1, abs=0.02)
    assert drawn["sigma"].mean() == pytest.approx(0.5, abs=0.04)
    spread = drawn["u_g"].std(dim=("draw", "g"))
    np.testing.assert_allclose(spread, 0.5, atol=0.05)
    assert drawn["y"].shape == (4000, 30)
    np.testing.assert_array_equal(drawn["y"], fit.prior_predictive(4000, seed=2)["y"])


@pytest.mark.long
@pytest.mark.parametrize(
    "engine", [pytest.param(False, id="frame", marks=pytest.mark.long), pytest.param(True, id="DuckDB")]
)
def test_rows_left_out_of_a_part_are_predicted_by_all_others(engine, monkeypatch):
    """Of many rows a part is looked at, but each is predicted by all others of its group."""
    rng = np.random.default_rng(5)
    g, k = rng.integers(0, 80, 1_600), rng.integers(0, 3, 1_600)
    g[:300] = 0  # a large group among small ones
    eta = -0.5 + 0.4 * k + rng.normal(size=80)[g]
    frame = pd.DataFrame({"y": (rng.random(1_600) < 1 / (1 + np.exp(-eta))).astype(int), "k": k, "g": g})
    fit = pw.fit("y ~ k + (1 | g)", frame, family="bernoulli", seed=1, draws=100)
    whole = fit.check(draws=20)
    if engine:
        duckdb = pytest.importorskip("duckdb")
        connection = duckdb.connect()
        connection.register("rows_of_all", frame)
        monkeypatch.setattr(routes, "LARGE", 0)
        fit = pw.fit("y ~ k + (1 | g)", connection.table("rows_of_all"), family="bernoulli", seed=1, draws=100)
    monkeypatch.setattr(posterior_checks, "MOST", 1_500)
    part = fit.check(draws=20)
    assert len(part.observed) == 1_500
    optimism = whole.rmsd_out_of_sample - whole.rmsd_in_sample
    assert part.rmsd_in_sample == pytest.approx(whole.rmsd_in_sample, abs=0.004)
    assert part.rmsd_out_of_sample - part.rmsd_in_sample == pytest.approx(optimism, rel=0.1)
    monkeypatch.setattr(posterior_checks, "MOST", 200)
    part = fit.check(draws=20)
    assert part.rmsd_out_of_sample - part.rmsd_in_sample == pytest.approx(optimism, rel=0.6)
    monkeypatch.setattr(part_of_rows, "_GATHERED", 300)  # some of the small groups
    fewer = fit.check(draws=20)
    assert fewer.rmsd_in_sample == part.rmsd_in_sample
    assert fewer.rmsd_out_of_sample == pytest.approx(part.rmsd_out_of_sample, abs=0.05)


def test_rows_of_a_part_may_come_in_another_order_the_second_time():
    """As engines answer: places of rows in one pass say nothing about those in the next."""
    rng = np.random.default_rng(6)
    g = rng.integers(0, 30, 200)
    y = rng.poisson(np.exp(0.5 + rng.normal(size=30)[g]))
    fit = pw.fit("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": g}), family="poisson", seed=1, draws=100)
    some = fit.rows.take(np.sort(rng.choice(200, 40, replace=False)))
    found = [
        part_of_rows.rmsd_of_part(fit.result, some, lambda order=order: iter([fit.rows.take(order)]))
        for order in (np.arange(200), rng.permutation(200))
    ]
    assert found[0] == pytest.approx(found[1])
    _, outside, heavy = part_of_rows.rmsd_of_part(fit.result, fit.rows, lambda: iter([fit.rows]))
    every = sampled.rmsd_left_out(fit.result, fit.rows)
    assert outside == pytest.approx(every[1]) and heavy == every[2]
