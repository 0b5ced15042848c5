"""The drift diffusion model: its density against sums in many digits, draws and closed forms against quadrature."""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import product

import numpy as np
import pytest
from scipy import special, stats
from scipy.integrate import quad
from tests.families import exact_wiener
from tests.families.exact import STEP
from tests.selection import long_but_for

import poolwise as pw
from poolwise.families import FAMILIES
from poolwise.families.callback import call_rows
from poolwise.families.first_passage import large_times, log_first_passage, small_times
from poolwise.families.first_passage_draws import accepted, exit_times, first_passages
from poolwise.families.first_passage_information import information as passage_information
from poolwise.families.first_passage_moments import (
    boundary_probabilities,
    mean_time,
    mean_time_to,
    upper_probability,
)
from poolwise.support.errors import DataError

WIENER = FAMILIES["wiener"]
NEVER = -800.0  # logit of the share of contaminants


def call(y, predictors, weights=None):
    """Value, slopes and information of rows."""
    y, at = np.array(y, dtype=float), np.array(predictors, dtype=float)
    slopes, found, ones = np.full_like(at, np.nan), np.full_like(at, np.nan), np.ones(len(y))
    value = call_rows(WIENER.callback.address, y, ones, ones if weights is None else weights, at, slopes, found)
    return value, slopes, found


def alone(y, at):
    """The same of one row."""
    value, slopes, found = call([y], np.array(at)[:, None])
    return value, slopes[:, 0], found[:, 0]


def each_row(y, predictors):
    """Log densities (n,) and slopes (6, n)."""
    return WIENER.log_density(y, np.ones(len(y)), *predictors), call(y, predictors)[1]


def known_passage(t, c, log_a, d, beyond):
    """Value, and derivatives as `log_first_passage` has them, by differences in many digits."""
    with localcontext() as context:
        context.prec = exact_wiener.DIGITS + 60
        z = 1 - Decimal(d) if beyond else Decimal(d)
        point = [Decimal(t), Decimal(c), Decimal(log_a), z]
        steps = [STEP * point[0], STEP, STEP, STEP * z * (1 - z)]
        slopes = []
        for k in range(4):
            up, down = ([x + sign * steps[k] * (i == k) for i, x in enumerate(point)] for sign in (1, -1))
            ends = [exact_wiener.log_first_passage(*each) for each in (up, down)]
            slopes.append(float((ends[0] - ends[1]) / (2 * steps[k]) * (z * (1 - z) if k == 3 else 1)))
        of_t, of_c, of_a, of_z = slopes
        return float(exact_wiener.log_first_passage(*point)), (of_c, of_a, of_t, of_z)


# Of the relative time t / a^2: where one image is enough, where several are, about the joint of the series, far out.
RELATIVE = (1e-4, 0.01, 0.023, 0.06, 0.1, 0.2, 0.32, 0.3333, 0.3334, 0.4, 0.7, 2.0, 12.0)
STARTS = [(d, beyond) for d in (1e-6, 1e-3, 0.1, 0.37, 0.4999, 0.5) for beyond in (False, True)]


@pytest.mark.parametrize(
    ("d", "beyond"),
    long_but_for(lambda *each: each == (0.1, False), STARTS),
)
def test_passage_equals_many_digits(d, beyond):
    """At all distances of the boundaries and drifts that data may have, and beyond."""
    for u, (a, c) in product(RELATIVE, [(1.3, 0.0), (1.3, 2.5), (0.05, -50.0), (50.0, 1.5), (4.0, -9.0)]):
        t, log_a = u * a * a, float(np.log(a))
        known, known_slopes = known_passage(t, c, log_a, d, beyond)
        z, rest = (1 - d, d) if beyond else (d, 1 - d)
        value, *slopes = log_first_passage(t, c, float(np.exp(log_a)), log_a, z, rest)
        scale = max(1.0, abs(known))
        assert value == pytest.approx(known, abs=2e-14 * scale), (u, a, c)
        # Derivatives in c, log a, t and the logit of z, as shares of what their parts are.
        parts = np.array([a * z + abs(c) * t, scale + abs(c) * a * z, (scale + abs(c) * a * z) / t, scale])
        np.testing.assert_allclose((slopes - np.array(known_slopes)) / parts, 0, atol=2e-14, err_msg=f"{u, a, c}")


