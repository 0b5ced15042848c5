"""Draws of crossed models by turns: each conditional against dense matrices, whole posteriors against exact ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import poolwise as pw
from poolwise.density.crossed.draws import CrossedState, _draw_together, log_scale_prior, squared_residuals
from poolwise.density.crossed.equations import crossed_equations, is_crossed
from poolwise.density.theta import log_scale_prior as by_kernel
from poolwise.inference import crossed, infer
from poolwise.samplers.slice import slice_draw


def table(rows=3_000, sizes=(150, 120, 5), seed=1, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, size, rows) for size in sizes]
    x = rng.normal(size=rows)
    y = 2 + 0.5 * x + rng.normal(size=rows)
    for spread, code, size in zip((0.7, 0.4, 0.3), codes, sizes, strict=False):
        y += spread * rng.normal(size=size)[code]
    names = ("person", "item", "place")
    return pd.DataFrame({"y": shift + scale * y, "x": x} | dict(zip(names, codes, strict=False)))


def by_turns(monkeypatch, formula, data, **settings):
    monkeypatch.setattr(infer, "LARGE_ROOT", 0)
    fit = pw.fit(formula, data, **settings)
    monkeypatch.undo()
    assert fit.outcome.sampler == "gibbs"
    return fit


FORMULA = "y ~ x + (1 | person) + (1 | item) + (1 | place)"


@pytest.mark.long
def test_posteriors_are_those_of_the_collapsed_density(monkeypatch):
    """Means in standard errors, sds in percent, of all numbers; three factors, one of them small."""
    data = table()
    mine, exact = by_turns(monkeypatch, FORMULA, data, seed=1, draws=2000), pw.fit(FORMULA, data, seed=2, draws=2000)
    assert mine.outcome.passed
    assert exact.outcome.sampler == "independence"
    one, other = mine.summary(), exact.summary()
    error = np.hypot(one["sd"] / np.sqrt(one["ess_bulk"]), other["sd"] / np.sqrt(other["ess_bulk"]))
    assert ((one["mean"] - other["mean"]).abs() / error).max() < 4
    # Of five places: the tails of their sd, of their effects and of the intercept are heavy, and their sds uncertain.
    known = [name for name in one.index if "place" not in name and name != "beta[Intercept]"]
    np.testing.assert_allclose(one["sd"][known], other["sd"][known], rtol=0.06)
    for name in ("person", "item", "place"):
        of_mine, of_exact = (fit.posterior[f"u_{name}"].values.reshape(8_000, -1) for fit in (mine, exact))
        spread = of_exact.std(axis=0)
        assert np.abs((of_mine.mean(axis=0) - of_exact.mean(axis=0)) / spread).max() < 0.12
        ranges = (np.ptp(np.quantile(draws, (0.1, 0.9), axis=0), axis=0) for draws in (of_mine, of_exact))
        np.testing.assert_allclose(*ranges, rtol=0.1)
        shares = (fit.group_coefficients(name)["shrinkage"] for fit in (mine, exact))
        np.testing.assert_allclose(*shares, atol=0.05)


@pytest.mark.long
def test_weights_priors_and_few_rows_of_a_level(monkeypatch):
    """Little is known of most effects: then standard deviations move by standardised effects."""
    data = table(rows=260, sizes=(120, 90)).assign(w=np.tile([1.0, 3.0], 130))
    priors = {"sd_item": pw.Gamma(2, 4), "x": pw.Normal(0.4, 0.05), "sigma": pw.HalfNormal(2)}
    formula = "y ~ x + (1 | person) + (1 | item)"
    given = {"weights": "w", "priors": priors, "draws": 1500}
    mine, exact = by_turns(monkeypatch, formula, data, seed=1, **given), pw.fit(formula, data, seed=2, **given)
    one, other = mine.summary(), exact.summary()
    error = np.hypot(one["sd"] / np.sqrt(one["ess_bulk"]), other["sd"] / np.sqrt(other["ess_bulk"]))
    assert ((one["mean"] - other["mean"]).abs() / error).max() < 4
    np.testing.assert_allclose(one["sd"], other["sd"], rtol=0.07)
    assert (one[["5%", "95%"]] - other[["5%", "95%"]]).abs().div(other["sd"], axis=0).to_numpy().max() < 0.25


@pytest.mark.long
def test_shrinkage_where_levels_have_few_rows(monkeypatch):
    """And spreads are hardly known, so that means of effects follow them."""
    data = table(rows=260, sizes=(100, 80))
    formula = "y ~ x + (1 | person) + (1 | item)"
    mine, exact = by_turns(monkeypatch, formula, data, seed=1), pw.fit(formula, data, seed=2)
    for name in ("person", "item"):
        one, other = (fit.group_coefficients(name)["shrinkage"].to_numpy() for fit in (mine, exact))
        assert abs(one.mean() - other.mean()) < 0.05
        assert np.abs(one - other).max() < 0.15


@pytest.mark.long
def test_chains_begin_in_each_mode_that_factors_make(monkeypatch):
    """A prior keeps the intercept away from the data: one of the factors takes the difference up, either may."""
    data = table(rows=1_500, sizes=(150, 120)).assign(y=lambda d: d["y"] + 5)
    priors = {"Intercept": pw.Normal(0, 0.01)}
    fit = by_turns(monkeypatch, "y ~ x + (1 | person) + (1 | item)", data, seed=2, draws=20, priors=priors)
    of_chains = fit.posterior["sd_person"].values.mean(axis=(1, 2))
    assert not fit.outcome.passed
    assert of_chains.max() > 3 * of_chains.min()
    assert pw.fit("y ~ 0 + x + (1 | person) + (1 | item)", data, seed=1, draws=50).outcome.sampler != "gibbs"


def test_outcomes_without_noise_are_refused(monkeypatch):
    data = table(rows=1_500, sizes=(150, 120))
    exact = 2 + 0.5 * data["x"] + np.sin(data["person"]) + np.cos(data["item"])
    with pytest.raises(pw.DataError, match="lie exactly on a regression"):
        by_turns(monkeypatch, "y ~ x + (1 | person) + (1 | item)", data.assign(y=exact), seed=1)


@pytest.mark.long
def test_three_large_factors(monkeypatch):
    data = table(rows=4_000, sizes=(150, 120, 90))
    mine, exact = by_turns(monkeypatch, FORMULA, data, seed=1), pw.fit(FORMULA, data, seed=2)
    one, other = mine.summary(), exact.summary()
    error = np.hypot(one["sd"] / np.sqrt(one["ess_bulk"]), other["sd"] / np.sqrt(other["ess_bulk"]))
    assert ((one["mean"] - other["mean"]).abs() / error).max() < 4
    np.testing.assert_allclose(one["sd"], other["sd"], rtol=0.1)


@pytest.mark.long
def test_zero_units_and_order_of_rows_do_not_matter(monkeypatch):
    plain = by_turns(monkeypatch, FORMULA, table(), seed=1).summary()
    moved = by_turns(monkeypatch, FORMULA, table(shift=1e6, scale=1e-3), seed=1).summary()
    shuffled = by_turns(monkeypatch, FORMULA, table().sample(frac=1, random_state=3), seed=1).summary()
    shift, spread = np.where(plain.index == "beta[Intercept]", 1e6, 0.0), plain["sd"].to_numpy()
    renamed = (
        table().rename(columns={"person": "sigma", "item": "beta", "x": "u"}).assign(u=lambda d: 1000 * d["u"] + 2000)
    )
    far = by_turns(monkeypatch, "y ~ u + (1 | sigma) + (1 | beta) + (1 | place)", renamed, seed=1).summary()
    slope, its_sd = far.loc["beta[u]", ["mean", "sd"]] * 1000
    assert abs(slope - plain.loc["beta[x]", "mean"]) < 0.15 * its_sd
    for name, mine in (("sd_person", "sd_sigma"), ("sd_item", "sd_beta")):
        one, other = plain.loc[f"{name}[Intercept]"], far.loc[f"{mine}[Intercept]"]
        assert abs(one["mean"] - other["mean"]) < 0.15 * one["sd"]
    for other, shifted, scale in ((moved, shift, 1e-3), (shuffled, 0.0, 1.0)):
        off = (other["mean"].to_numpy() - shifted) / scale - plain["mean"].to_numpy()
        assert np.abs(off / spread).max() < 0.15
        np.testing.assert_allclose(other["sd"].to_numpy()[:5] / scale, spread[:5], rtol=0.15)


def test_same_seed_same_draws_and_files(monkeypatch, tmp_path):
    data = table(1500, (100, 80, 5))
    one = by_turns(monkeypatch, FORMULA, data, seed=5, draws=50)
    other = by_turns(monkeypatch, FORMULA, data, seed=5, draws=50, threads=1)
    np.testing.assert_array_equal(one.posterior["u_item"].values, other.posterior["u_item"].values)
    one.save(tmp_path / "turns.fit")
    again = pw.load(tmp_path / "turns.fit")
    np.testing.assert_array_equal(again.posterior["u_item"].values, one.posterior["u_item"].values)
    np.testing.assert_array_equal(again.posterior["beta"].values, one.posterior["beta"].values)
    new = pd.DataFrame({"x": [0.0, 1.0], "person": [3, 4], "item": [1, 2], "place": [0, 1]})
    pd.testing.assert_frame_equal(again.predict(new), one.predict(new))


def test_conditionals_are_those_of_the_joint_density():
    """Many draws of one sweep's first part against the normal of dense matrices; residuals by rows."""
    data = table(rows=400, sizes=(90, 80, 4))
    model = pw.fit(FORMULA, data, seed=1, draws=50).result.model
    equations = crossed_equations(model.statistics, model.design, model.priors, threads=1)
    assert is_crossed(model.design, model.priors)
    chains = 6_000
    rng = np.random.default_rng(2)
    other = 0.3 * rng.normal(size=len(equations.large[1].weights))
    log_sds, log_sigma = np.log([0.6, 0.5, 0.3]), np.log(0.9)
    state = CrossedState(
        np.repeat(log_sds[:, None], chains, axis=1),
        np.full(chains, log_sigma),
        np.zeros((len(equations.outcome), chains)),
        [np.zeros((90, chains)), np.repeat(other[:, None], chains, axis=1)],
        [np.random.default_rng([3, c]) for c in range(chains)],
    )
    factor = equations.large[0]
    left = factor.outcome[:, None] - factor.meetings[1] @ state.effects[1]
    beside = equations.outcome[:, None] - equations.large[1].dense.T @ state.effects[1]
    _draw_together(equations, state, 0, left, beside)
    x = np.stack([np.ones(400), data["x"]], axis=1)
    codes = {name: data[name].to_numpy() for name in ("person", "item", "place")}
    person, place = np.eye(90)[codes["person"]], np.eye(4)[codes["place"]]
    columns = np.hstack([x @ equations.basis.to_written, place, person])
    target = data["y"].to_numpy() - x @ equations.basis.reference - other[codes["item"]]
    penalty = np.zeros((columns.shape[1],) * 2)
    penalty[:2, :2] = equations.penalty[:2, :2]
    penalty[range(2, 6), range(2, 6)] = np.exp(-2 * log_sds[2])
    penalty[range(6, 96), range(6, 96)] = np.exp(-2 * log_sds[0])
    precision = columns.T @ columns / np.exp(2 * log_sigma) + penalty
    pull = np.concatenate([equations.pull, np.zeros(90)])
    covariance = np.linalg.inv(precision)
    mean = covariance @ (columns.T @ target / np.exp(2 * log_sigma) + pull)
    drawn = np.concatenate([state.dense, state.effects[0]]).T
    spread = np.sqrt(np.diag(covariance))
    assert np.abs((drawn.mean(axis=0) - mean) / spread).max() < 4.5 / np.sqrt(chains)
    off = np.cov(drawn.T) / np.outer(spread, spread) - covariance / np.outer(spread, spread)
    assert np.abs(off).max() < 5 / np.sqrt(chains)
    residuals = target[:, None] - columns @ drawn[:5].T
    few = CrossedState(
        state.log_sds[:, :5], state.log_sigma[:5], state.dense[:, :5], [one[:, :5] for one in state.effects], []
    )
    last = equations.large[1].outcome[:, None] - equations.large[1].meetings[0] @ few.effects[0]
    np.testing.assert_allclose(squared_residuals(equations, few, last, 1), np.square(residuals).sum(axis=0), rtol=1e-9)


