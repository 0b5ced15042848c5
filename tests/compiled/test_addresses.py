"""No digit depends on where arrays lie in memory: kernels are called again with the same arrays in other places."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.compiled.kernels import Kernel

ROWS = 150


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    g, h, x = rng.integers(0, 12, ROWS), rng.integers(0, 7, ROWS), rng.normal(size=ROWS)
    mean = 1 + x / 2 + rng.normal(size=12)[g] + rng.normal(size=7)[h] / 2
    z, counts = rng.normal(size=ROWS), rng.poisson(np.exp(mean / 2))
    return pd.DataFrame({"y": mean + rng.normal(size=ROWS), "x": x, "z": z, "g": g, "h": h, "k": counts})


def arrays_in(given: Any) -> Iterator[np.ndarray]:
    if isinstance(given, np.ndarray):
        yield given
    elif isinstance(given, tuple):
        for each in given:
            yield from arrays_in(each)


def moved(given: Any, places: dict[int, np.ndarray]) -> Any:
    if isinstance(given, np.ndarray):
        return places[id(given)]
    if isinstance(given, tuple):
        changed = [moved(each, places) for each in given]
        return type(given)(*changed) if hasattr(given, "_fields") else tuple(changed)
    return copy.deepcopy(given) if isinstance(given, np.random.Generator) else given


def placed(arrays: list[np.ndarray], order: np.ndarray, gap: int) -> dict[int, np.ndarray]:
    """Copies in one piece of memory, so many bytes apart."""
    room, found, at = np.zeros(sum(a.nbytes + gap + 8 for a in arrays) + 8, dtype=np.uint8), {}, 0
    for each in (arrays[i] for i in order):
        copied = room[at : at + each.nbytes].view(each.dtype).reshape(each.shape)
        copied[...] = each
        found[id(each)] = copied
        at += -(-(each.nbytes + gap) // 8) * 8
    return found


def bits(given: Any) -> list[bytes]:
    return [each.tobytes() for each in arrays_in(given)]


class Movers:
    """Calls a kernel three times: with arrays far apart, as neighbours, and as it is asked to."""

    def __init__(self) -> None:
        self.rng, self.called, self.different = np.random.default_rng(0), set(), set()
        self.call: Callable[..., Any] = Kernel.__call__

    def __call__(self, kernel: Kernel, *given: Any) -> Any:
        arrays = list({id(each): each for each in arrays_in(given)}.values())
        if all(each.flags.c_contiguous for each in arrays) and sum(each.nbytes for each in arrays) < 10_000_000:
            name = kernel.function.__qualname__
            order, found = self.rng.permutation(len(arrays)), []
            for gap in (4096, 0):
                elsewhere = moved(given, placed(arrays, order, gap))
                answer = self.call(kernel, *elsewhere)
                found.append([repr(answer).encode(), *bits(elsewhere)])
            self.called.add(name)
            if found[0] != found[1]:
                self.different.add(name)
        return self.call(kernel, *given)


MODELS: dict[str, dict[str, Any]] = {
    "slopes": {"formula": "y ~ x + z + (x | g)"},
    "crossed": {"formula": "y ~ x + (x | g) + (1 | h)"},
    "nuts": {"formula": "y ~ x + (x | g)", "sampler": "nuts", "draws": 30},
    "counts": {"formula": "k ~ x + (x | g) + (1 | h)", "family": "poisson", "draws": 30},
}


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_neighbours_in_memory_change_no_digit(monkeypatch, table, name):
    movers = Movers()
    monkeypatch.setattr(Kernel, "__call__", lambda kernel, *given: movers(kernel, *given))
    found = pw.fit(data=table, seed=1, threads=1, **{"draws": 100, **MODELS[name]})
    found.summary()
    found.loo()
    assert len(movers.called) >= 5
    assert not movers.different


def test_other_work_in_the_same_process_changes_no_digit(table):
    """Allocations in between put arrays into other places."""
    rng, kept = np.random.default_rng(5), []
    first = pw.fit("y ~ x + (1 | g)", table, seed=1, draws=100).result.beta
    for _ in range(25):
        kept.append(bytearray(int(rng.integers(1, 20_000))))
        if len(kept) > 30:
            del kept[int(rng.integers(0, 30))]
        assert np.array_equal(pw.fit("y ~ x + (1 | g)", table, seed=1, draws=100).result.beta, first)
