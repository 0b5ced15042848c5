"""Log probabilities of intervals of outcomes against distribution functions in sixty digits."""

from __future__ import annotations

from itertools import product
from math import inf

import numpy as np
import pytest
from scipy.integrate import quad
from tests.families import exact_intervals as exact

from poolwise.families import FAMILIES
from poolwise.families.callback import call_rows
from poolwise.families.scalars import trigamma

REAL_LINE = [(-inf, 1e-6), (-inf, -1.0), (-inf, 40.0), (1e-3, inf), (-3.0, inf), (40.0, inf), (-1.0, 2.0), (0.5, 30.0)]
REAL_LINE += [(1.0, 1.0 + 1e-9), (20.0, 20.5), (1e-6, 1e-3), (-30.0, 25.0), (3.0, 1e3), (-0.6, -0.5)]
POSITIVE = [(-inf, 1e-6), (0.0, 1.0), (-3.0, 40.0), (1e-6, inf), (1.0, inf), (40.0, inf), (0.5, 1.5), (0.5, 30.0)]
POSITIVE += [(1.0, 1.0 + 1e-9), (20.0, 20.5), (1e-6, 1e-3), (1e-5, 100.0)]
COUNTS = [(-inf, 0.0), (-inf, 1.0), (-1.0, 60.0), (0.0, inf), (1.0, inf), (45.0, inf), (0.0, 1.0), (1.5, 2.0)]
COUNTS += [(3.0, 30.7), (20.0, 80.0), (-1.0, 50.0), (2.0, 38.0)]
ENDS = {
    "gaussian": REAL_LINE,
    "student": REAL_LINE,
    "lognormal": POSITIVE,
    "exponential": POSITIVE,
    "weibull": POSITIVE,
    "gamma": POSITIVE,
    "poisson": COUNTS,
    "negative_binomial": COUNTS,
    "geometric": COUNTS,
}
EVERY = [pytest.param(FAMILIES[name], id=name) for name in ENDS]
WEIGHTLESS = 1e-250  # what is smaller may be anything


def call(family, lower, upper, predictors, weights=None):
    """Value, slopes and information of rows: ends (n,), predictors (parameters, n)."""
    at = np.array(predictors, dtype=float)
    slopes, information = np.full_like(at, np.nan), np.full_like(at, np.nan)
    counted = np.ones(at.shape[1]) if weights is None else np.array(weights, dtype=float)
    ends = (np.array(each, dtype=float) for each in (lower, upper))
    value = call_rows(family.interval.address, *ends, counted, at, slopes, information)
    return value, slopes, information


def alone(family, ends, at):
    """The same of one row."""
    value, slopes, information = call(family, *([each] for each in ends), np.array(at)[:, None])
    return value, slopes[:, 0], information[:, 0]


def points(family, places, logs):
    return list(product(places, *[logs] * len(family.parameters)))


def assert_exact(family, ends, at, digits=1e-11):
    known, known_slopes, known_information = exact.with_derivatives(family.name, *ends, at)
    known_information = np.maximum(known_information, 0.0)
    value, slopes, information = alone(family, ends, at)
    where = f"{family.name} {ends} {at}"
    assert value == pytest.approx(known, rel=1e-12, abs=WEIGHTLESS), where
    # A slope that is small because its terms cancel has the digits of these.
    least = digits * max(np.max(np.abs(known_slopes)) * 1e-5, WEIGHTLESS)
    if len(at) > 1 and known < -0.01:  # of dispersions, whose terms are of size one
        least = max(least, 2e-13)
    np.testing.assert_allclose(slopes, known_slopes, rtol=digits, atol=least, err_msg=where)
    least = 1e-8 * max(np.max(np.square(known_slopes)) * 1e-2, np.max(known_information) * 1e-5, WEIGHTLESS)
    if len(at) > 1 and known < -0.01:
        least = max(least, 2e-11)
    np.testing.assert_allclose(information, known_information, rtol=1e-8, atol=least, err_msg=where)


