"""Files of a folder on the server that its operator opened to all sessions; they are fitted where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from poolwise.sources.files import read_files
from poolwise.sources.frames import Table, as_table
from poolwise.sources.relation import Relation
from poolwise.support.errors import FileError, PoolwiseError
from poolwise.support.progress import Scan

if TYPE_CHECKING:
    import pandas as pd

_KINDS = (".csv", ".tsv", ".parquet")
_SHOWN = 20_000  # rows of a large file that are looked at


def files_in(folder: str | Path) -> Mapping[str, Path]:
    """CSV and Parquet files of a folder by the names that a page asks for: nothing in a request is a path.

    Raises
    ------
    FileError : for what is no folder, or has no such files.
    """
    place = Path(folder)
    if not place.is_dir():
        raise FileError(f"There is no folder '{folder}'.")
    found = {path.name: path.resolve() for path in sorted(place.iterdir()) if path.suffix.lower() in _KINDS}
    found = {name: path for name, path in found.items() if path.is_file()}
    if not found:
        raise FileError(f"'{folder}' holds no CSV and no Parquet files.")
    return MappingProxyType(found)


@dataclass(frozen=True, slots=True, eq=False)
class First:
    """The rows of a file that are looked at; `whole` where these are all. Another version is another table."""

    frame: pd.DataFrame
    whole: bool
    version: tuple[int, int]


def first_rows(path: Path) -> First:
    """The rows of a file that are looked at: of a large one the first 20,000.

    Raises
    ------
    FileError : for a file that cannot be read.
    """
    try:
        stamp = path.stat()
    except OSError as error:
        raise FileError(f"'{path.name}' is not there any more.") from error
    return _first_rows(path, stamp.st_mtime_ns, stamp.st_size)


def all_rows(path: Path) -> Table | Relation:
    """The rows of a file to fit, each time by a connection of its own.

    Raises
    ------
    FileError : for a file that cannot be read.
    """
    first = first_rows(path)
    return as_table(first.frame) if first.whole else _read(path)


@lru_cache(maxsize=8)
def _first_rows(path: Path, changed: int, size: int) -> First:
    rows, version = _read(path), (changed, size)
    if isinstance(rows, Table):
        return First(rows.frame.to_pandas(), True, version)
    return First(as_table(rows.fetch(rows.frame.head(_SHOWN), Scan())).frame.to_pandas(), False, version)


def _read(path: Path) -> Table | Relation:
    """The rows of a file; messages say its name, and not where it lies on the server."""
    try:
        return read_files(path)
    except PoolwiseError as error:
        raise FileError(str(error).replace(str(path), path.name)) from error
