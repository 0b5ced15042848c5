"""Work over slices on a thread pool. The kernels release the GIL, so threads are enough.

Slices have a fixed size that does not depend on the number of threads: whatever is computed or drawn
per slice is the same on one core and on sixty-four.

Ctrl-C is heard by the main thread only, which waits here. It tells the threads to stop; they look at that between
slices and wherever `look` is called, so that no work goes on that nobody waits for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import count
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

import numpy as np

from poolwise.support.deadline import Deadline
from poolwise.support.errors import DataError
from poolwise.support.interrupts import uninterrupted

T = TypeVar("T")

_PATIENCE = 0.5  # seconds that an interrupt waits for slices that have begun
_POLL = 0.1  # seconds between two calls of `meanwhile`


class Stopped(BaseException):
    """Work ends because nobody waits for it any more. It does not leave its thread."""


class _Here(threading.local):
    """What this thread works for: the flag that stops it, None if it is not a thread of a pool; and its time limit."""

    stop: np.ndarray | None = None
    deadline: Deadline | None = None


_HERE = _Here()


def default_threads() -> int:
    """The number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads: int | None) -> int:
    """The number of threads to use."""
    if threads is None:
        return default_threads()
    if not isinstance(threads, (int, np.integer)) or threads < 1:
        raise DataError(f"threads must be a whole number of at least 1, not {threads!r}.")
    return int(threads)


@contextmanager
def limited(deadline: Deadline) -> Iterator[None]:
    """Work of this thread, and of the slices that it waits for, ends at a deadline with a `SamplingError`."""
    before, _HERE.deadline = _HERE.deadline, deadline
    try:
        yield
    finally:
        _HERE.deadline = before


def look() -> None:
    """End the work of this thread if it was told to stop or its time is over. Long work calls it ten times a second."""
    if _HERE.stop is not None and _HERE.stop[0]:
        raise Stopped
    if _HERE.deadline is not None:
        _HERE.deadline.check()


def stop_flag() -> np.ndarray:
    """A number (1,) for kernels to look at: not zero when the work of this thread is to end."""
    return np.zeros(1, dtype=np.int64) if _HERE.stop is None else _HERE.stop


def steps(part: slice, size: int) -> Iterator[slice]:
    """Consecutive parts of a slice, so that a thread can look up between them."""
    for start in range(part.start, part.stop, size):
        look()
        yield slice(start, min(start + size, part.stop))


def map_slices(
    work: Callable[[int, slice], T],
    length: int,
    size: int,
    threads: int | None = None,
    *,
    meanwhile: Callable[[], None] | None = None,
) -> list[T]:
    """Call `work(i, slice_i)` for consecutive slices of `range(length)`, in order of `i` in the result.

    After an exception no slice begins; the one of the first slice to fail is raised. Ctrl-C also stops those that have
    begun. Within a slice, slices are worked on one after the other: a thread of the pool never waits for the pool.

    Parameters
    ----------
    meanwhile : called about ten times a second by the thread that waits, and at the end; not within a slice.
    """
    slices = [slice(start, min(start + size, length)) for start in range(0, length, size)]
    allowed = threads or default_threads()
    workers = min(allowed, len(slices))
    if _HERE.stop is not None or (workers <= 1 and meanwhile is None):
        found = []
        for i, part in enumerate(slices):
            look()
            found.append(work(i, part))
        return found
    return _Run(work, slices).by(workers, allowed, meanwhile)


class _Run(Generic[T]):
    """Slices that some threads take in turn."""

    def __init__(self, work: Callable[[int, slice], T], slices: list[slice]) -> None:
        self._work, self._slices, self._next = work, slices, count()
        self._stop = np.zeros(1, dtype=np.int64)
        self._found: dict[int, T] = {}
        self._failed: dict[int, BaseException] = {}
        self._ended: SimpleQueue[None] = SimpleQueue()  # in C: an interrupt leaves no lock behind

    def by(self, workers: int, threads: int, meanwhile: Callable[[], None] | None) -> list[T]:
        """All results, by some workers from a pool of so many threads."""
        running, limit = 0, _HERE.deadline
        patience = None if meanwhile is None and limit is None else _POLL
        try:
            with uninterrupted():
                for _ in range(workers):
                    _pool(threads).submit(self._take)
                    running += 1
            while running:
                if meanwhile is not None:
                    meanwhile()
                if limit is not None:
                    limit.check()
                try:
                    self._ended.get(timeout=patience)
                    running -= 1
                except Empty:
                    pass
        except BaseException:
            self._stop[0] = 1
            self._leave(running)
            raise
        if self._failed:
            raise self._failed[min(self._failed)]
        if meanwhile is not None:
            meanwhile()
        return [self._found[i] for i in range(len(self._slices))]

    def _take(self) -> None:
        _HERE.stop = self._stop
        try:
            while not self._failed and (i := next(self._next)) < len(self._slices):
                try:
                    look()
                    self._found[i] = self._work(i, self._slices[i])
                except Stopped:
                    return
                except BaseException as error:
                    self._failed[i] = error
                    self._stop[0] |= not isinstance(error, Exception)
        finally:
            _HERE.stop = None
            self._ended.put(None)

    def _leave(self, running: int) -> None:
        """Wait a little for the workers; others get new threads where that is not enough."""
        until = time.monotonic() + _PATIENCE
        try:
            for _ in range(running):
                self._ended.get(timeout=max(0.0, until - time.monotonic()))
        except Empty:
            _pool.cache_clear()  # threads end with their pool, after the slice that they are at


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Pools are kept: starting threads costs as much as a small fit."""
    return ThreadPoolExecutor(workers, thread_name_prefix="poolwise")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
