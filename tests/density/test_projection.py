"""Cross-products of columns by cell, against rows."""

import numpy as np

from poolwise.density.projection import products_of
from poolwise.statistics.reduce import reduce_rows


def test_products_of_cells_are_sums_over_their_rows():
    rng = np.random.default_rng(0)
    values, codes = rng.normal(size=(60, 3)) + [5.0, 0.0, -2.0], rng.integers(0, 7, 60)
    weights = rng.uniform(0.5, 2.0, 60)
    cells = (np.arange(8),)  # the last one without rows
    statistics = reduce_rows(values, codes, ("a", "b", "y"), cells, weights=weights)
    left, right = rng.normal(size=(4, 2)), rng.normal(size=(4, 3))
    left[1:, 0] = 0.0  # a constant
    columns = np.column_stack([np.ones(60), values - statistics.origin])
    expected = np.zeros((8, 2, 3))
    np.add.at(expected, codes, weights[:, None, None] * (columns @ left)[:, :, None] * (columns @ right)[:, None, :])
    np.testing.assert_allclose(products_of(statistics, left, right), expected, rtol=1e-10, atol=1e-10)