@pytest.mark.parametrize(("d", "beyond"), STARTS)
def test_both_series_are_the_density_where_one_takes_over(d, beyond):
    """Value and derivatives in log u and z, each against the other, and against many digits."""
    for u in (1 / 3, 0.35):
        total, moved, slope = small_times(d, beyond, 1 / u)
        z = 1 - d if beyond else d
        images = np.log(d * total) - z * z / (2 * u) - 0.5 * np.log(2 * np.pi * u**3)
        images_moved, images_slope = moved - 1.5 + z * z / (2 * u), slope / d - z / u
        total, moved, slope = large_times(d, beyond, u)
        sines = np.log(np.pi * total) - 0.5 * np.pi**2 * u
        assert images == pytest.approx(sines, abs=3e-14)
        assert images_moved == pytest.approx(moved, abs=3e-14)
        assert d * images_slope == pytest.approx(slope, abs=3e-14)
        with localcontext() as context:
            context.prec = exact_wiener.DIGITS + 60
            place = 1 - Decimal(d) if beyond else Decimal(d)
            every = [f(Decimal(u), place).ln() for f in (exact_wiener.small_times, exact_wiener.large_times)]
            assert abs(every[0] - every[1]) < Decimal("1e-55")
        assert sines == pytest.approx(float(every[0]), abs=3e-14)


