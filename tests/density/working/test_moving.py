"""Working outcomes that move with dispersions: the same density as without, in other places of coefficients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logsumexp
from scipy.stats import norm
from tests.selection import long_but_for

import poolwise as pw
from poolwise.density.latent.density import first_guess
from poolwise.density.working.corrected import CorrectedDensity
from poolwise.density.working.expected import ExpectedLikelihood
from poolwise.density.working.moving import with_moves
from poolwise.density.working.outcomes import with_guess
from poolwise.density.working.remainders import RowRemainders
from poolwise.density.working.turns import working_model
from poolwise.families import family_of, locations
from poolwise.inference.prepare import prepare


@pytest.fixture(autouse=True)
def _however_little_linear_predictors_tell(monkeypatch):
    monkeypatch.setattr("poolwise.density.working.moving._WORTH", -np.inf)


def data_of(family, rows=400, groups=8, seed=3):
    rng = np.random.default_rng(seed)
    g, h, x = rng.integers(0, groups, rows), rng.integers(0, 4, rows), rng.normal(size=rows)
    eta = 0.3 + 0.5 * x + 0.8 * rng.normal(size=groups)[g] + 0.4 * rng.normal(size=4)[h]
    y = {
        "cumulative": lambda: np.digitize(eta + rng.logistic(size=rows), [-1.5, 0.0, 1.0]),
        "negative_binomial": lambda: rng.poisson(np.exp(eta) * rng.gamma(2.0, 0.5, rows)),
        "beta": lambda: rng.beta(5 * expit(eta), 5 * expit(-eta)),
        "student": lambda: eta + 0.6 * rng.standard_t(5, rows),
    }[family]()
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h})


def models_of(formula, data, family):
    """The model; and its working models with outcomes that stay, and with those that move."""
    model, _ = prepare(formula, data, priors=None, family=family_of(family), missing="drop", threads=1)
    observations = model.observations
    guess = with_guess(observations, first_guess(observations, model.priors, model.family))
    regression = model.regression(observations)
    still = working_model(regression, guess, 1)
    return model, still, with_moves(still, regression, 1)


def densities_of(formula, data, family):
    """The model; and the two working models, each with its corrected density."""
    model, *both = models_of(formula, data, family)
    found = []
    for each in both:
        remainders = RowRemainders.of(each, model.regression(model.observations))
        found.append((each, CorrectedDensity.of(each, remainders, model.design, model.priors, 4, 1)))
    return model, *found


@pytest.mark.parametrize("family", ["cumulative", "negative_binomial", "student"])
def test_slopes_change_with_dispersions_as_those_in_these_do_with_linear_predictors(family):
    model, still, _ = models_of("y ~ x + (1 | g)", data_of(family), family)
    rows, dispersions = model.observations.outcome_rows, still.density.dispersions
    rng = np.random.default_rng(2)
    mean, variance = rng.normal(size=len(rows.y)), rng.choice([0.0, 0.01, 0.1, 2.0], len(rows.y))
    likelihood = ExpectedLikelihood(rows, model.link, dispersions)
    found = likelihood.crossed(mean, variance)
    for step, own in zip(1e-3 * np.eye(len(found)), found, strict=True):
        ends = [replace(dispersions, centre=dispersions.centre + away) for away in (step, -step)]
        up, down = (replace(likelihood, dispersions=end).projected(mean, variance)[0] for end in ends)
        np.testing.assert_allclose((up - down) / 2e-3, own, rtol=1e-4, atol=1e-4)


FAMILIES = ("cumulative", "negative_binomial", "beta", "student")
CASES = [
    ("y ~ x + (x | g)", "cumulative"),
    ("y ~ x + (1 | g) + (1 | h)", "cumulative"),
    ("y ~ x", "cumulative"),
    ("y ~ x + (1 | g)", "negative_binomial"),
    ("y ~ s(x, k=4) + (1 | g)", "beta"),
    ("y ~ x + (1 | g) + (1 | h)", "student"),
]


@pytest.mark.parametrize(
    ("formula", "family"),
    long_but_for(lambda _, family: family == "negative_binomial", CASES),
)
def test_estimates_have_the_same_mean_as_those_of_outcomes_that_stay(formula, family):
    """The latter are compared with integrals in `test_corrected.py`."""
    _, (still, one), (moving, other) = densities_of(formula, data_of(family), family)
    mode = still.modes[0]
    away = np.linalg.cholesky(mode.covariance) @ np.random.default_rng(1).normal(size=len(mode.point))
    for start in (mode.point, mode.point + away):
        points = start + 1e-6 * np.arange(1, 1501)[:, None]  # each with noise of its own
        values = [each.log_density(points) for each in (one, other)]
        top = max(each.max() for each in values)
        means, errors = zip(
            *((r.mean(), r.std() / np.sqrt(len(r))) for r in (np.exp(each - top) for each in values)), strict=True
        )
        assert abs(means[0] - means[1]) < 5 * np.hypot(*errors)
        assert max(np.array(errors) / means) < 0.1


def test_a_shape_is_all_but_apart_from_linear_predictors(monkeypatch):
    """The model is no larger for it."""
    monkeypatch.undo()
    found = [models_of("y ~ x + (1 | g)", data_of(each, rows=4_000), each)[2] for each in FAMILIES]
    assert [each is not None for each in found] == [True, False, True, False]


def test_thresholds_and_coefficients_go_together():
    """With outcomes that move the two densities are nearer to one another."""
    _, (still, one), (moving, other) = densities_of("y ~ x + (1 | g)", data_of("cumulative", rows=4_000), "cumulative")
    root = np.linalg.cholesky(moving.modes[0].covariance)
    points = moving.modes[0].point + np.random.default_rng(1).normal(size=(100, len(root))) @ root.T
    apart = [
        (replace(corrected, defended=False).log_density(points) - found.density.log_density(points)).std()
        for found, corrected in ((still, one), (moving, other))
    ]
    assert apart[1] < 0.5 * apart[0]


@pytest.mark.parametrize(("formula", "family"), CASES)
def test_ratios_at_kept_draws_are_those_of_the_family_s_own_density(formula, family):
    model, _, (moving, corrected) = densities_of(formula, data_of(family), family)
    mode = moving.modes[0]
    points = mode.point + 0.02 * np.random.default_rng(1).normal(size=(6, len(mode.point)))
    one = corrected.completed(points)
    logs, beta, effects = corrected.given_to_remainders(points, one)
    rows, outcomes = corrected.remainders.observations, corrected.remainders.outcomes
    eta = rows.known[0] + np.linalg.solve(rows.to_written, beta[:, ~model.priors.scaled].T).T @ rows.columns
    for values, places in zip(rows.slot_values, rows.slot_places, strict=True):
        eta = eta + values * effects.T[:, places]
    layout = model.priors.layout
    others = [
        rows.known[r] + (logs[:, [layout.dispersions.index(name)]] if name in layout.dispersions else 0.0)
        for r, name in enumerate(model.family.predictors)
        if r
    ]
    exact = rows.weights * model.family.log_density(rows.y, rows.trials, locations(model.link, eta), *others)
    moved = outcomes.values + (logs - moving.density.dispersions.centre) @ outcomes.moves
    normal = norm.logpdf(moved, eta, 1 / np.sqrt(outcomes.precisions))
    apart = (exact - normal).sum(axis=1) - corrected.remainders.ratios(logs, beta, effects).sum(axis=1)
    assert np.ptp(apart) < 1e-8 * np.abs(exact).sum()


def test_the_density_with_dispersions_is_that_of_the_normal_model_times_theirs():
    """Integrated over one dispersion it is the density of all else, in which that is a coefficient."""
    _, _, (moving, _) = densities_of("y ~ x + (1 | g)", data_of("negative_binomial"), "negative_binomial")
    density, mode = moving.density, moving.modes[0].point
    sd = np.sqrt(moving.modes[0].covariance[1, 1])
    grid = np.linspace(-12, 12, 241) * sd
    for log_sd in (mode[0] - 0.5, mode[0] + 0.7):
        points = np.column_stack([np.full(len(grid), log_sd), density.dispersions.centre[0] + grid])
        whole = logsumexp(density.log_density(points)) + np.log(grid[1] - grid[0])
        alone = density.without_sigma(density.normal.log_density(density.full(points[:1])))[0]
        assert whole == pytest.approx(alone, abs=1e-6)


@pytest.mark.long
def test_where_zero_is_units_order_and_names_play_no_part():
    data = data_of("cumulative", rows=3_000)
    one = pw.fit("y ~ x + (x | g) + (1 | h)", data, family="cumulative", seed=1)
    moved = data.assign(x=1e3 * data["x"] + 2_000.0).sample(frac=1.0, random_state=1)
    renamed = moved.rename(columns={"x": "gap2", "g": "disc", "h": "gap3 moved", "y": "cumulative"})
    other = pw.fit("cumulative ~ gap2 + (gap2 | disc) + (1 | `gap3 moved`)", renamed, family="cumulative", seed=1)
    assert one.outcome.sampler == other.outcome.sampler == "independence"
    assert one.log_evidence == pytest.approx(other.log_evidence, abs=0.03)
    slopes = [fit.summary().loc[f"beta[{name}]"] for fit, name in ((one, "x"), (other, "gap2"))]
    assert abs(slopes[0]["mean"] - 1e3 * slopes[1]["mean"]) < 0.15 * slopes[0]["sd"]
    assert slopes[0]["sd"] == pytest.approx(1e3 * slopes[1]["sd"], rel=0.1)
