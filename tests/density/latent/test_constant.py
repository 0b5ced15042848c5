"""Constants of kernels against those of single rows, in units of any size."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from poolwise.density.latent.constant import constant_of
from poolwise.families import family_of
from poolwise.families.callback import call_rows

# Each with the link that outcomes in other units have a multiple, or a sum, on.
POSITIVE = ("gamma", "lognormal", "weibull", "exponential", "inverse_gaussian", "hurdle_gamma", "shifted_lognormal")
REAL = ("gaussian", "student", "skew_normal", "exgaussian", "asymmetric_laplace")
COUNTS = ("poisson", "negative_binomial", "zero_inflated_poisson", "geometric")


def _single(family, y):
    """Of a row by itself, at parameters near its outcome."""
    location = y if family.name in REAL else np.log(max(y, 0.5))
    others = [
        each.to_scale(0.9 * each.start(np.array([y, 2 * y])) if each.bound else each.start(np.array([y, 2 * y])))
        if each.start
        else each.to_scale(max(abs(y), 1.0) if each.scaled else each.typical)
        for each in family.parameters
    ]
    at = np.array([[location], *([other] for other in others)])
    one, many = np.ones(1), np.array([y], dtype=float)
    own = call_rows(family.callback.address, many, one, one, at, np.empty_like(at), np.empty_like(at))
    return float(family.log_density(many, one, *at)[0]) - own


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("family", [*POSITIVE, *REAL])
def test_constants_keep_their_digits_in_any_units(family, unit):
    found, rng = family_of(family), np.random.default_rng(2)
    y = unit * rng.gamma(3.0, 1.0, 200)
    shift = 0.0 if family in POSITIVE else 30 * unit
    _assert_sum(found, y + shift)


@pytest.mark.parametrize("family", ["lognormal", "inverse_gaussian", "gamma"])
def test_outcomes_whose_squares_are_no_numbers_have_a_constant(family):
    _assert_sum(family_of(family), 1e200 * np.random.default_rng(2).gamma(3.0, 1.0, 200))


@pytest.mark.parametrize("mean", [2.0, 1e3, 1e6])
@pytest.mark.parametrize("family", COUNTS)
def test_constants_of_counts_keep_their_digits(family, mean):
    _assert_sum(family_of(family), np.random.default_rng(3).poisson(mean, 200).astype(float))


def _assert_sum(family, y):
    ones = np.ones(len(y))
    rows = SimpleNamespace(y=y, trials=ones, weights=2 * ones)
    known = 2 * math.fsum(_single(family, float(each)) for each in y)
    found = constant_of(family, y, ones, 2 * ones, rows)
    assert found == pytest.approx(known, rel=1e-11, abs=1e-5)
    order = np.random.default_rng(1).permutation(len(y))
    again = SimpleNamespace(y=y[order], trials=ones, weights=2 * ones)
    assert constant_of(family, y[order], ones, 2 * ones, again) == found


@pytest.mark.parametrize(
    ("family", "y"),
    [("hurdle_lognormal", (0.0, 0.0)), ("hurdle_gamma", (0.0, 0.0)), ("zero_one_inflated_beta", (0.0, 1.0, 1.0))],
)
def test_there_is_a_constant_of_a_group_in_which_nothing_says_where_the_location_lies(family, y):
    ones = np.ones(len(y))
    rows = SimpleNamespace(y=np.array(y), trials=ones, weights=ones)
    assert constant_of(family_of(family), rows.y, ones, ones, rows) == pytest.approx(0.0, abs=1e-9)
