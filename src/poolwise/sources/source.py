"""From whatever a user hands over to a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poolwise.sources.files import read_file
from poolwise.sources.frames import Table, as_table


def as_source(data: Any) -> Table:
    """Take a frame, a dict of columns, a table that was read before, or the path of a file.

    Raises
    ------
    DataError, FileError : as `as_table` and `read_file` do.
    """
    return read_file(data) if isinstance(data, (str, Path)) else as_table(data)
