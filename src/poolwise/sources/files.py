"""CSV and Parquet files, folders and patterns of them, read by DuckDB."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from poolwise.sources.csv import header_of, literal, read_csv
from poolwise.sources.engines.duckdb import connect, explained
from poolwise.sources.frames import Table
from poolwise.sources.relation import Relation, as_relation, stamp_of
from poolwise.support.errors import FileError
from poolwise.support.progress import Scan

_CSV, _PARQUET = (".csv", ".tsv", ".txt"), (".parquet", ".pq")
SMALL = 32 << 20  # bytes; files of fewer are read into memory, where every formula works at once
_MICROSECONDS = {"s": "1000000", "ms": "1000", "us": "1", "ns": "0.001"}
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Files:
    """Files of one kind.

    Attributes
    ----------
    paths : each may stand there more than once; its rows then count as often.
    parquet : Parquet or CSV.
    """

    paths: tuple[Path, ...]
    parquet: bool

    @property
    def bytes(self) -> int:
        """Size of all of them."""
        return sum(path.stat().st_size for path in self.paths)

    @property
    def words(self) -> str:
        """What they are, for users."""
        kind = "Parquet" if self.parquet else "CSV"
        return f"{len(self.paths)} {kind} files" if len(self.paths) > 1 else f"{kind} file {self.paths[0].name}"


def read_files(data: str | Path | Sequence[str | Path]) -> Table | Relation:
    """Files as a table in memory where they are small, else as rows that stay in them.

    Raises
    ------
    FileError : when they are missing, empty, of an unknown or of different kinds, or differ in their columns.
    """
    files = find_files(data)
    relation = open_files(files)
    return read_all(relation) if files.bytes <= SMALL else relation


def read_file(path: str | Path) -> Table:
    """Read CSV or Parquet into memory (by its ending, `.csv.gz` included).

    Raises
    ------
    FileError : when it is missing, empty, of an unknown kind, or not what its ending says.
    """
    return read_all(open_files(find_files(path)))


def read_all(relation: Relation, columns: Iterable[str] | None = None) -> Table:
    """All rows of a relation in memory, or some of their columns."""
    rows = relation.frame if columns is None else relation.frame.select(*columns)
    return relation.table(rows, Scan())


def find_files(data: str | Path | Sequence[str | Path]) -> Files:
    """The files that a path, a pattern such as `data/*.parquet`, a folder, or a list of these names."""
    given = [data] if isinstance(data, (str, Path)) else list(data) if isinstance(data, Sequence) else [data]
    if odd := [one for one in given if not isinstance(one, (str, Path))]:
        raise FileError(f"A path must be text, not {odd[0]!r}.")
    if not given:
        raise FileError("The list of files is empty.")
    if any(str(one).strip() == "" for one in given):
        raise FileError("A path is empty: '.' is this folder.")
    paths = [path for one in given for path in _expand(Path(one))]
    kinds = {_is_parquet(path) for path in paths}
    if len(kinds) > 1:
        raise FileError(f"CSV and Parquet files cannot be read together: {_some(paths)}.")
    for path in dict.fromkeys(paths):
        if path.stat().st_size == 0:
            raise FileError(f"'{path}' is empty.")
    return Files(tuple(paths), kinds.pop())


def _expand(path: Path) -> list[Path]:
    try:
        if path.is_file():
            return [path]
    except (OSError, ValueError) as error:  # too long, a zero character
        raise FileError(f"'{str(path)[:80]}' is no path of a file: {error}.") from error
    if path.is_dir():
        found = [one for one in sorted(path.rglob("*")) if one.is_file() and _ending(one) in _CSV + _PARQUET]
        found = [one for one in found if not any(part[0] in "._" for part in one.relative_to(path).parts)]
        if not found:
            raise FileError(f"The folder '{path}' holds no CSV or Parquet file.")
        return found
    if _PATTERN.search(str(path)):
        found = [Path(one) for one in sorted(glob.glob(str(path), recursive=True)) if Path(one).is_file()]
        if not found:
            raise FileError(f"No file matches '{path}'.{_beside(path)}")
        return found
    raise FileError(f"There is no file '{path}'.{_beside(path)}")


def _beside(path: Path) -> str:
    """Names of files of the same kind in the same folder."""
    near = sorted(p.name for p in path.parent.glob(f"*{path.suffix}")) if path.parent.is_dir() else []
    return f" In that folder there are: {_some(near)}." if near else ""


def _some(names: Iterable[Any]) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _ending(path: Path) -> str:
    return (path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix).lower()


def _is_parquet(path: Path) -> bool:
    ending = _ending(path)
    if ending not in _CSV + _PARQUET:
        known = ", ".join(sorted(_CSV + _PARQUET))
        raise FileError(f"Cannot tell what '{path.name}' is: its name must end in {known}.")
    return ending in _PARQUET


def open_files(files: Files) -> Relation:
    """The rows of files, left where they are."""
    import duckdb
    import narwhals as nw

    stamp = stamp_of(list(files.paths))
    # Rows in order cost memory; only those that are read whole need it.
    connection = connect(in_order=files.bytes <= SMALL)
    try:
        _check_columns(connection, files)
        _check_names(files.paths[0], _names_in(connection, files))
        rows = _read(connection, files, list(files.paths))
        relation = as_relation(nw.from_native(rows), files.words, stamp, connection=connection)
        return replace(relation, rows=relation.count()) if files.parquet else relation  # Parquet knows its rows
    except duckdb.Error as error:
        reason = explained(error)
        if len(files.paths) > 1:
            raise reason from error
        kind = "Parquet" if files.parquet else "CSV"
        raise FileError(f"'{files.paths[0]}' cannot be read as {kind}: {reason}") from error


def _read(connection: Any, files: Files, paths: list[Path]) -> Any:
    if not files.parquet:
        return read_csv(connection, paths)
    names = [literal(path) for path in paths]
    several = len(set(paths)) > 1
    rows = connection.read_parquet(names, union_by_name=several, hive_partitioning=False)
    keys = _partition_keys(files.paths)
    if keys and not keys & {str(name).lower() for name in rows.columns}:  # a folder's name never hides a column
        rows = connection.read_parquet(names, union_by_name=several, hive_partitioning=True)
    return _with_durations(rows, paths[0])


def _with_durations(rows: Any, path: Path) -> Any:
    """Columns that Arrow wrote as durations, which DuckDB reads as whole numbers of their unit."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
        return rows  # DuckDB says what is wrong with it
    units = {field.name: _MICROSECONDS[field.type.unit] for field in schema if pa.types.is_duration(field.type)}
    if not units:
        return rows
    names = [(name, '"' + name.replace('"', '""') + '"') for name in map(str, rows.columns)]
    columns = [
        f"to_microseconds(CAST({quoted} * {units[name]} AS BIGINT)) AS {quoted}" if name in units else quoted
        for name, quoted in names
    ]
    return rows.project(", ".join(columns))