def test_passage_to_a_near_boundary_is_inverse_gaussian():
    """An independent density, where the other boundary is out of reach."""
    for c, distance in [(1.5, 1.2), (0.2, 0.4), (6.0, 2.0)]:
        t, a = np.geomspace(0.02, 5.0, 40), 60.0
        known = stats.invgauss(1 / (c * distance), scale=distance**2).logpdf(t)
        found = [log_first_passage(x, c, a, float(np.log(a)), distance / a, 1 - distance / a)[0] for x in t]
        np.testing.assert_allclose(found, known, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("trials", long_but_for(1, [20, 60]))
@pytest.mark.parametrize("logit_p", long_but_for((NEVER, 0.5).__contains__, [NEVER, -40.0, -3.0, 0.5]))
def test_density_and_slopes_of_trials_equal_many_digits(logit_p, trials):
    rng = np.random.default_rng(5)
    for k in range(trials):
        wide = (1.0, 3.0, 12.0)[k % 3]
        v, log_a, log_ndt = wide * rng.normal(), 0.3 + 0.4 * rng.normal(), -1.5 + 0.5 * rng.normal()
        at = (v, log_a, log_ndt, 0.5 * wide * rng.normal(), logit_p, 2.0)
        y = (np.exp(log_ndt) + np.exp(rng.uniform(-4, 2) + 2 * log_a)) * rng.choice([-1, 1])
        known, known_slopes = exact_wiener.value_and_slopes(y, at)
        value, slopes, found = alone(y, at)
        assert value == pytest.approx(known, abs=1e-12, rel=1e-13), (y, at)
        assert float(WIENER.log_density(y, 1.0, *at)) == value
        np.testing.assert_allclose(slopes[:5], known_slopes[:5], rtol=2e-12, atol=2e-12, err_msg=f"{y, at}")
        assert slopes[5] == 0
        assert (found[:5] > 0).all() or logit_p == NEVER


def test_contaminants_alone_before_the_non_decision_time():
    """Whose log density and slopes are met without a jump; without contaminants such trials cannot be."""
    at = (1.0, 0.4, np.log(0.3), 0.2, -2.0, np.log(4.0))
    p = special.expit(-2.0)
    for y in (0.1, -0.3, 0.3 + 1e-9, -0.3 - 1e-4):
        value, slopes, _ = alone(y, at)
        assert value == pytest.approx(np.log(p / 8.0), abs=1e-14)
        np.testing.assert_allclose(slopes, [0, 0, 0, 0, 1 - p, 0], atol=1e-13)
    for logit in (NEVER, -np.inf):
        value, slopes, _ = alone(0.1, (*at[:4], logit, 1.0))
        assert value < -790
        assert not np.isnan(slopes).any()
        assert np.isfinite(alone(0.8, (*at[:4], logit, 1.0))[0])


def test_slope_of_contaminants_keeps_its_digits_where_all_are():
    at = (1.0, 0.4, np.log(0.3), 0.2, 30.0, 2.0)
    known = exact_wiener.value_and_slopes(6.5, at)[1][4]
    assert 0 < known < 1e-12
    assert alone(6.5, at)[1][4] == pytest.approx(known, rel=1e-12)


def test_nothing_is_nan_and_all_is_finite_with_contaminants():
    ends = (-700.0, -40.0, 0.0, 40.0, 700.0)
    for y, v, log_a, log_ndt, w, p in product((1e-3, -1.0, 1e3), ends, ends, (-700.0, -40.0, 0.0, 40.0), ends, ends):
        value, slopes, found = alone(y, (v, log_a, log_ndt, w, p, 7.0))
        assert not np.isnan([value, *slopes, *found]).any(), (y, v, log_a, log_ndt, w, p)
        assert (found >= 0).all()
        assert value < np.inf
        if p > -700:
            assert np.isfinite([value, *slopes, *found]).all(), (y, v, log_a, log_ndt, w, p)


def test_rows_add_up_with_their_weights():
    rng, n = np.random.default_rng(6), 40
    y = (0.2 + rng.gamma(2, 0.3, n)) * rng.choice([-1, 1], n)
    at = np.array([rng.normal(size=n), *(rng.normal(size=(3, n)) * 0.3), rng.choice([-3.0, -1.0], n), np.full(n, 1.5)])
    at[2] -= 1.5
    weights = rng.uniform(0.1, 3, n)
    value, slopes, found = call(y, at, weights)
    every = [alone(y[i], at[:, i]) for i in range(n)]
    assert value == pytest.approx(sum(w * one[0] for w, one in zip(weights, every, strict=True)), rel=1e-13)
    np.testing.assert_allclose(slopes, weights * np.array([one[1] for one in every]).T, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found, weights * np.array([one[2] for one in every]).T, rtol=1e-12)


def usual(parameter, y):
    return parameter.typical if parameter.usual is None else parameter.usual(y)


def test_unit_of_time_does_not_matter():
    """From seconds to milliseconds: densities by a factor, slopes in logs not at all."""
    y, root = np.array([0.5, -0.7, 0.25, 1.9, -0.1]), np.sqrt(1000.0)
    at = np.array([[0.8], [0.3], [-1.6], [0.4], [-3.0], [1.0]]) * np.ones(5)
    other = at + np.log([[1.0], [root], [1000.0], [1.0], [1.0], [1000.0]])
    other[0] = at[0] / root
    (value, slopes), (values_ms, slopes_ms) = each_row(y, at), each_row(1000 * y, other)
    np.testing.assert_allclose(values_ms, value - np.log(1000.0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(slopes_ms[1:], slopes[1:], rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(slopes_ms[0], slopes[0] * root, rtol=1e-10, atol=1e-11)
    for parameter, power in (("bs", 0.5), ("ndt", 1.0), ("longest", 1.0), ("bias", 0.0)):
        (one,) = (each for each in WIENER.parameters if each.name == parameter)
        assert usual(one, 1000 * y) == pytest.approx(1000**power * usual(one, y))
    link = WIENER.link(None)
    assert WIENER.moments(link, 300.0, 500.0)[1] == pytest.approx(WIENER.moments(link, 0.3, 0.5)[1] / root)
    assert WIENER.moments(link, 0.3, 0.5)[0] == 0


MODELS = [  # v, a, ndt, w, p, longest
    (1.0, 1.4, 0.2, 0.5, 0.05, 30.0),
    (-2.0, 1.0, 0.3, 0.2, 0.0, 30.0),
    (0.0, 2.0, 0.1, 0.7, 0.2, 60.0),
    (4.0, 0.7, 0.25, 0.95, 0.02, 5.0),
    (-0.3, 1.2, 0.2, 0.04, 0.0, 40.0),
]


def on_scales(model):
    v, a, ndt, w, p, longest = model
    return v, np.log(a), np.log(ndt), special.logit(w), special.logit(p) if p else NEVER, np.log(longest)


def integral(model, weight, low, high):
    """Of weight times the density over [low, high], which may not hold zero."""
    at = on_scales(model)
    side, ends = np.sign(low + high), sorted((abs(low), abs(high)))
    cuts = [ends[0], *(c for c in (model[2], model[2] + 0.02, model[2] + 0.3, model[2] + 2.0) if ends[0] < c < ends[1])]
    cuts.append(ends[1])

    def value(t):
        return weight(side * t) * np.exp(float(WIENER.log_density(side * t, 1.0, *at)))

    parts = zip(cuts[:-1], cuts[1:], strict=True)
    return sum(quad(value, *part, epsabs=1e-12, epsrel=1e-11, limit=200)[0] for part in parts)


@pytest.mark.parametrize("model", MODELS)
def test_density_integrates_to_one_and_has_the_expected_time(model):
    v, a, ndt, w, p, longest = (np.float64(each) for each in model)
    sides = [(1e-12, longest), (-longest, -1e-12)]
    up, down = (integral(model, lambda t: 1.0, *side) for side in sides)
    assert up + down == pytest.approx(1, abs=1e-9)
    upper, lower = boundary_probabilities(v, a, w)
    assert up == pytest.approx((1 - p) * upper + p / 2, abs=1e-9)
    assert down == pytest.approx((1 - p) * lower + p / 2, abs=1e-9)
    time_up, time_down = (integral(model, abs, *side) for side in sides)
    assert time_up + time_down == pytest.approx((1 - p) * (ndt + mean_time(v, a, w)) + p * longest / 2, abs=1e-8)
    assert time_up == pytest.approx((1 - p) * upper * (ndt + mean_time_to(v, a, 1 - w)) + p * longest / 4, abs=1e-8)
    assert WIENER.expectation(v, on_scales(model)[1:]) == pytest.approx(time_up - time_down, abs=1e-8)


@pytest.mark.parametrize("strength", [0.0, 1e-12, 1e-5, 0.1, 0.4999, 0.5001, 0.9999, 1.0001, 3.0, 40.0, 900.0])
def test_probabilities_and_mean_times_equal_many_digits(strength):
    """Near no drift and far from it, from starts near both boundaries."""
    for start, a, sign in product((1e-6, 0.02, 0.4, 0.5, 0.83, 1 - 2.0**-20), (0.5, 3.0), (1, -1)):
        v = sign * strength / a
        with localcontext() as context:
            context.prec = 160
            k, w, size = Decimal(v) * Decimal(a), Decimal(start), Decimal(a)
            k = k if k else Decimal("1e-30")
            up = (1 - (-2 * k * w).exp()) / (1 - (-2 * k).exp())
            time = size * size * (up - w) / k

            def coth(x):
                return (1 + (-2 * x).exp()) / (1 - (-2 * x).exp())

            to_upper = size * size * (coth(k) - w * coth(k * w)) / k
        at = [np.float64(each) for each in (v, a, start)]
        assert upper_probability(*at) == pytest.approx(float(up), rel=2e-13)
        assert boundary_probabilities(*at)[1] == pytest.approx(float(1 - up), rel=2e-13)
        assert mean_time(*at) == pytest.approx(float(time), rel=2e-13)
        assert mean_time_to(at[0], at[1], 1 - at[2]) == pytest.approx(float(to_upper), rel=1e-13, abs=1e-15 * a * a)


def test_closed_forms_broadcast():
    v, a, w = np.linspace(-1, 1, 3)[:, None], np.array([0.5, 1.0]), 0.3
    assert upper_probability(v, a, w).shape == mean_time(v, a, w).shape == (3, 2)


@pytest.mark.parametrize("model", MODELS)
def test_draws_follow_the_density(model):
    """Counts of signed times between cuts, against integrals of the density (chi-square)."""
    v, a, ndt, w, p, longest = model
    rng, n = np.random.default_rng(8), 100_000
    y = WIENER.draw(rng, np.ones(n), np.full(n, v), *(np.full(n, each) for each in model[1:]))
    assert y.shape == (n,)
    WIENER.check("y", y, np.ones(n))
    cuts = ndt + a * a * np.array([0.005, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0, 1.6])
    cuts = np.concatenate([[1e-12, 0.5 * ndt, ndt], cuts[cuts < longest], [longest]])
    expected, counted = [], []
    for side in (1, -1):
        for low, high in zip(cuts[:-1], cuts[1:], strict=True):
            expected.append(n * integral(model, lambda t: 1.0, *sorted((side * low, side * high))))
            counted.append(np.sum((side * y > low) & (side * y <= high)))
    expected, counted = np.array(expected), np.array(counted)
    assert counted.sum() >= n - 5
    rare = expected < 10
    expected, counted = (np.append(each[~rare], each[rare].sum()) for each in (expected, counted))
    kept = expected > 1
    assert stats.chi2.sf(np.sum((counted - expected)[kept] ** 2 / expected[kept]), kept.sum() - 1) > 1e-3
    if p == 0:
        assert np.abs(y).min() > ndt


@pytest.mark.parametrize("drift", [0.0, 0.7, 1.5, 1.6, 5.0, 40.0])
def test_exit_times_have_their_distribution(drift):
    """By the time to either of two boundaries from the middle, and by its mean."""
    times = exit_times(np.random.default_rng(9), np.full(50_000, drift))

    def density(t):  # between boundaries two apart, from the middle: both sides alike but for the drift
        return sum(np.exp(log_first_passage(t, c, 2.0, float(np.log(2.0)), 0.5, 0.5)[0]) for c in (drift, -drift))

    mean = np.tanh(drift) / drift if drift else 1.0
    assert times.mean() == pytest.approx(mean, abs=4 * times.std() / np.sqrt(times.size))
    grid = np.quantile(times, np.linspace(0.02, 0.98, 25))
    parts = [quad(density, low, high)[0] for low, high in zip([1e-9, *grid[:-1]], grid, strict=True)]
    distance = np.abs(np.cumsum(parts) - np.linspace(0.02, 0.98, 25)).max()
    assert distance < 1.63 / np.sqrt(times.size)  # the 0.99 quantile of Kolmogorov's statistic


@pytest.mark.parametrize("t", [0.2, 0.5, 0.639, 0.641, 0.8])
def test_proposed_times_are_accepted_as_often_as_the_density_is_of_its_bound(t):
    """The density without drift by many digits: of either boundary, two apart, from the middle."""
    u, n = Decimal(t) / 4, 400_000
    density = float(exact_wiener.large_times(u, Decimal("0.5")) / 2)
    bound = np.sqrt(2 / np.pi) * t**-1.5 * np.exp(-0.5 / t) if t <= 0.64 else np.pi / 2 * np.exp(-(np.pi**2) * t / 8)
    share = accepted(np.random.default_rng(12), np.full(n, t)).mean()
    assert share == pytest.approx(density / bound, abs=4 * np.sqrt(0.006 / n) + 1e-12)


def test_sides_are_as_probable_as_the_closed_form_says():
    rng, n = np.random.default_rng(10), 40_000
    for v, a, w in [(0.0, 1.0, 1e-3), (2.0, 1.3, 0.01), (-3.0, 0.8, 0.6), (0.5, 2.0, 0.999), (30.0, 2.0, 0.5)]:
        times, upper = first_passages(rng, np.full(n, v), np.full(n, a), np.full(n, w))
        known = float(upper_probability(np.float64(v), np.float64(a), np.float64(w)))
        assert upper.mean() == pytest.approx(known, abs=4 * np.sqrt(known * (1 - known) / n) + 1e-12)
        expected = float(mean_time(np.float64(v), np.float64(a), np.float64(w)))
        assert times.mean() == pytest.approx(expected, abs=4 * times.std() / np.sqrt(n))


@pytest.mark.parametrize("w", long_but_for((0.03, 0.5).__contains__, [0.03, 0.2, 0.5, 0.9]))
@pytest.mark.parametrize("strength", [0.0, 0.7, -3.0, 12.0])
def test_information_is_about_the_mean_square_of_slopes(w, strength):
    """On the drift exactly the mean time; on the others within a factor of two."""
    rng, n, a, ndt = np.random.default_rng(11), 40_000, 1.5, 0.3
    v = strength / a
    for p in (0.0, 0.05):
        model = (v, a, ndt, w, p, 4.0)
        y = WIENER.draw(rng, np.ones(n), np.full(n, v), *(np.full(n, each) for each in model[1:]))
        _, slopes, found = call(y, np.outer(on_scales(model), np.ones(n)))
        assert (np.ptp(found, axis=1) == 0).all()  # it does not follow the outcome
        mine = slice(0, 5 if p else 4)
        square, error = np.square(slopes).mean(1)[mine], slopes.std(1)[mine] / np.sqrt(n)
        assert (np.abs(slopes.mean(1)[mine]) < 5 * error).all()  # the score has mean zero
        assert (found[mine, 0] < 2 * square).all(), found[:, 0] / np.square(slopes).mean(1)
        assert (found[mine, 0] > square / 2).all(), found[:, 0] / np.square(slopes).mean(1)
        if not p:
            spread = np.square(slopes[0]).std() / np.sqrt(n)
            assert found[0, 0] == pytest.approx(square[0], abs=5 * spread)
    time = float(mean_time(np.float64(v), np.float64(a), np.float64(w)))
    assert passage_information(v, a, w, 1 - w)[0] == pytest.approx(time, rel=1e-9 if strength else 1e-12)


def test_refuses_outcomes_that_are_no_times():
    for bad in (0.0, np.nan, np.inf):
        with pytest.raises(DataError, match="row 2 of the complete rows"):
            WIENER.check("rt", np.array([0.5, bad, -0.4]), np.ones(3))


def test_parameters_that_are_not_estimated():
    y = np.array([0.5, -2.0, 0.3])
    fixed = {each.name: each.fixed(y) if callable(each.fixed) else each.fixed for each in WIENER.parameters}
    assert fixed == {"bs": None, "ndt": None, "bias": None, "p_outlier": 0.05, "longest": 2.0}
    assert WIENER.unshared == ("bs", "ndt", "bias")
    assert {each.name: usual(each, y) for each in WIENER.parameters} == pytest.approx(
        {"bs": 1.5 * 0.5**0.5, "ndt": 0.15, "bias": 0.5, "p_outlier": 0.05, "longest": 2.0}
    )


def test_a_fixed_time_beyond_all_trials_is_refused():
    rng = np.random.default_rng(0)
    trials = {"rt": rng.gamma(4, 0.2, 100), "choice": rng.integers(0, 2, 100)}
    with pytest.raises(pw.DataError, match="'ndt = 300' leaves no outcome possible"):
        pw.fit(["rt | dec(choice) ~ 1", "ndt = 300"], trials, family="wiener", draws=50)
