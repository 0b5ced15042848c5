"""Counts of several categories in columns of their own, made one row for each category."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from poolwise.sources.frames import Table, check_column
from poolwise.support.errors import DataError, PoolwiseWarning

CATEGORY, COUNT = "category", "count"  # names of the two columns that take the place of the counts
ROW = "counted_row"  # and of one with the number of the row that was counted, by which rows are left out


def one_row_each(table: Table, columns: Sequence[str], missing: str = "drop") -> Table:
    """A row for each category that was counted at least once in a row, in the place of that row.

    `missing` as in `fit`: rows of which a count is missing are left out or refused.

    `category` has the name of the category, `count` how often it was counted; all other columns are as they were. The
    likelihood of the rows is the multinomial one of the counts, up to a factor without parameters.

    Raises
    ------
    DataError : for counts that are negative, broken or text, for a category without any, and where the two names are
        taken.
    """
    import narwhals as nw

    for name in columns:
        check_column(name, table.names)
    kept = [name for name in table.names if name not in columns]
    taken = [name for name in (CATEGORY, COUNT, ROW) if name in kept]
    if taken:
        raise DataError(f"Counts of categories become '{CATEGORY}', '{COUNT}' and '{ROW}': rename '{taken[0]}'.")
    counts = np.column_stack([_counts(name, table) for name in columns])
    _leave_out_holes(counts, missing)
    row, place = np.nonzero(counts)
    frame = table.frame
    if not (frame.implementation.is_pandas_like() or frame.implementation.is_polars()):
        frame = nw.from_native(frame.to_pandas())  # Arrow has no categories of a stated order
    backend = frame.implementation
    label = nw.new_series(CATEGORY, [columns[k] for k in place.tolist()], nw.Enum(list(columns)), backend=backend)
    count = nw.new_series(COUNT, counts[row, place], backend=backend)
    number = nw.new_series(ROW, row + 1, backend=backend)
    if not kept:
        return Table.of(nw.DataFrame.from_dict({CATEGORY: label, COUNT: count, ROW: number}))
    tall = frame.select(kept)[row.tolist()]
    if backend.is_pandas_like():
        tall = nw.from_native(tall.to_native().reset_index(drop=True))
    return Table.of(tall.with_columns(label, count, number))


def _leave_out_holes(counts: np.ndarray, missing: str) -> None:
    """Zeros, in place, in rows of which a count is missing: of what is not all known, nothing is used."""
    holes = np.isnan(counts).any(axis=1)
    if not holes.any():
        return
    if missing == "error":
        raise DataError(
            f"{int(holes.sum()):,} of {len(counts):,} rows have missing counts; missing='drop' leaves them out."
        )
    counts[holes] = 0.0
    warnings.warn(
        f"{int(holes.sum()):,} of {len(counts):,} rows have missing counts and were left out.",
        PoolwiseWarning,
        stacklevel=5,
    )


def _counts(name: str, table: Table) -> np.ndarray:
    values = table.columns([name])[name]
    if values.dtype.kind != "f":
        raise DataError(f"'{name}' must hold how often that category was counted: whole numbers.")
    known = values[~np.isnan(values)]
    wrong = known[(known < 0) | (known != np.floor(known)) | np.isinf(known)]
    if len(wrong):
        raise DataError(f"'{name}' holds {wrong[0]:g}; counts are whole numbers from 0.")
    if not known.any():
        raise DataError(f"'{name}' was never counted: leave it out of the formula.")
    return np.array(values)
