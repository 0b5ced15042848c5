"""Polynomials of cells against sums over rows, and fits by them against fits by rows."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm

import poolwise as pw
from poolwise.density.latent.density import first_guess
from poolwise.density.polynomial import of_levels, of_rows, remainders
from poolwise.density.polynomial.coordinates import CellMoments, Coordinates, WeightMaps
from poolwise.density.polynomial.expansion import Sums, count_of, normal_terms
from poolwise.density.polynomial.hermite import (
    MOST_NODES,
    Normals,
    hermite_terms,
    in_powers,
    in_powers_of_dispersions,
    nodes_for,
    terms_for,
)
from poolwise.density.polynomial.kernels import add_polynomials
from poolwise.density.polynomial.of_rows import polynomials_of
from poolwise.density.polynomial.remainders import BEYOND, PolynomialRemainders, beyond
from poolwise.density.working.corrected import CorrectedDensity
from poolwise.density.working.dispersions import Dispersions
from poolwise.density.working.moving import with_moves
from poolwise.density.working.outcomes import with_guess
from poolwise.density.working.remainders import RowRemainders
from poolwise.density.working.turns import working_model
from poolwise.design.design import column_weights
from poolwise.families import family_of
from poolwise.inference import near_normal, working
from poolwise.inference.prepare import prepare
from tests.selection import long_but_for


@pytest.mark.parametrize(("variables", "order"), [(1, 4), (1, 6), (2, 5), (3, 4), (4, 6), (7, 4)])
@pytest.mark.parametrize("dispersions", [0, 1, 2, 3])
def test_sums_of_powers_are_sums_over_rows(variables, order, dispersions):
    """Against the powers of each row's own sum; one draw lies too far away, and one where sums go on as cubes."""
    rng, cells, rows, draws = np.random.default_rng(order), 3, 20, 5
    x, codes = rng.normal(size=(rows, variables)), rng.integers(0, cells, rows)
    root = rng.normal(size=(cells, variables, variables))
    sums = Sums.empty(variables, order, dispersions, cells)
    assert sum(one.size for one in sums.monomials.values()) == count_of(variables, order, dispersions)
    coefficients = {e: rng.normal(size=(order + 1 - sum(e), rows)) for e in sums.monomials}
    for e, monomials in sums.monomials.items():
        add_polynomials(x, codes, coefficients[e], root, monomials.ends, sums.polynomials[e])
    s = 0.3 * rng.normal(size=(draws, cells, variables))
    s[0, 0] *= 20.0 / np.linalg.norm(s[0, 0])
    origin = rng.normal(size=(cells, variables))
    maps = WeightMaps(
        np.zeros((variables, 1)), np.eye(variables), np.arange(cells * variables).reshape(cells, variables).T.copy()
    )
    centre, unit = rng.normal(size=dispersions), rng.uniform(0.5, 1.0, dispersions)
    shared = None, (), centre, np.eye(dispersions) / unit**2
    polynomials = PolynomialRemainders.of(
        sums, np.arange(cells), maps, CellMoments(origin, root), np.linalg.inv(root), Dispersions(*shared),
        (cells, np.arange(cells)),
    )  # fmt: skip
    s[1, 0] *= 1.1 * beyond(BEYOND, variables) / np.linalg.norm(s[1, 0])
    weights = origin + np.einsum("cdv,mcv->mcd", root, s)  # of the cells, as effects of one slot each
    logs = centre + unit * rng.normal(size=(draws, dispersions))
    effects = np.ascontiguousarray(weights.reshape(draws, -1).T)
    found = polynomials.ratios(logs, np.zeros((draws, 1)), effects)
    for m, c in product(range(draws), range(cells)):
        mine, stretched = codes == c, 1.1 if (m, c) == (1, 0) else 1.0
        steps, expected = x[mine] @ root[c] @ s[m, c] / stretched, 0.0
        for e, own in coefficients.items():
            of_steps = sum((own[k, mine] * steps**k).sum() for k in range(1, len(own)))
            expected += np.prod(((logs[m] - centre) / unit) ** e) * (of_steps * stretched**3 + own[0, mine].sum())
        if (m, c) == (0, 0):
            assert found[m, c] == -np.inf
        else:
            assert found[m, c] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def _normals(mean, sd, centre=(), unit=()):
    return Normals(np.asarray(mean), np.asarray(sd), np.array(centre, dtype=float), np.array(unit, dtype=float))


