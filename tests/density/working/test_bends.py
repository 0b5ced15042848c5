"""Dispersions whose log likelihoods are quadratic in something else than their logs: a share of next to nothing, and a
shape that counts leave open, against differences and the rows' own slopes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.density.latent.density import first_guess
from poolwise.density.working.bends import BENDS, INVERSE, SHARE
from poolwise.density.working.bent_dispersions import with_bends
from poolwise.density.working.corrected import CorrectedDensity
from poolwise.density.working.dispersions import Dispersions
from poolwise.density.working.moving import with_moves
from poolwise.density.working.outcomes import with_guess
from poolwise.density.working.remainders import RowRemainders
from poolwise.density.working.turns import working_model
from poolwise.families import family_of
from poolwise.inference.prepare import prepare
from poolwise.inference.shared_parameters import ExponentialOf, SharedParameters

ZIP, ZINB, HURDLE = "zero_inflated_poisson", "zero_inflated_negative_binomial", "hurdle_poisson"
BENT = Dispersions(
    np.array([1, 2]),
    (pw.HalfCauchy(5), ExponentialOf(0.0, 2.5)),
    np.array([1.2, -4.0]),
    np.array([[3.0, -0.8], [-0.8, 1.5]]),
    {0: INVERSE, 1: SHARE},
)


def data_of(share, rows=2000, seed=3, level=0.8, shape=np.inf):
    rng = np.random.default_rng(seed)
    g, x = rng.integers(0, 10, rows), rng.normal(size=rows)
    mean = np.exp(level + 0.3 * x + 0.4 * rng.normal(size=10)[g])
    mean = mean * (rng.gamma(shape, 1 / shape, rows) if np.isfinite(shape) else 1.0)
    return pd.DataFrame({"y": np.where(rng.random(rows) < share, 0, rng.poisson(mean)), "x": x, "g": g})


def models_of(data, family, formula="y ~ x + (1 | g)"):
    """The model with its shared parameters, and its working models: with outcomes that stay, with those that move."""
    model = prepare(formula, data, priors=None, family=family_of(family), missing="drop", threads=1)[0]
    model = SharedParameters.of(model).model
    observations = model.observations
    guess = with_guess(observations, first_guess(observations, model.priors, model.family))
    regression = model.regression(observations)
    still = working_model(regression, guess, 1)
    return model, still, with_moves(still, regression, 1)


def kinds_of(dispersions, family):
    names = family_of(family).predictors
    return {names[dispersions.parameters[k]]: bend for k, bend in dispersions.bends.items()}


@pytest.mark.parametrize("bend", BENDS)
@pytest.mark.parametrize("centre", [-6.0, 0.3, 4.0])
def test_bends_are_the_log_itself_near_the_centre(bend, centre):
    z, step = centre + np.linspace(-3, 3, 13), 1e-5
    slopes = (bend.u(z + step) - bend.u(z - step)) / (2 * step)
    np.testing.assert_allclose(bend.slope(z), slopes, rtol=1e-5)
    bends = (bend.slope(z + step) - bend.slope(z - step)) / (2 * step)
    np.testing.assert_allclose(bend.bend(z) * bend.slope(z), bends, rtol=1e-5, atol=1e-8 * bend.slope(z).max())
    near = bend.away(centre + np.array([-step, 0.0, step]), centre)
    np.testing.assert_allclose(near, [-step, 0.0, step], rtol=1e-4)


def test_the_density_has_the_precision_at_its_centre_and_slopes_that_are_its_own():
    rng = np.random.default_rng(1)
    logs = BENT.centre + rng.normal(size=(20, 2)) * [0.7, 1.5]
    steps = 1e-4 * np.eye(2)
    by_differences = [(BENT.log_density(logs + step) - BENT.log_density(logs - step)) / 2e-4 for step in steps]
    np.testing.assert_allclose(BENT.slopes(logs), np.transpose(by_differences), rtol=1e-4, atol=1e-5)
    at = np.array([BENT.slopes(BENT.centre + [step])[0] - BENT.slopes(BENT.centre - [step])[0] for step in steps])
    np.testing.assert_allclose(BENT.slopes(BENT.centre[None]), 0.0, atol=1e-6)
    np.testing.assert_allclose(-at / 2e-4, BENT.precision, rtol=1e-3)


def test_far_away_a_prior_is_all_that_is_left():
    far = np.array([[1.2, -30.0], [1.2, -40.0]])
    values, priors = BENT.log_density(far), BENT.priors[1].log_density_of_log(far[:, 1])
    assert np.diff(values)[0] == pytest.approx(np.diff(priors)[0], rel=1e-6)


def test_no_likelihood_rises_faster_and_faster():
    """By a precision that is too small for the prior's pull it would, where a share goes on to one."""
    small = np.diag([0.2, 0.3])
    right = np.column_stack([np.full(50, 1.2), np.linspace(-4.0, 40.0, 50)])
    assert replace(BENT, precision=small).log_density(right).max() > 100
    held = replace(BENT, precision=BENT.falling(small))
    assert held.log_density(right).max() <= held.log_density(BENT.centre[None])[0] + 1e-9
    np.testing.assert_allclose(BENT.falling(BENT.precision + 5 * np.eye(2)), BENT.precision + 5 * np.eye(2), rtol=1e-12)


