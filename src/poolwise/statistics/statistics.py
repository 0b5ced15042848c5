"""Statistics of rows together with what their columns mean: all that a fit needs, and nothing of the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from poolwise.design import Design, Encoding, Rows
from poolwise.design.checks import check_statistics
from poolwise.design.encoding import codes_of, with_cells
from poolwise.design.own_functions import different_function
from poolwise.design.rank import without_empty_columns
from poolwise.design.transform_state import first_difference
from poolwise.families.summed import Summed
from poolwise.statistics.counted import added, recoded, reduce_counted
from poolwise.statistics.products import CrossProducts, union_of_cells
from poolwise.statistics.summed import with_sums
from poolwise.support.errors import DataError, FormulaError


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Statistics:
    """Counts, means and cross-products of every group, with the design that says what they are of.

    Statistics of disjoint rows add up exactly, and subtract; `pw.fit(formula, statistics)` gives the posterior that a
    fit of all the rows would give.

    Attributes
    ----------
    design, encoding : what columns mean, and how raw rows become columns.
    products : counts, means and scatter of every group.
    dropped : rows left out because of missing values.
    reading : how the rows were read, in words.
    counted : of a family that is sampled, the rows that differ with how many there are of each; else None.
    summed : how outcomes of `counted` were summed up, where they were: they are not those of rows, but have the same
        likelihood.
    unpruned : the design before columns that are zero in every row lost their coefficients, where some did: rows that
        are added may have these again.
    """

    design: Design
    encoding: Encoding
    products: CrossProducts
    dropped: int
    reading: str
    counted: Rows | None = None
    summed: Summed | None = None
    unpruned: Design | None = None

    @property
    def formula(self) -> str:
        """The formula as written."""
        return self.design.formula.text

    @property
    def rows(self) -> int:
        """Number of rows behind the statistics."""
        return self.products.rows

    @property
    def outcome_moments(self) -> tuple[float, float]:
        """Mean and sd of the outcomes, by their weights."""
        total = self.products.merged()
        spread = float(np.sqrt(total.scatter[0, -1, -1] / total.weights[0]))
        return float(total.means[0, -1] + total.origin[-1]), spread

    def __repr__(self) -> str:
        factors = [f"{len(factor.levels):,} groups of {factor.name}" for factor in self.design.factors]
        groups = f" in {' and '.join(factors)}" if factors else ""
        return f"Sufficient statistics of {self.formula}\n{self.rows:,} rows{groups}; read: {self.reading}"

    def __add__(self, other: Statistics) -> Self:
        """Statistics of both sets of rows."""
        self._check_same_design(other)
        reading = self.reading if self.reading == other.reading else f"{self.reading}; {other.reading}"
        found = self._with(self.products + other.products, self.dropped + other.dropped, reading)
        return found._counting(self, other, 1.0)

    def __sub__(self, other: Statistics) -> Self:
        """Statistics of the rows in `self` but not in `other`, a subset of them; groups without rows are gone."""
        self._check_same_design(other)
        if self.counted is not None:
            return self._counting(self, other, -1.0)
        rest = self.products - other.products
        if not rest.rows:
            raise DataError("No row would be left.")
        return self._with(rest.take(np.flatnonzero(rest.counts)), self.dropped, self.reading)

    def _with(self, products: CrossProducts, dropped: int, reading: str) -> Self:
        design, encoding = with_cells(self.unpruned or self.design, self.encoding, products.cells)
        return replace(
            self, design=design, encoding=encoding, products=products, dropped=dropped, reading=reading, unpruned=None
        )

    def _counting(self, one: Statistics, other: Statistics, sign: float) -> Self:
        """With the counted rows of both, or of the first without the second; statistics that follow from them."""
        if one.counted is None or other.counted is None:
            return self
        cells = union_of_cells(one.products.cells, other.products.cells) if self.products.cells else ()
        mine, theirs = (
            recoded(rows, codes_of(cells, list(each.products.cells))) if cells else rows
            for each, rows in ((one, one.counted), (other, other.counted))
        )
        summed = one.summed or other.summed
        rows = added(mine, theirs, sign) if summed is None else with_sums([(mine, 1.0), (theirs, sign)], summed)
        if not len(rows.codes):
            raise DataError("No row would be left.")
        if cells:  # those that have rows
            used = np.unique(rows.codes)
            places = np.full(len(cells[0]), -1, dtype=np.int64)
            places[used] = np.arange(len(used))
            rows, cells = recoded(rows, places), tuple(column[used] for column in cells)
        if summed is None:
            products = reduce_counted(rows, self.products.columns, cells, None)
        else:
            both = one.products + other.products if sign > 0 else one.products - other.products
            products = both.take(codes_of(both.cells, list(cells)) if cells else np.zeros(1, dtype=np.int64))
        return replace(self._with(products, self.dropped, self.reading), counted=rows, summed=summed)

    def _check_same_design(self, other: Statistics) -> None:
        if not isinstance(other, Statistics):
            raise DataError(f"Statistics combine with statistics only, not with {type(other).__name__}.")
        if str(self.design.formula) != str(other.design.formula):
            raise FormulaError(
                f"Statistics of different formulas cannot be combined: '{self.formula}' and '{other.formula}'."
            )
        if name := different_function(self.design.formula, other.design.formula):
            raise FormulaError(
                f"'{name}' is not the same function in both formulas '{self.formula}': reduce both sets of rows by one."
            )
        if (self.counted is None) != (other.counted is None):
            raise DataError("Statistics of a normal model and of a family that is sampled cannot be combined.")
        if self.summed is not None and other.summed is not None and self.summed is not other.summed:
            raise DataError(
                f"Outcomes summed up for the families '{self.summed.family}' and '{other.summed.family}' cannot be "
                "combined."
            )
        if self.encoding.labels != other.encoding.labels:
            raise DataError(f"The outcomes have different labels: {self.encoding.labels} and {other.encoding.labels}.")
        if self.encoding.weights != other.encoding.weights:
            raise DataError(
                f"Statistics with different weights cannot be combined: {self.encoding.weights!r} and "
                f"{other.encoding.weights!r}."
            )
        for mine, theirs in zip(self.design.factors, other.design.factors, strict=True):
            if mine.coupling != theirs.coupling:
                raise DataError(f"The tables that {mine.name} refers to differ: its levels are not coupled alike.")
        if strange := first_difference(self.encoding.specs, other.encoding.specs):
            raise DataError(
                f"The two sets of rows were encoded differently: '{strange}' took its categories, scale or knots from "
                "each by itself. Reduce the second with like=<the first statistics>."
            )

    def check(self, *, spread: bool = True) -> None:
        """Refuse data that cannot inform the model; `spread` as in `check_statistics`."""
        with np.errstate(all="ignore"):  # what has no square is refused by name
            total = self.products.merged()
            mean, variance = total.means[0] + total.origin, np.diag(total.scatter[0]) / total.typical_weight
        check_statistics(self.design, self.products.counts, mean, variance, spread=spread)

    def without_empty_columns(self) -> Self:
        """The same without coefficients of columns that are zero in every row, as those of cells without rows are."""
        with np.errstate(all="ignore"):  # what has no square is refused by name
            total = self.products.merged()
        mean, spread = total.means[0] + total.origin, np.diag(total.scatter[0])
        design = without_empty_columns(self.design, self.encoding.variables, mean, spread)
        return self if design is self.design else replace(self, design=design, unpruned=self.unpruned or self.design)
