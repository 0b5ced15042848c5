"""Uniform priors as flat ones, where no bound is near.

A coefficient with a uniform prior is normal given the rest, but for its bounds. It is integrated out as if there were
none; where no draw then lies beyond a bound, what the bounds take away is less than what that many draws can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pymc as pm
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.op import RandomVariable

from poolwise.pymc.graph import Block, check_model, find_block
from poolwise.pymc.normal_variables import is_uniform
from poolwise.pymc.numpy_calls import numpy_function


def find_unbounded_block(model: pm.Model) -> Block | None:
    """The block with uniform variables in it as flat ones; None where there are none that it would take.

    Raises
    ------
    DataError : as `find_block` does.
    """
    check_model(model)
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
    """The model with the values of some variables as they are.

    Not by PyMC's own functions, which take neither initial values nor nested models; the variables are the same.
    """
    found = object.__new__(type(model))
    vars(found).update(vars(model))
    names = ("rvs_to_values", "values_to_rvs", "rvs_to_transforms")
    of_values, of_variables, transforms = (dict(getattr(model, name)) for name in names)
    for one in variables:
        value = one.type(name=one.name)
        of_variables.pop(of_values[one])
        of_values[one], of_variables[value], transforms[one] = value, one, None
    vars(found).update(zip(names, (of_values, of_variables, transforms), strict=True))
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
