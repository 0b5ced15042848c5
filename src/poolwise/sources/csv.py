"""What a CSV file is made of, before DuckDB reads it: its delimiter, the types of its columns, its ragged lines."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path
from typing import Any, TextIO

from poolwise.errors import FileError

_NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "."]  # as R, pandas, SQL and SAS write them
_DELIMITERS = ",;\t|"
_SNIFFED = 20_480  # rows that DuckDB takes types from


def read_csv(connection: Any, paths: list[Path]) -> Any:
    """A DuckDB relation of the rows of CSV files with a header.

    DuckDB takes types from the first rows. A column of whole numbers may hold fractions further on, which it would
    round: such columns are read as floating point, unless they hold labels with more digits than that keeps.

    Raises
    ------
    FileError : when a file has lines of different lengths; file and line are named.
    """
    options: dict[str, Any] = {"header": True, "na_values": _NULLS, "union_by_name": len(set(paths)) > 1}
    delimiter = delimiter_of(paths[0])
    if delimiter:
        options["delimiter"] = delimiter
    names = [literal(path) for path in paths]
    try:
        rows = connection.read_csv(names, **options)
    except Exception:
        for path in dict.fromkeys(paths):
            check_lines(path, delimiter)
        raise
    kinds = dict(zip(rows.columns, map(str, rows.types), strict=True))
    whole = [name for name, kind in kinds.items() if kind in ("BIGINT", "HUGEINT")]
    if not whole:
        return rows
    largest = _largest(rows, whole)
    return connection.read_csv(names, **options, dtype={name: "DOUBLE" for name in whole if largest[name] < 2**53})


def _largest(rows: Any, names: list[str]) -> dict[str, float]:
    """The largest size of some columns among the first rows."""
    head = rows.limit(_SNIFFED).fetchnumpy()
    return {name: float(max(abs(head[name].max(initial=0)), abs(head[name].min(initial=0)))) for name in names}


def literal(path: Path) -> str:
    """A path in which `[` `]` `*` `?` are the name, not a pattern."""
    return re.sub(r"([\[\]*?])", r"[\1]", str(path))


def delimiter_of(path: Path) -> str | None:
    """The delimiter that the header has most often, None for a single column."""
    try:
        with _open(path) as file:
            header = file.readline()
    except (OSError, UnicodeDecodeError):
        return None  # DuckDB will say what is wrong with it
    best = max(_DELIMITERS, key=header.count)
    return best if header.count(best) else None


def check_lines(path: Path, delimiter: str | None) -> None:
    """Refuse a file whose first lines have different numbers of fields."""
    try:
        line, found, wanted = _ragged_line(path, delimiter or ",")
    except (OSError, UnicodeDecodeError, csv.Error):
        return  # not text; DuckDB will say so
    if line:
        raise FileError(f"'{path}', line {line}: {found} fields, where the header has {wanted}.")


def _ragged_line(path: Path, delimiter: str) -> tuple[int, int, int]:
    """The first line that has not as many fields as the header, and both numbers; zeros if there is none."""
    with _open(path) as file:
        lines = csv.reader(file, delimiter=delimiter)
        wanted = len(next(lines, []))
        for fields in lines:
            if fields and len(fields) != wanted:
                return lines.line_num, len(fields), wanted
            if lines.line_num > _SNIFFED:
                break
    return 0, 0, 0


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", newline="")
    return path.open(newline="")
