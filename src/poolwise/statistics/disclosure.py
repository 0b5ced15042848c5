"""What a file of statistics gives away, and how to leave it out.

A group of few rows, or few rows of a group in one category, reveal single rows: the mean of one row is the row.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design.encoding import with_levels
from poolwise.errors import DataError, PoolwiseWarning
from poolwise.statistics.products import CrossProducts

if TYPE_CHECKING:
    import pandas as pd

    from poolwise.statistics.sufficient import SufficientStatistics


def small_cells(products: CrossProducts, minimum: int) -> pd.DataFrame:
    """Groups and categories of groups with fewer than `minimum` rows: columns `group`, `cell` and `rows`.

    A column of zeros and ones (an indicator, or a number that has no other values) splits a group into two cells.
    """
    import pandas as pd

    sizes = {"all rows": products.counts}
    for k, name in enumerate(products.columns[:-1]):
        ones = products.counts * (products.means[:, k] + products.origin[k])
        squares = products.scatter[:, k, k] + ones * (products.means[:, k] + products.origin[k])
        binary = np.allclose(ones, squares, rtol=1e-9, atol=1e-9) and np.allclose(ones, np.round(ones), atol=1e-6)
        if binary:
            sizes |= {f"{name} = 1": np.round(ones), f"{name} = 0": products.counts - np.round(ones)}
    tables = []
    for cell, rows in sizes.items():
        few = (rows > 0) & (rows < minimum)
        tables.append(pd.DataFrame({"group": products.levels[few], "cell": cell, "rows": rows[few].astype(int)}))
    return pd.concat(tables, ignore_index=True)


def without_small_cells(statistics: SufficientStatistics, minimum: int) -> SufficientStatistics:
    """The same statistics without the groups that have small cells; a warning names them.

    Raises
    ------
    DataError : when no group is left, or the minimum is not a whole number of at least 1.
    """
    if isinstance(minimum, bool) or not isinstance(minimum, (int, np.integer)) or minimum < 1:
        raise DataError(f"minimum_cell must be a whole number of at least 1, not {minimum!r}.")
    if minimum == 1:
        return statistics
    products = statistics.products
    groups = set(small_cells(products, minimum)["group"])
    keep = np.array([level not in groups for level in products.levels])
    if not keep.any():
        raise DataError(f"Every group has a cell of fewer than {minimum} rows; nothing would be left to save.")
    if groups:
        names = sorted(map(str, groups))
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        lost = int(products.counts[~keep].sum())
        warnings.warn(
            f"Left out of the file, because they have cells of fewer than {minimum} rows: {shown} ({lost:,} rows).",
            PoolwiseWarning,
            stacklevel=4,
        )
    kept = products.take(np.flatnonzero(keep))
    design, encoding = with_levels(statistics.design, statistics.encoding, kept.levels)
    return replace(statistics, design=design, encoding=encoding, products=kept)
