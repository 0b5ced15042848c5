"""Files that are dropped, as tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from poolwise.app.columns import check_width
from poolwise.app.limits import Limits
from poolwise.sources.csv import header_of
from poolwise.sources.files import Files, open_files, read_all
from poolwise.support.errors import DataError, PoolwiseError

if TYPE_CHECKING:
    import pandas as pd

_TEXT, _PARQUET = (".csv", ".tsv", ".txt"), ".parquet"


def read_table(path: Path, name: str, limits: Limits) -> pd.DataFrame:
    """A CSV or Parquet file as a table, as it would be read where it lies.

    Parameters
    ----------
    name : of the file where it came from, which tells its kind; the one on this machine may have another.

    Raises
    ------
    DataError : for another kind of file, for one that cannot be read, and for one with too many rows.
    """
    ending, size = Path(name).suffix.lower(), path.stat().st_size
    if size > limits.megabytes * 1e6:
        raise DataError(f"The file has {size / 1e6:.0f} MB; {limits.megabytes:g} MB are the most here.")
    if ending not in (*_TEXT, _PARQUET):
        raise DataError(f"'{name}' is no CSV and no Parquet file by its ending.")
    if not size:
        raise DataError(f"'{name}' is empty: a table needs a line of names and at least one row.")
    try:
        if ending in _TEXT:
            check_width(len(header_of(path)))  # thousands of columns would take long to read
        relation = open_files(Files((path,), ending == _PARQUET))
        check_width(len(relation.names))
        _check_rows(relation.rows or 0, limits)  # a small Parquet file may have very many
        frame: pd.DataFrame = read_all(relation).frame.to_pandas()
    except PoolwiseError as error:
        raise DataError(str(error).replace(str(path), name).replace(path.name, name)) from error
    _check_rows(len(frame), limits)
    return frame


def _check_rows(rows: int, limits: Limits) -> None:
    if rows > limits.rows:
        raise DataError(f"The table has {rows:,} rows; {limits.rows:,} are the most here.")
