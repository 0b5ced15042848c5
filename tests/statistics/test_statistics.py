import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

import poolwise as pw
from poolwise import DataError
from poolwise.statistics import reduce_rows

COLUMNS = ("x", "t", "y")
CELLS = (np.arange(7),)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 6, 500)  # group 6 stays empty
    values = np.column_stack([rng.normal(size=500), 1.7e9 + 1e6 * rng.normal(size=500), 1e6 + rng.normal(size=500)])
    return values, codes


def naive(values, codes):
    """Means and scatter in extended precision."""
    long = values.astype(np.longdouble)
    for j in range(6):
        mine = long[codes == j]
        deviations = mine - mine.mean(axis=0)
        yield j, len(mine), mine.mean(axis=0), deviations.T @ deviations


def assert_same(one, other, rtol=1e-9):
    np.testing.assert_array_equal(one.counts, other.counts)
    scale = np.sqrt(np.einsum("jkk->jk", other.scatter))
    step = np.abs(one.means + (one.origin - other.origin) - other.means)
    assert np.all((step <= rtol * scale)[other.counts > 0])
    error = np.abs(one.scatter - other.scatter)
    assert np.all(error <= rtol * scale[:, :, None] * scale[:, None, :] + 1e-300)


def test_one_pass_keeps_the_digits_of_large_means(rows):
    values, codes = rows
    reduced = reduce_rows(values, codes, COLUMNS, CELLS)
    for j, count, mean, scatter in naive(values, codes):
        assert reduced.counts[j] == count
        spread = np.sqrt(np.diag(scatter) / count)
        assert np.max(np.abs(reduced.means[j] + reduced.origin.astype(np.longdouble) - mean) / spread) < 1e-13
        scale = np.sqrt(np.outer(np.diag(scatter), np.diag(scatter))).astype(float)
        assert np.max(np.abs(reduced.scatter[j] - scatter.astype(float)) / scale) < 1e-12
    assert reduced.counts[6] == 0
    assert not reduced.scatter[6].any()


@pytest.mark.parametrize("chunk", [1, 7, 100, 499])
def test_chunks_do_not_change_the_statistics(rows, chunk):
    assert_same(reduce_rows(*rows, COLUMNS, CELLS, chunk=chunk), reduce_rows(*rows, COLUMNS, CELLS))


def test_row_order_does_not_change_the_statistics(rows):
    values, codes = rows
    order = np.random.default_rng(1).permutation(len(codes))
    assert_same(reduce_rows(values[order], codes[order], COLUMNS, CELLS), reduce_rows(values, codes, COLUMNS, CELLS))


def test_threads_give_identical_bits(rows):
    one, four = (reduce_rows(*rows, COLUMNS, CELLS, chunk=50, threads=threads) for threads in (1, 4))
    np.testing.assert_array_equal(one.scatter, four.scatter)
    np.testing.assert_array_equal(one.means, four.means)


def test_addition_and_subtraction_undo_each_other(rows):
    values, codes = rows
    whole = reduce_rows(values, codes, COLUMNS, CELLS)
    first = reduce_rows(values[:200], codes[:200], COLUMNS, CELLS)
    rest = reduce_rows(values[200:], codes[200:], COLUMNS, CELLS)
    assert_same(first + rest, whole)
    assert_same(whole - first, rest, rtol=1e-8)


def test_subtracting_all_but_a_constant_column_leaves_exact_zeros():
    rng = np.random.default_rng(3)
    values, codes = rng.normal(size=(60, 3)), np.zeros(60, dtype=int)
    values[40:, 0] = 0.3
    left = reduce_rows(values, codes, COLUMNS, CELLS) - reduce_rows(values[:40], codes[:40], COLUMNS, CELLS)
    assert not left.scatter[0, 0].any()
    assert left.scatter[0, 2, 2] > 0


def test_merging_groups_equals_reducing_them_together(rows):
    values, codes = rows
    assert_same(reduce_rows(values, codes, COLUMNS, CELLS).merged(), reduce_rows(values, 0 * codes, COLUMNS, ()))


def test_statistics_of_other_columns_or_too_many_rows_are_refused(rows):
    values, codes = rows
    one = reduce_rows(values, codes, COLUMNS, CELLS)
    other = reduce_rows(values, codes, ("a", "b", "y"), CELLS)
    with pytest.raises(DataError, match="only one has x, t; only one has a, b"):
        one + other
    half = reduce_rows(values[:100], codes[:100], COLUMNS, CELLS)
    with pytest.raises(DataError, match="not part of these"):
        half - one


def test_scales_are_learnt_alike_in_memory_and_by_engines():
    """`standardize` divides by n, as patsy's does, `scale` by n - 1, as R's does."""
    frame = pd.DataFrame({"y": np.sin(np.arange(40.0)), "z": np.arange(40.0) ** 2})
    for term, expected in (("standardize(z)", 40.0), ("scale(z)", 39.0)):
        for source in (frame, duckdb.sql("select * from frame"), pl.from_pandas(frame).lazy()):
            scatter = pw.SufficientStatistics.from_data(f"y ~ {term}", source).products.merged().scatter
            assert scatter[0, 0, 0] == pytest.approx(expected, rel=1e-12)
