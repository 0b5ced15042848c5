"""Combinations of codes, against numpy's distinct rows."""

import numpy as np
import pytest

from poolwise.design import combinations
from poolwise.design.combinations import cells_of, first_of, places_of, value_codes


@pytest.fixture(params=["tables", "hashes"], autouse=True)
def route(request, monkeypatch):
    if request.param == "hashes":
        monkeypatch.setattr(combinations, "_TABLED", 0)
        monkeypatch.setattr(combinations, "_TABLED_EACH", 0)


@pytest.mark.parametrize("sizes", [(7,), (3, 50), (1, 4, 2, 30), (1000, 1000)])
def test_they_are_numpys_distinct_rows(sizes):
    codes = [np.random.default_rng(k).integers(0, size, 400) for k, size in enumerate(sizes)]
    found, place = cells_of(codes)
    expected, inverse = np.unique(np.column_stack(codes), axis=0, return_inverse=True)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(place, inverse.ravel())
    first = np.unique(place, return_index=True)[1]
    np.testing.assert_array_equal(first_of(place), first)


def test_codes_below_zero_are_one_more_kind():
    place = places_of([np.array([-1, 2, -1, 0])])
    np.testing.assert_array_equal(place, [0, 2, 0, 1])


def test_no_rows_have_no_combinations():
    found, place = cells_of([np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)])
    assert found.shape == (0, 2) and len(place) == 0


def test_values_have_the_ranks_of_their_order_and_missing_ones_come_last():
    np.testing.assert_array_equal(value_codes(np.array([2.5, -1.0, np.nan, 2.5, np.nan])), [1, 0, 2, 1, 2])
