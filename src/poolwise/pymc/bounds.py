"""Uniform priors as flat ones, where no bound is near.

A coefficient with a uniform prior is normal given the rest, but for its bounds. It is integrated out as if there were
none; where no draw then lies beyond a bound, what the bounds take away is less than what that many draws can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pymc as pm
from pymc.model.transform.conditioning import remove_value_transforms
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.op import RandomVariable

from poolwise.pymc.graph import Block, find_block
from poolwise.pymc.normal_variables import is_uniform
from poolwise.pymc.numpy_calls import numpy_function


def find_unbounded_block(model: pm.Model) -> Block | None:
    """The block with uniform variables in it as flat ones; None where there are none that it would take.

    Raises
    ------
    DataError : as `find_block` does.
    """
    bounded = [one for one in model.free_RVs if is_uniform(one) and _is_known(one)]
    while bounded:
        names = [one.name for one in bounded]
        block = find_block(_without_transforms(model, bounded), names)
        taken = {one.name for one in block.variables}
        if taken.issuperset(names):
            return block
        bounded = [one for one in bounded if one.name in taken]
    return None


def _without_transforms(model: pm.Model, variables: list[Any]) -> pm.Model:
    """A copy that has the values of some variables as they are, and variables in the same order."""
    found = remove_value_transforms(model, variables)
    for name in ("free_RVs", "deterministics"):
        order = [one.name for one in getattr(model, name)]
        getattr(found, name).sort(key=lambda one: order.index(one.name))
    return found


def within_bounds(block: Block, drawn: np.ndarray) -> bool:
    """Whether all draws (m, p) of a block lie between the bounds of its uniform variables."""
    return all(((low <= own) & (own <= high)).all() for own, low, high in _bounded(block, drawn))


def _bounded(block: Block, drawn: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Draws of each uniform variable with its bounds, all of its shape."""
    parts = np.split(drawn, np.cumsum(block.sizes)[:-1], axis=1)
    for variable, shape, own in zip(block.variables, block.own_shapes, parts, strict=True):
        if is_uniform(variable):
            low, high = numpy_function([], list(variable.owner.op.dist_params(variable.owner)))()
            yield own.reshape(-1, *shape), low, high


def _is_known(variable: Any) -> bool:
    """Whether the bounds are numbers."""
    made = ancestors(variable.owner.op.dist_params(variable.owner))
    return not any(isinstance(one.owner.op, RandomVariable) for one in made if one.owner)