@pytest.mark.slow
def test_calibration():
    """Parameters from the prior, outcomes from them: ranks of the parameters among draws are uniform."""
    priors = {
        "Intercept": pw.Normal(0, 1), "x": pw.Normal(0, 1), "sigma": pw.Gamma(4, 4), "sd_person": pw.Gamma(2, 3),
        "sd_item": pw.HalfNormal(0.5),
    }  # fmt: skip
    rng, ranks = np.random.default_rng(4), []
    rows, sizes = 300, (80, 70)
    codes = [rng.integers(0, size, rows) for size in sizes]
    x = rng.normal(size=rows)
    for k in range(200):
        sds = rng.gamma(2, 1 / 3), abs(rng.normal(0, 0.5))
        beta, sigma = rng.normal(size=2), rng.gamma(4, 1 / 4)
        effects = [sd * rng.normal(size=size) for sd, size in zip(sds, sizes, strict=True)]
        y = beta[0] + beta[1] * x + sum(u[code] for u, code in zip(effects, codes, strict=True))
        y = y + sigma * rng.normal(size=rows)
        data = pd.DataFrame({"y": y, "x": x, "person": codes[0], "item": codes[1]})
        with pytest.MonkeyPatch.context() as patch:
            fit = by_turns(patch, "y ~ x + (1 | person) + (1 | item)", data, seed=k, priors=priors, draws=250)
        draws = fit.posterior
        found = [
            (draws["beta"].values[..., 0], beta[0]), (draws["beta"].values[..., 1], beta[1]),
            (draws["sigma"].values, sigma), (draws["sd_person"].values[..., 0], sds[0]),
            (draws["sd_item"].values[..., 0], sds[1]), (draws["u_person"].values[..., 0, 0], effects[0][0]),
            (draws["u_item"].values[..., 5, 0], effects[1][5]),
        ]  # fmt: skip
        ranks.append([(each.ravel() < truth).mean() for each, truth in found])
    for each in np.array(ranks).T:
        assert stats.kstest(each, "uniform").pvalue > 1e-3


