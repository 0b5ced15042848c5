"""Parameters with an intercept alone: against the same model by NUTS, there and back, and which ones are taken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import lognorm, norm, poisson, skewnorm
from tests.agreement import assert_same_moments
from tests.selection import long_but_for

import poolwise as pw
from poolwise.families import family_of
from poolwise.families.first_passage_draws import first_passages
from poolwise.inference import near_normal, working
from poolwise.inference.prepare import prepare
from poolwise.inference.shared_parameters import ExponentialOf, SharedParameters
from poolwise.inference.working import by_working_outcomes
from poolwise.samplers import Certificate
from poolwise.samplers.settings import sampler_settings
from poolwise.support.progress import silent

CROSSED, SLOPES = "y ~ x + (1 | g) + (1 | h)", "y ~ x + (x | g)"
PRIORS = {"Intercept": pw.Normal(0, 1), "x": pw.Normal(0, 1), "sd": pw.HalfNormal(1)}


def _data(family, rows=400, seed=3):
    rng = np.random.default_rng(seed)
    g, h, x = rng.integers(0, 12, rows), rng.integers(0, 5, rows), rng.normal(size=rows)
    eta = 0.5 + 0.4 * x + 0.7 * rng.normal(size=12)[g] + 0.4 * rng.normal(size=5)[h]
    hidden, mean = rng.random(rows) < 0.3, np.exp(eta)
    inside = rng.beta(6 * expit(eta), 6 * expit(-eta))
    y = {
        "zero_inflated_poisson": lambda: np.where(hidden, 0, rng.poisson(mean)),
        "hurdle_gamma": lambda: np.where(hidden, 0, rng.gamma(3.0, mean / 3.0)),
        "hurdle_lognormal": lambda: np.where(hidden, 0, np.exp(eta + 0.5 * rng.normal(size=rows))),
        "acat": lambda: np.digitize(eta + rng.logistic(size=rows), [-1.0, 0.5, 2.0]),
        "sratio": lambda: np.digitize(eta + rng.logistic(size=rows), [-1.0, 0.5, 2.0]),
        "skew_normal": lambda: eta + skewnorm.rvs(5, size=rows, random_state=rng),
        "zero_one_inflated_beta": lambda: np.where(hidden, rng.random(rows) < 0.4, inside),
        "shifted_lognormal": lambda: 0.3 + np.exp(eta - 1.0 + 0.5 * rng.normal(size=rows)),
        "wiener": lambda: first_passages(rng, eta, np.full(rows, 1.5), np.full(rows, 0.45)),
    }[family]()
    frame = pd.DataFrame({"x": x, "g": g, "h": h})
    return frame.assign(y=0.25 + y[0], up=y[1] * 1) if family == "wiener" else frame.assign(y=y)


def _model(formula, family, data=None, priors=PRIORS):
    data = _data(family) if data is None else data
    return prepare(formula, data, priors=priors, family=family_of(family), missing="drop", threads=1)[0]


@pytest.mark.parametrize(
    ("formula", "family", "rows"),
    long_but_for(
        lambda formula, family, rows: formula == CROSSED and family == "zero_inflated_poisson",
        [
            (CROSSED, "zero_inflated_poisson", 400),
            (SLOPES, "hurdle_gamma", 400),
            ("y ~ x + (1 | g)", "acat", 400),
            ("y ~ x + (1 | g)", "skew_normal", 1200),
            pytest.param(CROSSED, "hurdle_lognormal", 400, marks=pytest.mark.long),
            pytest.param(SLOPES, "sratio", 400, marks=pytest.mark.long),
            pytest.param("y ~ x + (1 | g)", "zero_one_inflated_beta", 600, marks=pytest.mark.long),
            pytest.param("y ~ s(x) + (1 | g)", "zero_inflated_poisson", 1200, marks=pytest.mark.long),
            pytest.param("y ~ x + (1 | g)", "shifted_lognormal", 600, marks=pytest.mark.long),
            pytest.param("y | dec(up) ~ x + (1 | g)", "wiener", 400, marks=pytest.mark.long),
        ],
    ),
)
def test_draws_are_those_of_nuts(formula, family, rows, monkeypatch):
    monkeypatch.setattr(working, "LEAST", 0)
    monkeypatch.setattr(near_normal, "_GRADIENTS", np.inf)
    data = _data(family, rows)
    priors = {name: prior for name, prior in PRIORS.items() if name != "x" or "s(" not in formula}
    model = _model(formula, family, data, priors)
    theta, beta, u, dispersions, certificate = by_working_outcomes(
        model, sampler_settings(2500, 4, 1, "auto", silent), 2
    )
    assert certificate.passed
    fit = pw.fit(formula, data, family=family, priors=priors, seed=2, sampler="nuts", draws=2500).result
    assert dispersions.keys() == fit.dispersions.keys()
    assert_same_moments(beta, fit.beta)
    assert_same_moments(theta, fit.theta)
    for name, values in dispersions.items():
        assert_same_moments(np.log(values), np.log(fit.dispersions[name]))
    for one, other in zip(u, fit.u, strict=True):
        assert_same_moments(one.draws(), other.draws())


def _next_to_nothing(family, rows=4000, level=0.8, share=0.01):
    rng = np.random.default_rng(1)
    g, x = rng.integers(0, 20, rows), rng.normal(size=rows)
    mean = np.exp(level + 0.3 * x + 0.4 * rng.normal(size=20)[g])
    mean *= rng.gamma(2.0, 0.5, rows) if family == "zero_inflated_negative_binomial" else 1.0
    return pd.DataFrame({"y": np.where(rng.random(rows) < share, 0, rng.poisson(mean)), "x": x, "g": g})


@pytest.mark.long
@pytest.mark.parametrize(
    ("family", "level"),
    [
        ("zero_inflated_poisson", 0.8),
        pytest.param("zero_inflated_negative_binomial", 0.8, marks=pytest.mark.long),
        pytest.param("zero_inflated_negative_binomial", -1.0, marks=pytest.mark.slow),
    ],
)
def test_a_share_of_next_to_nothing_needs_no_nuts(family, level):
    """Its logit has a long tail to the left, and with it, where counts are low, the shape to the right."""
    data = _next_to_nothing(family, level=level)
    one, other = (
        pw.fit("y ~ x + (1 | g)", data, family=family, seed=1, sampler=sampler, draws=1500)
        for sampler in ("auto", "nuts")
    )
    assert one.outcome.sampler == "independence" and one.outcome.passed and other.outcome.sampler == "nuts"
    assert one.outcome.figures["k_hat"] < 0.5
    assert_same_moments(one.result.beta, other.result.beta)
    assert_same_moments(one.result.theta, other.result.theta)
    for name, values in one.result.dispersions.items():
        assert_same_moments(np.log(values), np.log(other.result.dispersions[name]))


@pytest.mark.parametrize(("share", "sd"), [(0.0, 2.5), (0.01, 2.5), (0.0, 10.0)])
def test_evidence_and_tail_of_a_share_of_next_to_nothing_are_those_of_a_quadrature(share, sd, monkeypatch):
    monkeypatch.setattr(working, "LEAST", 0)
    monkeypatch.setattr(near_normal, "_GRADIENTS", np.inf)
    rng = np.random.default_rng(1)
    y = np.where(rng.random(2500) < share, 0, rng.poisson(2.0, 2500))
    priors = {"Intercept": pw.Normal(0, 1), "zi_Intercept": pw.Normal(0, sd)}
    fit = pw.fit("y ~ 1", {"y": y}, family="zero_inflated_poisson", priors=priors, seed=1, draws=2500)
    assert fit.outcome.sampler == "independence" and fit.outcome.passed
    counts = np.bincount(y)
    rates, logits = np.linspace(-0.2, 0.3, 101) + np.log(y.mean()), np.linspace(-6 * sd - 5, 0, 4001)
    at, hidden = np.exp(rates)[:, None], expit(logits)
    likelihood = counts[0] * np.log(hidden + (1 - hidden) * np.exp(-at))
    for k in range(1, len(counts)):
        likelihood = likelihood + counts[k] * (poisson.logpmf(k, at) + np.log1p(-hidden))
    joint = likelihood + norm.logpdf(rates)[:, None] + norm.logpdf(logits, 0, sd)
    mass = np.exp(joint - joint.max())
    cell = (rates[1] - rates[0]) * (logits[1] - logits[0])
    assert fit.log_evidence == pytest.approx(joint.max() + np.log(mass.sum() * cell), abs=0.1)
    drawn, own = fit.result.beta[..., fit.result.model.design.coefficients.index("zi_Intercept")], mass.sum(axis=0)
    below = (np.cumsum(own) - own / 2) / own.sum()
    for level in (0.05, 0.25, 0.5, 0.75, 0.95):
        found = (drawn < np.interp(level, below, logits)).mean()
        assert found == pytest.approx(level, abs=5 * np.sqrt(level * (1 - level) / 3000))


def test_coefficients_come_back_to_their_places():
    model = _model(["y ~ x + s(x) + (1 | g)", "shape = 3"], "hurdle_gamma", priors=None)
    assert model.design.predictors.count("hu") == 1
    shared = SharedParameters.of(model)
    (place,) = shared.places
    inner, names = shared.model, model.design.coefficients
    assert inner.design.coefficients == (*names[:place], *names[place + 1 :])
    assert inner.priors.layout.dispersions == (*model.priors.layout.dispersions, "hu")
    for one, other in zip(inner.design.structures, model.design.structures, strict=True):
        assert [inner.design.coefficients[k] for k in one.places] == [names[k] for k in other.places]
        assert (inner.priors.follows[list(one.places)] == model.priors.follows[list(other.places)]).all()
    theta = np.tile(np.array(inner.priors.layout.names, dtype=object), (2, 3, 1))
    beta = np.tile(np.array(inner.design.coefficients, dtype=object), (2, 3, 1))
    at = inner.priors.layout.names.index("hu")
    numbers = np.arange(theta.shape[-1], dtype=float) + np.zeros(theta.shape)
    coefficients = 100.0 + np.arange(beta.shape[-1]) + np.zeros(beta.shape)
    certificate = Certificate("none", "", True, "", {})
    dispersions = dict.fromkeys(inner.priors.layout.dispersions, np.ones((2, 3)))
    back = shared.back((numbers, coefficients, (), dispersions, certificate))
    assert [inner.priors.layout.names[int(k)] for k in back[0][0, 0]] == list(model.priors.layout.names)
    assert back[1][0, 0, place] == at
    found = np.delete(back[1][0, 0], place) - 100
    assert [inner.design.coefficients[int(k)] for k in found] == [*names[:place], *names[place + 1 :]]
    assert list(back[3]) == list(model.priors.layout.dispersions)


@pytest.mark.parametrize(
    ("formulas", "priors"),
    [
        (["y ~ x + (1 | g)", "zi ~ x"], PRIORS),
        (["y ~ x + (1 | g)", "zi ~ 1 + (1 | h)"], PRIORS),
        (["y ~ x + (1 | g)", "zi ~ 0 + x"], PRIORS),
        (["y ~ x + (1 | g)", "zi = 0.2"], PRIORS),
        (["y ~ x + (1 | g)"], {**PRIORS, "zi_Intercept": pw.StudentT(3, 0, 1)}),
    ],
)
def test_others_are_left_as_they_are(formulas, priors):
    model = _model(formulas, "zero_inflated_poisson", priors=priors)
    shared = SharedParameters.of(model)
    assert shared.model is model
    parts = np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), (), {}, Certificate("none", "", True, "", {})
    assert shared.back(parts) is parts


def test_where_one_has_predictors_none_is_taken():
    model = _model(["y ~ x + (1 | g)", "zoi ~ x"], "zero_one_inflated_beta")
    assert SharedParameters.of(model).model is model


def test_the_prior_of_the_exponential_is_that_of_the_number():
    prior, logs = ExponentialOf(0.4, 0.7), np.linspace(-3, 3, 7)
    known = lognorm(0.7, scale=np.exp(0.4))
    np.testing.assert_allclose(prior.log_density_of_log(logs), known.logpdf(np.exp(logs)) + logs, rtol=1e-12)
    drawn = np.log(prior.sample(np.random.default_rng(0), (4000,)))
    assert abs(drawn.mean() - 0.4) < 0.05 and abs(drawn.std() - 0.7) < 0.05
    assert prior.widened(2.0) == ExponentialOf(0.4, 1.4)


def test_units_and_signs_of_a_skewed_outcome_change_nothing():
    data = _data("skew_normal", 3000)
    options = {"family": "skew_normal", "seed": 1, "draws": 200}
    plain = pw.fit("y ~ x + (1 | g)", data, **options)
    assert plain.outcome.sampler == "independence" and plain.outcome.passed
    other = pw.fit("y ~ x + (1 | g)", data.assign(y=5e4 - 1e3 * data["y"]), **options)
    assert other.outcome.sampler == "independence" and other.outcome.passed
    one, two = (fit.posterior["beta"].sel(coefficient="alpha_Intercept").values.ravel() for fit in (plain, other))
    error = np.hypot(one.std(), two.std()) / np.sqrt(400)
    assert abs(one.mean() + two.mean()) < 5 * error
    assert other.log_evidence + len(data) * np.log(1e3) == pytest.approx(plain.log_evidence, abs=0.2)


@pytest.mark.parametrize("family", ["zero_inflated_poisson", pytest.param("acat", marks=pytest.mark.long)])
def test_where_zero_is_units_order_and_names_play_no_part(family):
    data = _data(family, 2500)
    moved = data.assign(x=1e3 * data["x"] + 2e6).sample(frac=1.0, random_state=1)
    renamed = moved.rename(columns={"x": "zi", "g": "sigma", "y": "alpha"})
    one, other = (
        pw.fit(formula, frame, family=family, seed=1, draws=200)
        for formula, frame in (("y ~ x + (1 | g)", data), ("alpha ~ zi + (1 | sigma)", renamed))
    )
    assert one.outcome.sampler == other.outcome.sampler == "independence"
    error = np.hypot(*(fit.outcome.figures["evidence_error"] for fit in (one, other)))
    assert one.log_evidence == pytest.approx(other.log_evidence, abs=2 * error)
    mine, theirs = (
        fit.result.beta[..., 1:] * [[[unit] + [1.0] * (fit.result.beta.shape[-1] - 2)]]
        for fit, unit in ((one, 1.0), (other, 1e3))
    )
    assert_same_moments(mine, theirs)


def test_the_inner_model_holds_no_more_than_its_regression():
    """What working models take of observations speaks of the mean alone."""
    shared = SharedParameters.of(_model(CROSSED, "zero_inflated_poisson"))
    observations = shared.model.observations
    assert not observations.of_column.any() and len(observations.columns) == len(observations.to_written) == 2