def test_a_polynomial_is_its_own_expansion():
    rng = np.random.default_rng(1)
    coefficients, mean, sd = rng.normal(size=6), rng.normal(size=4), np.array([1e-6, 0.1, 1.0, 3.0])

    def slopes(eta, _):
        return sum(k * coefficients[k] * (eta - mean) ** (k - 1) for k in range(1, 6))[None]

    terms = hermite_terms(slopes, _normals(mean, sd), 7)[()]
    np.testing.assert_allclose(terms[6:], 0.0, atol=1e-9)
    powers, steps = in_powers(terms[:6], sd), np.array([[-1.5], [0.5], [2.0]]) * sd
    found = sum(powers[k] * steps**k for k in range(1, 6))
    expected = sum(coefficients[k] * steps**k for k in range(1, 6))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


def test_a_polynomial_with_dispersions_is_its_own_expansion():
    """l = sum_ab q_ab (eta - m)^a (log phi - c)^b, of total order five, up to the third in log phi."""
    rng = np.random.default_rng(2)
    q = np.where(np.add.outer(np.arange(6), np.arange(4)) <= 5, rng.normal(size=(6, 4)), 0.0)
    mean, sd, centre, unit = rng.normal(size=3), np.array([0.1, 0.7, 1.5]), 0.3, 0.4

    def value(t, w, slope_in):
        powers = [t**a * w**b * q[a, b] for a in range(6) for b in range(4)]
        first = [a * t ** max(a - 1, 0) * w**b * q[a, b] for a in range(6) for b in range(4)]
        second = [b * t**a * w ** max(b - 1, 0) * q[a, b] for a in range(6) for b in range(4)]
        return sum((powers, first, second)[slope_in])

    def slopes(eta, logs):
        return np.array([value(eta - mean, logs[0] - centre, 1), value(eta - mean, logs[0] - centre, 2)])

    terms = hermite_terms(slopes, _normals(mean, sd, [centre], [unit]), 7)
    in_both = in_powers_of_dispersions(terms, 5)

    def close(t, w):
        each = {e: in_powers(own, sd) for e, own in in_both.items()}
        return sum((w / unit) ** e[0] * sum(own[k] * t**k for k in range(len(own))) for e, own in each.items())

    t, w = 1.3 * sd, 0.9 * unit
    expected = value(t, w, 0) - value(0 * t, 0.0, 0)  # the constant of each row plays no part
    np.testing.assert_allclose(close(t, w) - close(0 * t, 0.0), expected, rtol=1e-6, atol=1e-9)


def _slopes_of(value, mean, centre):
    """Of a function of eta - m and of logs less their centres, by complex steps."""

    def slopes(eta, logs):
        at = [eta - mean, *(np.full(eta.shape, log) for log in logs - centre)]
        each = [[one + 1e-30j * (i == j) for j, one in enumerate(at)] for i in range(len(at))]
        return np.array([value(*one).imag for one in each]) / 1e-30

    return slopes


def test_a_polynomial_with_many_dispersions_is_its_own_expansion():
    """In three dispersions, and in all products of two of them."""
    mean, sd = np.array([0.3, -1.0]), np.array([0.2, 0.9])
    centre, unit = np.array([0.1, -0.5, 0.7]), np.array([0.3, 0.05, 0.2])

    def value(t, u, v, w):
        return (
            0.4 * t**3
            + t * (u - 2 * v + w * v)
            + (u + 3 * v - w) ** 2
            + 0.3 * (u - v) ** 3
            + t**2 * (0.5 * u * w + v**2)
            - t * u**2
        )

    order = 4
    terms = hermite_terms(_slopes_of(value, mean, centre), _normals(mean, sd, centre, unit), order + 2)
    each = {e: in_powers(own, sd) for e, own in in_powers_of_dispersions(terms, order).items()}
    assert (1, 2, 0) in each and (1, 1, 1) not in each

    def close(t, logs):
        return sum(
            math.prod((logs / unit) ** e) * sum(own[k] * t**k for k in range(len(own))) for e, own in each.items()
        )

    t, logs = 1.3 * sd, np.array([0.9, -1.2, 0.4]) * unit
    np.testing.assert_allclose(close(t, logs) - close(0 * t, 0 * logs), value(t, *logs), rtol=1e-6)


@pytest.mark.parametrize("dispersions", [1, 2, 4])
def test_nodes_are_as_many_as_are_said(dispersions):
    asked = []

    def slopes(eta, logs):
        asked.append(logs)
        return np.zeros((1 + dispersions, len(eta)))

    hermite_terms(slopes, _normals([0.0], [1.0], np.zeros(dispersions), np.ones(dispersions)), terms_for(4))
    assert len(asked) == nodes_for(dispersions, 4) < MOST_NODES


