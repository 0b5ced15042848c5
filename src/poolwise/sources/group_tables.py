"""Group-level predictors in tables of their own: one line for each group, joined to the rows by the group's label."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from poolwise.sources.frames import Table, check_column
from poolwise.sources.relation import Relation, as_relation
from poolwise.sources.source import Source, as_source
from poolwise.sources.summary_tables import CellTable
from poolwise.support.errors import DataError
from poolwise.support.labels import quoted
from poolwise.support.progress import Scan

_NAMED = 5  # labels that a message shows


def with_group_tables(source: Source, groups: Mapping[str, Any] | None) -> Source:
    """The rows with the columns of each group table beside them.

    Parameters
    ----------
    groups : for a grouping column, `county`, or several, `school:class`, a table with that column and one line for each
        group: a frame, a dict of columns or a file.

    Raises
    ------
    DataError : for a group that the table lacks or has twice, for labels that are text on one side and numbers on the
        other, and for columns that the rows have too.
    """
    if groups is None:
        return source
    if not isinstance(groups, Mapping):
        raise DataError("groups must be a dict from grouping columns to tables, such as {'county': counties}.")
    for name, data in groups.items():
        source = _joined(source, str(name), data)
    return source


def _joined(source: Source, name: str, data: Any) -> Source:
    table = as_source(data)
    if not isinstance(table, Table):
        raise DataError(f"The table of '{name}' must be small enough for memory: a frame, a dict of columns or a file.")
    keys = (name,) if name in table.names else tuple(name.split(":"))
    if isinstance(source, CellTable):
        return replace(source, table=_beside(source.table, keys, name, table))
    if isinstance(source, Relation):
        return _in_engine(source, keys, name, table)
    return _beside(source, keys, name, table)


def _beside(rows: Table, keys: tuple[str, ...], name: str, table: Table) -> Table:
    """Rows in memory with the columns of a group table."""
    columns, known = _checked(rows.names, keys, name, table)
    place = _places(_labels([rows.keys(key) for key in keys]), known, keys, name)
    backend = rows.frame.implementation
    beside = [_series(column, _taken(values, place), backend) for column, values in columns.items()]
    return Table.of(rows.frame.with_columns(*beside))


def _in_engine(rows: Relation, keys: tuple[str, ...], name: str, table: Table) -> Relation:
    """Rows in an engine, joined there with the columns of a group table.

    Labels are compared here, by the same rule as for rows in memory. The engine gets one line for each combination of
    keys that the rows hold, with the rows' own keys, so that its casts and comparisons can neither fail nor match a row
    twice.
    """
    import narwhals as nw
    import pandas as pd
    import pyarrow as pa

    columns, known = _checked(rows.names, keys, name, table)
    found = rows.fetch(rows.frame.select(*keys).unique(), Scan())
    held = {key: _with_zone(found[key], rows.schema[key]) for key in keys}
    wanted = _labels(list(held.values()))
    place = _places(wanted, known, keys, name)
    needed = (place >= 0) & ~np.asarray(pd.Index(wanted, tupleize_cols=False).duplicated())
    taken = {column: _taken(values, place[needed]) for column, values in columns.items()}
    lines = {key: _in_arrow(values[needed], rows.schema[key]) for key, values in held.items()}
    lines |= {column: pa.array(_plain_column(values)) for column, values in taken.items()}
    small = rows.engine.bring(rows.frame, pa.table(lines))
    kinds = {key: rows.schema[key] for key in keys}
    if not rows.frame.implementation.is_spark_like():  # Spark has no type for categories with an order
        ordered = {column: _order_to_keep(values) for column, values in taken.items()}
        kinds |= {column: nw.Enum(order) for column, order in ordered.items() if order is not None}
    typed = small.with_columns(*(nw.col(column).cast(kind) for column, kind in kinds.items()))
    joined = rows.frame.join(typed, on=list(keys), how="left")
    return as_relation(joined, rows.words, rows.stamp, rows.rows)


def _checked(
    names: tuple[str, ...], keys: tuple[str, ...], name: str, table: Table
) -> tuple[dict[str, Any], np.ndarray]:
    """The columns that a group table adds, and the label (G,) of each of its lines, all present and different."""
    import pandas as pd

    for key in keys:
        check_column(key, names)
        check_column(key, table.names)
    labels = _labels([table.keys(key) for key in keys])
    if np.asarray(pd.isna(labels)).any():
        raise DataError(f"The table of '{name}' has a line without a label in '{name}'.")
    twice = np.asarray(pd.Index(labels, tupleize_cols=False).duplicated())
    if twice.any():
        raise DataError(
            f"The table of '{name}' must have one line for each group, but has several for "
            f"{_named(pd.unique(labels[twice]))}."
        )
    added = [column for column in table.names if column not in keys]
    both = [column for column in added if column in names]
    if both:
        raise DataError(
            f"'{both[0]}' is a column of the rows and of the table of '{name}'; rename or drop one of them."
        )
    return table.columns(added), labels


def _labels(columns: Sequence[Any]) -> np.ndarray:
    """One label (n,) for each row: the value of one key, the tuple of those of several; None where one is missing.

    Tuples, since labels joined as text may look alike: `p:q` with `r`, and `p` with `q:r`.
    """
    values = [_values(column) for column in columns]
    if len(values) == 1:
        return values[0]
    joined = (None if any(value is None for value in parts) else parts for parts in zip(*values, strict=True))
    return np.fromiter(joined, dtype=object, count=len(values[0]))


def _values(column: Any) -> np.ndarray:
    """The values (n,) of a key, equal where they mean the same however they are stored; None for missing."""
    import pandas as pd

    codes, distinct = pd.factorize(column)
    plain = [*map(_value, distinct), None]  # the code of missing values is -1
    return np.fromiter(plain, dtype=object, count=len(plain))[codes]


def _value(value: Any) -> Any:
    """A value as Python has it: whole numbers as integers, days and times as pandas' Timestamps."""
    import pandas as pd

    if isinstance(value, (np.datetime64, dt.date)):
        return pd.Timestamp(value)
    if isinstance(value, np.timedelta64):
        return pd.Timedelta(value)
    if isinstance(value, np.generic):
        value = value.item()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _with_zone(values: np.ndarray, kind: Any) -> Any:
    """A key as an engine gives it; times that should have a zone but came without are those of UTC."""
    import narwhals as nw
    import pandas as pd

    if isinstance(kind, nw.Datetime) and kind.time_zone and values.dtype.kind == "M":
        return pd.DatetimeIndex(values).tz_localize("UTC")
    return np.asarray(values)


