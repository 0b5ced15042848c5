"""Polars' streaming engine, for lazy frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from poolwise.sources.engines.engine import answered, arrays_of, first_line, watched
from poolwise.support.errors import DataError, PoolwiseError
from poolwise.support.progress import Scan


class _Stopped(Exception):
    """Ends a query that nobody waits for any more."""


class _Gate:
    """Every batch of rows passes here on its way into a query: it counts them, and ends the query when told to.

    Polars' own handling of Ctrl-C misses some: the query then runs to its end (seen with Polars 2.1).
    """

    def __init__(self) -> None:
        self.rows = 0
        self.closed = False

    def __call__(self, batch: Any) -> Any:
        if self.closed:
            raise _Stopped
        self.rows += len(batch)
        return batch

    def open(self) -> None:
        self.rows, self.closed = 0, False

    def close(self) -> None:
        self.closed = True


@dataclass(frozen=True, slots=True)
class Polars:
    """Polars, in this process."""

    name: str = "Polars"
    gate: _Gate = field(default_factory=_Gate, repr=False, compare=False)

    def through_gate(self, frame: Any) -> Any:
        """A lazy narwhals frame whose rows are counted, and whose queries can be stopped."""
        import narwhals as nw

        native = frame.to_native()
        if odd := [name for name in answered(self.name, frame.collect_schema) if "\0" in name]:
            raise DataError(
                f"The column {odd[0]!r} has a zero character in its name, which no engine takes; rename it."
            )
        return nw.from_native(native.map_batches(self.gate, streamable=True, validate_output_schema=False))

    def fetch(self, query: Any, scan: Scan) -> dict[str, np.ndarray]:
        """The result of a query; rows that passed the gate are its progress."""
        import narwhals as nw

        self.gate.open()
        native = query.to_native()
        found = watched(
            lambda: answered(self.name, lambda: native.collect(engine="streaming")),
            lambda: self.gate.rows / scan.rows if scan.rows else None,
            self.gate.close,
            scan,
        )
        return arrays_of(nw.from_native(found))

    def batches(self, query: Any, rows: int, scan: Scan) -> Iterator[Any]:
        """The rows of a query as eager frames."""
        self.gate.open()
        batches = iter(answered(self.name, lambda: query.to_native().collect_batches(chunk_size=rows)))
        done = 0
        while (batch := answered(self.name, lambda: next(batches, None))) is not None:
            done += len(batch)
            yield batch
            scan.at(done / scan.rows if scan.rows else None)

    def bring(self, frame: Any, table: Any) -> Any:
        """A table as a lazy frame."""
        import narwhals as nw
        import polars as pl

        return nw.from_native(pl.DataFrame(pl.from_arrow(table)).lazy())

    def explain(self, error: Exception) -> PoolwiseError | None:
        """Polars resolves types as queries are built."""
        import polars as pl

        if isinstance(error, pl.exceptions.PolarsError):
            return DataError(f"Polars could not read the data: {first_line(error)}")
        return None
