"""Statistics of rows together with what their columns mean: all that a fit needs, and nothing of the rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise import archive
from poolwise.design import Design, Encoding
from poolwise.design.checks import check_statistics
from poolwise.design.encoding import with_cells
from poolwise.design.needed import needed_columns
from poolwise.design.rank import without_empty_columns
from poolwise.design.replay import first_difference
from poolwise.errors import DataError, FileError, FormulaError
from poolwise.formula import Functions, parse
from poolwise.progress import Progress, silent
from poolwise.sources import as_source
from poolwise.sources.groups import with_group_tables
from poolwise.statistics.products import CrossProducts
from poolwise.threads import default_threads

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SufficientStatistics:
    """Counts, means and cross-products of every group, with the design that says what they are of.

    Statistics of disjoint rows add up exactly, and subtract; `pw.fit(formula, statistics)` gives the posterior that a
    fit of all the rows would give.

    Attributes
    ----------
    design, encoding : what columns mean, and how raw rows become columns.
    products : counts, means and scatter of every group.
    dropped : rows left out because of missing values.
    reading : how the rows were read, in words.
    """

    design: Design
    encoding: Encoding
    products: CrossProducts
    dropped: int
    reading: str

    @classmethod
    def from_data(
        cls,
        formula: str,
        data: Any,
        *,
        like: SufficientStatistics | None = None,
        weights: str | None = None,
        groups: Mapping[str, Any] | None = None,
        functions: Functions | None = None,
        missing: str = "drop",
        threads: int | None = None,
        progress: Progress = silent,
    ) -> SufficientStatistics:
        """Reduce rows, wherever they live, in one pass.

        Parameters
        ----------
        formula, data, weights, groups, functions, missing, threads, progress : as in `pw.fit`.
        like : statistics whose encoding is used: the same categories, splines and scales, so that both can be added
            even where these rows lack a category. The groups are the rows' own.

        Raises
        ------
        FormulaError, DataError, FileError : what is wrong, where, and what would be valid.
        """
        from poolwise.statistics.routes import reduce_source

        source = with_group_tables(as_source(data), groups)
        used = [weights] if isinstance(weights, str) else []
        needed = needed_columns(parse(formula, functions, source.names, used), weights)
        return reduce_source(needed, source, like, missing, threads or default_threads(), progress)[0]

    @property
    def formula(self) -> str:
        """The formula as written."""
        return self.design.formula.text

    @property
    def rows(self) -> int:
        """Number of rows behind the statistics."""
        return self.products.rows

    def __repr__(self) -> str:
        factors = [f"{len(factor.levels):,} groups of {factor.name}" for factor in self.design.factors]
        groups = f" in {' and '.join(factors)}" if factors else ""
        return f"Sufficient statistics of {self.formula}\n{self.rows:,} rows{groups}; read: {self.reading}"

    def __add__(self, other: SufficientStatistics) -> SufficientStatistics:
        """Statistics of both sets of rows."""
        self._check_same_design(other)
        reading = self.reading if self.reading == other.reading else f"{self.reading}; {other.reading}"
        return self._with(self.products + other.products, self.dropped + other.dropped, reading)

    def __sub__(self, other: SufficientStatistics) -> SufficientStatistics:
        """Statistics of the rows in `self` but not in `other`, a subset of them; groups without rows are gone."""
        self._check_same_design(other)
        rest = self.products - other.products
        if not rest.rows:
            raise DataError("No row would be left.")
        return self._with(rest.take(np.flatnonzero(rest.counts)), self.dropped, self.reading)

    def _with(self, products: CrossProducts, dropped: int, reading: str) -> SufficientStatistics:
        design, encoding = with_cells(self.design, self.encoding, products.cells)
        return SufficientStatistics(design, encoding, products, dropped, reading)

    def _check_same_design(self, other: SufficientStatistics) -> None:
        if not isinstance(other, SufficientStatistics):
            raise DataError(f"Statistics combine with statistics only, not with {type(other).__name__}.")
        if str(self.design.formula) != str(other.design.formula):
            raise FormulaError(
                f"Statistics of different formulas cannot be combined: '{self.formula}' and '{other.formula}'."
            )
        if self.encoding.weights != other.encoding.weights:
            raise DataError(
                f"Statistics with different weights cannot be combined: {self.encoding.weights!r} and "
                f"{other.encoding.weights!r}."
            )
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

    def without_empty_columns(self) -> SufficientStatistics:
        """The same without coefficients of columns that are zero in every row, as those of cells without rows are."""
        with np.errstate(all="ignore"):  # what has no square is refused by name
            total = self.products.merged()
        mean, spread = total.means[0] + total.origin, np.diag(total.scatter[0])
        design = without_empty_columns(self.design, self.encoding.variables, mean, spread)
        return self if design is self.design else replace(self, design=design)

    def small_cells(self, minimum: int = 5) -> pd.DataFrame:
        """Groups, and categories within groups, of fewer than `minimum` rows: columns `group`, `cell` and `rows`."""
        from poolwise.samplers.settings import check_count
        from poolwise.statistics.disclosure import small_cells

        check_count("minimum", minimum, 1)
        return small_cells(self.products, minimum)

    def save(self, path: str | os.PathLike[str], *, minimum_cell: int = 1) -> None:
        """Write a small file without rows.

        A file reveals the mean and the spread of every column in each group, the levels of categories, and what
        transforms have learnt: `bs(x)` stores the smallest and the largest x. A group of one row is that row; of two
        rows, nearly so; a category that one row of a group has gives away that row's outcome. Cells are counted for
        groups, zero-one columns, categories coded by treatment, and pairs of these; not for three together, nor for
        numbers that few rows of a group share.

        Parameters
        ----------
        minimum_cell : groups in which fewer rows than this share a category, or that have fewer rows at all, are left
            out of the file, with a warning that names them; 1 keeps all. `small_cells` lists them.
        """
        from poolwise.statistics.disclosure import without_small_cells
        from poolwise.statistics.state import to_state

        archive.write(Path(path), "statistics", *to_state(without_small_cells(self, minimum_cell)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SufficientStatistics:
        """Read what `save` wrote.

        Raises
        ------
        FileError : when the file is missing, damaged, or not of statistics.
        """
        from poolwise.statistics.state import from_state

        if not isinstance(path, (str, os.PathLike)):
            raise FileError(f"The path must be text, not {path!r}.")
        return archive.restored(Path(path), "statistics", from_state)
