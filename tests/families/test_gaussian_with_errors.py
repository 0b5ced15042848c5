"""Normal outcomes with known errors beside a residual: values, slopes and intervals against those of one sd."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from poolwise.families import GAUSSIAN, with_errors
from poolwise.families.callback import call_rows

FAMILY = with_errors(GAUSSIAN)
LOGS = (-700.0, -40.0, -3.0, 0.0, 0.5, 40.0, 700.0)


def call(address, first, second, at, weight=1.0):
    """Value, slopes and information of one row."""
    at = np.array(at, dtype=float)[:, None]
    slopes, information = np.full_like(at, np.nan), np.full_like(at, np.nan)
    value = call_rows(address, np.array([first]), np.array([second]), np.array([weight]), at, slopes, information)
    return value, slopes[:, 0], information[:, 0]


@pytest.mark.parametrize("logs", list(product((-3.0, 0.0, 0.5, 2.0), repeat=2)))
def test_kernel_and_density_are_those_of_the_root_of_both_variances(logs):
    s, e = logs
    spread = np.hypot(np.exp(s), np.exp(e))
    for y in (-30.0, 0.0, 0.7, 1e3):
        value, slopes, information = call(FAMILY.callback.address, y, 1.0, (0.3, s, e))
        one, of_one, known = call(GAUSSIAN.callback.address, y, 1.0, (0.3, np.log(spread)))
        assert value == pytest.approx(one, rel=1e-13, abs=1e-13)
        shares = np.exp(2 * np.array([s, e])) / spread**2
        np.testing.assert_allclose(slopes, [of_one[0], *(of_one[1] * shares)], rtol=1e-12)
        np.testing.assert_allclose(information, [known[0], *(2 * shares**2)], rtol=1e-12)
        textbook = stats.norm(0.3, spread).logpdf(y)
        assert float(FAMILY.log_density(y, 1.0, 0.3, s, e)) == pytest.approx(textbook, rel=1e-12)


def test_the_larger_of_two_far_spreads_is_all_of_it():
    for s, e in product(LOGS, LOGS):
        value, slopes, information = call(FAMILY.callback.address, 1.0, 1.0, (0.3, s, e))
        if abs(s - e) > 39:
            one, of_one, _ = call(GAUSSIAN.callback.address, 1.0, 1.0, (0.3, max(s, e)))
            assert value == pytest.approx(one, rel=1e-13) or value == one
            assert slopes[1 if s > e else 2] == pytest.approx(of_one[1], rel=1e-12) or not np.isfinite(one)
            assert slopes[2 if s > e else 1] == pytest.approx(0.0, abs=1e-12 * max(1.0, abs(of_one[1])))
        assert not np.isnan([value, *slopes, *information]).any(), (s, e)
        assert np.all(information >= 0)
        if np.isfinite(value):
            assert np.isfinite([*slopes, *information]).all(), (s, e)


@pytest.mark.parametrize("ends", [(-np.inf, 0.4), (1.2, np.inf), (-1.0, 0.5), (3.0, 3.1), (0.2, 9.0)])
def test_intervals_have_the_slopes_of_their_values(ends):
    for s, e in product((-2.0, 0.0, 1.0), (-1.0, 0.4)):
        at, step = np.array([0.3, s, e]), 1e-4
        value, slopes, information = call(FAMILY.interval.address, *ends, at, 1.5)
        normal = stats.norm(0.3, np.hypot(np.exp(s), np.exp(e)))
        assert value == pytest.approx(1.5 * np.log(normal.cdf(ends[1]) - normal.cdf(ends[0])), rel=1e-6)
        assert float(FAMILY.log_interval(*ends, 0.3, s, e)) == pytest.approx(value / 1.5, rel=1e-12)
        for k in range(3):
            up, down = (call(FAMILY.interval.address, *ends, at + d * np.eye(3)[k], 1.5) for d in (step, -step))
            assert slopes[k] == pytest.approx((up[0] - down[0]) / (2 * step), rel=1e-5, abs=1e-6)
            curvature = -(up[1][k] - down[1][k]) / (2 * step)
            assert information[k] == pytest.approx(max(curvature, 0.0), rel=1e-5, abs=1e-6)


def test_outcomes_have_both_spreads():
    rng, m = np.random.default_rng(1), 200_000
    drawn = FAMILY.draw(rng, np.ones(m), np.full(m, 2.0), np.full(m, 0.6), np.full(m, 0.8))
    assert drawn.mean() == pytest.approx(2.0, abs=0.01)
    assert drawn.std() == pytest.approx(1.0, abs=0.01)
