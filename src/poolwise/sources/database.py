"""A table in a DuckDB database file."""

from __future__ import annotations

from pathlib import Path

from poolwise.sources.engines.duckdb import explained
from poolwise.sources.relation import Relation, as_relation, stamp_of
from poolwise.support.errors import FileError, suggest


def open_table(path: str | Path, table: str) -> Relation:
    """The rows of a table or view, left where they are; the database is opened for reading only.

    Raises
    ------
    FileError : when the file is missing or no database, or holds no such table; its tables are listed.
    """
    import duckdb
    import narwhals as nw

    path = Path(path)
    if not path.is_file():
        raise FileError(f"There is no file '{path}'.")
    if path.suffix.lower() in (".csv", ".tsv", ".txt", ".gz", ".parquet", ".pq"):
        raise FileError(f"'{path}' is no DuckDB database, and holds one table: leave its name out.")
    try:
        connection = duckdb.connect(str(path), read_only=True)
        names = [row[0] for row in connection.execute("SELECT table_name FROM information_schema.tables").fetchall()]
    except duckdb.Error as error:
        raise FileError(f"'{path}' cannot be opened as a DuckDB database: {explained(error)}") from error
    if table not in names:
        raise FileError(f"There is no table '{table}' in '{path}'. {suggest(table, names)}")
    rows = connection.table(f'"{table}"')
    return as_relation(nw.from_native(rows), f"table {table} of {path.name}", stamp_of([path]))
