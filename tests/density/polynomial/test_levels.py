"""Polynomials of the effects of levels, linear in all else, against rows."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import poolwise as pw
from poolwise.density.latent.density import first_guess
from poolwise.density.polynomial import of_levels, of_rows
from poolwise.density.polynomial.hermite import nodes_for
from poolwise.density.polynomial.of_levels import level_polynomials_of
from poolwise.density.working.corrected import CorrectedDensity
from poolwise.density.working.moving import with_moves
from poolwise.density.working.outcomes import with_guess
from poolwise.density.working.remainders import RowRemainders
from poolwise.density.working.turns import working_model
from poolwise.families import family_of
from poolwise.inference import near_normal, working
from poolwise.inference.prepare import prepare
from tests.selection import long_but_for


def _data(family, rows=6000):
    """Rows of 12 x 60 levels, few of which are alike."""
    rng = np.random.default_rng(3)
    g, h, x = rng.integers(0, 12, rows), rng.integers(0, 60, rows), np.round(rng.normal(2.0, 3.0, rows), 1)
    eta = 0.3 + 0.1 * x + 0.6 * rng.normal(size=12)[g] + (0.5 * rng.normal(size=60))[h]
    eta += (0.1 * rng.normal(size=60))[h] * x
    y = {
        "bernoulli": lambda: (rng.random(rows) < expit(eta)).astype(int),
        "poisson": lambda: rng.poisson(np.exp(0.5 * eta)),
        "negative_binomial": lambda: rng.poisson(np.exp(0.5 * eta) * rng.gamma(3.0, 1 / 3, rows)),
        "cumulative": lambda: np.digitize(eta + rng.logistic(size=rows), [-1.0, 0.0, 1.0, 2.5]),
    }[family]()
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "exposure": rng.uniform(0.5, 2.0, rows)})


def _models(formula, family, link=None):
    family, data = family_of(family), _data(family)
    model, _ = prepare(formula, data, priors=None, family=family, link=link, missing="drop", threads=1)
    observations = model.observations
    guess = with_guess(observations, first_guess(observations, model.priors, model.family))
    regression = model.regression(observations)
    still = working_model(regression, guess, 1)
    moving = with_moves(still, regression, 1)
    found = moving or still
    return model, found, (found, regression)


MODELS = [
    ("y ~ x + (1 | g) + (1 | h)", "bernoulli", None),
    ("y ~ x + (1 | g) + (1 | h)", "bernoulli", "cloglog"),
    ("y ~ x + (1 | g) + (x | h)", "bernoulli", None),
    ("y ~ x + offset(log(exposure)) + (1 | g) + (1 | h)", "poisson", None),
    ("y ~ s(x, k=4) + (x | h)", "poisson", None),
    ("y ~ x + (1 | g) + (1 | h)", "negative_binomial", None),
    ("y ~ x + (1 | g) + (1 | h)", "cumulative", None),
]


@pytest.mark.parametrize(("formula", "family", "link"), long_but_for(4, MODELS))
def test_they_are_close_to_rows(formula, family, link, monkeypatch):
    """But for the second order in what differs within levels, a part of what makes up for the normal model."""
    monkeypatch.setattr(of_levels, "_FEWER", np.inf)
    monkeypatch.setattr(of_rows, "_CLOSE", np.inf)
    model, found, of_model = _models(formula, family, link)
    by_rows = RowRemainders.of(*of_model)
    polynomials = level_polynomials_of(*of_model, by_rows, 1)
    assert len(polynomials.chosen) == 60
    corrected, at = _draws(model, found, polynomials)
    exact, close = by_rows.ratios(*at), polynomials.ratios(*at)
    apart = exact - close - (exact - close).mean(axis=0)
    assert apart.sum(axis=1).std() < min(0.1, 0.5 * exact.sum(axis=1).std())
    assert (apart.std(axis=0) / exact.std(axis=0)).mean() < 0.25
    logs, beta, effects = at  # draws of the leaf alone share what all else gives
    moved = effects.copy()
    moved[corrected._leaf_places] += 0.3 * effects[corrected._leaf_places].std(axis=1, keepdims=True)
    given = polynomials.given(*at)(moved)
    np.testing.assert_allclose(given, polynomials.ratios(logs, beta, moved), rtol=1e-9, atol=1e-9)
    moved_exactly = by_rows.ratios(logs, beta, moved) - exact
    assert np.abs(given - close - moved_exactly).max() < 0.1 * np.abs(moved_exactly).max()


def test_levels_that_are_not_close_keep_their_rows(monkeypatch):
    monkeypatch.setattr(of_levels, "_FEWER", np.inf)
    monkeypatch.setattr(of_rows, "_CLOSE", 1e-5)
    monkeypatch.setattr(of_levels, "_CLOSE", 1e-5)
    model, found, of_model = _models("y ~ s(x, k=4) + (x | h)", "poisson")
    by_rows = RowRemainders.of(*of_model)
    together = level_polynomials_of(*of_model, by_rows, 1)
    few, rows = together.parts
    assert 0 < len(few.chosen) < 60
    _, at = _draws(model, found, together)
    exact, close = by_rows.ratios(*at), together.ratios(*at)
    kept = np.setdiff1d(np.arange(60), few.chosen)
    np.testing.assert_allclose(close[:, kept], exact[:, kept], rtol=1e-9, atol=1e-9)
    assert not rows.ratios(*at)[:, few.chosen].any()
    assert (exact - close).sum(axis=1).std() < 0.1 * exact.sum(axis=1).std()


def _draws(model, found, polynomials):
    corrected = CorrectedDensity.of(found, polynomials, model.design, model.priors, 1, 1)
    noise = np.random.default_rng(4).standard_normal((100, len(found.modes[0].point)))
    points = found.modes[0].point + noise @ np.linalg.cholesky(found.modes[0].covariance).T
    return corrected, corrected.drawn_at(points, chosen=False)


@pytest.fixture
def however_few_rows(monkeypatch):
    monkeypatch.setattr(working, "LEAST", 0)
    monkeypatch.setattr(working, "WORTH", 0.0)
    monkeypatch.setattr(of_rows, "_FEWER", 0.0)  # no polynomials of cells
    monkeypatch.setattr(near_normal, "_GRADIENTS", np.inf)


@pytest.mark.parametrize("family", long_but_for(1, ["bernoulli", "negative_binomial"]))
def test_fits_by_levels_and_by_rows_agree(family, however_few_rows, monkeypatch):
    data, formula = _data(family), "y ~ x + (1 | g) + (1 | h)"
    close = pw.fit(formula, data, family=family, seed=1)
    assert close.outcome.passed
    assert close.outcome.figures["left_out"] < 0.2
    monkeypatch.setattr(of_levels, "_FEWER", 0.0)
    by_rows = pw.fit(formula, data, family=family, seed=2)
    assert "left_out" not in by_rows.outcome.figures
    one, other = close.summary(), by_rows.summary()
    error = np.sqrt(one["sd"] ** 2 / one["ess_bulk"] + other["sd"] ** 2 / other["ess_bulk"])
    assert ((one["mean"] - other["mean"]).abs() < 4.5 * error).all()
    assert (np.abs(np.log(one["sd"] / other["sd"])) < 0.1).all()
    assert abs(close.log_evidence - by_rows.log_evidence) < 0.15


def test_levels_that_are_not_close_are_noticed(however_few_rows, monkeypatch):
    monkeypatch.setattr(of_levels, "_ORDERS", {1: 2})
    fit = pw.fit("y ~ x + (1 | g) + (1 | h)", _data("bernoulli"), family="bernoulli", seed=1, draws=300)
    assert "left_out" not in fit.outcome.figures


@pytest.mark.long
def test_draws_follow_neither_threads_nor_the_order_of_rows_nor_units(however_few_rows):
    data = _data("bernoulli")
    moved = data.sample(frac=1.0, random_state=1).assign(
        x=lambda d: 1000 + 60 * d["x"], h=lambda d: "h" + d["h"].map("{:03d}".format)
    )
    formula = "y ~ x + (1 | g) + (1 | h)"
    one, two = (pw.fit(formula, data, family="bernoulli", seed=1, draws=300, threads=threads) for threads in (1, 2))
    far = pw.fit(formula, moved, family="bernoulli", seed=1, draws=300)
    assert {"left_out"} <= set(one.outcome.figures) & set(far.outcome.figures)
    np.testing.assert_array_equal(one.result.beta, two.result.beta)
    ours, theirs = one.posterior["beta"].values, far.posterior["beta"].values
    np.testing.assert_allclose(theirs[..., 1] * 60, ours[..., 1], atol=1e-6)


def test_orders_are_low_where_rows_tell_levels_sharply(monkeypatch):
    """And levels as close to rows as they were with high ones."""
    monkeypatch.setattr(of_levels, "_FEWER", np.inf)
    data = _data("bernoulli", rows=3000).assign(n=4000)
    data["y"] = np.random.default_rng(5).binomial(4000, expit(-1.0 + 0.5 * np.sin(data.g) + 0.4 * np.cos(data.h)))
    family = family_of("binomial")
    formula = "y | trials(n) ~ x + (1 | g) + (1 | h)"
    model, _ = prepare(formula, data, priors=None, family=family, link=None, missing="drop", threads=1)
    regression = model.regression(model.observations)
    guess = with_guess(model.observations, first_guess(model.observations, model.priors, model.family))
    found = working_model(regression, guess, 1)
    by_rows = RowRemainders.of(found, regression)
    polynomials = level_polynomials_of(found, regression, by_rows, 1)
    assert polynomials.monomials.order < 8
    _, at = _draws(model, found, polynomials)
    assert (by_rows.ratios(*at) - polynomials.ratios(*at)).sum(axis=1).std() < 0.02


def test_quadrature_over_many_dispersions_is_not_begun(monkeypatch):
    """On an axis for each, not at all of their combinations."""
    assert nodes_for(0, 8) == 13 and nodes_for(1, 8) == 13 * 5 and nodes_for(4, 8) == 13 * 9
    model, found, of_model = _models("y ~ x + (1 | g) + (1 | h)", "negative_binomial")
    monkeypatch.setattr(of_levels, "MOST_NODES", nodes_for(1, 8) - 1)
    monkeypatch.setattr(of_levels, "hermite_terms", None)
    assert level_polynomials_of(*of_model, RowRemainders.of(*of_model), 1) is None