def _partition_keys(paths: Sequence[Path]) -> set[str]:
    """The columns that folders such as `year=2026` stand for: those that all files share."""
    of_each = [
        {part.partition("=")[0].lower() for part in path.parts[:-1] if part.partition("=")[0] and "=" in part}
        for path in paths
    ]
    return of_each[0] if all(each == of_each[0] for each in of_each) else set()


def _check_columns(connection: Any, files: Files) -> None:
    """Refuse files that do not have the same columns: DuckDB would fill the gap with missing values."""
    distinct = list(dict.fromkeys(files.paths))
    if len(distinct) < 2:
        return
    first: dict[str, str] = {}
    for path in distinct:
        one = _read(connection, files, [path])
        found = dict(zip(one.columns, map(str, one.types), strict=True))
        first = first or found
        for mine, theirs, has, lacks in ((first, found, distinct[0], path), (found, first, path, distinct[0])):
            missing = [column for column in mine if column not in theirs]
            if missing:
                raise FileError(f"Column '{missing[0]}' is in '{has}' but not in '{lacks}'.")
        for column, kind in found.items():
            if _is_text(kind) != _is_text(first[column]):
                raise FileError(
                    f"Column '{column}' holds {_kind(first[column])} in '{distinct[0]}' but {_kind(kind)} in '{path}'."
                )


def _check_names(path: Path, names: Iterable[str]) -> None:
    """Refuse columns of one name, or whose names differ in case alone: DuckDB would give one of them another name.

    Columns without a name are none that a formula could mean.
    """
    known: dict[str, str] = {}
    for name in filter(None, names):
        if name.lower() not in known:
            known[name.lower()] = name
        elif (other := known[name.lower()]) == name:
            raise FileError(f"'{path}' has two columns '{name}': rename one.")
        else:
            raise FileError(
                f"'{path}' has columns '{other}' and '{name}', which DuckDB does not tell apart: rename one."
            )


def _names_in(connection: Any, files: Files) -> list[str]:
    """Columns of the first file by the names that stand there: DuckDB gives others to those that differ in case."""
    path = files.paths[0]
    if not files.parquet:
        return header_of(path)
    nodes = connection.execute(f"select name, num_children from parquet_schema({literal(path)!r})").fetchall()
    found, within = [], [int(nodes[0][1] or 0)]
    for name, children in nodes[1:]:
        if len(within) == 1:
            found.append(str(name))
        within[-1] -= 1
        if children:
            within.append(int(children))
        while within and not within[-1]:
            within.pop()
    return found


def _is_text(kind: str) -> bool:
    return kind.startswith(("VARCHAR", "ENUM", "BLOB"))


def _kind(kind: str) -> str:
    return "text" if _is_text(kind) else f"{kind.lower()} values"
