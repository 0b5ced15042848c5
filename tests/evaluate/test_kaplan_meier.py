"""The product-limit estimate against examples of textbooks, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from poolwise.evaluate.kaplan_meier import kaplan_meier
from poolwise.support.errors import DataError

# Weeks in remission under 6-mercaptopurine (Freireich and others 1963; Kalbfleisch and Prentice 2002, table 1.1).
REMISSION = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
RELAPSED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
# Weeks in remission with maintained chemotherapy (Miller 1997; `aml` in R's survival).
MAINTAINED = [9, 13, 13, 18, 23, 28, 31, 34, 45, 48, 161]
ENDED = [1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0]


def limits(survival, error):
    """On the scale of log(-log survival), from the standard error of the survival."""
    on_scale = error / (survival * -np.log(survival))
    return [survival ** np.exp(sign * 1.959963984540054 * on_scale) for sign in (1, -1)]


def test_remission_under_6_mercaptopurine():
    times, survival, lower, upper = kaplan_meier(np.array(REMISSION), np.array(RELAPSED))
    np.testing.assert_array_equal(times, [6, 7, 10, 13, 16, 22, 23])
    by_hand = np.cumprod([18 / 21, 16 / 17, 14 / 15, 11 / 12, 10 / 11, 6 / 7, 5 / 6])
    np.testing.assert_allclose(survival, by_hand, rtol=1e-14)
    np.testing.assert_allclose(survival, [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482], atol=5e-5)
    printed = np.array([0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346])  # standard errors
    known = limits(survival, printed)
    np.testing.assert_allclose([lower, upper], known, atol=3e-4)


def test_maintained_chemotherapy():
    times, survival, lower, upper = kaplan_meier(np.array(MAINTAINED), np.array(ENDED, dtype=bool))
    np.testing.assert_array_equal(times, [9, 13, 18, 23, 31, 34, 48])
    np.testing.assert_allclose(survival, [0.909, 0.818, 0.716, 0.614, 0.491, 0.368, 0.184], atol=5e-4)
    terms = [1 / 110, 1 / 90, 1 / 56, 1 / 42, 1 / 20, 1 / 12, 1 / 2]
    np.testing.assert_allclose([lower, upper], limits(survival, survival * np.sqrt(np.cumsum(terms))), rtol=1e-12)


def test_without_censoring_it_is_the_share_that_survives():
    rng = np.random.default_rng(1)
    time = rng.integers(1, 9, 200).astype(float)
    times, survival, lower, upper = kaplan_meier(time, np.ones(200))
    np.testing.assert_allclose(survival, [(time > each).mean() for each in times], rtol=1e-12, atol=1e-15)
    assert survival[-1] == 0
    assert np.isnan([lower[-1], upper[-1]]).all()
    assert np.all((lower < survival)[:-1] & (survival < upper)[:-1])


def test_order_and_units_do_not_matter_and_levels_do():
    rng = np.random.default_rng(2)
    order = rng.permutation(len(REMISSION))
    time, status = np.array(REMISSION), np.array(RELAPSED)
    known, mixed = kaplan_meier(time, status), kaplan_meier(time[order] * 7.0, status[order])
    np.testing.assert_array_equal(known[0] * 7.0, mixed[0])
    np.testing.assert_array_equal(known[1:], mixed[1:])
    narrow = kaplan_meier(time, status, level=0.5)
    assert np.all((narrow[2] > known[2]) & (narrow[3] < known[3]))


def test_without_events_there_are_no_times():
    assert all(each.size == 0 for each in kaplan_meier(np.array([1.0, 2.0]), np.zeros(2)))


@pytest.mark.parametrize(
    ("time", "status", "message"),
    [
        ([1.0, np.nan], [1, 0], "finite"),
        ([1.0, 2.0], [1, 2], "1 where the event was observed"),
        ([1.0, 2.0], [1], "2 times but 1 statuses"),
    ],
)
def test_bad_input(time, status, message):
    with pytest.raises(DataError, match=message):
        kaplan_meier(np.array(time), np.array(status))