@pytest.mark.long
@pytest.mark.parametrize("family", EVERY)
def test_values_slopes_and_information_equal_sixty_digits(family):
    places = (0.5, 3.0) if family.name == "student" else (-2.0, 0.5, 3.0)
    for ends, at in product(ENDS[family.name], points(family, places, (-2.0, 0.3, 2.5))):
        assert_exact(family, ends, at)


FAR = [
    *(("gaussian", ends, at) for ends in [(-inf, 1.0), (2.0, inf), (1.0, 3.0)] for at in [(-1e3, 0.0), (700.0, 0.3)]),
    *(("gaussian", ends, (0.0, -5.0)) for ends in [(7.0, 7.1), (7.0, 7.00001), (-8.0, -7.0)]),
    *(("student", ends, (700.0, 0.0, 2.0)) for ends in [(-inf, 1.0), (1.0, 3.0), (690.0, 711.0)]),
    *(("student", (2.0, inf), at) for at in [(-700.0, 0.0, -1.0), (0.0, -40.0, 1.0), (0.3, 0.2, 8.0)]),
    *(
        ("lognormal", ends, at)
        for ends in [(-inf, 2.0), (1.0, 3.0), (5.0, inf)]
        for at in [(-700.0, 0.0), (700.0, 1.0)]
    ),
    *(("exponential", ends, (x,)) for ends in [(-inf, 2.0), (1.0, 3.0), (5.0, inf)] for x in (-30.0, 700.0)),
    *(("weibull", ends, at) for ends in [(-inf, 2.0), (1.0, 3.0), (5.0, inf)] for at in [(-30.0, 0.5), (700.0, 1.0)]),
    *(("gamma", ends, at) for ends in [(-inf, 2.0), (1.0, 3.0), (5.0, inf)] for at in [(-30.0, 0.5), (700.0, 1.0)]),
    *(("gamma", ends, (0.0, 8.0)) for ends in [(-inf, 0.9), (1.0, 1.2), (1.05, inf), (0.99, 1.02)]),
    *(("gamma", (0.1, inf), (0.0, log)) for log in (-8.0, -20.0)),
    *(("poisson", ends, (x,)) for ends in [(-inf, 2.0), (1.0, 3.0), (5.0, inf), (5.0, 60.0)] for x in (-700.0, 9.0)),
    *(("geometric", ends, (x,)) for ends in [(-inf, 2.0), (1.0, 3.0), (5.0, inf)] for x in (-700.0, -40.0, 40.0)),
    *(("negative_binomial", (5.0, inf), at) for at in [(-700.0, 1.0), (-40.0, 8.0), (0.0, -12.0), (1.0, 8.0)]),
    *(("negative_binomial", ends, at) for ends in [(-inf, 2.0), (50.0, 90.0)] for at in [(30.0, 1.0), (4.0, 9.0)]),
]


@pytest.mark.parametrize(("name", "ends", "at"), FAR)
def test_far_intervals_keep_their_digits(name, ends, at):
    assert_exact(FAMILIES[name], ends, at, digits=1e-10)


@pytest.mark.parametrize("family", EVERY)
def test_nothing_is_nan_or_above_zero(family):
    logs = (-40.0, -3.0, 0.0, 3.0, 16.0, 40.0)
    for ends, at in product(ENDS[family.name], points(family, (-700.0, -40.0, 0.0, 40.0, 700.0), logs)):
        value, slopes, information = alone(family, ends, at)
        assert not np.isnan([value, *slopes, *information]).any(), (ends, at)
        assert value <= 1e-14, (ends, at)
        assert np.all(information >= 0), (ends, at)
        if value > -1e290:
            assert np.isfinite([*slopes, *information]).all() or abs(value) > 1e150, (ends, at)


