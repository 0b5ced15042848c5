"""The family of the page "A family of your own": days, geometric from one on."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.families import LOG, Family, rows_callback, views
from poolwise.families.callback import call_rows
from poolwise.families.evaluate import slopes_and_information

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "own-family.md"


@rows_callback
def rows(n, parameters, y, trials, weights, predictors, slopes, information):
    """Days y with x, the log of how many follow the first on average: (y - 1) x - y log(1 + exp(x))."""
    days, _, counted, x, slope, known = views(n, parameters, y, trials, weights, predictors, slopes, information)
    total = 0.0
    for i in range(n):
        stays = 1.0 / (1.0 + np.exp(-x[0, i]))  # the probability of a further day
        total += counted[i] * ((days[i] - 1.0) * x[0, i] - days[i] * np.logaddexp(0.0, x[0, i]))
        slope[0, i] = counted[i] * (days[i] - 1.0 - days[i] * stays)
        known[0, i] = counted[i] * stays
    return total


def log_density(y, trials, location):
    """Log probabilities."""
    return (y - 1) * location - y * np.logaddexp(0, location)


def draw(rng, trials, mean):
    """New outcomes."""
    return rng.geometric(1 / (1 + mean)).astype(float)


def check(name, y, trials):
    """Refuse other outcomes."""
    if np.any((y < 1) | (y != np.floor(y))):
        raise pw.DataError(f"'{name}' must hold whole numbers from one on.")


def expected(mean):
    """Expected outcomes."""
    return 1 + mean


STAY = Family("stay", LOG, (), rows, log_density, draw, check, expected, whole=True, additive=True)

AT = np.array([-6.0, -2.5, -1.0, 0.0, 0.3, 1.0, 2.5, 4.0])
DAYS = np.array([1.0, 1.0, 2.0, 3.0, 1.0, 9.0, 4.0, 120.0])
WEIGHTS = np.array([1.0, 2.0, 0.5, 3.0, 1.0, 1.0, 0.1, 1.0])
ONES = np.ones(len(AT))


@pytest.fixture(scope="module")
def stays() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    group, x = np.repeat(np.arange(40), 25), rng.standard_normal(1000)
    linear = 1.2 - 0.4 * x + 0.5 * rng.standard_normal(40)[group]
    return pd.DataFrame({"days": STAY.draw(rng, np.ones(1000), np.exp(linear)), "x": x, "group": group})


@pytest.fixture(scope="module")
def fit(stays) -> pw.Fit:
    return pw.fit("days ~ x + (1 | group)", stays, family=STAY, seed=1)


def test_it_is_the_family_of_the_page():
    page = PAGE.read_text()
    for function in (rows.function, log_density, draw, check, expected):
        assert inspect.getsource(function) in page
    assert 'STAY = Family("stay", LOG, (), rows, log_density, draw, check, expected, whole=True, additive=True)' in page


def test_slopes_are_central_differences():
    slope = slopes_and_information(STAY, STAY.link(None), DAYS, ONES, WEIGHTS, AT[None])[0][0]
    step = 1e-5
    differences = (log_density(DAYS, ONES, AT + step) - log_density(DAYS, ONES, AT - step)) / (2 * step)
    np.testing.assert_allclose(slope, WEIGHTS * differences, rtol=1e-6, atol=1e-7)


def test_the_kernel_is_the_log_density():
    values = []
    for at in (AT, AT + 0.7):
        scratch = np.empty((1, len(AT))), np.empty((1, len(AT)))
        value = call_rows(rows.address, DAYS, ONES, WEIGHTS, np.ascontiguousarray(at[None]), *scratch)
        values.append(value - WEIGHTS @ log_density(DAYS, ONES, at))
    assert values[0] == pytest.approx(values[1], abs=1e-10)


@pytest.mark.parametrize("location", [-3.0, 0.0, 2.0])
def test_probabilities_sum_to_one_and_the_information_is_the_variance_of_the_slope(location):
    days = np.arange(1.0, 2000.0)
    ones, at = np.ones(len(days)), np.full((1, len(days)), location)
    probability = np.exp(log_density(days, ones, location))
    slope, information = (each[0] for each in slopes_and_information(STAY, STAY.link(None), days, ones, ones, at))
    assert probability.sum() == pytest.approx(1, abs=1e-9)
    assert probability @ days == pytest.approx(expected(np.exp(location)), rel=1e-9)
    assert probability @ slope == pytest.approx(0, abs=1e-9)
    assert probability @ slope**2 == pytest.approx(information[0], rel=1e-9)


def test_draws_have_the_expected_mean_and_are_not_refused():
    mean = np.array([0.05, 1.0, 30.0])
    drawn = draw(np.random.default_rng(2), np.ones((50_000, 3)), np.broadcast_to(mean, (50_000, 3)))
    check("days", drawn.ravel(), np.ones(drawn.size))
    error = np.sqrt(mean * (1 + mean) / len(drawn))
    assert np.all(np.abs(drawn.mean(axis=0) - expected(mean)) < 4 * error)


def test_it_recovers_what_was_simulated(fit):
    table = fit.summary()
    truth = {"beta[Intercept]": 1.2, "beta[x]": -0.4, "sd_group[Intercept]": 0.5}
    assert fit.outcome.passed
    for name, value in truth.items():
        assert abs(table.loc[name, "mean"] - value) < 3 * table.loc[name, "sd"]


@pytest.mark.long
def test_it_agrees_with_a_negative_binomial_of_shape_one(stays):
    further = stays.assign(further=stays["days"] - 1).query("group < 12")
    priors = {"Intercept": pw.Normal(1, 2), "x": pw.Normal(0, 1), "sd_group": pw.HalfNormal(1)}
    mine = pw.fit("days ~ x + (1 | group)", further, family=STAY, priors=priors, seed=1, draws=500)
    tight = priors | {"shape": pw.Gamma(1e4, 1e4)}
    theirs = pw.fit("further ~ x + (1 | group)", further, family="negative_binomial", priors=tight, seed=2, draws=500)
    one, other = mine.summary(groups=True), theirs.summary(groups=True).drop(index="shape")
    assert list(one.index) == list(other.index)
    assert np.all(np.abs(one["mean"] - other["mean"]) < 0.15 * one["sd"])
    assert np.all(np.abs(np.log(one["sd"] / other["sd"])) < 0.12)


def test_it_agrees_with_numerical_integration():
    days = np.array([1.0, 1.0, 2.0, 5.0, 1.0, 3.0])
    fitted = pw.fit("days ~ 1", {"days": days}, family=STAY, priors={"Intercept": pw.Normal(0, 1)}, seed=1)
    grid = np.linspace(-8, 8, 20_001)
    log_posterior = log_density(days[:, None], 1, grid).sum(axis=0) - 0.5 * grid**2
    weights = np.exp(log_posterior - log_posterior.max())
    weights /= weights.sum()
    mean = weights @ grid
    sd = np.sqrt(weights @ (grid - mean) ** 2)
    drawn = fitted.posterior["beta"].values.ravel()
    assert drawn.mean() == pytest.approx(mean, abs=0.08 * sd)
    assert drawn.std() == pytest.approx(sd, rel=0.06)


def test_predictions_count_the_first_day(fit):
    new = {"x": [0.0, 1.0], "group": [0, 39]}
    linear = fit.predict(new, kind="linear", draws=True)
    np.testing.assert_allclose(fit.predict(new, draws=True), 1 + np.exp(linear))
    response = fit.predict(new, kind="response", draws=True)
    assert response.min() >= 1
    assert np.all(response == np.floor(response))


def test_other_outcomes_are_refused(stays):
    with pytest.raises(pw.DataError, match="whole numbers from one on"):
        pw.fit("days ~ x", stays.assign(days=stays["days"] - 1), family=STAY)


def test_a_saved_fit_is_loaded_with_its_family(fit, tmp_path):
    fit.save(tmp_path / "fit.pw")
    loaded = pw.load(tmp_path / "fit.pw", family=STAY)
    new = {"x": [0.0], "group": [3]}
    pd.testing.assert_frame_equal(loaded.predict(new), fit.predict(new))
