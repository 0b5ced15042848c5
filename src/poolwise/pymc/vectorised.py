"""Graphs of a PyMC model as functions of many values at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.traversal import ancestors

from poolwise.pymc.numpy_calls import numpy_function

Shapes = Sequence[tuple[int, ...]]


def split(points: np.ndarray, shapes: Shapes) -> list[np.ndarray]:
    """(m, d) to the values of each variable, (m, *shape)."""
    found, start = [], 0
    for shape in shapes:
        end = start + math.prod(shape)
        found.append(points[..., start:end].reshape(*points.shape[:-1], *shape))
        start = end
    return found


def over_many(graphs: Any, values: Sequence[Any], shapes: Shapes) -> Callable[..., Any]:
    """A graph, or a list of them, as a function of many of each of its values (m, *shape).

    What no value reaches is not repeated.
    """
    many = {
        value: pt.tensor(name=f"many_{value.name}", dtype="float64", shape=(None, *shape))
        for value, shape in zip(values, shapes, strict=True)
    }
    try:
        vectorised = vectorize_graph(graphs, many) if many else graphs
    except (NotImplementedError, TypeError):  # PyTensor has no form of an operation for many arrays at once
        return _one_by_one(graphs, values)
    return numpy_function(list(many.values()), vectorised)


def _one_by_one(graphs: Any, values: Sequence[Any]) -> Callable[..., Any]:
    wanted = list(graphs) if isinstance(graphs, list | tuple) else [graphs]
    compute = numpy_function(values, wanted)
    reached = [not set(values).isdisjoint(ancestors([graph])) for graph in wanted]

    def each(*given: np.ndarray) -> Any:
        found = zip(*(compute(*point) for point in zip(*given, strict=True)), strict=True)
        joined = [np.stack(one) if varies else one[0] for one, varies in zip(found, reached, strict=True)]
        return joined if isinstance(graphs, list | tuple) else joined[0]

    return each


def over(
    graph: Any, values: Sequence[Any], shapes: Shapes, mine: Sequence[Any] = (), own_shapes: Shapes = ()
) -> Callable[..., np.ndarray]:
    """A graph as a compiled function of m values each, and with `mine` of K of these each, (m, K, ...)."""
    compute = over_many(graph, [*values, *mine], [*shapes, *own_shapes])

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
