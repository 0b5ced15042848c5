"""Work over slices on a thread pool. The kernels release the GIL, so threads are enough.

Slices have a fixed size that does not depend on the number of threads: whatever is computed or drawn
per slice is the same on one core and on sixty-four.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import numpy as np

from poolwise.errors import DataError

T = TypeVar("T")


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


def map_slices(work: Callable[[int, slice], T], length: int, size: int, threads: int | None = None) -> list[T]:
    """Call `work(i, slice_i)` for consecutive slices of `range(length)`, in order of `i` in the result.

    An exception (Ctrl-C included) cancels the slices that have not begun.
    """
    slices = [slice(start, min(start + size, length)) for start in range(0, length, size)]
    workers = threads or default_threads()
    if min(workers, len(slices)) <= 1:
        return [work(i, part) for i, part in enumerate(slices)]
    futures = [_pool(workers).submit(work, i, part) for i, part in enumerate(slices)]
    try:
        return [future.result() for future in futures]
    except BaseException:
        for future in futures:
            future.cancel()
        raise


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Pools are kept: starting threads costs as much as a small fit. `work` must not call `map_slices` itself."""
    return ThreadPoolExecutor(workers, thread_name_prefix="poolwise")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
