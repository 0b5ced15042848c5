"""The study: posterior against 80,000 draws of another system, quality of the draws, and what it concludes."""

import numpy as np
import pytest

import poolwise as pw
from tests.conftest import RADON_FORMULA
from tests.selection import long_but_for


def named_draws(fit):
    """Draws of all 175 parameters under the reference's names, (chains, draws) each."""
    result = fit.result
    _, coefficients = result.coefficients(result.model.design.factor())
    sd = result.model.priors.layout.sd(result.theta, "county")
    draws = {"mu_alpha": result.beta[..., 0], "mu_beta": result.beta[..., 1], "eps": result.sigma}
    draws |= {"sigma_alpha": sd[..., 0], "sigma_beta": sd[..., 1]}
    for j, county in enumerate(result.model.statistics.cells[0]):
        draws[f"alpha[{county}]"], draws[f"beta[{county}]"] = coefficients[:, :, j, 0], coefficients[:, :, j, 1]
    return draws


@pytest.mark.parametrize("sampler", long_but_for(1, ["independence", "nuts"]))
def test_posterior_equals_the_reference(sampler, radon, study_priors, reference):
    from arviz_stats.base import array_stats

    fit = pw.fit(RADON_FORMULA, radon, priors=study_priors, draws=10_000, seed=11, sampler=sampler)
    assert fit.outcome.passed
    wanted = reference["radon_hierarchical"]["parameters"]
    draws = named_draws(fit)
    assert set(draws) == set(wanted)
    stacked = np.stack(list(draws.values()))
    ess = array_stats.ess(stacked, chain_axis=1, draw_axis=2, method="mean")
    for (name, values), effective in zip(draws.items(), ess, strict=True):
        known = wanted[name]
        error = np.hypot(values.std() / np.sqrt(effective), known["mcse_mean"])
        assert abs(values.mean() - known["mean"]) < 4 * error, name
        for quantile, key in ((0.05, "q05"), (0.5, "q50"), (0.95, "q95")):
            assert abs(np.quantile(values, quantile) - known[key]) < 0.06 * known["sd"], (name, key)


@pytest.mark.long
def test_draws_are_nearly_independent_for_twenty_seeds(radon, study_priors):
    from arviz_stats.base import array_stats

    for seed in range(20):
        fit = pw.fit(RADON_FORMULA, radon, priors=study_priors, seed=seed)
        assert fit.outcome.passed
        draws = np.stack(list(named_draws(fit).values()))
        assert len(draws) == 175
        assert array_stats.ess(draws, chain_axis=1, draw_axis=2, method="bulk").min() >= 3000, seed
        assert array_stats.rhat(draws, chain_axis=1, draw_axis=2).max() <= 1.01, seed


@pytest.mark.long
def test_correlated_slopes_agree_with_nuts_on_the_same_density(radon, study_priors):
    ours, nuts = (
        pw.fit("log_radon ~ floor + (floor | county)", radon, priors=study_priors, draws=5000, seed=5, sampler=sampler)
        for sampler in ("independence", "nuts")
    )
    assert ours.outcome.passed and nuts.outcome.passed
    one, two = ours.summary(), nuts.summary()
    error = np.hypot(one["sd"] / np.sqrt(one["ess_bulk"]), two["sd"] / np.sqrt(two["ess_bulk"]))
    assert np.all(np.abs(one["mean"] - two["mean"]) < 4 * error)
    np.testing.assert_allclose(one["sd"], two["sd"], rtol=0.06)


def test_threads_and_sources_do_not_change_the_draws(radon, study_priors, radon_fit):
    import polars as pl
    import pyarrow as pa

    wanted = radon[["county", "floor", "log_radon"]]
    sources = [
        pl.from_pandas(wanted),
        pa.Table.from_pandas(wanted),
        wanted.to_dict("list"),
        wanted.astype({"county": "category"}),
    ]
    for threads, source in zip((1, 2, 3, 8), sources, strict=True):
        other = pw.fit(RADON_FORMULA, source, priors=study_priors, seed=1, threads=threads)
        np.testing.assert_array_equal(other.result.theta, radon_fit.result.theta)
        np.testing.assert_array_equal(other.result.u[0].draws(), radon_fit.result.u[0].draws())


def test_the_conclusion_of_the_study(pooling):
    scores = {kind.name: score for kind, score in pooling.scores.items()}
    assert scores["SEPARATE"].in_sample == pytest.approx(0.6925, abs=0.003)
    assert scores["PARTIAL"].in_sample == pytest.approx(0.6965, abs=0.003)
    assert scores["COMPLETE"].in_sample == pytest.approx(0.789, abs=0.002)
    assert scores["PARTIAL"].cross_validated == pytest.approx(0.75, abs=0.012)
    assert scores["COMPLETE"].cross_validated == pytest.approx(0.79, abs=0.012)
    assert scores["SEPARATE"].cross_validated == pytest.approx(0.83, abs=0.02)
    assert pooling.verdict.startswith("On rows left out, partial pooling predicts best")
    assert "that is the trap" in pooling.verdict


def test_no_mu_beta_above_zero(radon_fit):
    assert np.mean(radon_fit.result.beta[..., 1] < 0) > 0.999
