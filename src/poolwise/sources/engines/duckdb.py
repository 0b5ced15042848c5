"""DuckDB: the embedded engine, for files, eager frames and the user's own tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.sources.engines.engine import first_line, watched
from poolwise.support.errors import DataError, FileError, PoolwiseError
from poolwise.support.progress import Scan

_PLACE = re.compile(r"[Ll]ine:?\s*(\d+)")
_FILE = re.compile(r"""file\s*[:=]?\s*["']?([^"'\n=]+?\.(?:csv|tsv|txt|gz|parquet|pq))["'\s]""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DuckDB:
    """DuckDB, in this process; `own` is a connection that nobody else has."""

    name: str = "DuckDB"
    own: Any = None

    def fetch(self, query: Any, scan: Scan) -> dict[str, np.ndarray]:
        """The result of a query; progress and Ctrl-C need the connection behind it."""
        relation = query.to_native()
        connection = getattr(relation, "_con", None)
        try:
            if connection is None:  # then DuckDB itself hears Ctrl-C, on the main thread
                found = relation.fetchnumpy()
            else:
                found = watched(relation.fetchnumpy, lambda: _share(connection), connection.interrupt, scan)
        except Exception as error:
            raise explained(error) from error
        zoned = {
            str(name) for name, kind in zip(relation.columns, relation.types, strict=True) if "TIME ZONE" in str(kind)
        }
        return {
            str(name): _in_utc(plain(values)) if str(name) in zoned and values.dtype.kind == "M" else plain(values)
            for name, values in found.items()
        }

    def batches(self, query: Any, rows: int, scan: Scan) -> Iterator[Any]:
        """The rows of a query as Arrow tables; on a connection of our own in their order, of which a stream takes
        little memory."""
        import pyarrow as pa

        done = 0
        try:
            with _in_order(self.own):
                reader = query.to_native().to_arrow_reader(rows)
            for batch in reader:
                done += batch.num_rows
                yield pa.Table.from_batches([batch])
                scan.at(done / scan.rows if scan.rows else None)
        except PoolwiseError:
            raise
        except Exception as error:
            raise explained(error) from error

    def bring(self, frame: Any, table: Any) -> Any:
        """A table beside the rows: relations join only within one connection."""
        import duckdb
        import narwhals as nw

        connection = getattr(frame.to_native(), "_con", None)
        return nw.from_native(duckdb.from_arrow(table) if connection is None else connection.from_arrow(table))

    def explain(self, error: Exception) -> PoolwiseError | None:
        """DuckDB binds queries as they are built, so files that are gone show then."""
        import duckdb

        return explained(error) if isinstance(error, duckdb.Error) else None


def connect(*, in_order: bool) -> Any:
    """A connection of our own; rows in order cost memory."""
    import duckdb

    connection = duckdb.connect(config={"preserve_insertion_order": in_order})
    # Progress is counted only for connections that would show it.
    connection.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false").fetchall()
    connection.execute("SET TimeZone = 'UTC'")  # else it is the machine's
    return connection


def _share(connection: Any) -> float | None:
    """How far the running query is, None while DuckDB does not know."""
    percent = float(connection.query_progress())
    return percent / 100 if percent > 0 else None


def explained(error: Exception) -> PoolwiseError:
    """An error of DuckDB in one sentence, with file and line where it names them."""
    import duckdb

    text = str(error)
    if isinstance(error, duckdb.OutOfMemoryException) or "No space left" in text or "temp_directory" in text:
        return DataError(
            f"DuckDB ran out of room for this query: {first_line(error)} It needs memory for one row for each group; "
            "free some, or point DuckDB's temp_directory to a disk with space."
        )
    line, file = _PLACE.search(text), _FILE.search(text)
    where = (f" in '{file.group(1)}'" if file else "") + (f", line {line.group(1)}" if line else "")
    kind = FileError if where or "file" in text.lower() else DataError
    return kind(f"DuckDB could not read the data{where}: {_reason(text)}")


@contextmanager
def _in_order(connection: Any) -> Iterator[None]:
    """Queries that begin meanwhile keep the order of rows."""
    if connection is None:
        yield
        return
    settings = connection.cursor()  # another query on the connection itself would end its streams
    before = settings.execute("SELECT current_setting('preserve_insertion_order')").fetchone()[0]
    settings.execute("SET preserve_insertion_order = true")
    try:
        yield
    finally:
        settings.execute(f"SET preserve_insertion_order = {str(before).lower()}")


def _reason(text: str) -> str:
    """The sentence of a message that says what was wrong: DuckDB puts it on the first lines, then options."""
    text = text.split("\nLINE ")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reason = lines[0] if lines else "no reason was given"
    if _PLACE.search(reason) and len(lines) > 1:  # the first line of a CSV error says only where
        reason = next((line for line in lines[1:] if not line.startswith("Original Line")), reason)
    return reason if reason.endswith((".", "!", "?")) else f"{reason}."


def _in_utc(values: np.ndarray) -> np.ndarray:
    """Times with a zone, as pandas' Timestamps: NumPy has instants without it, and DuckDB's own zone is that of the
    machine."""
    import pandas as pd

    missing = np.asarray(pd.isna(values))
    found = pd.DatetimeIndex(values.astype("M8[us]")).tz_localize("UTC").astype(object).to_numpy().copy()
    found[missing] = None
    return found


def plain(values: Any) -> np.ndarray:
    """A masked array of DuckDB as a plain one, with NaN or None where it is masked."""
    if not isinstance(values, np.ma.MaskedArray):
        return np.asarray(values)
    if not values.mask.any():
        return values.data
    if values.dtype.kind == "f":
        return np.where(values.mask, np.nan, values.data)
    holes: Any = None
    return np.where(values.mask, holes, values.data.astype(object))