def test_what_moving_outcomes_have_is_a_polynomial_of_dispersions():
    rng = np.random.default_rng(3)
    away, precisions, moves = rng.normal(size=5), rng.uniform(0.5, 2.0, 5), rng.normal(size=(3, 5))
    eta, steps = rng.normal(size=5), np.array([0.7, -1.1, 0.4])
    terms = normal_terms(away, precisions, moves)
    found = sum(np.prod(steps**e) * sum(own[k] * eta**k for k in range(len(own))) for e, own in terms.items())
    expected = norm.logpdf(away + steps @ moves, loc=eta, scale=precisions**-0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_expansion_is_the_closest_one():
    """What is left of a log likelihood is orthogonal to all polynomials, by other quadrature."""
    mean, sd, order = np.array([0.7]), np.array([0.9]), 4
    terms = hermite_terms(lambda eta, _: (1.0 - expit(eta))[None], _normals(mean, sd), order)[()]
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    exact = -np.log1p(np.exp(-(mean + sd * nodes)))
    close = sum(terms[k] * np.polynomial.hermite_e.hermeval(nodes, np.eye(order + 1)[k]) for k in range(1, order + 1))
    left = exact - close - (weights * exact).sum()
    for k in range(order + 1):
        assert abs((weights * left * nodes**k).sum()) < 2e-4


def _data(family, *, groups=20, rows=3000, seed=3):
    rng = np.random.default_rng(seed)
    g, h, x = rng.integers(0, groups, rows), rng.integers(0, 3, rows), rng.normal(2.0, 3.0, rows)
    eta = 0.3 + 0.2 * x + 0.8 * rng.normal(size=groups)[g] + 0.1 * rng.normal(size=groups)[g] * x
    eta += 0.4 * rng.normal(size=3)[h]
    y = {
        "bernoulli": lambda: (rng.random(rows) < expit(eta)).astype(int),
        "poisson": lambda: rng.poisson(np.exp(0.5 * eta)),
        "negative_binomial": lambda: rng.poisson(np.exp(0.5 * eta) * rng.gamma(3.0, 1 / 3, rows)),
        "gamma": lambda: rng.gamma(3.0, np.exp(0.5 * eta) / 3.0),
        "student": lambda: eta + 0.6 * rng.standard_t(5, rows),
        "cumulative": lambda: np.digitize(eta + rng.logistic(size=rows), [-1.5, -0.5, 0.5, 1.5, 3.0]),
    }[family]()
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "exposure": rng.uniform(0.5, 2.0, rows)})


def _models(formula, data, family, link=None):
    model, _ = prepare(formula, data, priors=None, family=family_of(family), link=link, missing="drop", threads=1)
    observations = model.observations
    guess = with_guess(observations, first_guess(observations, model.priors, model.family))
    regression = model.regression(observations)
    still = working_model(regression, guess, 1)
    moving = with_moves(still, regression, 1)
    found = moving or still
    return model, found, (found, regression)


FORMULAS = [
    ("y ~ x + (x | g)", "bernoulli", None),
    ("y ~ x + (x | g)", "bernoulli", "probit"),
    ("y ~ x + (1 | g) + (1 | h)", "bernoulli", "cloglog"),
    ("y ~ x + offset(log(exposure)) + (1 | g)", "poisson", None),
    ("y ~ x + I(x**2) + (0 + x | g)", "poisson", None),
    ("y ~ s(x, k=4) + (1 | g)", "bernoulli", None),
    ("y ~ x + (x | g)", "negative_binomial", None),
    ("y ~ x + (1 | g)", "gamma", None),
    ("y ~ x + (1 | g)", "student", None),
    ("y ~ x + (x | g)", "cumulative", None),
    ("y ~ x + (1 | g) + (1 | h)", "cumulative", "probit"),
]


@pytest.mark.parametrize(
    ("formula", "family", "link"),
    long_but_for(lambda formula, family, link: family != "cumulative" and "s(" not in formula, FORMULAS),
)
def test_polynomials_are_as_close_to_rows_as_they_say(formula, family, link, monkeypatch):
    monkeypatch.setattr(of_rows, "_FEWER", np.inf)
    model, found, of_model = _models(formula, _data(family), family, link)
    by_rows = RowRemainders.of(*of_model)
    for close in (1e-4, np.inf):  # some cells by rows, and none
        monkeypatch.setattr(of_rows, "_CLOSE", close)
        polynomials = polynomials_of(*of_model, by_rows, 1)
        if polynomials is None:
            assert close < 1
            continue
        corrected = CorrectedDensity.of(found, polynomials, model.design, model.priors, 1, 1)
        mode = found.modes[0]
        noise = np.random.default_rng(4).standard_normal((100, len(mode.point)))
        at = corrected.drawn_at(mode.point + noise @ np.linalg.cholesky(mode.covariance).T, chosen=False)
        apart = (by_rows.ratios(*at) - polynomials.ratios(*at)).sum(axis=1)
        remainder = by_rows.ratios(*at).sum(axis=1).std()
        # What three different dispersions do together is in no polynomial, and not known beforehand.
        many = len(found.density.dispersions.centre) > 2
        assert apart.std() < (0.02 if close == np.inf or many else 1e-3)
        assert apart.std() < 0.1 * remainder + 1e-3


