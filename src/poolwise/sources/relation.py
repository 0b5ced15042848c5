"""Rows that stay where they are: a lazy frame, and the engine that answers questions about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poolwise.sources.engines import Engine, engine_of
from poolwise.sources.engines.duckdb import DuckDB, connect
from poolwise.sources.frames import Table, as_table, check_column
from poolwise.support.errors import FileError
from poolwise.support.progress import Scan

Stamp = tuple[tuple[Path, int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """A source too large, or too far away, to be copied here.

    Attributes
    ----------
    names : of all its columns.
    schema : narwhals type of each column.
    frame : lazy narwhals frame.
    engine : what runs queries on it.
    words : what the rows are stored in, for users.
    stamp : path, size and time of change of each file behind it; empty for tables.
    rows : their number, where it is known without reading them.
    connection : of our own, which some versions of DuckDB close when nobody holds it.
    """

    names: tuple[str, ...]
    schema: dict[str, Any]
    frame: Any
    engine: Engine
    words: str
    stamp: Stamp = ()
    rows: int | None = None
    connection: Any = None

    def fetch(self, query: Any, scan: Scan) -> dict[str, np.ndarray]:
        """The result of a query on `frame`.

        Raises
        ------
        FileError : when a file has changed since the relation was made: its parts would not belong together.
        """
        found = self.engine.fetch(query, scan)
        check_unchanged(self.stamp)
        return found

    def table(self, query: Any, scan: Scan) -> Table:
        """The same as a table: columns of this relation whose type declares categories keep these, and their order."""
        return self.as_table(self.fetch(query, scan))

    def as_table(self, found: Mapping[str, Any]) -> Table:
        """Fetched columns as a table, as `table` does."""
        import pandas as pd

        columns = dict(found)
        for name in columns:
            declared = self.declared_levels(name) if name in self.schema else None
            if declared is not None:
                columns[name] = pd.Categorical(columns[name], pd.Index(declared, dtype=object), ordered=True)
        return as_table(columns)

    def batches(self, query: Any, rows: int, scan: Scan) -> Iterator[Any]:
        """The rows of a query on `frame`, in eager frames of about `rows` rows, in their order where the engine has
        one: a row keeps its place from one pass to the next."""
        yield from self.engine.batches(query, rows, scan)
        check_unchanged(self.stamp)

    def count(self, rows: Any = None) -> int:
        """Number of rows, or of those of a query."""
        import narwhals as nw

        rows = self.frame if rows is None else rows
        return int(self.fetch(rows.select(nw.len().alias("n")), Scan())["n"][0])

    def declared_levels(self, name: str) -> list[str] | None:
        """The order that the type of a column gives to its values, None where it gives none."""
        import narwhals as nw

        kind = self.schema[name]
        return list(kind.categories) if isinstance(kind, nw.Enum) else None


def as_relation(
    frame: Any, words: str = "", stamp: Stamp = (), rows: int | None = None, connection: Any = None
) -> Relation:
    """The relation of a lazy narwhals frame."""
    engine, frame = engine_of(frame)
    engine = engine if connection is None else DuckDB(own=connection)
    try:
        schema = {str(name): kind for name, kind in frame.collect_schema().items()}
    except Exception as error:
        if (said := engine.explain(error)) is None:
            raise
        raise said from error
    return Relation(tuple(schema), schema, frame, engine, words or f"{engine.name} table", stamp, rows, connection)


def relation_of(table: Table, columns: Iterable[str] | None = None) -> Relation:
    """The rows of a frame in memory as an engine sees them: Polars for its own, DuckDB for others.

    Numbers are not copied. pandas' objects and categories are made what they are for rows in memory first: DuckDB would
    guess their types from a sample.
    """
    import narwhals as nw

    words = f"{type(table.frame.to_native()).__module__.split('.')[0]} frame"
    if table.frame.implementation.is_polars():
        return as_relation(table.frame.lazy(), words, (), table.rows)
    native, connection = table.frame.to_native(), connect(in_order=False)
    if table.frame.implementation.is_pyarrow():
        rows = connection.from_arrow(native)
    else:
        rows = connection.from_df(_settled(table, table.names if columns is None else columns))
    return as_relation(nw.from_native(rows), words, (), table.rows, connection)


def _settled(table: Table, columns: Iterable[str]) -> Any:
    """A pandas frame of some columns whose types leave nothing to guess."""
    import pandas as pd

    frame = pd.DataFrame(index=table.frame.to_native().index)
    for name in columns:
        check_column(name, table.names)
        native = table.frame.to_native()[name]
        guessed = native.dtype == object or isinstance(native.dtype, pd.CategoricalDtype)
        frame[name] = _settled_column(table.columns([name])[name]) if guessed else native
    return frame


def _settled_column(values: Any) -> Any:
    """A column as DuckDB keeps it: categories that are true and false as truth values."""
    import pandas as pd

    truths = isinstance(values, pd.Categorical) and all(isinstance(one, bool) for one in values.categories)
    return pd.array(list(values), dtype="boolean") if truths else values


def stamp_of(paths: list[Path]) -> Stamp:
    """What tells whether files have changed."""
    return tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in dict.fromkeys(paths))


def check_unchanged(stamp: Stamp) -> None:
    """Refuse files that are not what they were."""
    for path, size, changed in stamp:
        try:
            now = path.stat()
        except FileNotFoundError as error:
            raise FileError(f"'{path}' was deleted while it was read; nothing was fitted.") from error
        if (now.st_size, now.st_mtime_ns) != (size, changed):
            raise FileError(f"'{path}' changed while it was read; nothing was fitted. Read a copy that holds still.")
