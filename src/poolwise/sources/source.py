"""From whatever a user hands over to a source of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from poolwise.sources.cells import CellTable
from poolwise.sources.files import read_files
from poolwise.sources.frames import Table, as_narwhals, as_table
from poolwise.sources.relation import Relation, as_relation

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
    return as_relation(frame) if isinstance(frame, nw.LazyFrame) else Table.of(frame)


def _is_list_of_paths(data: Any) -> bool:
    return isinstance(data, Sequence) and all(isinstance(one, (str, Path)) for one in data)
