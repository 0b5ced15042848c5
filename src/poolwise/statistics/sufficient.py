"""Statistics as users hold them: made from data, saved and loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolwise.design.equal_rows import distinct
from poolwise.families import Family, family_of
from poolwise.formula import Functions
from poolwise.samplers.settings import check_count
from poolwise.sources import as_source
from poolwise.sources.group_tables import with_group_tables
from poolwise.statistics.counted import obstacle
from poolwise.statistics.disclosure import small_cells, without_small_cells
from poolwise.statistics.model_formula import model_formula
from poolwise.statistics.routes import reduce_source, with_counted
from poolwise.statistics.state import from_state, to_state
from poolwise.statistics.statistics import Statistics
from poolwise.support import archive
from poolwise.support.errors import DataError, FileError
from poolwise.support.progress import Progress, silent
from poolwise.support.threads import default_threads

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SufficientStatistics(Statistics):
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

    @classmethod
    def of(cls, statistics: Statistics) -> SufficientStatistics:
        """The same, with the methods of this class."""
        return cls(*(getattr(statistics, name) for name in cls.__dataclass_fields__))

    @classmethod
    def from_data(
        cls,
        formula: str | Sequence[str],
        data: Any,
        *,
        family: str | Family = "gaussian",
        link: str | None = None,
        like: Statistics | None = None,
        weights: str | None = None,
        groups: Mapping[str, Any] | None = None,
        functions: Functions | None = None,
        tables: Mapping[str, Any] | None = None,
        missing: str = "drop",
        threads: int | None = None,
        progress: Progress = silent,
    ) -> SufficientStatistics:
        """Reduce rows, wherever they live, in one pass.

        Parameters
        ----------
        formula, data, family, link, weights, groups, functions, tables, missing, threads, progress : as in `pw.fit`.
            Of a family that is sampled they are the rows that differ with how many there are of each: few where
            predictors take few values.
        like : statistics whose encoding is used: the same categories, splines and scales, so that both can be added
            even where these rows lack a category. The groups are the rows' own.

        Raises
        ------
        FormulaError, DataError, FileError : what is wrong, where, and what would be valid.
        """
        source = with_group_tables(as_source(data), groups)
        used = [weights] if isinstance(weights, str) else []
        workers = threads or default_threads()
        labels = like.encoding.labels if isinstance(like, Statistics) and like.encoding.labels else None
        read = model_formula(
            formula, source, family_of(family), link, functions=functions, used=used, tables=tables, labels=labels
        )
        if isinstance(like, Statistics) and formula == like.formula:
            read = replace(read, formula=like.design.formula)  # with the tables and functions that it was learnt with
        needed = read.needed(weights)
        if read.closed:
            return cls.of(reduce_source(needed, source, like, missing, workers, progress)[0])
        if why := obstacle(needed):
            raise DataError(f"Equal rows cannot be counted: {why}. Fit the rows themselves.")
        found, rows = reduce_source(needed, source, like, missing, workers, progress, family=read.family)
        if rows is not None:
            found = with_counted(found.design, found.encoding, distinct(rows), workers, found.reading)
        return cls.of(found)

    def small_cells(self, minimum: int = 5) -> pd.DataFrame:
        """Groups, and categories within groups, of fewer than `minimum` rows: columns `group`, `cell` and `rows`."""
        check_count("minimum", minimum, 1)
        return small_cells(self.products, minimum)

    def save(self, path: str | os.PathLike[str], *, minimum_cell: int = 1) -> None:
        """Write a small file without rows.

        A file reveals the mean and the spread of every column in each group, the levels of categories, and what
        transforms have learnt: `bs(x)` stores the smallest and the largest x. A group of one row is that row; of two
        rows, nearly so; a category that one row of a group has gives away that row's outcome. Cells are counted for
        groups, zero-one columns, categories coded by treatment, and pairs of these; not for three together, nor for
        numbers that few rows of a group share. Counted rows, of families that are sampled, hold every combination of
        group, predictors and outcome that there is.

        Parameters
        ----------
        minimum_cell : groups in which fewer rows than this share a category, or that have fewer rows at all, are left
            out of the file, with a warning that names them; 1 keeps all. `small_cells` lists them. Of counted rows
            those are left out whose group and predictors fewer rows share.
        """
        archive.write(Path(path), "statistics", *to_state(without_small_cells(self, minimum_cell)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SufficientStatistics:
        """Read what `save` wrote.

        Raises
        ------
        FileError : when the file is missing, damaged, or not of statistics.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise FileError(f"The path must be text, not {path!r}.")
        return cls.of(archive.restored(Path(path), "statistics", from_state))
