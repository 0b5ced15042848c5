"""Graphs of a PyMC model as functions of many values at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.compile.function import function
from pytensor.graph.replace import vectorize_graph

from poolwise.pymc.graph import PLAIN

Shapes = Sequence[tuple[int, ...]]


def split(points: np.ndarray, shapes: Shapes) -> list[np.ndarray]:
    """(m, d) to the values of each variable, (m, *shape)."""
    ends = np.cumsum([int(np.prod(shape, dtype=int)) for shape in shapes])
    parts = np.split(points, ends[:-1], axis=-1) if len(shapes) else []
    return [part.reshape(*points.shape[:-1], *shape) for part, shape in zip(parts, shapes, strict=True)]


def many_of(values: Sequence[Any], shapes: Shapes) -> dict[Any, Any]:
    """For each value a tensor of many of it."""
    return {
        value: pt.tensor(name=f"many_{value.name}", dtype="float64", shape=(None, *shape))
        for value, shape in zip(values, shapes, strict=True)
    }


def over(
    graph: Any, values: Sequence[Any], shapes: Shapes, mine: Sequence[Any] = (), own_shapes: Shapes = ()
) -> Callable[..., np.ndarray]:
    """A graph as a compiled function of m values each, and with `mine` of K of these each, (m, K, ...)."""
    many = many_of([*values, *mine], [*shapes, *own_shapes])
    vectorised = vectorize_graph(graph, many) if many else graph
    compute = function(list(many.values()), vectorised, mode=PLAIN, on_unused_input="ignore")

    def evaluate(given: list[np.ndarray], block: Sequence[np.ndarray] = ()) -> np.ndarray:
        m, k = len(given[0]) if given else 1, len(block[0]) if block else 1
        every = [np.repeat(one, k, axis=0) for one in given]
        every += [np.tile(one, (m, *[1] * (one.ndim - 1))) for one in block]
        found = np.asarray(compute(*every), dtype=float)
        lead = (m, k) if block else (m,)
        if found.ndim == graph.ndim:  # nothing reaches it
            return np.broadcast_to(found, (*lead, *found.shape))
        return found.reshape(*lead, *found.shape[1:])

    return evaluate
