"""Group-level predictors in tables of their own: one line for each group, joined to the rows by the group's label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from poolwise.sources.frames import Table, as_table, check_column
from poolwise.sources.relation import Relation, as_relation
from poolwise.sources.source import Source, as_source
from poolwise.sources.summary_tables import CellTable
from poolwise.support.errors import DataError
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
    DataError : for a group that the table lacks or has twice, and for columns that the rows have too.
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
    import narwhals as nw
    import pandas as pd

    columns = _checked(rows.names, keys, name, table)
    wanted, known = _labels(rows, keys), _labels(table, keys)
    place = pd.Index(known).get_indexer(pd.Index(wanted))
    present = ~np.asarray(pd.isna(wanted))
    _check_all_known(name, wanted[(place < 0) & present])
    backend = rows.frame.implementation
    beside = []
    for column, values in columns.items():
        taken = np.asarray(values, dtype=object)[place] if values.dtype.kind != "f" else np.asarray(values)[place]
        taken[~present] = np.nan if taken.dtype.kind == "f" else None
        beside.append(nw.new_series(column, taken.tolist() if taken.dtype == object else taken, backend=backend))
    return Table.of(rows.frame.with_columns(*beside))


def _in_engine(rows: Relation, keys: tuple[str, ...], name: str, table: Table) -> Relation:
    """Rows in an engine, joined there with the columns of a group table."""
    import narwhals as nw
    import pandas as pd
    import pyarrow as pa

    columns = _checked(rows.names, keys, name, table)
    found = rows.fetch(rows.frame.select(*keys).unique(), Scan())
    wanted = _labels(as_table(dict(found)), keys)
    strange = ~np.isin(wanted.astype(str), _labels(table, keys).astype(str)) & ~np.asarray(pd.isna(wanted))
    _check_all_known(name, wanted[strange])
    labels = {key: np.asarray(table.keys(key)) for key in keys}
    small = rows.engine.bring(rows.frame, pa.table({**labels, **{key: pa.array(v) for key, v in columns.items()}}))
    typed = small.with_columns(*(nw.col(key).cast(rows.schema[key]) for key in keys))
    joined = rows.frame.join(typed, on=list(keys), how="left")
    return as_relation(joined, rows.words, rows.stamp, rows.rows)


def _checked(names: tuple[str, ...], keys: tuple[str, ...], name: str, table: Table) -> dict[str, Any]:
    """The columns that a group table adds, after a look at its labels."""
    import pandas as pd

    for key in keys:
        check_column(key, names)
        check_column(key, table.names)
    labels = _labels(table, keys)
    if np.asarray(pd.isna(labels)).any():
        raise DataError(f"The table of '{name}' has a line without a label in '{name}'.")
    twice = pd.Index(labels).duplicated()
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
    return table.columns(added)


def _labels(table: Table, keys: tuple[str, ...]) -> np.ndarray:
    """One label (n,) for each row: numbers alike however they are stored, several columns joined; None for missing."""
    import pandas as pd

    columns = [pd.Series(np.asarray(table.keys(key), dtype=object)) for key in keys]
    plain = [
        column.map(lambda value: int(value) if isinstance(value, float) and value.is_integer() else value)
        for column in columns
    ]
    if len(plain) == 1:
        return plain[0].to_numpy(dtype=object)
    missing = np.any([column.isna() for column in plain], axis=0)
    joined = plain[0].astype(str)
    for column in plain[1:]:
        joined = joined + ":" + column.astype(str)
    labels = joined.to_numpy(dtype=object)
    labels[missing] = None
    return labels


def _check_all_known(name: str, strange: np.ndarray) -> None:
    import pandas as pd

    lost = [label for label in pd.unique(strange) if label is not None]
    if lost:
        raise DataError(
            f"The table of '{name}' has no line for {_named(lost)}; every group of the rows needs one line there."
        )


def _named(labels: Any) -> str:
    shown = ", ".join(f"'{label}'" for label in list(labels)[:_NAMED])
    return f"{shown} and {len(labels) - _NAMED} more" if len(labels) > _NAMED else shown
