"""Polars' streaming engine, for lazy frames."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.errors import DataError, PoolwiseError
from poolwise.progress import Scan
from poolwise.sources.engines.engine import answered, arrays_of, first_line


@dataclass(frozen=True, slots=True)
class Polars:
    """Polars, in this process."""

    name: str = "Polars"

    def fetch(self, query: Any, scan: Scan) -> dict[str, np.ndarray]:
        """The result of a query. Polars itself hears Ctrl-C; in the background it would not stream."""
        import narwhals as nw

        scan.at(None)
        try:
            found = answered(self.name, lambda: query.to_native().collect(engine="streaming"))
        except KeyboardInterrupt:
            with suppress(KeyboardInterrupt):  # Python's own note of the same Ctrl-C comes after Polars'
                time.sleep(0.01)
            raise
        return arrays_of(nw.from_native(found))

    def batches(self, query: Any, rows: int, scan: Scan) -> Iterator[Any]:
        """The rows of a query as eager frames."""
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
