"""Processes that answer for all sessions while sliders move: one interpreter does one thing at a time."""

from __future__ import annotations

import pickle
import signal
import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

from poolwise.inference.problem import PlainPoolings, Problem
from poolwise.output.live.answer import quick_answer
from poolwise.support.deadline import Deadline
from poolwise.support.errors import SamplingError
from poolwise.support.threads import limited

_PATIENCE = 30.0  # seconds that are waited for a process, besides those of the answer
_MOST = 64  # problems that a process knows
_known: OrderedDict[str, PlainPoolings] = OrderedDict()  # of this process, the last asked last


class Workers:
    """Some processes, each of one thread. A problem is sent to a process that does not know it yet.

    Parameters
    ----------
    count : number of processes.
    """

    def __init__(self, count: int) -> None:
        self._count, self._lock = count, threading.Lock()
        self._pool = self._started()

    def answer(self, word: str, problem: Problem, widths: Mapping[str, float], seconds: float) -> dict[str, Any]:
        """What `quick_answer` gives, by a process.

        Parameters
        ----------
        word : of the problem; no other problem has it.
        seconds : that the answer may take.

        Raises
        ------
        PoolwiseError : as the fit does.
        """
        pool = self._pool
        try:
            found = pool.submit(_answered, word, None, dict(widths), seconds).result(seconds + _PATIENCE)
            if found is None:
                sent = pickle.dumps(replace(problem, rows=None, frame=None, source=None))
                found = pool.submit(_answered, word, sent, dict(widths), seconds).result(seconds + _PATIENCE)
        except TimeoutError as error:
            raise SamplingError("All processes that answer are busy: try again in a while.") from error
        except BrokenProcessPool:  # a process was killed, of want of memory for instance
            with self._lock:
                if self._pool is pool:
                    self._pool = self._started()
            return quick_answer(PlainPoolings(problem), widths, threads=1)
        assert found is not None
        return found

    def stop(self) -> None:
        """End the processes."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._count, get_context("spawn"), _begin)


def _begin() -> None:
    """Ctrl-C is heard by the server, which ends its processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _answered(word: str, sent: bytes | None, widths: dict[str, float], seconds: float) -> dict[str, Any] | None:
    """The answer to a question; None where the problem is not known and was not sent."""
    if sent is not None:
        _known[word] = PlainPoolings(pickle.loads(sent))
    if word not in _known:
        return None
    _known.move_to_end(word)
    while len(_known) > _MOST:
        _known.popitem(last=False)
    with limited(Deadline(seconds)):
        return quick_answer(_known[word], widths, threads=1)
