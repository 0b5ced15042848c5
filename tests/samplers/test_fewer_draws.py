"""Without a number of draws, expensive densities are drawn from less often; a number is kept to."""

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.samplers import independence


@pytest.fixture
def frame():
    rng = np.random.default_rng(1)
    g = rng.integers(0, 12, 200)
    return pd.DataFrame({"g": g, "x": rng.normal(size=200), "y": rng.normal(size=12)[g] + rng.normal(size=200)})


def test_as_many_as_make_two_thousand_in_all(frame, monkeypatch):
    assert pw.fit("y ~ x + (1 | g)", frame, seed=1).result.draws == 1000
    monkeypatch.setattr(independence, "_SLOW", 0.0)
    monkeypatch.setattr(independence, "efficiency", lambda log_weights: 1.0)
    fit = pw.fit("y ~ x + (1 | g)", frame, seed=1)
    assert fit.outcome.passed
    assert (fit.result.chains, fit.result.draws) == (4, 500)
    assert fit.summary()["ess_bulk"].min() > 1000
    assert pw.fit("y ~ x + (1 | g)", frame, seed=1, chains=2).result.draws == 1000
    assert pw.fit("y ~ x + (1 | g)", frame, seed=1, draws=1000).result.draws == 1000
    assert pw.fit("y ~ x + (1 | g)", frame, seed=1, draws=70).result.draws == 70


@pytest.mark.parametrize(("efficiency", "draws"), [(0.8, 280), (0.21, 500)])
def test_more_where_proposals_fit_less_well_up_to_twice(frame, monkeypatch, efficiency, draws):
    monkeypatch.setattr(independence, "_SLOW", 0.0)
    monkeypatch.setattr(independence, "efficiency", lambda log_weights: efficiency)
    fit = pw.fit("y ~ x + (1 | g)", frame, seed=1, chains=8)
    assert (fit.outcome.sampler, fit.result.draws) == ("independence", draws)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)])
def test_enough_for_all_effects_of_a_crossed_maximal_model(seed):
    # 40 subjects see 24 items; of 2,000 draws the worst scalar of seed 1 had an effective sample size of 747.
    rng = np.random.default_rng(1)
    subject, item = np.repeat(np.arange(40), 24), np.tile(np.arange(24), 40)
    condition = (subject + item) % 2
    y = 500 + 30 * condition + rng.normal(0, 50, 40)[subject] + rng.normal(0, 20, 40)[subject] * condition
    y += rng.normal(0, 30, 24)[item] + rng.normal(0, 10, 24)[item] * condition + rng.normal(0, 100, 960)
    data = {"y": y, "condition": condition, "subject": subject, "item": item}
    fit = pw.fit("y ~ condition + (condition | subject) + (condition | item)", data, seed=seed)
    assert fit.outcome.passed
    assert fit.result.draws > 500
    assert fit.summary(groups=True)["ess_bulk"].min() > 1000
    # Seed 3 takes a second run, whose bound of old points drawn again asked for 30,000 evaluations alone.
    assert fit.outcome.figures["evaluations"] < 20_000


def test_what_is_no_number_of_draws(frame):
    with pytest.raises(pw.DataError, match="draws must be a whole number of at least 4 or None, not 2"):
        pw.fit("y ~ x + (1 | g)", frame, draws=2)
