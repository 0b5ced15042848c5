"""Compiled families, links and functions against textbook formulas in sixty digits."""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import product

import numpy as np
import pytest
from scipy import special, stats
from tests.families import exact
from tests.selection import long_but_for

from poolwise.compiled import kernel, vector
from poolwise.families import CIRCLE, FAMILIES, LOG, LOGIT, REAL, locations
from poolwise.families.callback import call_rows, call_values
from poolwise.families.evaluate import slopes_and_information
from poolwise.families.links import to_location
from poolwise.families.scalars import digamma, log_bessel, log_normal_tail, normal_hazard, rising, softplus

# Outcomes and trials: usual and extreme ones.
OUTCOMES = {
    "gaussian": [(0.0, 1.0), (1.0, 1.0), (1e3, 1.0)],
    "bernoulli": [(0.0, 1.0), (1.0, 1.0)],
    "binomial": [(0.0, 0.0), (0.0, 5.0), (1.0, 5.0), (1000.0, 1000.0), (3e5, 1e6)],
    "poisson": [(0.0, 1.0), (1.0, 1.0), (1e5, 1.0)],
    "negative_binomial": [(0.0, 1.0), (1.0, 1.0), (24.0, 1.0), (25.0, 1.0), (1e5, 1.0)],
    "student": [(0.0, 1.0), (1.0, 1.0), (1e3, 1.0)],
    "gamma": [(1e-6, 1.0), (1.0, 1.0), (1e3, 1.0)],
    "lognormal": [(1e-6, 1.0), (1.0, 1.0), (1e5, 1.0)],
    "beta": [(1e-6, 1.0), (0.3, 1.0), (1 - 1e-6, 1.0)],
    "exponential": [(1e-6, 1.0), (1.0, 1.0), (1e3, 1.0)],
    "weibull": [(1e-3, 1.0), (1.0, 1.0), (30.0, 1.0)],
    "geometric": [(0.0, 1.0), (1.0, 1.0), (1e5, 1.0)],
    "beta_binomial": [(0.0, 0.0), (0.0, 5.0), (1.0, 5.0), (30.0, 100.0)],
    "zero_inflated_poisson": [(0.0, 1.0), (1.0, 1.0), (1e5, 1.0)],
    "zero_inflated_negative_binomial": [(0.0, 1.0), (1.0, 1.0), (25.0, 1.0)],
    "zero_inflated_binomial": [(0.0, 5.0), (1.0, 5.0), (1000.0, 1000.0)],
    "hurdle_poisson": [(0.0, 1.0), (1.0, 1.0), (1e5, 1.0)],
    "hurdle_negative_binomial": [(0.0, 1.0), (1.0, 1.0), (25.0, 1.0)],
    "hurdle_gamma": [(0.0, 1.0), (1.0, 1.0), (1e3, 1.0)],
    "hurdle_lognormal": [(0.0, 1.0), (1.0, 1.0), (1e3, 1.0)],
    "shifted_lognormal": [(20.2, 1.0), (1e3, 1.0), (1e5, 1.0)],  # above the shifts that are tried
    "exgaussian": [(0.0, 1.0), (1.0, 1.0), (1e3, 1.0)],
    "inverse_gaussian": [(1e-3, 1.0), (1.0, 1.0), (30.0, 1.0)],
    "skew_normal": [(0.0, 1.0), (1.0, 1.0), (1e3, 1.0)],
    "asymmetric_laplace": [(-0.25, 1.0), (1.7, 1.0), (1e3, 1.0)],  # not at the locations: it has no slope there
    "von_mises": [(0.0, 1.0), (1.0, 1.0), (-3.1, 1.0)],
    "zero_one_inflated_beta": [(0.0, 1.0), (0.3, 1.0), (1.0, 1.0), (1e-6, 1.0)],
}
# Families with tests of the same in files of their own.
ELSEWHERE = {"wiener", *(name for name, family in FAMILIES.items() if family.labels)}
EVERY = [pytest.param(family, id=name) for name, family in FAMILIES.items() if name not in ELSEWHERE]
CLOSED = ("bernoulli", "binomial", "poisson", "exponential")  # whose value needs no gamma function
NOT_FURTHER = ("beta", "beta_binomial", "zero_one_inflated_beta")  # their parameters are kept above 1e-305
MODERATE, FAR = (-3.0, -1.0, 0.0, 1.0, 3.0), (-700.0, -40.0, 40.0, 700.0)


def call(family, y, trials, predictors, weights=None):
    """Value, slopes and information of rows: y (n,), trials (n,), predictors (parameters, n)."""
    at = np.array(predictors, dtype=float)
    slopes, information = np.empty_like(at), np.empty_like(at)
    counted = np.ones(at.shape[1]) if weights is None else weights
    rows = (np.array(each, dtype=float) for each in (y, trials, counted))
    value = call_rows(family.callback.address, *rows, at, slopes, information)
    return value, slopes, information


