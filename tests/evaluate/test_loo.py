"""Rows and groups left out, against integration on grids and against refits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.density.gaussian import gaussian
from poolwise.evaluate.loo import rows as rows_out
from poolwise.evaluate.loo.elpd import GOOD_K

PRIORS = {"Intercept": pw.Normal(0, 3), "slopes": pw.Normal(0, 2), "sd": pw.HalfNormal(1), "sigma": pw.HalfNormal(2)}


def frame(rows=36, groups=6, seed=1):
    rng = np.random.default_rng(seed)
    g = rng.integers(0, groups, rows)
    x = rng.normal(size=rows)
    y = 1 + 0.5 * x + rng.normal(size=groups)[g] + rng.normal(size=rows)
    names = np.array([f"g{i}" for i in g])
    return pd.DataFrame(
        {"y": y, "x": x, "g": names, "h": rng.choice(["a", "b", "c"], rows), "n": 1.0 + g % 3, "o": 3 * x}
    )


def fitted(formula, data=None, draws=4000, **more):
    with_sd = {} if "|" in formula else {"sd": None}
    priors = {name: prior for name, prior in PRIORS.items() if name not in with_sd}
    return pw.fit(formula, frame() if data is None else data, priors=priors, seed=1, draws=draws, **more)


def log_integral(model, points=61):
    """log of the integral of the density over theta, on a grid around its bulk."""
    density = gaussian(model.statistics, model.design, model.priors, threads=1)
    axes = [np.linspace(-7, 2.5, points)] * (density.dimension - 1) + [np.linspace(-2, 2.5, points)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, density.dimension)
    values = density.log_density(grid)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    return values.max() + np.log(np.exp(values - values.max()).sum() * cell)


def refitted(fit, keep, data=None, **more):
    """The model of some rows with the priors of another fit."""
    return fitted(fit.formula, (frame() if data is None else data)[keep], draws=10, **more).result.model


@pytest.mark.parametrize("formula", long_but_for(1, ["y ~ x + (1 | g)", "y ~ x + (1 | g) + (1 | h)"]))
def test_rows_left_out_equal_integrals_over_theta(formula):
    fit = fitted(formula)
    loo = fit.loo()
    points = 61 if "h" not in formula else 25
    whole = log_integral(fit.result.model, points)
    for i in (0, 7, 20):
        exact = whole - log_integral(refitted(fit, np.arange(36) != i), points)
        assert loo.elpd_i[i] == pytest.approx(exact, abs=0.02)
    assert loo.bad == 0


@pytest.mark.parametrize("formula", long_but_for(2, ["y ~ x + (1 | g)", "y ~ x", "y ~ x + (1 | g) + (1 | h)"]))
def test_groups_left_out_equal_integrals_over_theta(formula):
    fit = fitted(formula, draws=16_000)
    loo = fit.loo(by="g")
    points = 61 if "h" not in formula else 25
    whole = log_integral(fit.result.model, points)
    labels = frame()["g"].to_numpy()
    for i in (0, 3):  # weights of a whole group scatter: by 0.02 from seed to seed
        exact = whole - log_integral(refitted(fit, labels != loo.labels[i]), points)
        assert loo.elpd_i[i] == pytest.approx(exact, abs=0.06)


def test_a_column_outside_the_model_can_be_left_out():
    fit = fitted("y ~ x + (1 | g)", draws=16_000)  # weights of a group of many rows scatter
    loo = fit.loo(by="h")
    whole = log_integral(fit.result.model)
    for i, label in enumerate(loo.labels):
        exact = whole - log_integral(refitted(fit, (frame()["h"] != label).to_numpy()))
        assert loo.elpd_i[i] == pytest.approx(exact, abs=0.12)  # six seeds were off by up to 0.08
    with pytest.raises(pw.DataError, match="no column 'hh'"):
        fit.loo(by="hh")


def test_complete_pooling_by_rows_and_by_groups_is_exact():
    fit = fitted("y ~ x")
    loo, whole = fit.loo(), log_integral(fit.result.model, 2001)
    for i in (0, 11):
        assert loo.elpd_i[i] == pytest.approx(whole - log_integral(refitted(fit, np.arange(36) != i), 2001), abs=1e-6)
    assert np.isnan(loo.pareto_k).all()


def test_separate_regressions_by_rows_and_by_groups():
    pooling = pw.compare_pooling("y ~ x", by="g", data=frame(), priors=PRIORS, seed=1, folds=0)
    loo, by_group = pooling.separate.loo(), pooling.separate.loo(by="g")
    alone = frame()[frame()["g"] == "g2"]
    whole = log_integral(fitted("y ~ x", alone, draws=10).result.model, 2001)
    assert by_group.elpd_i[list(by_group.labels).index("g2")] == pytest.approx(whole, abs=1e-6)
    first = alone.index[0]
    rest = log_integral(fitted("y ~ x", alone.drop(index=first), draws=10).result.model, 2001)
    assert loo.elpd_i[first] == pytest.approx(whole - rest, abs=1e-6)


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ x"])
def test_weights_and_offsets_count(formula):
    formula = formula.replace("~", "~ offset(o) +")
    fit = fitted(formula, weights="n")
    loo, by_group = fit.loo(), fit.loo(by="g")
    points = 61 if "|" in formula else 2001
    whole = log_integral(fit.result.model, points)
    keep = np.arange(36) != 5
    exact = whole - log_integral(refitted(fit, keep, weights="n"), points)
    assert loo.elpd_i[5] == pytest.approx(exact, abs=0.02)
    exact = whole - log_integral(refitted(fit, (frame()["g"] != "g3").to_numpy(), weights="n"), points)
    assert by_group.elpd_i[3] == pytest.approx(exact, abs=0.02)


def test_a_row_that_moves_everything_is_left_out_by_refitting():
    data = frame()
    data.loc[4, "y"] = 14.0
    fit = fitted("y ~ x + (1 | g)", data, draws=1000)
    loo = fit.loo()
    assert loo.pareto_k[4] > GOOD_K
    assert loo.refitted[4]
    assert loo.bad == 0
    exact = log_integral(fit.result.model, 121) - log_integral(refitted(fit, np.arange(36) != 4, data), 121)
    assert loo.elpd_i[4] == pytest.approx(exact, abs=0.1)


def test_a_part_of_many_rows_stands_for_all(monkeypatch):
    data = frame(600, 20)
    fit = fitted("y ~ x + (1 | g)", data, draws=500)
    whole = fit.loo()
    monkeypatch.setattr(rows_out, "MOST", 60)
    part = fit.loo()
    assert len(part.elpd_i) == 60
    assert part.total == 600
    assert part.elpd == pytest.approx(whole.elpd, abs=4 * part.subsampling_se + 0.05)
    assert part.subsampling_se < 0.5
    assert "taken at random" in repr(part)
    monkeypatch.setattr(rows_out, "MOST", 599)
    assert fit.loo().elpd == pytest.approx(whole.elpd, abs=0.05)


def test_rows_in_a_file_are_streamed_and_give_the_same(tmp_path):
    data = frame(300, 8)
    data.to_parquet(tmp_path / "rows.parquet")
    fit = pw.fit("y ~ x + (1 | g)", str(tmp_path / "rows.parquet"), priors=PRIORS, seed=1)
    if fit.rows is not None:
        object.__setattr__(fit, "rows", None)
    here = pw.fit("y ~ x + (1 | g)", data, priors=PRIORS, seed=1)
    np.testing.assert_allclose(fit.loo().elpd_i, here.loo().elpd_i, atol=1e-6)
    np.testing.assert_allclose(fit.kfold(5, draws=50).elpd_i, here.kfold(5, draws=50).elpd_i, atol=1e-6)


@pytest.mark.long
def test_kfold_by_refits_agrees_with_leaving_out_one_by_one():
    fit = fitted("y ~ x + (1 | g)", draws=2000)
    loo, folds = fit.loo(), fit.kfold(36, draws=500)
    np.testing.assert_allclose(folds.elpd_i, loo.elpd_i, atol=0.06)
    assert folds.rmsd == pytest.approx(loo.rmsd, rel=0.01)
    few, again = (fit.kfold(4, draws=100).elpd_i for _ in range(2))
    np.testing.assert_array_equal(again, few)
    by_group = fit.kfold(by="g", draws=1000)
    np.testing.assert_allclose(by_group.elpd_i, fit.loo(by="g").elpd_i, atol=0.05)
    with pytest.raises(pw.DataError, match="only 36 rows"):
        fit.kfold(37)


@pytest.mark.parametrize("kind", ["complete", "separate"])
def test_kfold_without_draws(kind):
    pooling = pw.compare_pooling("y ~ x", by="g", data=frame(), priors=PRIORS, seed=1, folds=0)
    fit = getattr(pooling, kind)
    np.testing.assert_allclose(fit.kfold(36).elpd_i, fit.loo().elpd_i, atol=1e-7)
    np.testing.assert_allclose(fit.kfold(36).residual, fit.loo().residual, atol=1e-7)


def test_compare_ranks_and_weighs():
    best, worst = fitted("y ~ x + (1 | g)"), fitted("y ~ 1", frame())
    found = pw.compare(best, null=worst)
    assert list(found.table.index) == ["y ~ x + (1 | g)", "null"]
    assert found.table["weight"].sum() == pytest.approx(1, abs=1e-6)
    apart = best.loo().elpd_i - worst.loo().elpd_i
    assert found.table.loc["null", "elpd_diff"] == pytest.approx(-apart.sum(), abs=1e-6)
    assert found.table.loc["null", "diff_se"] == pytest.approx(np.sqrt(36) * apart.std(), rel=0.05)
    assert found.table.loc["null", "log_evidence"] == pytest.approx(worst.log_evidence)
    assert "predicts best" in found.verdict


def test_fits_of_different_data_are_not_compared():
    one = fitted("y ~ x + (1 | g)", draws=50)
    with pytest.raises(pw.DataError, match="36 rows, but .* of 30"):
        pw.compare(a=one, b=fitted("y ~ x", frame()[:30], draws=50))
    other = frame().assign(y=frame()["y"] + 1)
    with pytest.raises(pw.DataError, match="different outcomes: in row 1"):
        pw.compare(a=one, b=fitted("y ~ x", other, draws=50))
    with pytest.raises(pw.DataError, match="two fits"):
        pw.compare(one)
    with pytest.raises(pw.DataError, match="takes fits"):
        pw.compare(one, "y ~ x")


def test_evidence_equals_an_integral_and_bayes_factors_follow():
    for formula, points in (("y ~ x + (1 | g)", 121), ("y ~ x", 2001)):
        fit = fitted(formula)
        assert fit.log_evidence == pytest.approx(log_integral(fit.result.model, points), abs=0.03)


def test_bayes_factors_are_ratios_of_evidences():
    varying, pooled = fitted("y ~ x + (1 | g)"), fitted("y ~ x")
    expected = log_integral(varying.result.model, 121) - log_integral(pooled.result.model, 2001)
    assert np.log(pw.bayes_factor(varying, pooled)) == pytest.approx(expected, abs=0.05)
    assert pw.bayes_factor(pooled, varying) == pytest.approx(1 / pw.bayes_factor(varying, pooled))
    with pytest.raises(pw.DataError, match="36 and 30 rows"):
        pw.bayes_factor(varying, fitted("y ~ x", frame()[:30], draws=50))
    with pytest.raises(pw.DataError, match="different outcomes"):
        pw.bayes_factor(varying, fitted("y ~ x", frame().assign(y=lambda d: d["y"] + 1), draws=50))


def test_a_loaded_fit_says_that_it_has_no_rows(tmp_path):
    fit = fitted("y ~ x + (1 | g)", draws=50)
    fit.save(tmp_path / "fit")
    again = pw.load(tmp_path / "fit")
    with pytest.raises(pw.DataError, match="holds no rows"):
        again.loo()
    np.testing.assert_allclose(again.loo(by="g").elpd_i, fit.loo(by="g").elpd_i)
    with pytest.raises(pw.DataError, match="not at hand"):
        again.loo(by="h")


def test_every_county_left_out_in_turn_to_a_hundredth():
    """Radon: against integration over theta on a grid, for all 85 counties."""
    radon = pw.datasets.load_radon()
    scales = {"sd": pw.HalfCauchy(1), "sigma": pw.HalfCauchy(1), "Intercept": pw.Normal(0, 1), "floor": pw.Normal(0, 1)}
    fit = pw.fit("log_radon ~ floor + (floor || county)", radon, priors=scales, seed=1)
    loo = fit.loo(by="county")
    theta = fit.result.theta.reshape(-1, 3)
    lows, highs = theta.min(axis=0) - 0.3, theta.max(axis=0) + 0.3
    lows[:2] -= [0.5, 5.0]
    axes = [np.linspace(low, high, points) for low, high, points in zip(lows, highs, (24, 44, 24), strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    model = fit.result.model
    density = gaussian(model.statistics, model.design, model.priors, threads=2)
    log_p = density.log_density(grid)
    weights = np.exp(log_p - log_p.max())
    exact = -np.log(weights @ np.exp(-density.groups_left_out(grid, model.statistics)) / weights.sum())
    again = [pw.fit(fit.formula, radon, priors=scales, seed=seed).loo(by="county").elpd_i for seed in (2, 3)]
    assert np.median([np.abs(each - exact).max() for each in (loo.elpd_i, *again)]) < 0.01
    assert loo.pareto_k.max() < GOOD_K


def test_a_part_of_many_groups_stands_for_all_and_is_the_same_for_any_seed(monkeypatch):
    from poolwise.evaluate.loo import groups as groups_out

    data = frame(900, 150)
    one, other = (pw.fit("y ~ x + (1 | g)", data, priors=PRIORS, seed=seed, draws=500) for seed in (1, 2))
    whole = one.loo(by="g")
    monkeypatch.setattr(groups_out._InKernel, "most", 60)
    part = one.loo(by="g")
    assert len(part.elpd_i) == 60
    assert part.total == len(whole.elpd_i)
    assert part.elpd == pytest.approx(whole.elpd, abs=4 * part.subsampling_se + 0.05)
    assert part.subsampling_se < 0.05 * part.se
    assert "Only 60 of them" in repr(part)
    found = pw.compare(one=one, other=other, by="g")
    assert abs(found.table["elpd_diff"]).max() < 1


def test_a_group_without_which_a_predictor_is_zero_everywhere():
    data = frame().assign(x=lambda d: (d["x"] > 0) * 1.0)
    fit = pw.fit("y ~ x + (x || g)", data, priors=PRIORS, seed=1, draws=500)
    for found in (fit.loo(by="x"), fit.kfold(by="x")):
        assert np.isfinite(found.elpd_i).all()


def test_weights_of_any_size_are_averaged():
    from poolwise.evaluate.loo.importance_weights import left_out

    rng = np.random.default_rng(0)
    for span in (0.01, 1.0, 300.0, 2000.0):
        log_density = -span * rng.random((500, 3))
        elpd, weights, shapes = left_out(log_density)
        assert np.isfinite(elpd).all()
        np.testing.assert_allclose(weights.sum(axis=0), 1.0)
        assert np.all((elpd >= log_density.min(axis=0) - 1e-9) & (elpd <= log_density.max(axis=0)))
        assert (shapes > 0.7).all() == (span > 100)


@pytest.mark.long
def test_leaving_rows_out_hardly_hangs_on_the_seed():
    radon = pw.datasets.load_radon()
    found = [pw.fit("log_radon ~ floor + (floor || county)", radon, seed=seed).loo().elpd for seed in range(3)]
    assert np.ptp(found) < 0.15


def test_fits_with_and_without_an_offset_are_of_the_same_data():
    plain, moved = fitted("y ~ x + (1 | g)", draws=200), fitted("y ~ x + offset(o) + (1 | g)", draws=200)
    for by in (None, "g"):
        assert len(pw.compare(plain, moved, by=by).table) == 2
    assert pw.bayes_factor(plain, moved) == pytest.approx(np.exp(plain.log_evidence - moved.log_evidence))
