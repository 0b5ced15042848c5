"""What a CSV file is made of, before DuckDB reads it: its delimiter, the types of its columns, its ragged lines."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from poolwise.sources.engines.duckdb import plain
from poolwise.support.errors import FileError

# As R, pandas, SQL, SAS and spreadsheets write missing cells.
_NULLS = ["", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-nan", "-NaN", "null", "NULL", "None", "."]
_DELIMITERS = "\t,;|"  # of as many of two the first: no name has a tab in it
_SNIFFED = 20_480  # rows that DuckDB takes types from
_WHOLE = ("BIGINT", "HUGEINT")
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_DECIMAL_POINT = re.compile(rf"[+\-\u2212]?(?:[1-9]\d{{0,2}}(?:,\d{{3}})+|\d+)?(?:\.\d*)?{_EXPONENT}")
_DECIMAL_COMMA = re.compile(rf"[+\-\u2212]?(?:[1-9]\d{{0,2}}(?:\.\d{{3}})+|\d+)?(?:,\d*)?{_EXPONENT}")
_PLAIN = re.compile(rf"(?:\d+\.?\d*|\.\d+){_EXPONENT}")
_WHOLE_CELL = re.compile(r"\d+(?:[eE]\d+)?")
_NUMBERED_DATE = re.compile(r"(\d{1,2})([/-])(\d{1,2})\2(?:\d{2}|\d{4})(?:[ T].*)?")
_DAMAGED = (OSError, UnicodeDecodeError, EOFError, zlib.error, csv.Error)


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
    head = {str(name): plain(values) for name, values in _as_text(connection, names, options).items()}
    if any(map(_is_blank, head.values())):
        options["sample_size"] = -1  # DuckDB saw blanks only: let it look at every row
        rows = connection.read_csv(names, **options)
    kinds = dict(zip(map(str, rows.columns), map(str, rows.types), strict=True))
    if kinds.keys() != head.keys() or any("\0" in name for name in kinds):
        raise FileError(f"'{paths[0]}' is damaged: its header holds characters that no name has.")
    numbers = {name: "DOUBLE" for name, kind in kinds.items() if kind in ("VARCHAR", "DATE") and _infinite(head[name])}
    # DuckDB takes `yes` and `no`, `t` and `f` for truth values; other readers take them for text.
    numbers |= {name: "VARCHAR" for name, kind in kinds.items() if kind == "BOOLEAN" and not _truths(head[name])}
    # A guess would move every date that may be read in two ways; as text it stays what the file says.
    dates = [name for name, kind in kinds.items() if kind.startswith(("DATE", "TIMESTAMP"))]
    numbers |= {name: "VARCHAR" for name in dates if name not in numbers and _day_or_month(head[name])}
    labels = [
        name for name, kind in kinds.items() if kind in (*_WHOLE, "DOUBLE", "VARCHAR") and _are_labels(head[name])
    ]
    whole = [name for name, kind in kinds.items() if kind in _WHOLE and name not in labels]
    numbers |= dict.fromkeys([name for name in whole if _largest(head[name]) < 2**53], "DOUBLE")
    numbers |= dict.fromkeys(labels, "VARCHAR")
    texts = {name for name in kinds if kinds[name] == "VARCHAR"} - set(numbers)
    comma = delimiter is not None and delimiter != ","
    if comma:
        of_commas = _marks(head, texts, ",")
        of_points = _marks(head, {name for name in kinds if kinds[name] == "DOUBLE"} - set(labels), ".")
        if of_commas.decimal and not of_points.decimal:  # then points are thousands
            numbers |= dict.fromkeys(of_points.grouped, "VARCHAR")
            texts |= of_points.grouped
        comma = of_commas.decimal or not of_points.decimal
    rows = connection.read_csv(names, **options, dtype=numbers) if numbers else rows
    return _with_written_numbers(rows, head, texts, comma=comma)


class _Marks(NamedTuple):
    """What a mark within numbers stands for: columns in which it sets off thousands wherever it is, and whether it is
    a decimal one in some other."""

    grouped: set[str]
    decimal: bool


def _marks(head: dict[str, np.ndarray], names: Iterable[str], mark: str) -> _Marks:
    thousands = re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:\{mark}\d{{3}})+")
    number = re.compile(rf"[+-]?\d*\{mark}\d+(?:[eE][+-]?\d+)?")
    grouped, decimal = set(), False
    for name in names:
        marked = [str(value).strip() for value in head[name] if value is not None and mark in str(value)]
        if marked and all(map(thousands.fullmatch, marked)):
            grouped.add(name)
        elif marked and all(map(number.fullmatch, marked)):
            decimal = True
    return _Marks(grouped, decimal)


def _are_labels(values: np.ndarray) -> bool:
    """Whether whole numbers are written in two ways, `01` and `1`, `1E3` and `1000`, not in decimals, `0xa4`, or with
    more digits than numbers keep: numbers would merge them."""
    written = {str(value).strip() for value in values if value is not None}
    if any(cell[:2].lower() == "0x" for cell in written):
        return True
    whole = {cell for cell in written if _WHOLE_CELL.fullmatch(cell)}
    return len(set(map(_whole_number, whole))) < len(whole)


def _whole_number(cell: str) -> float:
    """A whole number with the digits that are kept of it: those of 64 bits, or of floating point."""
    return int(cell) if cell.isdigit() and int(cell) < 2**63 else float(cell)


def _day_or_month(values: np.ndarray) -> bool:
    """Whether every date of a column may be read day first and month first, `03/04/2021`, and not to the same effect.

    Points, `3.4.2021`, are written where the day comes first.
    """
    found = [_NUMBERED_DATE.fullmatch(str(value).strip()) for value in values if value is not None]
    pairs = [(int(each[1]), int(each[3])) for each in found if each]
    either = len(pairs) == len(found) and all(max(pair) <= 12 for pair in pairs)
    return either and any(first != second for first, second in pairs)


def _with_written_numbers(rows: Any, head: dict[str, np.ndarray], texts: set[str], *, comma: bool) -> Any:
    """Columns of numbers that are written in another way than DuckDB's, as numbers.

    These are `+0.5`, a minus of typesetters, thousands in groups, `1,234.5`, and where the decimal mark is a `comma`,
    `1.234,5`. A column is one of numbers where every cell is.
    """
    plain_number = _DECIMAL_COMMA if comma else _DECIMAL_POINT
    found = {}
    for name in sorted(texts):
        cells = [str(value).strip() for value in head[name] if value is not None]
        if not cells or not all(plain_number.fullmatch(cell) for cell in cells):
            continue
        quoted = _quoted(name)
        text = f"replace(ltrim(trim({quoted}), '+'), '\u2212', '-')"
        thousands, decimal = (".", ",") if comma else (",", ".")
        text = f"replace(replace({text}, '{thousands}', ''), '{decimal}', '.')"
        found[name] = (quoted, f"TRY_CAST({text} AS DOUBLE)")
    if found:
        lost = ", ".join(
            f"count(*) FILTER ({column} IS NOT NULL AND {number} IS NULL)" for column, number in found.values()
        )
        spoiled = dict(zip(found, rows.aggregate(lost).fetchall()[0], strict=True))
        found = {name: each for name, each in found.items() if not spoiled[name]}
    if not found:
        return rows
    columns = [
        f"{found[name][1]} AS {found[name][0]}" if name in found else _quoted(name) for name in map(str, rows.columns)
    ]
    return rows.project(", ".join(columns))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _as_text(connection: Any, names: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """The first rows as they are written."""
    return connection.read_csv(names, **options, all_varchar=True).limit(_SNIFFED).fetchnumpy()


def _is_blank(values: np.ndarray) -> bool:
    return all(value is None for value in values)


def _truths(values: np.ndarray) -> bool:
    """Whether true and false are all that is written."""
    return {str(value).strip().lower() for value in values if value is not None} <= {"true", "false"}


def _infinite(values: np.ndarray) -> bool:
    """Whether a column that DuckDB takes for text or dates holds infinities, and nothing else but numbers: then it is
    one of numbers."""
    words = {str(value).strip().lower().lstrip("+-") for value in values if value is not None}
    others = words - {"inf", "infinity"}
    return others != words and all(map(_PLAIN.fullmatch, others))


def _largest(values: np.ndarray) -> float:
    """The largest size of the numbers in a column, missing ones left out."""
    return max((abs(float(value)) for value in values if value is not None), default=0.0)


def literal(path: Path) -> str:
    """A path in which `[` `]` `*` `?` are the name, not a pattern."""
    return re.sub(r"([\[\]*?])", r"[\1]", str(path))


def delimiter_of(path: Path) -> str | None:
    """The delimiter that the header has most often, None for a single column."""
    try:
        with _open(path) as file:
            header = file.readline()
    except _DAMAGED:
        return None  # DuckDB will say what is wrong with it
    best = max(_DELIMITERS, key=header.count)
    return best if header.count(best) else None


def header_of(path: Path) -> list[str]:
    """The names in the first line; none where that cannot be read, as DuckDB will say."""
    try:
        with _open(path) as file:
            return [name.strip() for name in next(csv.reader(file, delimiter=delimiter_of(path) or ","), [])]
    except _DAMAGED:
        return []


def check_lines(path: Path, delimiter: str | None) -> None:
    """Refuse a file whose first lines have different numbers of fields."""
    try:
        line, found, wanted = _ragged_line(path, delimiter or ",")
    except _DAMAGED:
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