@pytest.mark.parametrize(
    ("family", "data", "expected"),
    long_but_for(
        lambda family, data, expected: family != ZINB or "shape" in data,
        [
            (ZIP, {"share": 0.0}, {"zi": SHARE}),
            (ZIP, {"share": 0.02}, {"zi": SHARE}),
            (ZINB, {"share": 0.02, "shape": 2.0, "level": -0.5}, {"zi": SHARE, "shape": INVERSE}),
            (ZINB, {"share": 0.02}, {"zi": SHARE, "shape": INVERSE}),
            (HURDLE, {"share": 0.1}, {}),
            ("negative_binomial", {"share": 0.0, "shape": 2.0}, {}),
        ],
    ),
)
def test_what_suits_the_rows_is_taken(family, data, expected):
    """No share, no bend: a hurdle's is known by its zeros, and its logit suits as well."""
    _, still, _ = models_of(data_of(**data), family)
    assert kinds_of(still.density.dispersions, family) == expected


def test_bends_are_those_whose_slopes_are_near_on_both_sides():
    """Of a likelihood that is quadratic in the share, to all digits; without finite slopes, or where all are well
    known, there are none."""
    family = family_of(ZINB)
    plain = replace(BENT, precision=np.eye(2), bends={})
    found = with_bends(plain, family, lambda at: BENT.slopes(at[None])[0] - BENT.prior_slopes(at))
    assert found.bends == BENT.bends
    np.testing.assert_allclose(found.precision, BENT.precision, rtol=1e-4)
    assert with_bends(plain, family, lambda at: np.full(2, np.nan)).bends == {}
    known = replace(plain, precision=1e4 * np.eye(2))
    assert with_bends(known, family, lambda _: 1 / 0).bends == {}


CASES = [(ZIP, {"share": 0.01}), (ZINB, {"share": 0.02, "shape": 2.0, "level": -0.5}), (ZINB, {"share": 0.02})]


@pytest.mark.parametrize(("family", "data"), long_but_for(1, CASES))
def test_estimates_have_the_same_mean_whatever_bends(family, data, monkeypatch):
    """At the mode, and where a share is next to nothing: outcomes that stay, those that move, and logs alone."""
    monkeypatch.setattr("poolwise.density.working.moving._WORTH", -np.inf)
    data = data_of(**(data | {"rows": 300}))
    model, *bent = models_of(data, family)
    assert all(each.density.dispersions.bends for each in bent)
    monkeypatch.setattr("poolwise.density.working.turns.with_bends", lambda dispersions, *_: dispersions)
    *_, logs = models_of(data, family)
    assert not logs.density.dispersions.bends
    ways = []
    for each in (*bent, logs):
        by_rows = RowRemainders.of(each, model.regression(model.observations))
        ways.append(CorrectedDensity.of(each, by_rows, model.design, model.priors, 4, 1))
    mode = bent[0].modes[0].point
    for start in (mode, mode - 0.8 * np.eye(len(mode))[-1]):
        points = start + 1e-6 * np.arange(1, 1501)[:, None]  # each with noise of its own
        values = np.array([way.log_density(points) for way in ways])
        ratios = np.exp(values - values.max())
        means, errors = ratios.mean(axis=1), ratios.std(axis=1) / np.sqrt(ratios.shape[1])
        assert (np.abs(means - means[0])[1:] < 5 * np.hypot(errors[0], errors[1:])).all()
        assert (errors / means < 0.1).all()


@pytest.mark.parametrize(
    ("family", "data"),
    long_but_for(
        lambda family, data: family == ZIP and not data["share"],
        [(ZIP, {"share": 0.0}), *CASES],
    ),
)
def test_the_working_model_is_near_the_family_s_own_however_small_the_share(family, data, monkeypatch):
    """Wherever that is likely: by logs alone it is not."""
    data, apart = data_of(**data), []
    for logs in (False, True):
        if logs:
            monkeypatch.setattr("poolwise.density.working.turns.with_bends", lambda dispersions, *_: dispersions)
        model, still, moving = models_of(data, family)
        found = moving or still
        by_rows = RowRemainders.of(found, model.regression(model.observations))
        corrected = CorrectedDensity.of(found, by_rows, model.design, model.priors, 4, 1)
        corrected = replace(corrected, defended=False)  # estimates by wide draws are far too low, or none
        mode = found.modes[0].point
        away = np.linspace(-6, 3, 19)[:, None] * np.eye(len(mode))[-1]
        points = np.repeat(mode + away, 40, axis=0) + 1e-5 * np.arange(1, 19 * 40 + 1)[:, None]
        values, near = (each.log_density(points).reshape(19, 40).mean(axis=1) for each in (corrected, found.density))
        apart.append(np.ptp((values - near)[values > values.max() - 4]))
    assert apart[0] < min(2.5, 0.4 * apart[1])
