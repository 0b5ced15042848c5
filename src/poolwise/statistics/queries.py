"""The queries of a scan, as narwhals expressions: every engine that narwhals speaks to can answer them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.design.required_columns import Needed, check_dropped
from poolwise.sources.frames import check_column
from poolwise.sources.relation import Relation
from poolwise.support.errors import DataError
from poolwise.support.progress import Scan


def check_columns(needed: Needed, relation: Relation) -> None:
    """Refuse a formula with a column that is not there."""
    for name in needed.columns:
        check_column(name, relation.names)


def holds_numbers(needed: Needed, relation: Relation) -> dict[str, bool]:
    """Which columns of a formula hold numbers, by their type; truth values are categories, save on its left side.

    Raises
    ------
    DataError : for a column that is not there, or holds dates.
    """
    import narwhals as nw

    found = {}
    for name in needed.values:
        check_column(name, relation.names)
        kind = relation.schema[name]
        if kind.is_nested() or kind == nw.Object or kind == nw.Binary:
            raise DataError(f"'{name}' holds {kind}; a column holds one number or text in each row.")
        if kind.is_temporal() or kind == nw.Time:
            raise DataError(f"'{name}' holds dates or times; make numbers of them, such as days since the first one.")
        found[name] = bool(kind.is_numeric() or (kind == nw.Boolean and name in needed.numbers))
    return found


def check_outcome(needed: Needed, numeric: Mapping[str, bool]) -> None:
    """Refuse an outcome or weights that are not numeric."""
    if needed.weights is not None and not numeric[needed.weights]:
        raise DataError(f"'{needed.weights}' must hold numbers for the weights, but it holds text.")
    for name in needed.outcome:
        if not numeric[name]:
            raise DataError(f"'{name}' must hold numbers for the outcome {needed.formula.response}, but it holds text.")


def is_complete(relation: Relation, names: Sequence[str], *, nan: bool = True) -> Any:
    """No value of these columns is NULL, or NaN where `nan` is set."""
    import narwhals as nw

    conditions = []
    for name in names:
        conditions.append(~nw.col(name).is_null())
        if nan and relation.schema[name].is_float():
            # Not `is_nan`: DuckDB 2.0 answers that from the statistics in Parquet files, which know no NaN.
            conditions.append(nw.col(name).is_finite() | (nw.col(name).abs() == math.inf))
    return nw.all_horizontal(*conditions, ignore_nulls=False)


def check_rows(relation: Relation, needed: Needed, rows: int, dropped: int, missing: str) -> None:
    """Refuse data without rows, without complete rows, and missing values under "error": a query says where."""
    import narwhals as nw

    if not rows:
        raise DataError("The data hold no rows.")
    if not dropped or (missing == "drop" and dropped < rows):
        return
    counts = [
        (~is_complete(relation, [name])).cast(nw.Int64).sum().alias(f"m{i}") for i, name in enumerate(needed.columns)
    ]
    found = relation.fetch(relation.frame.select(*counts), Scan())
    holes = {name: int(found[f"m{i}"][0]) for i, name in enumerate(needed.columns) if found[f"m{i}"][0]}
    check_dropped(dropped, rows, holes, missing)


def is_missing(labels: np.ndarray) -> np.ndarray:
    """Which labels are None or NaN."""
    import pandas as pd

    return np.asarray(pd.isna(labels))


def group_key(relation: Relation, name: str) -> Any:
    """A grouping column as the kinds of labels that rows in memory have."""
    import narwhals as nw

    check_column(name, relation.names)
    kind, column = relation.schema[name], nw.col(name)
    if kind.is_nested() or kind == nw.Object or kind == nw.Binary:
        raise DataError(f"'{name}' holds {kind}; a column holds one number or text in each row.")
    if kind.is_numeric():
        return column if kind.is_integer() else column.cast(nw.Float64)
    return column.cast(nw.String) if kind in (nw.Categorical, nw.Enum) else column


def category_key(relation: Relation, name: str) -> Any:
    """A category as the kinds of levels that rows in memory have: numbers are float64."""
    numbers = number_columns(relation, [name], truths=False)
    return numbers[name] if numbers else group_key(relation, name)


def number_columns(relation: Relation, names: Sequence[str], *, truths: bool = True) -> dict[str, Any]:
    """Those of the columns that hold numbers, as float64; with `truths` also those of true and false."""
    import narwhals as nw

    found = {}
    for name in names:
        kind = relation.schema[name]
        if kind == nw.Boolean and truths:
            found[name] = nw.col(name).cast(nw.Int64).cast(nw.Float64)
        elif kind.is_numeric():
            found[name] = nw.col(name).cast(nw.Float64)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Shifted:
    """Rows as keys and numbers relative to a centre.

    Attributes
    ----------
    frame : lazy frame with columns `keys` and `names`, and `w` where rows have weights; incomplete rows have no key.
    keys, names : of its columns.
    derived : those of `names` that an expression makes, which may be undefined.
    weighted : whether rows have weights.
    """

    frame: Any
    keys: tuple[str, ...]
    names: tuple[str, ...]
    derived: tuple[str, ...]
    weighted: bool = False

    def sums(self) -> Any:
        """For each combination of keys: rows `n`, sums `s_i`, sums of products `p_i_j`, defined values `c_i`.

        With weights all sums are weighted; their own sum is `w`, of their logs `l`, and their least `v`.
        """
        import narwhals as nw

        defined = [nw.col(name).count().alias(f"c_{name}") for name in self.derived]
        return self._products().group_by(*self.keys).agg(nw.len().alias("n"), *self._totals(), *defined)

    def sums_about_means(self) -> Any:
        """The same about the means of each combination of keys, which come as `m_i`."""
        import narwhals as nw

        if self.weighted:
            weighed = self.frame.with_columns(*((nw.col("w") * nw.col(name)).alias(name) for name in self.names))
            totals = [(nw.col(name).sum() / nw.col("w").sum()).alias(f"m_{name}") for name in self.names]
            means = weighed.group_by(*self.keys).agg(*totals)
        else:
            averages = [nw.col(name).mean().alias(f"m_{name}") for name in self.names]
            means = self.frame.group_by(*self.keys).agg(*averages)
        deviations = [(nw.col(name) - nw.col(f"m_{name}")).alias(name) for name in self.names]
        joined = self.frame.join(means, on=list(self.keys), how="inner").with_columns(*deviations)
        centres = [nw.col(f"m_{name}").max() for name in self.names]
        about = Shifted(joined, self.keys, self.names, (), self.weighted)
        return about._products().group_by(*self.keys).agg(nw.len().alias("n"), *about._totals(), *centres)

    def ranges(self, names: Sequence[str]) -> Any:
        """Largest minus smallest value of some numbers for each combination of keys, as `r_i`."""
        import narwhals as nw

        ends = [(nw.col(name).max() - nw.col(name).min()).alias(f"r_{name}") for name in names]
        return self.frame.group_by(*self.keys).agg(*ends)

    def undefined(self) -> Any:
        """How many values of each number are not finite among the complete rows."""
        import narwhals as nw

        complete = self.frame.filter(~nw.col(self.keys[0]).is_null())
        bad = [
            (~nw.col(name).is_finite()).fill_null(value=True).cast(nw.Int64).sum().alias(name) for name in self.names
        ]
        return complete.select(*bad)

    def _products(self) -> Any:
        import narwhals as nw

        pairs = self._pairs()
        if not self.weighted:
            return self.frame.with_columns(*((nw.col(a) * nw.col(b)).alias(f"p_{a}_{b}") for a, b in pairs))
        first = [(nw.col("w") * nw.col(name)).alias(f"s_{name}") for name in self.names]
        logs = nw.col("w").log().alias("l")
        second = [(nw.col(f"s_{a}") * nw.col(b)).alias(f"p_{a}_{b}") for a, b in pairs]
        return self.frame.with_columns(*first, logs).with_columns(*second)

    def _totals(self) -> list[Any]:
        import narwhals as nw

        products = [nw.col(f"p_{a}_{b}").sum() for a, b in self._pairs()]
        if not self.weighted:
            return [*(nw.col(name).sum().alias(f"s_{name}") for name in self.names), *products]
        weights = [
            nw.col("w").min().alias("v"),
            nw.col("w").max().alias("v_most"),
            nw.col("w").sum(),
            nw.col("l").sum(),
        ]
        return [*weights, *(nw.col(f"s_{name}").sum() for name in self.names), *products]

    def _pairs(self) -> list[tuple[str, str]]:
        return [(a, b) for i, a in enumerate(self.names) for b in self.names[: i + 1]]


def moments(found: Mapping[str, np.ndarray], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (C,), means (C, m) and scatter about them (C, m, m) from the sums of a query."""
    weights = np.asarray(found["w" if "w" in found else "n"], dtype=float)
    sums = np.column_stack([np.asarray(found[f"s_{name}"], dtype=float) for name in names])
    means = sums / weights[:, None]
    scatter = np.empty((len(weights), len(names), len(names)))
    for i, a in enumerate(names):
        for j, b in enumerate(names[: i + 1]):
            centred = np.asarray(found[f"p_{a}_{b}"], dtype=float) - sums[:, i] * means[:, j]
            scatter[:, i, j] = scatter[:, j, i] = centred
        scatter[:, i, i] = np.maximum(scatter[:, i, i], 0.0)
    return weights, means, scatter
