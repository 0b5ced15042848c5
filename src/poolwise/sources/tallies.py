"""Counts of several categories in columns of their own, made one row for each category."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poolwise.sources.frames import Table, check_column
from poolwise.support.errors import DataError

CATEGORY, COUNT = "category", "count"  # names of the two columns that take the place of the counts


def one_row_each(table: Table, columns: Sequence[str]) -> Table:
    """A row for each category that was counted at least once in a row, in the place of that row.

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
    taken = [name for name in (CATEGORY, COUNT) if name in kept]
    if taken:
        raise DataError(f"Counts of categories become the columns '{CATEGORY}' and '{COUNT}': rename '{taken[0]}'.")
    counts = np.column_stack([_counts(name, table) for name in columns])
    counts[np.isnan(counts).any(axis=1)] = np.nan  # of a row that is not all known, nothing is used
    row, place = np.nonzero(counts)  # missing ones stay, and are left out and told of later
    frame = table.frame
    if not (frame.implementation.is_pandas_like() or frame.implementation.is_polars()):
        frame = nw.from_native(frame.to_pandas())  # Arrow has no categories of a stated order
    backend = frame.implementation
    label = nw.new_series(CATEGORY, [columns[k] for k in place.tolist()], nw.Enum(list(columns)), backend=backend)
    count = nw.new_series(COUNT, counts[row, place], backend=backend)
    if not kept:
        return Table.of(nw.DataFrame.from_dict({CATEGORY: label, COUNT: count}))
    tall = frame.select(kept)[row.tolist()]
    if backend.is_pandas_like():
        tall = nw.from_native(tall.to_native().reset_index(drop=True))
    return Table.of(tall.with_columns(label, count))


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
