"""Coordinates of theta in which all means are affine, whatever theta is: then entries need not be looked at again.

Between theta and the means there is a frontier in the graph: what is made of theta alone, and used beside the block. In
`mu + sigma * z[group]` it is `sigma`. Where the means are affine in a frontier of a few numbers phi, as `linearity.py`
tells from the operations, entries and targets are A_0 + sum_j phi_j A_j at every theta.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.replace import clone_replace

from poolwise.pymc.linearity import in_order, offenders, read_by

_MOST = 20  # numbers


@dataclass(frozen=True, slots=True, eq=False)
class AffineCoordinates:
    """Numbers made of theta in which means are affine.

    Attributes
    ----------
    values : the graph of all of them as one vector (J,).
    inputs, shapes : variables that stand for them, in the same order.
    graph : the means in terms of these and of the block.
    """

    values: Any
    inputs: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...]
    graph: Any

    @property
    def size(self) -> int:
        """J."""
        return sum(int(np.prod(shape, dtype=int)) for shape in self.shapes)


@dataclass(frozen=True, slots=True, eq=False)
class AffineParts:
    """What rows are made of.

    Attributes
    ----------
    entries, targets : (J + 1, n, k) and (J + 1, n): those at zero, and what a unit of each coordinate adds.
    place, scale : (n,) which of the standard deviations each row has, and how many times as large its own is.
    constants : (C,) each of these where theta plays no part in it.
    varying : (C,) whether it does.
    sds, coordinates : theta (m, d) to standard deviations (m, C) and to coordinates (m, J).
    """

    entries: np.ndarray
    targets: np.ndarray
    place: np.ndarray
    scale: np.ndarray
    constants: np.ndarray
    varying: np.ndarray
    sds: Callable[[np.ndarray], np.ndarray]
    coordinates: Callable[[np.ndarray], np.ndarray]

    def evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Entries (m, n, k), targets and sds (m, n)."""
        phi = np.broadcast_to(self.coordinates(points), (len(points), len(self.entries) - 1))
        entries = self.entries[0] + np.tensordot(phi, self.entries[1:], 1)
        return entries, self.targets[0] + phi @ self.targets[1:], self.sds(points)[:, self.place] * self.scale


def affine_coordinates(
    means: Any, theta: Sequence[Any], start: Sequence[np.ndarray], block: Sequence[Any]
) -> AffineCoordinates | None:
    """The coordinates of a graph of means; None where it is not known to be affine in twenty numbers.

    Where the frontier has more numbers, those that its largest variable is made of take that one's place.

    Parameters
    ----------
    start : some values of theta, which serve where nothing but their shape is read.
    """
    order = in_order(means, {*theta, *block})
    of_theta, of_block = _reached(order, theta), _reached(order, block)
    beside_block = {one for made in order if made in of_block and made.owner for one in read_by(made.owner)}
    frontier = [one for one in order if one in of_theta and one not in of_block and one in beside_block]
    while True:
        if offenders(means, set(frontier)) or any(one.dtype != "float64" for one in frontier):
            return None
        sizes = [_size(one) for one in frontier]
        if sum(sizes) <= _MOST:
            break
        largest = frontier[int(np.argmax(sizes))]
        if largest in theta or largest.owner is None:
            return None
        made_of = [one for one in read_by(largest.owner) if one in of_theta and one not in frontier]
        frontier = [one for one in frontier if one is not largest] + list(dict.fromkeys(made_of))
    shapes = tuple(tuple(map(int, one.type.shape)) for one in frontier)
    inputs = tuple(pt.tensor(f"phi_{k}", dtype="float64", shape=shape) for k, shape in enumerate(shapes))
    graph = clone_replace(means, dict(zip(frontier, inputs, strict=True)))
    graph = clone_replace(graph, {one: pt.as_tensor(value) for one, value in zip(theta, start, strict=True)})
    values = pt.concatenate([one.ravel() for one in frontier]) if frontier else pt.zeros(0)
    return AffineCoordinates(values, inputs, shapes, graph)


def _reached(order: Sequence[Any], given: Sequence[Any]) -> set[Any]:
    """Variables that some given ones play a part in, but for their shapes."""
    found = set(given)
    for one in order:
        if one.owner and not found.isdisjoint(read_by(one.owner)):
            found.add(one)
    return found


def _size(variable: Any) -> float:
    shape = variable.type.shape
    return float("inf") if None in shape else float(np.prod(shape, dtype=float))
