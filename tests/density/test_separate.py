"""Regressions without pooling: against quadrature of the dense density, and against the committed reference."""

import numpy as np
import pytest

import poolwise as pw
from poolwise.density.separate import separate
from tests import naive
from tests.density.models import model_of

PRIORS = {"Intercept": pw.Normal(0, 1), "floor": pw.Normal(0, 1), "sigma": pw.HalfCauchy(1)}


def by_quadrature(model, rows, j):
    """Mean of the coefficients and log evidence of group j on a fine grid of log sigma, by dense matrices."""
    design, priors = model.design, model.priors
    mine = rows.codes == j
    basis = np.column_stack([np.ones(mine.sum()), rows.values[mine, :-1]])
    x, y = basis @ design.common_map, rows.response[mine]
    to_beta = np.linalg.inv(priors.rows)
    mean, covariance = to_beta @ priors.mean, to_beta @ np.diag(priors.width**2) @ to_beta.T
    grid = np.linspace(-20, 14, 341)
    values, means = [], []
    for s in grid:
        total = x @ covariance @ x.T + np.exp(2 * s) * np.eye(len(y))
        with np.errstate(invalid="ignore"):  # more rows than coefficients, and no noise to explain them
            values.append(naive.log_normal(y, x @ mean, total) + priors.sigma.log_density(np.exp(s)) + s)
        means.append(mean + covariance @ x.T @ np.linalg.lstsq(total, y - x @ mean, rcond=None)[0])
    values = np.nan_to_num(np.array(values), nan=-np.inf)
    weights = np.exp(values - max(values))
    log_evidence = np.log(np.trapezoid(weights, grid)) + max(values)
    return (weights @ np.array(means)) / weights.sum(), log_evidence


@pytest.mark.parametrize("priors", [{}, {"Intercept": pw.Normal(0.5, 1), "slopes": pw.Normal(0, 0.7)}])
def test_means_and_evidence_equal_dense_quadrature(priors, small):
    frame = small[~small.g.isin(["a"])].reset_index(drop=True)
    model, rows, _ = model_of("y ~ x + (x || g)", frame, priors)
    regressions = separate(model.statistics, model.design, model.priors, threads=1)
    for j in range(len(model.design.factors[0].levels)):
        mean, log_evidence = by_quadrature(model, rows, j)
        np.testing.assert_allclose(regressions.means()[j], mean, rtol=1e-5, atol=1e-6)
        assert regressions.log_evidence()[j] == pytest.approx(log_evidence, abs=1e-5)


@pytest.mark.long
def test_draws_have_the_distribution_of_the_reference(pooling, radon, study_priors, reference):
    fit = pw.compare_pooling(
        "log_radon ~ floor", by="county", data=radon, priors=study_priors, folds=0, draws=25_000, seed=3
    )
    wanted = reference["radon_separate_and_pooled"]
    beta, sigma = fit.separate.result.beta.reshape(-1, 85, 2), fit.separate.result.sigma.reshape(-1, 85)
    for j, county in enumerate(fit.separate.result.model.statistics.cells[0]):
        columns = {"alpha": beta[:, j, 0], "beta": beta[:, j, 1], "eps": sigma[:, j]}
        assert_quantiles(columns, wanted["counties"][county], county)
    pooled = fit.complete.result
    columns = {"alpha": pooled.beta[..., 0].ravel(), "beta": pooled.beta[..., 1].ravel(), "eps": pooled.sigma.ravel()}
    assert_quantiles(columns, wanted["pooled"], "pooled")


def assert_quantiles(columns, wanted, where):
    for name, draws in columns.items():
        # eps has no mean worth quoting in small counties: its spread is taken from the quantiles.
        sd = wanted[name].get("sd", (wanted[name]["q95"] - wanted[name]["q05"]) / 3.29)
        for quantile, key in ((0.05, "q05"), (0.5, "q50"), (0.95, "q95")):
            assert abs(np.quantile(draws, quantile) - wanted[name][key]) < 0.06 * sd, (where, name, key)
        if "sd" in wanted[name]:
            assert abs(draws.mean() - wanted[name]["mean"]) < 4.5 * sd / np.sqrt(len(draws)), (where, name)


def test_draws_are_independent_of_threads(radon, study_priors):
    one, four = (
        pw.compare_pooling(
            "log_radon ~ floor", by="county", data=radon, priors=study_priors, folds=0, seed=3, threads=threads
        )
        for threads in (1, 4)
    )
    for kind in ("separate", "complete", "partial"):
        np.testing.assert_array_equal(getattr(one, kind).result.beta, getattr(four, kind).result.beta)
        np.testing.assert_array_equal(getattr(one, kind).result.sigma, getattr(four, kind).result.sigma)


def test_a_coefficient_that_the_data_say_nothing_about_keeps_its_prior(pooling):
    table = pooling.separate.group_coefficients("county").set_index(["county", "effect"])
    assert bool(table.loc[("CASS", "floor"), "prior_only"])
    assert not bool(table.loc[("CASS", "Intercept"), "prior_only"])
    assert abs(table.loc[("CASS", "floor"), "mean"]) < 4 / np.sqrt(4000)
    assert table["prior_only"].sum() == 25


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_units_far_from_one(scale, small):
    frame = small.assign(y=scale * small.y)
    model, _, _ = model_of("y ~ x + (x || g)", frame, {})
    near, _, _ = model_of("y ~ x + (x || g)", small, {})
    far_means = separate(model.statistics, model.design, model.priors, threads=1).means()
    near_means = separate(near.statistics, near.design, near.priors, threads=1).means()
    np.testing.assert_allclose(far_means / scale, near_means, rtol=1e-6)


def test_agrees_with_the_sampler_for_one_regression(small):
    """Complete pooling by quadrature and by the independence sampler on the same density."""
    from poolwise.density.collapsed import collapse
    from poolwise.samplers import SamplerSettings, sample

    fit = pw.fit("y ~ x + z", small, seed=2, draws=5000)
    model = fit.result.model
    density = collapse(model.statistics, model.design, model.priors, threads=1)
    drawn = sample(density, SamplerSettings(5000, 4, np.random.SeedSequence(8)))
    sigma = np.exp(drawn.points[..., 0]).ravel()
    assert abs(sigma.mean() - fit.result.sigma.mean()) < 5 * sigma.std() * np.sqrt(2 / 15_000)
    assert drawn.certificate.log_evidence == pytest.approx(fit.outcome.log_evidence, abs=0.01)