def test_weights_of_cells_make_linear_predictors_and_have_the_moments_of_rows():
    model, found, (_, regression) = _models("y ~ x + (x | g) + (1 | h)", _data("bernoulli"), "bernoulli")
    observations, design, priors = regression.observations, regression.design, regression.priors
    coordinates, cells = Coordinates.of(model.statistics.merged()), len(model.statistics.counts)
    point = found.modes[0].point[None]
    moments = CellMoments.of(found.density, point, coordinates, cells)
    x = coordinates.columns(observations.wide)
    mean, sd = moments.of_rows(x, observations.codes)
    values = np.column_stack([observations.wide, np.zeros(len(mean))])
    less, variance = found.density.normal.row_moments(found.density.full(point), values, observations.codes)
    np.testing.assert_allclose(mean, -less[0], rtol=1e-9)
    np.testing.assert_allclose(sd**2, variance[0], rtol=1e-9)
    root, inverse = moments.roots()
    np.testing.assert_allclose(root @ inverse, np.tile(np.eye(coordinates.size), (cells, 1, 1)), atol=1e-8)
    np.testing.assert_allclose(root @ root.transpose(0, 2, 1), moments.covariances, atol=1e-9)
    rng = np.random.default_rng(1)
    beta = rng.normal(size=(2, len(design.coefficients)))
    effects = [rng.normal(size=(2, len(f.levels), len(f.effects))) for f in design.factors]
    maps = WeightMaps.of(coordinates, design, priors)
    weights = column_weights(design, beta, effects) @ coordinates.from_written.T
    plain = RowRemainders.of(found, regression)
    corrected = CorrectedDensity.of(found, plain, design, priors, 1, 1)
    stacked = corrected._stacked(beta, tuple(effects))
    own = (maps.of_coefficients @ beta.T)[None] + np.einsum("sd,scm->cdm", maps.slots, stacked[maps.places])
    np.testing.assert_allclose(own.transpose(2, 0, 1), weights, rtol=1e-9, atol=1e-9)


@pytest.fixture
def however_few_rows(monkeypatch):
    monkeypatch.setattr(working, "LEAST", 0)
    monkeypatch.setattr(working, "WORTH", 0.0)
    monkeypatch.setattr(of_rows, "_FEWER", np.inf)
    monkeypatch.setattr(of_levels, "_FEWER", 0.0)  # no polynomials of levels
    monkeypatch.setattr(near_normal, "_GRADIENTS", np.inf)


@pytest.mark.parametrize("family", long_but_for(1, ["bernoulli", "cumulative"]))
def test_fits_by_polynomials_and_by_rows_agree(family, however_few_rows, monkeypatch):
    data, formula = _data(family), "y ~ x + (x | g)"
    close = pw.fit(formula, data, family=family, seed=1)
    assert close.outcome.passed
    assert close.outcome.figures["left_out"] < 0.03
    monkeypatch.setattr(of_rows, "_FEWER", 0.0)
    by_rows = pw.fit(formula, data, family=family, seed=2)
    assert "left_out" not in by_rows.outcome.figures
    one, other = close.summary(), by_rows.summary()
    error = np.sqrt(one["sd"] ** 2 / one["ess_bulk"] + other["sd"] ** 2 / other["ess_bulk"])
    assert ((one["mean"] - other["mean"]).abs() < 4.5 * error).all()
    assert (np.abs(np.log(one["sd"] / other["sd"])) < 0.1).all()
    assert abs(close.log_evidence - by_rows.log_evidence) < 0.15