def test_limits_of_dispersions():
    """A large shape is Poisson, large degrees of freedom are normal."""
    for log in (16.0, 25.0, 40.0):
        for ends in [(-inf, 2.0), (3.0, inf), (1.0, 3.0), (4.0, 50.0)]:
            near, limit = (
                alone(FAMILIES["negative_binomial"], ends, (1.0, log)),
                alone(FAMILIES["poisson"], ends, (1.0,)),
            )
            assert near[0] == pytest.approx(limit[0], rel=1e4 * np.exp(-log) + 1e-12)
            assert near[1][0] == pytest.approx(limit[1][0], rel=1e4 * np.exp(-log) + 1e-12)
            assert near[1][1] == pytest.approx(0, abs=1e5 * np.exp(-log) + 1e-12)
        for ends in REAL_LINE:
            near = alone(FAMILIES["student"], ends, (0.3, 0.4, log))
            limit = alone(FAMILIES["gaussian"], ends, (0.3, 0.4))
            if -40 < limit[0] < -1e-10:  # far out, a heavy tail is another one
                assert near[0] == pytest.approx(limit[0], rel=1e4 * np.exp(-log) + 1e-12, abs=WEIGHTLESS)
                np.testing.assert_allclose(near[1][:2], limit[1], rtol=1e4 * np.exp(-log) + 1e-11, atol=1e-15)
                assert near[1][2] == pytest.approx(0, abs=1e5 * np.exp(-log) + 1e-12)


@pytest.mark.parametrize("family", EVERY)
def test_arrays_are_the_rows_of_the_kernel(family):
    lower, upper = np.array(ENDS[family.name]).T
    others = [np.array([[-0.5], [0.0], [1.0]])] * len(family.parameters)
    found = family.log_interval(lower, upper, 0.3, *others)
    assert found.shape == ((3, len(lower)) if others else (len(lower),))
    for i, row in enumerate(np.atleast_2d(found)):
        at = (0.3, *[float(each[i, 0]) for each in others])
        np.testing.assert_array_equal(row, [alone(family, ends, at)[0] for ends in zip(lower, upper, strict=True)])


