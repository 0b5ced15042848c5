"""Rows that differ, each with how many there are: all that a family without sufficient statistics needs of rows.

Where predictors take few values there are few of them, however many rows: one GROUP BY counts them where they live.
Counts of disjoint rows add up, and subtract.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from poolwise.design.design import Rows
from poolwise.design.equal_rows import distinct
from poolwise.design.expressions import reach
from poolwise.design.factors import Cells
from poolwise.design.required_columns import Needed, python_factors
from poolwise.sources.frames import Table
from poolwise.sources.relation import Relation
from poolwise.statistics.packed_keys import packed_keys
from poolwise.statistics.products import CrossProducts
from poolwise.statistics.queries import check_rows, is_complete
from poolwise.statistics.reduce import reduce_rows
from poolwise.support.errors import DataError
from poolwise.support.naming import free_column
from poolwise.support.progress import Progress, Scan

MOST = 1 << 22  # rows that differ
_TRIED = 100_000  # rows that tell whether there are few that differ
_FEW = 0.5  # share of these that differ in a number, beyond which rows are not counted
_WHOLE = 2.0**53


@dataclass(frozen=True, slots=True, eq=False)
class CountedTable:
    """Rows that differ as a table.

    Attributes
    ----------
    table : with the needed columns.
    counts : (n,) how many there are of each.
    dropped : rows with a missing value in a needed column.
    reading : how they were counted, in words.
    """

    table: Table
    counts: np.ndarray
    dropped: int
    reading: str


def obstacle(needed: Needed) -> str:
    """What keeps rows from being counted, in words: a term that learns from all rows, ends that may be missing."""
    learning = [text for text in python_factors(needed.parts) if reach(text) != "row"]
    if learning:
        return f"'{learning[0]}' learns from each row"
    return "ends of intervals may be missing" if needed.ends else ""


def count_rows(needed: Needed, relation: Relation, missing: str, progress: Progress) -> CountedTable | str:
    """Count equal rows where they live; or in words why they are not counted.

    Raises
    ------
    DataError : as other queries do.
    """
    import narwhals as nw

    if why := obstacle(needed):
        return why
    columns = list(needed.columns)
    count = free_column("n", columns)
    if not columns:
        return "no column is needed"

    complete = relation.frame.select(*columns).filter(is_complete(relation, columns))
    if why := continuous(relation, complete, columns):
        return why
    scan = Scan(progress, f"reading rows with {relation.engine.name}", relation.rows)
    if (packed := packed_keys(relation, columns)) is not None:
        every = packed.count(relation, complete, scan)
        there = np.flatnonzero(every)[: MOST + 1]
        found, counts = packed.values(there), every[there].astype(float)
        reading = f"equal rows counted in batches from {relation.engine.name}"
    else:
        reading = f"equal rows counted by {relation.engine.name}; rows stayed there"
        found = relation.fetch(complete.group_by(*columns).agg(nw.len().alias(count)).head(MOST + 1), scan)
        counts = np.asarray(found.pop(count), dtype=float)
    if len(counts) > MOST:
        return f"more than {MOST:,} rows differ"
    if counts.sum() >= _WHOLE:
        raise DataError(f"{counts.sum():.3g} rows are more than floating-point numbers count one by one.")
    rows = relation.count()
    dropped = rows - int(counts.sum())
    if dropped < 0:
        raise DataError("The table grew while it was read; nothing was fitted. Read a copy that holds still.")
    check_rows(relation, needed, rows, dropped, missing)
    return CountedTable(relation.as_table(found), counts, dropped, f"{relation.words}: {reading}")


def continuous(relation: Relation, complete: Any, columns: list[str]) -> str:
    """Which column is a number on a scale, in words: one that differs in most of some rows."""
    import narwhals as nw

    numbers = [name for name in columns if relation.schema[name].is_float() or relation.schema[name].is_decimal()]
    if not numbers:
        return ""
    alias = free_column("n", numbers)
    unique = [nw.col(name).n_unique() for name in numbers]
    tried = relation.fetch(complete.head(_TRIED).select(*unique, nw.len().alias(alias)), Scan())
    rows = int(tried[alias][0])
    for name in numbers if rows else ():
        if int(tried[name][0]) > max(_FEW * rows, 1000):
            return f"'{name}' has {int(tried[name][0]):,} values in the first {rows:,} rows"
    return ""


def recoded(rows: Rows, places: np.ndarray) -> Rows:
    """The same rows where cell c is now cell `places[c]`."""
    return replace(rows, codes=places[rows.codes])


def added(one: Rows, other: Rows, sign: float) -> Rows:
    """Counts of both sets of rows, or with sign -1 of those of the first without the second.

    Raises
    ------
    DataError : where rows are taken away that are not there.
    """
    less = replace(other, counts=sign * other.multiplicities)
    found = distinct(Rows.joined([replace(one, counts=one.multiplicities), less]))
    counts = found.multiplicities
    if np.any(counts < 0):
        raise DataError(
            f"Cannot take away rows that are not part of these statistics: {int(-counts[counts < 0].sum()):,} of them."
        )
    return found.take(np.flatnonzero(counts > 0))


def reduce_counted(rows: Rows, columns: tuple[str, ...], cells: Cells, threads: int | None) -> CrossProducts:
    """The statistics of counted rows."""
    many, size = rows.multiplicities, len(cells[0]) if cells else 1
    products = reduce_rows(rows.values, rows.codes, columns, cells, weights=many * rows.precisions, threads=threads)
    logs = np.zeros(size) if rows.weights is None else np.bincount(rows.codes, many * np.log(rows.weights), size)
    return replace(products, counts=np.bincount(rows.codes, many, size), log_weights=logs)
