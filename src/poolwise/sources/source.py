"""From whatever a user hands over to a source of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from poolwise.sources.files import read_all, read_files
from poolwise.sources.frames import Table, as_narwhals, as_table, check_column
from poolwise.sources.relation import Relation, as_relation
from poolwise.sources.summary_tables import CellTable
from poolwise.support.errors import DataError

Source = Table | Relation | CellTable


def as_source(data: Any) -> Source:
    """Take a frame (eager or lazy), a dict of columns, a path, pattern or folder of files, or a list of these.

    Raises
    ------
    DataError, FileError : for what is none of these.
    """
    import narwhals as nw

    if isinstance(data, (Table, Relation, CellTable)):
        return data
    if isinstance(data, (str, Path)) or _is_list_of_paths(data):
        return read_files(data)
    if isinstance(data, Mapping):
        return as_table(data)
    frame = as_narwhals(data)
    return as_relation(frame) if isinstance(frame, nw.LazyFrame) else Table.of(_of_its_own(frame))


def _of_its_own(frame: Any) -> Any:
    """The same frame, which does not follow what its owner does with the columns later; values are not copied."""
    import narwhals as nw

    if frame.implementation.is_pandas():
        return nw.from_native(frame.to_native().copy(deep=False))
    return frame.clone() if frame.implementation.is_polars() else frame


def _is_list_of_paths(data: Any) -> bool:
    return isinstance(data, Sequence) and all(isinstance(one, (str, Path)) for one in data)


def table_of(data: Any) -> Table:
    """Any source of rows as a table in memory."""
    source = as_source(data)
    if isinstance(source, Table):
        return source
    if isinstance(source, Relation):
        return read_all(source)
    raise DataError("A table of cells has no rows; give a frame, a dict of columns or a file.")


def from_cells(data: Any, *, n: str = "n", mean: str = "mean", sd: str = "sd") -> CellTable:
    """Take a published table as the data of a fit: `pw.fit("y ~ floor + (1 | county)", pw.from_cells(table))`.

    The outcome's name in the formula is free: its values are the means. The posterior is the one of the rows behind the
    table, exactly, since a Gaussian model needs no more of them.

    Parameters
    ----------
    data : frame, dict of columns, or the path of a file, with one line for each cell.
    n, mean, sd : the columns with each cell's number of rows, mean and standard deviation (with n - 1) of the outcome.

    Raises
    ------
    DataError : for columns that are not there.
    """
    table = as_source(data)
    if not isinstance(table, Table):
        raise DataError("A table of cells must be small enough for memory: pass a frame, a dict of columns or a file.")
    for name in (n, mean, sd):
        check_column(name, table.names)
    return CellTable(as_table(table), n, mean, sd)
