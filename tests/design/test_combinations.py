"""Combinations of codes, against numpy's distinct rows."""

import numpy as np
import pytest

from poolwise.design import combinations
from poolwise.design.combinations import cells_of, first_of, kind_codes, places_by, places_of, value_codes


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


@pytest.mark.parametrize("missing", [False, True])
def test_rows_in_order_have_the_places_that_those_in_any_other_have(missing):
    rng = np.random.default_rng(5)
    codes, numbers = rng.integers(-1, 6, 200), rng.choice([-1.5, -0.0, 0.0, 2.0, 1e9], (2, 200))
    if missing:
        numbers[1, ::7] = np.nan
    expected = places_by(codes, tuple(numbers))
    order = np.argsort(expected, kind="stable")
    np.testing.assert_array_equal(places_by(codes[order], tuple(numbers[:, order])), expected[order])
    known = np.nan_to_num(numbers.T, nan=1e300)  # missing ones come last
    distinct = np.unique(np.column_stack([codes, known]), axis=0, return_inverse=True)[1].ravel()
    np.testing.assert_array_equal(expected, distinct)


def test_columns_that_nothing_is_left_for_are_not_asked_for():
    def columns():
        yield np.arange(50)[::-1]
        raise AssertionError

    np.testing.assert_array_equal(places_of(columns()), np.arange(50)[::-1])


@pytest.mark.parametrize(
    "values",
    [
        np.array([-128, 127, 0, 127], dtype=np.int8),
        np.array([2**63 + 5, 3, 2**63 + 5, 4], dtype=np.uint64),
        np.array([1.5, np.nan, 1.5, 2.0]),
        np.array(["b", "a", "b", None], dtype=object),
        np.array([True, False, True, True]),
    ],
)
def test_values_of_any_type_have_codes(values):
    codes, alike = kind_codes(values), np.unique(values.astype(str), return_inverse=True)[1]
    assert ((codes[:, None] == codes) == (alike[:, None] == alike)).all() and codes.min() >= 0
