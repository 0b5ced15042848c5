"""Spark: rows stay in the cluster; only sums per group come back."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.sources.engines.engine import answered, arrays_of, first_line, watched
from poolwise.support.errors import DataError, PoolwiseError
from poolwise.support.progress import Scan


@dataclass(frozen=True, slots=True)
class Spark:
    """A Spark session, local or of a cluster."""

    name: str = "Spark"

    def fetch(self, query: Any, scan: Scan) -> dict[str, np.ndarray]:
        """The result of a query, through Arrow; Ctrl-C cancels its jobs."""
        import narwhals as nw

        frame = query.to_native()
        context = live_context(frame)
        group = f"poolwise-{uuid.uuid4()}"

        def run() -> Any:
            if context is not None:
                context.setJobGroup(group, "poolwise: cross-products per group", interruptOnCancel=True)
            return frame.toArrow()

        def stop() -> None:
            if context is not None:
                context.cancelJobGroup(group)

        table = answered(self.name, lambda: watched(run, lambda: _share(context, group), stop, scan))
        return arrays_of(nw.from_native(table))

    def batches(self, query: Any, rows: int, scan: Scan) -> Iterator[Any]:
        """The rows of a query as Arrow tables: the executors pack them, so that no row becomes a Python object."""
        import pyarrow as pa

        frame = query.to_native()
        live_context(frame)
        packed = answered(self.name, lambda: frame.mapInArrow(_packer(), "packed binary").toLocalIterator())
        waiting: list[Any] = []
        done = 0
        while (row := answered(self.name, lambda: next(packed, None))) is not None:
            waiting.append(pa.ipc.open_stream(io.BytesIO(row.packed)).read_all())
            if sum(len(table) for table in waiting) >= rows:
                done += sum(len(table) for table in waiting)
                yield pa.concat_tables(waiting)
                waiting = []
                scan.at(done / scan.rows if scan.rows else None)
        if waiting:
            yield pa.concat_tables(waiting)

    def bring(self, frame: Any, table: Any) -> Any:
        """A table as a frame of the same session."""
        import narwhals as nw

        return nw.from_native(frame.to_native().sparkSession.createDataFrame(table))

    def explain(self, error: Exception) -> PoolwiseError | None:
        """Spark analyses queries as they are built."""
        from pyspark.errors import PySparkException

        if isinstance(error, PySparkException):
            return DataError(f"Spark could not read the data: {first_line(error)}")
        return None


def _packer() -> Callable[[Any], Any]:
    """Each Arrow batch as the bytes of an Arrow stream, one row each."""

    def pack(batches: Any) -> Any:  # a closure travels to executors as code: they need no poolwise
        import pyarrow as pa

        for batch in batches:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as writer:
                writer.write_batch(batch)
            yield pa.RecordBatch.from_arrays([pa.array([sink.getvalue().to_pybytes()], pa.binary())], ["packed"])

    return pack


def live_context(frame: Any) -> Any:
    """The Spark context behind a frame, None under Spark Connect, which has none.

    Raises
    ------
    DataError : when its session has been stopped.
    """
    session = frame.sparkSession
    if not hasattr(session, "_jsparkSession"):
        return None
    context = session.sparkContext
    try:
        gone = context._jsc is None or context._jsc.sc().isStopped()
    except Exception:  # the gateway to the stopped machine has its own errors
        gone = True
    if gone:
        raise DataError("The Spark session of these data is gone: it was stopped. Make the frame again in a live one.")
    return context


def _share(context: Any, group: str) -> float | None:
    """Share of the tasks of the running stages that are done."""
    if context is None:
        return None
    tracker = context.statusTracker()
    done = total = 0
    for job in tracker.getJobIdsForGroup(group):
        information = tracker.getJobInfo(job)
        for stage in information.stageIds if information else ():
            status = tracker.getStageInfo(stage)
            if status:
                done, total = done + status.numCompletedTasks, total + status.numTasks
    return done / total if total else None