def alone(family, outcome, at):
    """The same of one row."""
    value, slopes, information = call(family, *([each] for each in outcome), np.array(at)[:, None])
    return value, slopes[:, 0], information[:, 0]


def points(family, places, logs):
    """Every location with every combination of logs of dispersions."""
    return list(product(places, *[logs] * len(family.parameters)))


def numpy_value(family, outcome, at):
    with np.errstate(all="ignore"):
        return float(family.log_density(*(np.array(each) for each in (*outcome, *at))))


@pytest.mark.parametrize("family", EVERY)
def test_kernel_is_the_log_density_but_for_a_constant(family):
    for outcome in OUTCOMES[family.name]:
        every = points(family, MODERATE, (-1.0, 0.5, 2.0))
        kernel_values = np.array([alone(family, outcome, at)[0] for at in every])
        values = np.array([numpy_value(family, outcome, at) for at in every])
        # Gamma functions of large counts lose digits in scipy.
        size = np.abs(special.gammaln(outcome[0] + 10)) if family.whole else 1.0
        np.testing.assert_allclose(
            kernel_values - kernel_values[0], values - values[0], rtol=1e-10, atol=1e-13 * max(size, 1.0)
        )


@pytest.mark.parametrize(
    "family",
    [pytest.param(each, id=name) for name, each in FAMILIES.items() if each.likelihood is not None and not each.labels],
)
@pytest.mark.parametrize("plain", [True, False], ids=["ones", "weights"])
def test_values_of_many_draws_are_those_of_the_kernel(family, plain):
    """More rows than a product takes, and locations from which nothing is left of one of two terms."""
    rng = np.random.default_rng(1)
    n, draws = 1100, 11
    one = () if family.name == "beta" else ((1.0, 1.0),)  # no share
    outcomes = [each for each in (*OUTCOMES[family.name], *one) if each[1] == 1.0 or not plain]
    y, trials = np.array([outcomes[i] for i in rng.integers(0, len(outcomes), n)]).T.copy()
    weights = np.ones(n) if plain else rng.integers(0, 4, n) * 0.5
    shape = 1 + len(family.parameters), n, draws
    far = (rng.random(shape) < 0.02) & (np.arange(draws) > 5)  # the sums of the others are not those of a few rows
    at = np.where(far, rng.choice(FAR, shape), rng.normal(size=shape))
    at[1:] = np.clip(at[1:], -40.0, 45.0)  # shapes whose product is no double
    if plain:  # parameters that all rows share
        at[1:] = at[1:, :1]
    totals = np.full(draws, 0.25)
    call_values(family.likelihood.address, y, trials, weights, at.ravel(), totals)
    own = np.array([call(family, y, trials, at[..., k], weights)[0] for k in range(draws)])
    assert np.isfinite(own[:6]).all()
    np.testing.assert_allclose(totals - 0.25, own, rtol=1e-12)


def of_moments(mean, sd, slant):
    """The skew normal distribution of a mean and sd."""
    first, second = stats.skewnorm.stats(slant)
    scale = sd / np.sqrt(second)
    return stats.skewnorm(slant, loc=mean - scale * first, scale=scale)


TEXTBOOK = {
    "gaussian": lambda x, n, s: stats.norm(x, np.exp(s)),
    "bernoulli": lambda x, n: stats.bernoulli(special.expit(x)),
    "binomial": lambda x, n: stats.binom(n, special.expit(x)),
    "poisson": lambda x, n: stats.poisson(np.exp(x)),
    "negative_binomial": lambda x, n, s: stats.nbinom(np.exp(s), np.exp(s) / (np.exp(s) + np.exp(x))),
    "student": lambda x, n, s, t: stats.t(np.exp(t), x, np.exp(s)),
    "gamma": lambda x, n, s: stats.gamma(np.exp(s), scale=np.exp(x - s)),
    "lognormal": lambda x, n, s: stats.lognorm(np.exp(s), scale=np.exp(x)),
    "beta": lambda x, n, s: stats.beta(special.expit(x) * np.exp(s), special.expit(-x) * np.exp(s)),
    "exponential": lambda x, n: stats.expon(scale=np.exp(x)),
    "weibull": lambda x, n, s: stats.weibull_min(np.exp(s), scale=np.exp(x)),
    "geometric": lambda x, n: stats.nbinom(1, 1 / (1 + np.exp(x))),
    "beta_binomial": lambda x, n, s: stats.betabinom(n, np.exp(s) / (1 + np.exp(-x)), np.exp(s) / (1 + np.exp(x))),
    "shifted_lognormal": lambda x, n, s, t: stats.lognorm(np.exp(s), loc=np.exp(t), scale=np.exp(x)),
    "exgaussian": lambda x, n, s, t: stats.exponnorm(np.exp(t - s), loc=x - np.exp(t), scale=np.exp(s)),
    "inverse_gaussian": lambda x, n, s: stats.invgauss(np.exp(x - s), scale=np.exp(s)),
    "skew_normal": lambda x, n, s, a: of_moments(x, np.exp(s), a),
    "asymmetric_laplace": lambda x, n, s, z: stats.laplace_asymmetric(
        np.exp(z / 2), loc=x, scale=np.exp(s) * 2 * np.cosh(z / 2)
    ),
    "von_mises": lambda x, n, s: stats.vonmises(np.exp(s), loc=x),
}