@pytest.mark.parametrize("family", EVERY)
def test_rows_add_up_with_weights_of_any_sign(family):
    rng, n = np.random.default_rng(3), 61
    lower, upper = np.array(ENDS[family.name])[rng.integers(0, len(ENDS[family.name]), n)].T
    predictors = rng.normal(size=(1 + len(family.parameters), n))
    predictors[1:] = rng.choice([-0.5, 0.0, 1.0], (len(family.parameters), n))  # runs of equal dispersions, and changes
    weights = rng.uniform(0.1, 3, n) * rng.choice([-1, 1], n)
    value, slopes, information = call(family, lower, upper, predictors, weights)
    each = [alone(family, ends, predictors[:, i]) for i, ends in enumerate(zip(lower, upper, strict=True))]
    assert value == pytest.approx(sum(w * one[0] for w, one in zip(weights, each, strict=True)), rel=1e-12)
    np.testing.assert_allclose(slopes, weights * np.array([one[1] for one in each]).T, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(information, weights * np.array([one[2] for one in each]).T, rtol=1e-12, atol=1e-300)
    against = call(family, lower, upper, predictors, -weights)
    assert against[0] == -value
    np.testing.assert_array_equal(against[1], -slopes)
    np.testing.assert_array_equal(against[2], -information)


@pytest.mark.parametrize("family", EVERY)
def test_the_whole_line_is_certain_and_an_empty_interval_impossible(family):
    for at in points(family, (-3.0, 0.0, 3.0), (-3.0, 0.0, 3.0)):
        value, slopes, information = alone(family, (-inf, inf), at)
        assert value == 0.0
        assert not np.any(slopes)
        assert not np.any(information)
        for empty in [(2.0, 2.0), (3.0, 2.0), *([] if family.name in ("gaussian", "student") else [(-5.0, -1.0)])]:
            value, slopes, information = alone(family, empty, at)
            assert value == -inf
            assert not np.any(slopes)
            assert not np.any(information)


@pytest.mark.parametrize("family", EVERY)
def test_neighbours_add_up(family):
    """P over (a, b] and over (b, c] is P over (a, c]."""
    for at in points(family, (-1.0, 0.4, 2.0), (-1.0, 0.5)):
        for cuts in [(-inf, 1.0, inf), (0.0, 1.0, 2.0), (-inf, 3.0, 4.0), (2.0, 5.0, inf), (1.0, 40.0, 90.0)]:
            parts = family.log_interval(cuts[:2], cuts[1:], *at)
            together = family.log_interval(cuts[0], cuts[2], *at)
            assert np.logaddexp(*parts) == pytest.approx(float(together), rel=1e-12, abs=1e-14), (at, cuts)


@pytest.mark.parametrize("family", EVERY)
def test_intervals_are_what_densities_add_up_to(family):
    for at in points(family, (-0.5, 1.2), (-0.4, 0.9)):
        for lower, upper in [(0.0, 2.0), (1.0, 5.0), (3.0, 44.0)]:
            if family.whole:
                y = np.arange(lower + 1, upper + 1)
                known = np.exp(family.log_density(y, np.ones_like(y), *at)).sum()
            else:
                known, _ = quad(lambda y, at=at: np.exp(family.log_density(y, 1.0, *at)), lower, upper, epsabs=0)
            assert float(family.log_interval(lower, upper, *at)) == pytest.approx(np.log(known), rel=1e-7)


@pytest.mark.parametrize("name", ["gaussian", "student", "lognormal", "exponential", "weibull", "gamma"])
def test_units_of_the_outcome_do_not_matter(name):
    """Of those with a location on the line: moved by a constant; else the log of the mean is."""
    family = FAMILIES[name]
    real = name in ("gaussian", "student")
    for unit, ends in product((1e-6, 3.0, 1e8), [(-inf, 0.7), (0.7, 1.9), (1.9, inf)]):
        at = (0.3, *[0.2] * len(family.parameters))
        moved = (0.3 * unit, 0.2 + np.log(unit), *at[2:]) if real else (0.3 + np.log(unit), *at[1:])
        value, slopes, information = alone(family, ends, at)
        scaled, scaled_slopes, scaled_information = alone(family, (ends[0] * unit, ends[1] * unit), moved)
        assert scaled == pytest.approx(value, rel=1e-12)
        back = np.where(np.arange(len(at)) == 0, unit if real else 1.0, 1.0)
        np.testing.assert_allclose(scaled_slopes * back, slopes, rtol=1e-11)
        np.testing.assert_allclose(scaled_information * back**2, information, rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in ENDS if not FAMILIES[name].whole])
def test_nothing_jumps_where_formulas_change(name):
    """Over a fine grid of ends, slopes change as slowly as they do in sixty digits: second differences are small."""
    family = FAMILIES[name]
    at = np.repeat(np.array([[0.3], *[[0.4]] * len(family.parameters)]), 4001, axis=1)
    grid = np.linspace(0.4, 4.4, 4001)
    for lower, upper in [(np.full(4001, -inf), grid), (grid, np.full(4001, inf)), (grid, grid + 0.7), (grid, grid * 3)]:
        _, slopes, information = call(family, lower, upper, at)
        assert np.max(np.abs(np.diff(slopes, 2))) < 1e-4
        assert np.max(np.abs(np.diff(information, 2))) < 1e-3
        values = family.log_interval(lower, upper, *at)
        assert np.max(np.abs(np.diff(values, 3))) < 1e-6


@pytest.mark.parametrize(
    ("x", "known"),
    [(1.0, np.pi**2 / 6), (0.5, np.pi**2 / 2), (1e-8, 1e16 + np.pi**2 / 6), (1e6, 1.0000005000001667e-6)],
)
def test_trigamma(x, known):
    assert trigamma(x) == pytest.approx(known, rel=1e-14)
    assert trigamma(x) - trigamma(x + 1) == pytest.approx(1 / x**2, rel=1e-8 if x < 1e3 else 1e-3)
