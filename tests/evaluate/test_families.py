"""Everything that is done with a normal fit, done with fits of other families."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import poolwise as pw
from poolwise.evaluate.loo import sampled_families
from poolwise.evaluate.loo.sampled_families import leave_rows_out, with_rows
from poolwise.inference.infer import infer
from poolwise.samplers import SamplerSettings

FEW = {"draws": 500, "seed": 3}


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(5)
    group, x = rng.integers(0, 8, 120), rng.normal(size=120)
    linear = 0.2 + 0.7 * x + 0.8 * rng.normal(size=8)[group]
    return pd.DataFrame(
        {
            "g": [f"g{j}" for j in group],
            "x": x,
            "n": rng.integers(1, 9, 120),
            "y": linear + 0.5 * rng.normal(size=120),
            "choice": 1.0 * (rng.random(120) < expit(linear)),
            "count": rng.poisson(np.exp(linear)),
        }
    )


@pytest.fixture(scope="module")
def choice(frame):
    return pw.fit("choice ~ x + (1 | g)", frame, family="bernoulli", **FEW)


@pytest.fixture(scope="module")
def count(frame):
    return pw.fit("count ~ x + (1 | g)", frame, family="poisson", **FEW)


def test_predictions_on_every_scale(choice, frame):
    linear, mean = (choice.predict(frame, kind=kind, draws=True).to_numpy() for kind in ("linear", "mean"))
    posterior = choice.posterior
    by_hand = (posterior.coef_g.sel(g="g0", effect="Intercept") + posterior.beta.sel(coefficient="x") * 0.5).to_numpy()
    known = choice.predict(pd.DataFrame({"x": [0.5], "g": ["g0"]}), kind="linear", draws=True).to_numpy()[..., 0]
    np.testing.assert_allclose(known, by_hand, atol=1e-12)
    np.testing.assert_allclose(mean, expit(linear), atol=1e-12)
    assert set(np.unique(choice.predict(frame, kind="response", draws=True))) == {0.0, 1.0}


def test_rows_left_out_are_what_refits_say(count):
    rows = count.rows
    found = leave_rows_out(count.result, rows, threads=1)
    assert found.pareto_k.max() < 0.7
    for i in (0, 17, 60):
        left = np.arange(len(rows.codes)) == i
        again = infer(with_rows(count.result.model, rows.take(np.flatnonzero(~left))), SamplerSettings(1000), threads=1)
        # The refit has not seen the row: its density there is the one that leaving out estimates.
        assert found.elpd_i[i] == pytest.approx(float(by_draws(again, rows, i)), abs=0.08)


def by_draws(posterior, rows, i):
    """log of the mean density of a row over draws."""
    from poolwise.evaluate.loo.conditional_outcomes import conditional

    found = conditional(posterior, rows.take(np.array([i])), np.arange(posterior.chains * posterior.draws))
    return np.log(np.exp(found.log_density(rows.response[i : i + 1])).mean())


def test_groups_left_out_are_what_refits_say(count):
    found = count.loo(by="g")
    refits = count.kfold(by="g", draws=300)
    np.testing.assert_allclose(found.elpd_i, refits.elpd_i, atol=0.35)


def test_a_formula_for_sigma_that_is_constant_is_the_normal_model(frame):
    closed = pw.fit("y ~ x + (1 | g)", frame, **FEW).summary()
    sampled = pw.fit(["y ~ x + (1 | g)", "sigma ~ 1"], frame, **FEW)
    for name in ("beta[Intercept]", "beta[x]", "sd_g[Intercept]"):
        mine = sampled.summary().loc[name]
        assert mine["mean"] == pytest.approx(closed.loc[name, "mean"], abs=0.15 * mine.sd), name
        assert mine.sd == pytest.approx(closed.loc[name, "sd"], rel=0.15), name
    sigma = np.exp(sampled.posterior.beta.sel(coefficient="sigma_Intercept")).mean()
    assert float(sigma) == pytest.approx(closed.loc["sigma", "mean"], rel=0.02)


def test_families_are_compared_by_what_they_leave_out(count, frame):
    other = pw.fit("count ~ x", frame, family="negative_binomial", **FEW)
    table = pw.compare(pooled=other, partial=count).table
    assert table.index[0] == "partial"


def test_a_saved_fit_is_the_same(count, tmp_path):
    count.save(tmp_path / "fit.pw")
    again = pw.load(tmp_path / "fit.pw")
    pd.testing.assert_frame_equal(again.summary(groups=True), count.summary(groups=True))
    pd.testing.assert_frame_equal(again.group_coefficients(), count.group_coefficients())
    with pytest.raises(pw.DataError, match="rows"):
        again.loo()


def test_same_draws_from_a_file_and_on_any_threads(count, frame, tmp_path):
    frame.to_csv(tmp_path / "rows.csv", index=False)
    again = pw.fit("count ~ x + (1 | g)", str(tmp_path / "rows.csv"), family="poisson", threads=1, **FEW)
    np.testing.assert_array_equal(again.result.beta, count.result.beta)


def test_checks_and_a_rootogram_of_counts(count):
    checks = count.check(draws=50)
    assert list(checks.table.index) == ["mean", "sd", "zeros", "max"]
    chart = count.plot.ppc().to_dict(validate=False)
    assert {layer["mark"]["type"] for layer in chart["layer"]} == {"bar", "rule", "circle"}


def test_curves_of_groups_lie_on_the_scale_of_the_outcome(frame):
    fit = pw.fit("choice ~ x + (x | g)", frame, family="bernoulli", draws=100, seed=3)
    chart = fit.plot.groups(["g0", "g1"]).to_dict(validate=False)
    drawn = [line["y"] for data in chart["datasets"].values() for line in data if "model" in line]
    assert 0 <= min(drawn) < max(drawn) <= 1


@pytest.mark.long
def test_a_report_speaks_of_odds(frame, tmp_path):
    choice = pw.fit("choice ~ x + (1 | g)", frame.head(60), family="bernoulli", draws=50, seed=3)
    page = choice.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "The odds of choice are multiplied by" in page
    assert "choice ~ bernoulli(μ)" in page


def test_evidence_is_known_where_independence_was_asked_for(frame):
    fit = pw.fit("count ~ x + (1 | g)", frame, family="poisson", sampler="independence", **FEW)
    assert fit.outcome.sampler == "independence"
    assert np.isfinite(fit.log_evidence)


@pytest.mark.long
def test_a_part_of_many_rows_stands_for_all(count, monkeypatch):
    """An approximation of all rows makes up for the part that was taken."""
    whole = count.loo()
    monkeypatch.setattr(sampled_families, "MOST", 60)
    part = count.loo()
    assert len(part.elpd_i) == 60
    assert part.total == whole.total == 120
    assert part.subsampling_se < 0.2 * part.se
    assert part.elpd == pytest.approx(whole.elpd, abs=4 * part.subsampling_se + 0.05)
    weighed = count.loo(by="g")
    assert weighed.refitted[weighed.pareto_k > 0.5].all()