@pytest.mark.long
def test_draws_that_polynomials_are_not_quite_right_for_are_weighed(however_few_rows, monkeypatch):
    """Of the third order: what is left out, known for every draw, makes up for it."""
    data, formula = _data("bernoulli"), "y ~ x + (x | g)"
    monkeypatch.setattr(of_rows, "_ORDERS", (3,))
    monkeypatch.setattr(of_rows, "_CLOSE", np.inf)
    monkeypatch.setattr(near_normal, "_WEIGHED", 0.5)
    weighed = pw.fit(formula, data, family="bernoulli", seed=1, draws=2000)
    spread = weighed.outcome.figures["left_out"]
    assert spread > 0.05  # else nothing was weighed
    monkeypatch.setattr(of_rows, "_FEWER", 0.0)
    by_rows = pw.fit(formula, data, family="bernoulli", seed=2, draws=2000)
    one, other = weighed.summary(), by_rows.summary()
    error = np.sqrt(one["sd"] ** 2 / one["ess_bulk"] + other["sd"] ** 2 / other["ess_bulk"])
    assert ((one["mean"] - other["mean"]).abs() < 4.5 * error).all()
    assert (np.abs(np.log(one["sd"] / other["sd"])) < 0.1).all()
    assert abs(weighed.log_evidence - by_rows.log_evidence) < 0.15


def test_where_cells_have_few_rows_nothing_is_spent_on_polynomials(monkeypatch):
    monkeypatch.setattr(working, "LEAST", 0)
    monkeypatch.setattr(working, "WORTH", 0.0)
    monkeypatch.setattr(of_rows, "CellMoments", None)
    data = _data("bernoulli", rows=1200).assign(h=np.arange(1200) % 60)
    fit = pw.fit("y ~ x + (1 | g) + (1 | h)", data, family="bernoulli", seed=1, draws=100)
    assert fit.outcome.sampler == "independence"


def test_polynomials_that_are_not_close_are_noticed(however_few_rows, monkeypatch):
    """Of the second order nothing is left of what makes up for the working model: rows take over."""
    monkeypatch.setattr(of_rows, "_ORDERS", (2,))
    monkeypatch.setattr(of_rows, "_CLOSE", np.inf)
    fit = pw.fit("y ~ x + (x | g)", _data("bernoulli", rows=1200), family="bernoulli", seed=1, draws=500)
    assert "left_out" not in fit.outcome.figures


def test_remainders_that_do_not_reach_as_far_as_draws_are_noticed(however_few_rows, monkeypatch):
    monkeypatch.setattr(remainders, "NOWHERE", 1e-2)
    fit = pw.fit("y ~ x + (x | g)", _data("bernoulli", rows=1200), family="bernoulli", seed=1, draws=500)
    assert "left_out" not in fit.outcome.figures


@pytest.mark.parametrize("family", long_but_for(1, ["poisson", "cumulative"]))
def test_draws_follow_neither_threads_nor_the_order_of_rows_nor_units(family, however_few_rows):
    data = _data(family)
    moved = data.sample(frac=1.0, random_state=1).assign(
        x=lambda d: 1000 + 60 * d["x"], g=lambda d: "g" + d["g"].map("{:03d}".format)
    )
    formula = "y ~ x + (x | g)"
    one = pw.fit(formula, data, family=family, seed=1, draws=300, threads=1)
    two = pw.fit(formula, data, family=family, seed=1, draws=300, threads=2)
    far = pw.fit(formula, moved, family=family, seed=1, draws=300)
    assert {"left_out"} <= set(one.outcome.figures) & set(far.outcome.figures)
    np.testing.assert_array_equal(one.result.beta, two.result.beta)
    ours, theirs = one.posterior["beta"].values, far.posterior["beta"].values
    np.testing.assert_allclose(theirs[..., 1] * 60, ours[..., 1], atol=1e-6)
    np.testing.assert_allclose(theirs[..., 0] + 1000 * theirs[..., 1], ours[..., 0], atol=1e-5)
    assert math.isclose(one.log_evidence, far.log_evidence, abs_tol=1e-4)


def test_what_fails_for_few_draws_alone_is_seen():
    """Polynomials that are off by three nats in one draw of 500, those that are furthest away."""
    remainders = np.random.default_rng(1).normal(size=4_000)
    off = np.where(np.argsort(np.argsort(-np.abs(remainders))) < 8, 3.0, 0.0)
    some, shares = near_normal.looked_at(remainders)
    assert len(some) == 128 == len(set(some)) and shares.sum() == pytest.approx(1.0)
    every = np.full(4_000, 1 / 4_000)
    assert near_normal._alike(off[some], shares) == pytest.approx(near_normal._alike(off, every), rel=1e-9)
    assert near_normal._alike(off[some], shares) < near_normal._SAME
    evenly = np.linspace(0, 3_999, 128).astype(int)
    assert not off[evenly].any()  # these alone would have said that all is well
    assert len(near_normal.looked_at(remainders[:100])[0]) == 100
