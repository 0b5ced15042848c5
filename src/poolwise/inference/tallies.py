"""Counts of several categories as an outcome: a formula and data with a row for each category in their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from poolwise.families import Family
from poolwise.formula import Formula, read_tallies
from poolwise.sources import Source, Table, tallies
from poolwise.sources.source import table_of
from poolwise.support.errors import FormulaError

if TYPE_CHECKING:
    Written = str | Sequence[str]


def untallied(
    formula: Written, source: Source, family: Family, weights: str | None, missing: str
) -> tuple[Written, Source]:
    """`cbind(a, b, c) ~ x` of a family of categories as `category | weights(count) ~ x`, with the rows for it.

    All else comes back as it is.

    Raises
    ------
    FormulaError : for a column that is named twice, and for weights besides the counts.
    DataError : for what counts cannot be.
    """
    written = [formula] if isinstance(formula, str) else list(formula)
    if family.of_labels is None or not written or not isinstance(written[0], str):
        return formula, source
    first, *others = written
    first, *more = first.split(";") if isinstance(formula, str) else [first]
    columns, right = read_tallies(first)
    if not columns:
        return formula, source
    if len(set(columns)) < len(columns):
        raise FormulaError(f"'{first.strip()}' counts a category twice; each has one column.")
    if weights is not None:
        raise FormulaError("Counts of categories are weights already: leave weights= out, or multiply the counts.")
    table: Table = tallies.one_row_each(table_of(source), columns, missing)
    return [f"{tallies.CATEGORY} | weights({tallies.COUNT}) ~{right}", *more, *others], table


def counted_rows(formula: Formula, source: Source | None) -> str | None:
    """The column with the numbers of the rows whose counts a fit is of; None for any other fit."""
    made = formula.response == tallies.CATEGORY and formula.weights == tallies.COUNT
    return tallies.ROW if made and isinstance(source, Table) and tallies.ROW in source.names else None