@pytest.mark.parametrize("family", [pytest.param(FAMILIES[name], id=name) for name in TEXTBOOK])
def test_log_density_is_that_of_scipy(family):
    y, trials = np.array([outcome for outcome in OUTCOMES[family.name] if outcome[0] < 1e5]).T
    for at in points(family, (-1.5, 0.0, 2.0), (-0.5, 1.0)):
        known = TEXTBOOK[family.name](at[0], trials, *at[1:])
        expected = known.logpmf(y) if family.whole else known.logpdf(y)
        np.testing.assert_allclose(family.log_density(y, trials, *at), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("places", long_but_for(1, [[-1.0, 3.0], [-3.0, -1.0, 1.0, 3.0]]))
@pytest.mark.parametrize("family", long_but_for(lambda family: family.name != "zero_one_inflated_beta", EVERY))
def test_log_density_and_kernel_equal_sixty_digits(family, places):
    """Values and slopes, information beside them, where data lie."""
    for outcome in OUTCOMES[family.name]:
        first, size = None, 1.0
        for at in points(family, places, (-3.0, 0.0, 3.0)):
            known, known_slopes = exact.value_and_slopes(family.name, *outcome, at)
            value, slopes, information = alone(family, outcome, at)
            constant = known - Decimal(value)
            first, size = constant if first is None else first, max(size, abs(float(known)))
            assert abs(float(constant - first)) <= 1e-13 * size, (outcome, at)
            assert numpy_value(family, outcome, at) == pytest.approx(float(known), rel=1e-9, abs=1e-9), (outcome, at)
            np.testing.assert_allclose(slopes, np.array(known_slopes, dtype=float), rtol=1e-11, atol=1e-11)
            assert np.all(information >= 0)


@pytest.mark.parametrize("family", long_but_for(lambda family: not family.name.startswith(("zero_", "hurdle_")), EVERY))
def test_far_locations_keep_their_digits(family):
    """Up to locations at which a mean is no number any more."""
    for outcome in OUTCOMES[family.name]:
        reference = (0.5, *[0.0] * len(family.parameters))
        known_there, _ = exact.value_and_slopes(family.name, *outcome, reference)
        there, *_ = alone(family, outcome, reference)
        for at in points(family, FAR, (-3.0, 3.0)):
            if family.name in NOT_FURTHER and abs(at[0]) > 600:
                continue
            known, known_slopes = exact.value_and_slopes(family.name, *outcome, at)
            value, slopes, _ = alone(family, outcome, at)
            if abs(known) > 1e300 or max(map(abs, known_slopes)) > 1e300:
                continue
            assert value - there == pytest.approx(float(known - known_there), rel=1e-11, abs=1e-11), (outcome, at)
            np.testing.assert_allclose(slopes, np.array(known_slopes, dtype=float), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("family", EVERY)
def test_nothing_is_nan_and_all_is_finite_where_the_value_is(family):
    every = points(family, (-700.0, -40.0, -1.0, 0.0, 1.0, 40.0, 700.0), (-40.0, -3.0, 0.0, 3.0, 40.0))
    for outcome, at in product(OUTCOMES[family.name], every):
        value, slopes, information = alone(family, outcome, at)
        assert not np.isnan([value, *slopes, *information]).any(), (outcome, at)
        assert np.all(information >= 0), (outcome, at)
        assert value < np.inf, (outcome, at)
        known = numpy_value(family, outcome, at)
        if np.isfinite(known) and abs(known) < 1e290:
            assert np.isfinite([value, *slopes, *information]).all(), (outcome, at, value, slopes)


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms_are_exact_far_out(name):
    """To twelve digits, also of values that are nearly zero."""
    family = FAMILIES[name]
    forms = {
        "poisson": lambda y, n, x: y * x - x.exp(),
        "exponential": lambda y, n, x: -x - y * (-x).exp(),
    }
    successes = lambda y, n, x: ((y - n) * x if x >= 0 else y * x) - n * exact.log1p((-abs(x)).exp())  # noqa: E731
    for (y, n), x in product(OUTCOMES[name], FAR):
        with localcontext() as context:
            context.prec = exact.DIGITS
            known = float(forms.get(name, successes)(Decimal(y), Decimal(n), Decimal(x)))
        value, _, _ = alone(family, (y, n), (x,))
        assert value == pytest.approx(known, rel=1e-12, abs=1e-300), (y, n, x)


@pytest.mark.parametrize(
    ("name", "outcome", "far"),
    [
        ("negative_binomial", (1.0, 1.0), (1.0, 40.0)),
        ("student", (1.0, 1.0), (0.0, 0.0, 40.0)),
        ("gamma", (1.0, 1.0), (0.0, 40.0)),
    ],
)
def test_value_at_the_limits_of_dispersions(name, outcome, far):
    """Where a family has become its limit: Poisson, normal."""
    family = FAMILIES[name]
    near = (*far[:-1], 3.0)
    known = [exact.value_and_slopes(name, *outcome, at)[0] for at in (near, far)]
    values = [alone(family, outcome, at)[0] for at in (near, far)]
    assert values[1] - values[0] == pytest.approx(float(known[1] - known[0]), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["negative_binomial", "student", "gamma", "beta"])
def test_value_at_large_dispersions(name):
    """As far as data can tell a dispersion from its limit."""
    family, (y, trials) = FAMILIES[name], OUTCOMES[name][1]
    middle = (0.2, *[0.1] * (len(family.parameters) - 1))
    known = [exact.value_and_slopes(name, y, trials, (*middle, log)) for log in (3.0, 12.0, 16.0)]
    found = [alone(family, (y, trials), (*middle, log)) for log in (3.0, 12.0, 16.0)]
    for (value, slopes, _), (target, target_slopes) in zip(found, known, strict=True):
        assert value - found[0][0] == pytest.approx(float(target - known[0][0]), rel=1e-8, abs=1e-6)
        np.testing.assert_allclose(slopes, np.array(target_slopes, dtype=float), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["negative_binomial", "beta_binomial", "hurdle_negative_binomial"])
def test_log_probabilities_add_up_at_large_dispersions(name):
    family, y = FAMILIES[name], np.arange(60.0)
    y = y[:11] if family.trials else y
    for log in (5.0, 12.0, 20.0, 25.0, 30.0, 35.0):
        at = (0.3, log, *[0.0] * (len(family.parameters) - 1))
        assert np.exp(family.log_density(y, np.full(len(y), 10.0), *at)).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("family", EVERY)
def test_rows_add_up_with_their_weights(family):
    """Whatever rows remember of their neighbours, a sum of rows is the sum of each by itself."""
    rng = np.random.default_rng(3)
    n, parameters = 61, 1 + len(family.parameters)
    y, trials = np.array(OUTCOMES[family.name])[rng.integers(0, len(OUTCOMES[family.name]), n)].T
    predictors = rng.normal(size=(parameters, n))
    predictors[1:] = rng.choice([-0.5, 0.0, 1.0], (parameters - 1, n))  # runs of equal dispersions, and changes
    weights = rng.uniform(0.1, 3, n)
    value, slopes, information = call(family, y, trials, predictors, weights)
    each = [alone(family, (y[i], trials[i]), predictors[:, i]) for i in range(n)]
    assert value == pytest.approx(sum(w * one[0] for w, one in zip(weights, each, strict=True)), rel=1e-12)
    np.testing.assert_allclose(slopes, weights * np.array([one[1] for one in each]).T, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(information, weights * np.array([one[2] for one in each]).T, rtol=1e-12)


@pytest.mark.parametrize("family", EVERY)
def test_information_of_the_location_is_the_mean_square_of_its_slope(family):
    """By the outcomes themselves; that of dispersions is an approximation for some."""
    rng, m = np.random.default_rng(4), 40_000
    logs = [0.7] * len(family.parameters)
    trials, x = np.full(m, 5.0 if family.trials else 1.0), 0.4
    mean = np.full(m, family.scale.mean(np.array(x)))
    y = family.draw(rng, trials, mean, *family.values(tuple(np.full(m, log) for log in logs)))
    _, slopes, information = call(family, y, trials, np.array([np.full(m, each) for each in (x, *logs)]))
    error = slopes[0].std() / np.sqrt(m)
    assert abs(slopes[0].mean()) < 5 * error  # the score has mean zero
    if "beta" not in family.name:  # whose information is that of the mean's variance
        square = np.square(slopes[0])
        assert information[0].mean() == pytest.approx(square.mean(), abs=5 * square.std() / np.sqrt(m))


@pytest.mark.parametrize(
    ("name", "at", "claimed"),
    [  # how far information may be from the mean square of a slope, beside noise
        ("shifted_lognormal", (0.3, -1.0, -1.5), (0, 0, 0)),
        ("shifted_lognormal", (0.3, -0.5, 0.5), (0, 0, 0)),
        *(("exgaussian", (0.3, 0.4, 0.4 - log_r), (0.03, 0.06, 0.15)) for log_r in (-3.0, -1.0, 0.0, 0.7, 1.5)),
        ("inverse_gaussian", (0.3, 0.8), (0, 0)),
        *(("skew_normal", (0.3, 0.5, a), (0.01, 0.15, 0.15)) for a in (-2.0, 3.0, 8.0)),
        *(("asymmetric_laplace", (0.3, 0.5, z), (0, 0, 0)) for z in (-2.0, 0.0, 1.0)),
        *(("von_mises", (0.3, log), (0, 0)) for log in (-3.0, 0.5, 3.0, 5.0)),
        ("zero_one_inflated_beta", (0.3, 0.9, 0.5, -0.7), (np.inf, np.inf, 0, 0)),  # the first two as of beta
    ],
)
def test_information_is_the_mean_square_of_each_slope(name, at, claimed):
    family, rng, m = FAMILIES[name], np.random.default_rng(8), 200_000
    points = np.repeat(np.array(at)[:, None], m, axis=1)
    y = family.draw(rng, np.ones(m), family.scale.mean(points[0]), *family.values(tuple(points[1:])))
    _, slopes, information = call(family, y, np.ones(m), points)
    noise = slopes.std(axis=1) / np.sqrt(m)
    assert np.all(np.abs(slopes.mean(axis=1)) < 5 * noise)
    square = np.square(slopes)
    allowed = np.array(claimed) * square.mean(axis=1) + 5 * square.std(axis=1) / np.sqrt(m)
    assert np.all(np.abs(information.mean(axis=1) - square.mean(axis=1)) < allowed)


def test_information_on_a_slant_is_positive_where_it_vanishes():
    for slant in (0.0, 1e-8, -1e-8):
        _, slopes, information = alone(FAMILIES["skew_normal"], (1.3, 1.0), (0.2, 0.1, slant))
        assert abs(slopes[2]) < 1e-7
        assert information[2] > 0.01


@pytest.mark.parametrize("y", [1.0, 0.999, 1e-300])
def test_outcomes_below_a_shift_have_no_density(y):
    family = FAMILIES["shifted_lognormal"]
    value, slopes, information = call(family, [3.0, y, 2.0], np.ones(3), np.array([[0.3] * 3, [0.1] * 3, [0.0] * 3]))
    assert value == -np.inf
    assert np.isfinite([*slopes.ravel(), *information.ravel()]).all()
    assert numpy_value(family, (y, 1.0), (0.3, 0.1, 0.0)) == -np.inf


def test_an_exgaussian_with_a_short_tail_is_normal_and_one_with_a_long_tail_exponential():
    family = FAMILIES["exgaussian"]
    for y in (-30.0, -1.0, 0.4, 5.0, 30.0):
        value, slopes, _ = alone(family, (y, 1.0), (0.4, 0.3, -30.0))
        known, known_slopes, _ = alone(FAMILIES["gaussian"], (y, 1.0), (0.4, 0.3))
        normal = stats.norm(0.4, np.exp(0.3))
        assert value == pytest.approx(normal.logpdf(y), rel=1e-13)
        np.testing.assert_allclose(slopes, [*known_slopes, 0.0], rtol=1e-11, atol=1e-11)
        assert value - known == pytest.approx(-0.5 * np.log(2 * np.pi), abs=1e-12)
    for y in (0.1, 3.0, 1e6):  # the normal part has no width, the exponential one begins at minus one
        value, *_ = alone(family, (y, 1.0), (0.0, -30.0, 0.0))
        assert value == pytest.approx(-(y + 1.0), rel=1e-11)


def test_a_skew_normal_without_slant_is_normal():
    for y in (-30.0, 0.4, 5.0):
        value, slopes, _ = alone(FAMILIES["skew_normal"], (y, 1.0), (0.4, 0.3, 0.0))
        known, known_slopes, _ = alone(FAMILIES["gaussian"], (y, 1.0), (0.4, 0.3))
        assert value - known == pytest.approx(-np.log(2), abs=1e-12)
        np.testing.assert_allclose(slopes, [*known_slopes, 0.0], rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize(("log", "y"), [(-18.4, 1.0), (18.4, 0.2001), (3.4, 1.0), (3.402, 1.0), (9.0, 0.25)])
def test_concentrations_from_none_to_nearly_all(log, y):
    """Of the power series and of the asymptotic one, which meet at thirty, by sixty digits and by scipy."""
    value, slopes, _ = alone(FAMILIES["von_mises"], (y, 1.0), (0.2, log))
    at = numpy_value(FAMILIES["von_mises"], (y, 1.0), (0.2, log)) + np.log(2 * np.pi)
    assert value == pytest.approx(at, rel=1e-12, abs=1e-14)
    kappa = np.exp(log)
    ratio = special.i1e(kappa) / special.i0e(kappa)
    spread = kappa * (1 - ratio) if log < 10 else 0.5 + 0.125 / kappa
    assert slopes[1] == pytest.approx(spread - 2 * kappa * np.sin((y - 0.2) / 2) ** 2, rel=1e-7, abs=1e-11)
    if log < 5:
        known, known_slopes = exact.value_and_slopes("von_mises", y, 1.0, (0.2, log))
        assert value - np.log(2 * np.pi) == pytest.approx(float(known), rel=1e-13, abs=1e-14)
        np.testing.assert_allclose(slopes, np.array(known_slopes, dtype=float), rtol=1e-12, atol=1e-14)


def test_angles_are_alike_a_turn_away():
    for turns in (-100, 1, 7):
        at = (0.3 + 2 * np.pi * turns, 1.2)
        np.testing.assert_allclose(
            alone(FAMILIES["von_mises"], (2.0, 1.0), at)[1],
            alone(FAMILIES["von_mises"], (2.0, 1.0), (0.3, 1.2))[1],
            rtol=1e-11,
        )


@pytest.mark.parametrize(
    ("family", "link"),
    [
        pytest.param(f, link, id=f"{f.name}-{link}")
        for f in FAMILIES.values()
        for link in f.scale.links
        if f.name not in ELSEWHERE
    ],
)
def test_slopes_follow_links(family, link):
    """In the linear predictor, by differences of the log density at the location."""
    chosen = family.link(link)
    places = [-1.2, -0.3] if (family.scale, link) == (LOGIT, "log") else [0.4, 1.3]
    logs = [0.3] * len(family.parameters)
    for (y, trials), x in product(OUTCOMES[family.name][:2], places):

        def value(at, outcome=(y, trials)):
            return numpy_value(family, outcome, (float(locations(chosen, np.array(at))), *logs))

        step = 1e-5
        slopes, information = slopes_and_information(
            family, chosen, np.array([y]), np.array([trials]), np.ones(1), np.array([x, *logs])[:, None]
        )
        known = (value(x + step) - value(x - step)) / (2 * step)
        assert slopes[0, 0] == pytest.approx(known, rel=1e-7, abs=1e-7)
        assert information[0, 0] >= 0


def places_and_slopes(link, x):
    """Locations and their derivatives at linear predictors."""
    places, slopes = np.array(x, dtype=float), np.ones(len(x))
    to_location(link.code, places, slopes)
    np.testing.assert_array_equal(places, locations(link, np.array(x)))
    return places, slopes


# Location and its derivative, from the mean that the link stands for.
STEPS = {
    (REAL, "identity"): lambda x: (x, np.ones_like(x)),
    (REAL, "log"): lambda x: (np.exp(x), np.exp(x)),
    (LOG, "log"): lambda x: (x, np.ones_like(x)),
    (LOG, "identity"): lambda x: (np.log(x), 1 / x),
    (LOG, "sqrt"): lambda x: (np.log(x**2), 2 / x),
    (LOG, "inverse"): lambda x: (np.log(1 / x), -1 / x),
    (LOGIT, "logit"): lambda x: (x, np.ones_like(x)),
    (LOGIT, "probit"): lambda x: (
        special.log_ndtr(x) - special.log_ndtr(-x),
        np.exp(stats.norm.logpdf(x) - special.log_ndtr(x) - special.log_ndtr(-x)),
    ),
    (LOGIT, "cloglog"): lambda x: (np.log(np.expm1(np.exp(x))), np.exp(x) / -np.expm1(-np.exp(x))),
    (LOGIT, "log"): lambda x: (special.logit(np.exp(x)), 1 / -np.expm1(x)),
    (CIRCLE, "tan_half"): lambda x: (np.angle((1 + 1j * x) ** 2), 2 / (1 + x**2)),
    (CIRCLE, "identity"): lambda x: (x, np.ones_like(x)),
}
LINKS = [pytest.param(scale, name, id=f"{name}{i}") for i, (scale, name) in enumerate(STEPS)]


def test_every_link_is_tested():
    assert set(STEPS) == {(scale, name) for scale in (REAL, LOG, LOGIT, CIRCLE) for name in scale.links}


@pytest.mark.parametrize(("scale", "name"), LINKS)
def test_links_at_moderate_predictors(scale, name):
    x = np.linspace(0.05, 3.0, 50)
    if scale is not LOG or name == "log":
        x = np.concatenate([-x[::-1], x])
    x = x[x < 0] if (scale, name) == (LOGIT, "log") else x
    link, (known, known_slopes) = scale.links[name], STEPS[scale, name](x)
    found, slopes = places_and_slopes(link, x)
    np.testing.assert_allclose(found, known, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(slopes, known_slopes, rtol=1e-11)
    np.testing.assert_allclose(link.forward(scale.mean(found)), x, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("scale", "name", "x", "known"),
    [
        (LOGIT, "probit", -40.0, (special.log_ndtr(-40.0), 40.0249688472072637)),
        (LOGIT, "probit", 40.0, (-special.log_ndtr(-40.0), 40.0249688472072637)),
        (LOGIT, "probit", 700.0, (245007.4700186364, 700.0014285685131)),
        (LOGIT, "probit", -700.0, (-245007.4700186364, 700.0014285685131)),
        (LOGIT, "cloglog", -40.0, (-40.0, 1.0)),
        (LOGIT, "cloglog", -700.0, (-700.0, 1.0)),
        (LOGIT, "cloglog", 40.0, (np.exp(40.0), np.exp(40.0))),
        (LOGIT, "cloglog", 700.0, (np.exp(700.0), np.exp(700.0))),
        (LOGIT, "log", -40.0, (-40.0, 1.0)),
        (LOGIT, "log", -700.0, (-700.0, 1.0)),
        (LOGIT, "logit", -700.0, (-700.0, 1.0)),
        (LOGIT, "logit", 700.0, (700.0, 1.0)),
        (REAL, "log", -700.0, (np.exp(-700.0), np.exp(-700.0))),
        (REAL, "log", 700.0, (np.exp(700.0), np.exp(700.0))),
        (LOG, "log", 700.0, (700.0, 1.0)),
        (LOG, "identity", 700.0, (np.log(700.0), 1 / 700)),
        (LOG, "sqrt", 40.0, (2 * np.log(40.0), 0.05)),
        (LOG, "inverse", 700.0, (-np.log(700.0), -1 / 700)),
        (CIRCLE, "tan_half", -700.0, (2 / 700 - 2 / (3 * 700**3) - np.pi, 2 / (1 + 700**2))),
        (CIRCLE, "tan_half", 1e200, (np.pi, 0.0)),
    ],
)
def test_links_far_out(scale, name, x, known):
    """The derivative of a probit far out is 1 over Mills' ratio, x + 1 / x - 2 / x^3 + ..."""
    (place,), (slope,) = places_and_slopes(scale.links[name], [x])
    np.testing.assert_allclose([place, slope], known, rtol=1e-10)


@pytest.mark.parametrize(
    ("scale", "name", "x"),
    [
        (LOGIT, "log", 0.0),
        (LOGIT, "log", 40.0),
        *((LOG, name, x) for name in ("identity", "sqrt", "inverse") for x in (0.0, -2.0)),
    ],
)
def test_links_without_a_mean_are_nan(scale, name, x):
    assert np.isnan(places_and_slopes(scale.links[name], [x])).all()


def test_probit_does_not_jump_between_its_two_formulas():
    x = np.array([-20.0000001, -19.9999999, 19.9999999, 20.0000001])
    np.testing.assert_allclose(
        locations(LOGIT.links["probit"], x), special.log_ndtr(x) - special.log_ndtr(-x), rtol=1e-10
    )


@kernel
def _over(x, exps, logs):
    """In a loop as families have it, so that the compiler may do to it what it does there."""
    for i in range(x.size):
        exps[i], logs[i] = vector.exp(x[i]), vector.log(abs(x[i]))


def test_vector_exp_and_log():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-708, 709, 200_000), rng.normal(size=200_000), [0.0, -708.0, 709.0, 1e-300]])
    exps, ignored = np.empty_like(x), np.empty_like(x)
    _over(x, exps, ignored)
    known = np.exp(x.astype(np.longdouble))
    assert float(np.max(np.abs(exps - known) / known)) <= 4e-16
    x = np.concatenate([10 ** rng.uniform(-307, 308, 200_000), rng.uniform(0.5, 2, 200_000), [1.0, 1e-307, 1e308]])
    logs = np.empty_like(x)
    _over(x, ignored[: len(x)], logs)
    known = np.log(x.astype(np.longdouble))
    assert float(np.max(np.abs(logs - known) / np.maximum(1, np.abs(known)))) <= 4e-16
    assert logs[-3] == 0.0


@kernel
def _over_expm1(x, out):
    for i in range(x.size):
        out[i] = vector.expm1(x[i])


def test_vector_expm1():
    rng = np.random.default_rng(0)
    sizes = 10 ** rng.uniform(-307, 2.8, 200_000)
    x = np.concatenate([rng.uniform(-708, 709, 100_000), sizes, -sizes, rng.normal(size=100_000), [0.0, -1e-300]])
    found = np.empty_like(x)
    _over_expm1(x, found)
    known = np.expm1(x.astype(np.longdouble))
    assert float(np.max(np.abs(found - known) / np.maximum(np.abs(known), 1e-307))) <= 8e-16
    assert found[-2] == 0.0


@kernel
def _over_turns(x, cosines, sines):
    for i in range(x.size):
        cosines[i], sines[i] = vector.cos_sin_of_turns(x[i])


def test_vector_cosine_and_sine_of_turns():
    x = np.concatenate([np.random.default_rng(0).random(200_000), [0.0, 2.0**-53, 0.25, 0.5, 0.75, 1 - 2.0**-53]])
    cosines, sines = np.empty_like(x), np.empty_like(x)
    _over_turns(x, cosines, sines)
    turned = 2 * np.arccos(np.longdouble(-1)) * x.astype(np.longdouble)
    assert float(np.abs(cosines - np.cos(turned)).max()) <= 2e-15
    assert float(np.abs(sines - np.sin(turned)).max()) <= 2e-15


def test_vector_exp_beyond_its_range_is_its_end():
    x = np.array([-np.inf, -1e300, -709.0, 709.5, 1e300, np.inf])
    found, ignored = np.empty_like(x), np.empty_like(x)
    _over(x, found, ignored)
    np.testing.assert_allclose(found, np.exp([-708.0, -708.0, -708.0, 709.0, 709.0, 709.0]), rtol=1e-15)


SIZES = [1e-10, 1e-5, 0.1, 1.0, 1.4616, 3.0, 11.99, 12.0, 100.0, 1e6, 1e12]


def test_digamma():
    for x in SIZES:
        assert digamma(x) == pytest.approx(exact.digamma(x), rel=1e-14, abs=1e-14)
        assert digamma(x) == pytest.approx(special.digamma(x), rel=1e-13, abs=1e-14)
    assert digamma(1e-305) == pytest.approx(-1e305)


@pytest.mark.parametrize("y", [0.0, 1.0, 2.0, 24.0, 25.0, 1000.0, 1e6, 0.5, 30.5])
def test_rising(y):
    for x in SIZES:
        value, slope = rising(x, y)
        known, known_slope = exact.rising(x, y)
        small = y != np.floor(y) and x < 12  # counts are whole; of others only the difference of two logs is known
        assert value == pytest.approx(known, rel=1e-13, abs=1e-13 if not small else 1e-12), x
        assert slope == pytest.approx(known_slope, rel=1e-12 if not small else 1e-9), x


@pytest.mark.parametrize(("x", "y"), [(1e300, 24.0), (1e-300, 24.0), (1e41, 3.0), (1e-41, 3.0), (1e15, 1e6)])
def test_rising_at_the_ends(x, y):
    value, slope = rising(x, y)
    known, known_slope = exact.rising(x, y)
    assert value == pytest.approx(known, rel=1e-13)
    assert slope == pytest.approx(known_slope, rel=1e-12)


def test_softplus_and_the_normal_tail():
    for x in (-700.0, -40.0, -1.0, 0.0, 1.0, 40.0, 700.0):
        value, slope = softplus(x)
        assert value == pytest.approx(np.logaddexp(0, x), rel=1e-14, abs=3e-16)
        assert slope == pytest.approx(special.expit(x), rel=1e-14)
        assert log_normal_tail(x) == pytest.approx(special.log_ndtr(x), rel=1e-10, abs=1e-15)


@pytest.mark.parametrize("x", [-1e150, -40.0, -9.0, -1.0, 0.0, 1.0, 5.0, 7.999999, 8.0, 8.5, 12.0, 40.0, 1e4])
def test_normal_hazard(x):
    hazard, excess, log_tail = normal_hazard(x)
    with localcontext() as context:
        context.prec = exact.DIGITS
        at = Decimal(max(x, -1e3))
        known = exact.normal_tail(at)
        known_hazard = (-exact.HALF_LOG_TWO_PI - at * at / 2 - known).exp()
        known_excess = known_hazard - at
    assert log_tail == pytest.approx(float(known), rel=1e-14, abs=1e-15)
    assert hazard == pytest.approx(float(known_hazard), rel=1e-13, abs=1e-300)
    assert excess == pytest.approx(float(known_excess) if x > -1e3 else -x, rel=1e-13)


@pytest.mark.parametrize("x", [1e-8, 1e-3, 0.5, 1.0, 5.0, 29.999, 30.0, 31.0, 60.0])
def test_log_bessel(x):
    value, spread, bent = log_bessel(x)
    with localcontext() as context:
        context.prec = exact.DIGITS
        at, step = Decimal(x), Decimal(x) * Decimal("1e-15")
        middle, up, down = (exact.log_bessel(at + k * step) for k in (0, 1, -1))
        slope, curve = (up - down) / (2 * step), (up - 2 * middle + down) / step**2
        known = middle - at, at * (1 - slope), at * at * curve
    assert value == pytest.approx(float(known[0]), rel=1e-14, abs=1e-15)
    assert spread == pytest.approx(float(known[1]), rel=1e-13, abs=1e-14)
    assert bent == pytest.approx(float(known[2]), rel=1e-4)


def test_log_bessel_of_large_numbers_has_its_limit():
    for x in (1e6, 1e100, 1e300):
        value, spread, bent = log_bessel(x)
        assert value == pytest.approx(-0.5 * np.log(2 * np.pi) - 0.5 * np.log(x) + 0.125 / x, rel=1e-12)
        assert (spread, bent) == pytest.approx((0.5 + 0.125 / x, 0.5 + 0.25 / x), rel=1e-11)
