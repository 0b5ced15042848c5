"""The variables of a PyMC model that are left to sample, as one vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.pymc.graph import Block
from poolwise.pymc.numpy_calls import drawing_function
from poolwise.pymc.vectorised import split
from poolwise.support.errors import DataError

_FROM_PRIORS = 100  # draws


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """The other variables as one vector of their values on unconstrained scales.

    Attributes
    ----------
    names, shapes : of the values.
    start : (d,) PyMC's initial point.
    log_scales : places of logs of positive variables.
    drawn : (k, d) draws from their priors; none where these cannot be drawn from.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    start: np.ndarray
    log_scales: np.ndarray
    drawn: np.ndarray

    def split(self, points: np.ndarray) -> list[np.ndarray]:
        """(m, d) to the values of each variable, (m, *shape)."""
        return split(points, self.shapes)


def rest_of(block: Block) -> Rest:
    """The vector of what is left.

    Raises
    ------
    DataError : where a variable has no finite initial value.
    """
    model, initial = block.model, block.initial
    values = block.values_of_rest
    shapes = tuple(np.shape(initial[value.name]) for value in values)
    start = [np.ravel(initial[value.name]).astype(float) for value in values]
    for one, part in zip(block.rest, start, strict=True):
        if not np.isfinite(part).all():
            raise DataError(f"PyMC has no finite value to begin from for '{one.name}': give it one by initval=.")
    transforms = [model.rvs_to_transforms.get(one) for one in block.rest]
    logs = [_of_logs(transform, len(part)) for transform, part in zip(transforms, start, strict=True)]
    whole = np.concatenate([*start, np.zeros(0)])
    places = np.flatnonzero(np.concatenate([*logs, np.zeros(0, dtype=bool)]))
    return Rest(tuple(value.name for value in values), shapes, whole, places, _from_priors(block, len(whole)))


def _from_priors(block: Block, d: int) -> np.ndarray:
    """Draws (k, d) of values of the rest: where modes may lie that are far from PyMC's initial point."""
    model = block.model
    transforms = [model.rvs_to_transforms.get(one) for one in block.rest]
    graphs = [
        one if transform is None else transform.forward(one, *one.owner.inputs)
        for one, transform in zip(block.rest, transforms, strict=True)
    ]
    if not graphs:
        return np.zeros((0, 0))
    try:
        drawn = list(map(drawing_function(graphs), np.random.SeedSequence(1).spawn(_FROM_PRIORS)))
    except (NotImplementedError, ValueError, TypeError, OverflowError):  # a flat prior, or one without draws
        return np.zeros((0, d))
    whole = np.array([np.concatenate([np.ravel(one) for one in each]) for each in drawn])
    return whole[np.isfinite(whole).all(axis=1)]


def _of_logs(transform: Any, size: int) -> np.ndarray:
    """Which numbers of a value are logs of what is positive: all of a positive variable, the diagonal of a Cholesky
    factor."""
    from pymc.distributions.transforms import CholeskyCovPacked
    from pymc.logprob.transforms import LogTransform

    found = np.full(size, isinstance(transform, LogTransform))
    if isinstance(transform, CholeskyCovPacked):
        order = round((np.sqrt(8 * size + 1) - 1) / 2)
        found[np.cumsum(np.arange(1, order + 1)) - 1] = True
    return found
