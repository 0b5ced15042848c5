"""Equal rows put together, whatever their order, and whether they were written out before."""

from dataclasses import replace

import numpy as np
import pytest

from poolwise.design.design import Rows
from poolwise.design.equal_rows import distinct, distinct_of, in_order
from poolwise.design.levels import label_codes

FIELDS = ("values", "codes", "counts", "weights", "offset", "trials", "limits")


def few_rows(rng, kinds=7):
    """Some of which are the same once they are encoded."""
    values = rng.choice([-1.0, 0.0, 2.5], (kinds, 3))
    limits = np.where(rng.random((4, kinds)) < 0.5, np.nan, 1.0)
    extra = (rng.choice([1.0, 2.0], kinds) for _ in range(3))
    weights, offset, trials = extra
    return Rows(values, np.zeros(kinds, dtype=np.int64), 0, weights, offset, trials, limits=limits)


def assert_same(one, other):
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize("seed", range(5))
def test_rows_of_few_are_put_together_as_those_written_out(seed):
    rng = np.random.default_rng(seed)
    few, n = few_rows(rng), 60
    few = Rows.joined([few, few.take(np.arange(3))])  # equal ones at other places
    place, codes, counts = rng.integers(0, 10, n), rng.integers(0, 4, n), rng.integers(1, 9, n).astype(float)
    whole = replace(few.take(place), codes=codes, counts=counts)
    found = distinct_of(few, place, codes, counts)
    assert_same(found, distinct(whole))
    order = rng.permutation(n)
    assert_same(found, distinct(whole.take(order)))
    assert found.counts.sum() == counts.sum() and len(found.codes) < n
    again = distinct(found)  # in order already
    assert_same(again, found)


def test_rows_have_one_order():
    rng = np.random.default_rng(3)
    rows = few_rows(rng, 20)
    rows = replace(rows, codes=rng.integers(0, 3, 20))
    assert_same(in_order(rows), in_order(rows.take(rng.permutation(20))))


@pytest.mark.parametrize("labels", [[3, -2, 3, 10], [2**40, -(2**40), 0], [70_000, 0, 5]])
def test_whole_numbers_have_the_codes_that_hashes_give_them(labels):
    codes, levels = label_codes(np.array(labels))
    expected, inverse = np.unique(labels, return_inverse=True)
    np.testing.assert_array_equal(levels, expected)
    np.testing.assert_array_equal(codes, inverse)
