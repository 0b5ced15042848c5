"""What a file of statistics gives away, and how to leave it out.

A group of few rows, or few rows of a group in one category, reveal single rows: the mean of one row is the row.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design.combinations import places_by
from poolwise.design.design import Rows
from poolwise.design.encoding import with_cells
from poolwise.statistics.counted import recoded, reduce_counted
from poolwise.statistics.products import CrossProducts
from poolwise.statistics.statistics import Statistics
from poolwise.support.errors import DataError, PoolwiseWarning

if TYPE_CHECKING:
    import pandas as pd

_TREATMENT = re.compile(r"([^:]+)\[T\.[^:]*\]")
_OTHER_CODING = re.compile(r"\[(S|D|H)\.|\[\^|\.L\]|\.Q\]|\.C\]|\[M\.")


def small_cells(products: CrossProducts, minimum: int) -> pd.DataFrame:
    """Groups and categories of groups with fewer than `minimum` rows: columns `group`, `cell` and `rows`.

    Every column of zeros and ones (an indicator, or a number that has no other values) splits a group into two cells;
    the indicators of one category leave a last cell, that of its reference level. Pairs of such columns split a group
    into four; a reference level is a column like any other there.

    Raises
    ------
    DataError : for codings of categories (sums, differences, polynomials) from which cells cannot be counted.
    """
    import pandas as pd

    for name in products.columns[:-1]:
        if _OTHER_CODING.search(name):
            raise DataError(f"The cells behind '{name}' cannot be counted; code the category by treatment.")
    if np.any(products.log_weights != 0):
        raise DataError("The cells of weighted rows cannot be counted; save the statistics of unweighted rows.")
    ones = products.counts[:, None] * (products.means + products.origin)
    both = products.scatter + ones[:, :, None] * (products.means + products.origin)[:, None, :]
    size = np.maximum(products.counts, 1.0)[:, None]
    binary = np.abs(np.einsum("jkk->jk", both) - ones) <= 1e-9 * size
    whole = np.abs(ones - np.round(ones)) <= 1e-6 * size
    indicators = [k for k in range(len(products.columns) - 1) if (binary & whole)[:, k].all()]
    sizes = {"all rows": products.counts}
    for k in indicators:
        name = products.columns[k]
        sizes |= {f"{name} = 1": ones[:, k], f"{name} = 0": products.counts - ones[:, k]}
        for h in indicators[: indicators.index(k)]:
            other, together = products.columns[h], both[:, k, h]
            sizes |= {
                f"{other} = 1, {name} = 1": together,
                f"{other} = 1, {name} = 0": ones[:, h] - together,
                f"{other} = 0, {name} = 1": ones[:, k] - together,
                f"{other} = 0, {name} = 0": products.counts - ones[:, k] - ones[:, h] + together,
            }
    factors = _levels_of_factors(products, indicators)
    reference = {factor: products.counts - ones[:, levels].sum(axis=1) for factor, levels in factors.items()}
    for factor, levels in factors.items():
        sizes[f"{factor} = reference"] = reference[factor]
        for h in set(indicators) - set(levels):
            name, together = products.columns[h], ones[:, h] - both[:, levels, h].sum(axis=1)
            sizes |= {
                f"{factor} = reference, {name} = 1": together,
                f"{factor} = reference, {name} = 0": reference[factor] - together,
            }
        for other, theirs in factors.items():
            if other > factor:
                known = ones[:, theirs].sum(axis=1) - both[:, levels][:, :, theirs].sum(axis=(1, 2))
                sizes[f"{factor} = reference, {other} = reference"] = reference[factor] - known
    labels = cell_labels(products)
    tables = []
    for cell, rows in sizes.items():
        exact = np.round(rows)
        few = (exact > 0) & (exact < minimum)
        tables.append(pd.DataFrame({"group": labels[few], "cell": cell, "rows": exact[few].astype(int)}))
    return pd.concat(tables, ignore_index=True)


def cell_labels(products: CrossProducts) -> np.ndarray:
    """(C,) one label for each cell: that of its group, or those of its groups joined."""
    if len(products.cells) == 1:
        return products.cells[0]
    return np.array([products.label(c) for c in range(len(products.counts))], dtype=object)


def _levels_of_factors(products: CrossProducts, indicators: list[int]) -> dict[str, list[int]]:
    """Positions of the indicators of each category that has a reference level."""
    found: dict[str, list[int]] = {}
    for k in indicators:
        match = _TREATMENT.fullmatch(products.columns[k])
        if match:
            found.setdefault(match.group(1), []).append(k)
    return found


def without_small_cells(statistics: Statistics, minimum: int) -> Statistics:
    """The same statistics without the groups that have small cells; a warning names them.

    Raises
    ------
    DataError : when no group is left, or the minimum is not a whole number of at least 1.
    """
    if isinstance(minimum, bool) or not isinstance(minimum, (int, np.integer)) or minimum < 1:
        raise DataError(f"minimum_cell must be a whole number of at least 1, not {minimum!r}.")
    if minimum == 1:
        return statistics
    if statistics.counted is not None:
        return _without_rare_rows(statistics, statistics.counted, minimum)
    products = statistics.products
    groups = set(small_cells(products, minimum)["group"])
    keep = ~np.isin(cell_labels(products), list(groups))
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
    design, encoding = with_cells(statistics.design, statistics.encoding, kept.cells)
    return replace(statistics, design=design, encoding=encoding, products=kept)


def _without_rare_rows(statistics: Statistics, rows: Rows, minimum: int) -> Statistics:
    """Counted rows without those whose predictors and groups fewer than `minimum` rows share, whatever the outcome."""
    more = [each for each in (rows.weights, rows.offset, rows.trials) if each is not None]
    place = places_by(rows.codes, (*rows.values[:, :-1].T, *more))
    keep = np.bincount(place, rows.multiplicities)[place] >= minimum
    if statistics.summed is not None:  # what is known of outcomes is known by group
        keep &= ~np.isin(rows.codes, rows.codes[~keep])
    if not keep.any():
        raise DataError(f"Fewer than {minimum} rows share any group and predictors; nothing would be left to save.")
    if not keep.all():
        lost = int(rows.multiplicities[~keep].sum())
        warnings.warn(
            f"Left out of the file: {lost:,} rows whose group and predictors fewer than {minimum} rows share.",
            PoolwiseWarning,
            stacklevel=4,
        )
    kept = rows.take(np.flatnonzero(keep))
    if statistics.summed is None:
        products = reduce_counted(kept, statistics.products.columns, statistics.products.cells, None)
        used = np.flatnonzero(products.counts)
    else:
        products, used = statistics.products, np.unique(kept.codes)
    products = products.take(used)
    design, encoding = with_cells(statistics.design, statistics.encoding, products.cells)
    places = np.full(len(statistics.products.counts), -1, dtype=np.int64)
    places[used] = np.arange(len(used))
    counted = recoded(kept, places)
    return replace(statistics, design=design, encoding=encoding, products=products, counted=counted)