def test_the_prior_of_a_scale_is_that_of_the_densities():
    for prior in (pw.HalfNormal(2), pw.Gamma(2, 3), pw.HalfStudentT(3, 2), pw.HalfCauchy(1), pw.Exponential(2)):
        row = np.array(prior.coefficients)
        mine = log_scale_prior(row)
        grid = np.linspace(-8, 3, 7)
        np.testing.assert_allclose(
            np.diff([mine(t) for t in grid]), np.diff([by_kernel.function(t, row)[0] for t in grid]), rtol=1e-10
        )


def test_slices_leave_a_density_as_it_is():
    rng = np.random.default_rng(1)

    def log_density(x):
        return 3.0 * x - np.exp(x)  # log of a Gamma(3, 1)

    x, draws = 0.0, np.empty(20_000)
    for k in range(len(draws)):
        x = draws[k] = slice_draw(log_density, x, 0.7, rng)
    assert stats.kstest(np.exp(draws[::10]), stats.gamma(3).cdf).pvalue > 1e-3


def test_what_is_not_crossed_intercepts_is_left_to_the_collapsed_density(monkeypatch):
    monkeypatch.setattr(infer, "LARGE_ROOT", 0)
    data = table(600, (30, 25, 5))
    for formula in (
        "y ~ x + (x | person) + (1 | item)",
        "y ~ x + (1 | person)",
        "y ~ s(x) + (1 | person) + (1 | item)",
    ):
        assert pw.fit(formula, data, seed=1, draws=50).outcome.sampler != "gibbs"
    assert pw.fit(FORMULA, data, seed=1, draws=50, sampler="independence").outcome.sampler == "independence"


def test_more_draws_than_memory_holds_are_refused(monkeypatch):
    monkeypatch.setattr(crossed, "_MOST", 100_000)
    with pytest.raises(pw.DataError, match=r"draws=1,000 of 277 effects in chains=4 take 0 GB"):
        by_turns(monkeypatch, FORMULA, table(), draws=1000, seed=1)
