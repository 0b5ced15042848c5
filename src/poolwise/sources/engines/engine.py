"""What poolwise asks of an engine, and the answer that narwhals gives for any."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from poolwise.support.errors import DataError, PoolwiseError
from poolwise.support.interrupts import uninterrupted
from poolwise.support.progress import Scan
from poolwise.support.threads import look as stop_if_told

_CAUSE = re.compile(r"(Caused by: )?[\w.]*(Error|Exception): ")
_POLL = 0.1  # seconds between two looks at a running query


class Engine(Protocol):
    """Runs queries that narwhals has built."""

    @property
    def name(self) -> str:
        """As users know it."""

    def fetch(self, query: Any, scan: Scan) -> dict[str, np.ndarray]:
        """The result of a query: numbers as they are, text as objects, missing values as NaN or None.

        Ctrl-C stops the query.
        """

    def batches(self, query: Any, rows: int, scan: Scan) -> Iterator[Any]:
        """The rows of a query in order, as eager frames of about `rows` rows."""

    def bring(self, frame: Any, table: Any) -> Any:
        """A small Arrow table as a lazy narwhals frame that can be joined with `frame`."""

    def explain(self, error: Exception) -> PoolwiseError | None:
        """An error of the engine itself in one sentence of ours, None for any other."""


@dataclass(frozen=True, slots=True)
class Generic:
    """Any backend that narwhals knows: it collects."""

    name: str

    def fetch(self, query: Any, scan: Scan) -> dict[str, np.ndarray]:
        """The result of a query."""
        return arrays_of(answered(self.name, lambda: query.collect("pyarrow")))

    def batches(self, query: Any, rows: int, scan: Scan) -> Iterator[Any]:
        """The rows of a query, collected at once and cut."""
        frame = answered(self.name, lambda: query.collect("pyarrow"))
        for start in range(0, len(frame), rows):
            yield frame[start : start + rows].to_native()

    def bring(self, frame: Any, table: Any) -> Any:
        """Only the engines we know take tables."""
        raise DataError(f"Tables of groups cannot be joined in {self.name}; join them there, before the fit.")

    def explain(self, error: Exception) -> PoolwiseError | None:
        """Nothing: its errors are not known."""
        return None


def arrays_of(frame: Any) -> dict[str, np.ndarray]:
    """The columns of an eager narwhals frame."""
    from poolwise.sources.frames import to_labels

    return {str(name): to_labels(frame[name]) for name in frame.columns}


def answered(engine: str, ask: Callable[[], Any]) -> Any:
    """The answer of an engine; what goes wrong in it becomes one sentence of ours."""
    try:
        return ask()
    except PoolwiseError:
        raise
    except Exception as error:  # every engine has its own tree of errors
        raise DataError(f"{engine} could not read the data: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """What an error says, without its stack; where it wraps another's stack, the cause at the bottom of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if _CAUSE.match(line)]
    if causes and "Exception" in str(error):
        return causes[-1].removeprefix("Caused by: ")
    return lines[0] if lines else type(error).__name__


def watched(run: Callable[[], Any], look: Callable[[], float | None], stop: Callable[[], None], scan: Scan) -> Any:
    """Run a query on a thread of its own, so that progress is seen and Ctrl-C is heard while it lasts.

    Parameters
    ----------
    look : the share done, None where it is not known.
    stop : makes `run` fail soon.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="poolwise-query") as pool:
        try:
            with uninterrupted():
                future: Future[Any] = pool.submit(run)
            while True:
                try:
                    return future.result(timeout=_POLL)
                except TimeoutError:
                    if future.done():  # just then, or with an error of that name of its own
                        return future.result()
                    scan.at(look())
                    stop_if_told()
        except BaseException:
            if not future.done():
                stop()
            raise
