"""The variables of a PyMC model that are left to sample, as one vector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymc.distributions.transforms import CholeskyCovPacked
from pymc.logprob.transforms import LogTransform

from poolwise.pymc import cholesky
from poolwise.pymc.graph import Block
from poolwise.pymc.numpy_calls import drawing_function
from poolwise.pymc.vectorised import split
from poolwise.support.errors import DataError

_FROM_PRIORS = 100  # draws
_OF_TWO = 3  # numbers of the Cholesky factor of two variables


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """The other variables as one vector of numbers on unconstrained scales.

    These are PyMC's values, but for larger Cholesky factors of covariances (`cholesky.py`).

    Attributes
    ----------
    names, shapes : of the values.
    factors : whether each of these is a packed Cholesky factor of more than two variables. Of two the density is
        bounded as it is, and proposals fit it better there where the correlation is near one.
    start : (d,) PyMC's initial point.
    log_scales : places of logs of positive variables.
    drawn : (k, d) draws from their priors; none where these cannot be drawn from.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    factors: tuple[bool, ...]
    start: np.ndarray
    log_scales: np.ndarray
    drawn: np.ndarray

    def split(self, points: np.ndarray) -> list[np.ndarray]:
        """(m, d) to the values of each variable, (m, *shape)."""
        parts = zip(split(points, self.shapes), self.factors, strict=True)
        return [cholesky.packed(part) if is_factor else part for part, is_factor in parts]

    def log_jacobian(self, points: np.ndarray) -> np.ndarray:
        """(m,) log of the volume that values have where these points have one."""
        found = np.zeros(len(points))
        for part, is_factor in zip(split(points, self.shapes), self.factors, strict=True):
            if is_factor:
                found += cholesky.log_jacobian(part)
        return found


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
    factors = tuple(
        isinstance(one, CholeskyCovPacked) and len(part) > _OF_TWO for one, part in zip(transforms, start, strict=True)
    )
    logs = [_of_logs(transform, len(part)) for transform, part in zip(transforms, start, strict=True)]
    places = np.flatnonzero(np.concatenate([*logs, np.zeros(0, dtype=bool)]))
    whole = _unpacked(np.concatenate([*start, np.zeros(0)])[None], shapes, factors)[0]
    drawn = _unpacked(_from_priors(block, len(whole)), shapes, factors)
    return Rest(tuple(value.name for value in values), shapes, factors, whole, places, drawn)


def _unpacked(values: np.ndarray, shapes: Sequence[tuple[int, ...]], factors: Sequence[bool]) -> np.ndarray:
    """Values (k, d) to points."""
    parts = split(values, [(math.prod(shape),) for shape in shapes])
    found = [cholesky.unpacked(one) if is_factor else one for one, is_factor in zip(parts, factors, strict=True)]
    return np.concatenate([*found, np.zeros((len(values), 0))], axis=1)


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
    """Which numbers of a point are logs of what is positive: all of a positive variable, the standard deviations of a
    Cholesky factor."""
    found = np.full(size, isinstance(transform, LogTransform))
    if isinstance(transform, CholeskyCovPacked):
        found[cholesky.diagonal(size)] = True
    return found