def _in_arrow(values: Any, kind: Any) -> Any:
    """The rows' own keys for an engine; Arrow does not see by itself that integers of Python need all 64 bits."""
    import narwhals as nw
    import pyarrow as pa

    return pa.array(values, pa.uint64() if kind == nw.UInt64 and values.dtype == object else None)


def _places(wanted: np.ndarray, known: np.ndarray, keys: tuple[str, ...], name: str) -> np.ndarray:
    """(n,) the line of the table for each label of the rows; -1 where the label is missing.

    Raises
    ------
    DataError : for a label that the table lacks.
    """
    import pandas as pd

    lines = {label: line for line, label in enumerate(known)}
    place = np.fromiter((lines.get(label, -1) for label in wanted), dtype=np.int64, count=len(wanted))
    lost = pd.unique(wanted[(place < 0) & ~np.asarray(pd.isna(wanted))])
    if len(lost):
        why = _other_kind(wanted, known, keys) or "every group of the rows needs one line there."
        raise DataError(f"The table of '{name}' has no line for {_named(lost)}; {why}")
    return place


def _other_kind(wanted: np.ndarray, known: np.ndarray, keys: tuple[str, ...]) -> str | None:
    """What to do where a key is text on one side and numbers on the other, which never are the same label."""
    for k, key in enumerate(keys):
        of_rows, of_table = (
            {_kind(label[k] if len(keys) > 1 else label) for label in labels if label is not None}
            for labels in (wanted, known)
        )
        if {*of_rows, *of_table} == {"text", "numbers"} and len(of_rows) == len(of_table) == 1:
            return f"'{key}' holds {of_rows.pop()} in the rows and {of_table.pop()} there: make both one type."
    return None


def _kind(value: Any) -> str:
    return "text" if isinstance(value, str) else "numbers" if isinstance(value, (int, float)) else "other"


def _taken(values: Any, place: np.ndarray) -> Any:
    """The values of a group table at some lines, missing where the line is -1."""
    import pandas as pd

    if isinstance(values, pd.Categorical):
        return values.take(place, allow_fill=True)
    holes: Any = {"f": np.nan, "M": np.datetime64("NaT"), "m": np.timedelta64("NaT")}
    taken = np.full(len(place), holes.get(values.dtype.kind), dtype=values.dtype)
    taken[place >= 0] = values[place[place >= 0]]
    return taken


def _series(name: str, values: Any, backend: Any) -> Any:
    """A column of a group table for rows in memory; categories keep their order where the frame can hold it."""
    import narwhals as nw

    order = _order_to_keep(values)
    if order is not None and backend.is_pandas():
        return nw.new_series(name, values, backend=backend)
    if order is not None and backend.is_polars():
        return nw.new_series(name, _plain_column(values), nw.Enum(order), backend=backend)
    return nw.new_series(name, _plain_column(values), backend=backend)


def _order_to_keep(values: Any) -> list[str] | None:
    """The categories of a column, as text, where text or truth values alone would not be the same categories.

    None for what is no category, and for categories without a stated order that are sorted anyway.
    """
    import pandas as pd

    if not isinstance(values, pd.Categorical) or not len(values.categories):
        return None
    categories = list(values.categories)
    same = all(isinstance(one, bool) for one in categories) or all(isinstance(one, str) for one in categories)
    return None if same and not values.ordered and categories == sorted(categories) else list(map(str, categories))


def _plain_column(values: Any) -> Any:
    """A column without a type for categories: numbers and times as they are, else a list with None for missing."""
    import pandas as pd

    order = _order_to_keep(values)
    if order is not None:
        return [None if code < 0 else order[code] for code in values.codes]
    if isinstance(values, pd.Categorical) or values.dtype == object:
        return [None if pd.isna(value) else value for value in values]
    return values


def _named(labels: Any) -> str:
    texts = [":".join(quoted(label)) if isinstance(label, tuple) else str(label) for label in list(labels)[:_NAMED]]
    shown = ", ".join(f"'{text}'" for text in texts)
    return f"{shown} and {len(labels) - _NAMED} more" if len(labels) > _NAMED else shown
