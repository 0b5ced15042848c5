"""Uniform priors as flat ones, where no bound is near.

A coefficient with a uniform prior is normal given the rest, but for its bounds. It is integrated out as if there were
none; where no draw then lies beyond a bound, what the bounds take away is less than what that many draws can tell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.logprob.transforms import IntervalTransform

from poolwise.pymc.graph import Block, check_model, find_block
from poolwise.pymc.normal_variables import is_uniform
from poolwise.pymc.numpy_calls import is_random, numpy_function
from poolwise.pymc.vectorised import split


def find_unbounded_block(model: pm.Model) -> Block | None:
    """The block with uniform variables in it as flat ones; None where there are none that it would take.

    Raises
    ------
    DataError : as `find_block` does.
    """
    check_model(model)
    bounded = [one for one in model.free_RVs if is_uniform(one) and _has_only_known_bounds(model, one)]
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


class BoundsMet(Exception):
    """Draws lie beyond bounds.

    Attributes
    ----------
    said : whose bounds, in a sentence.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        those = ", ".join(f"'{name}'" for name in names)
        self.said = f"Draws met the bounds of {those}, which therefore cannot be integrated out."


def check_bounds(block: Block, drawn: np.ndarray) -> None:
    """Look whether all draws (m, p) of a block lie between the bounds of its uniform variables.

    Raises
    ------
    BoundsMet : where some do not.
    """
    met = []
    for variable, own in zip(block.variables, split(drawn, block.own_shapes), strict=True):
        if is_uniform(variable):
            low, high = numpy_function([], list(variable.owner.op.dist_params(variable.owner)))()
            if not ((low <= own) & (own <= high)).all():
                met.append(variable.name)
    if met:
        raise BoundsMet(met)


def _has_only_known_bounds(model: pm.Model, variable: Any) -> bool:
    """Whether bounds are numbers, and all that keeps values in their place: a transform may order them, or leave them
    less room."""
    bounds = variable.owner.op.dist_params(variable.owner)
    if (transform := model.rvs_to_transforms.get(variable)) is None:
        return not is_random(bounds)
    if not isinstance(transform, IntervalTransform):
        return False
    ends = transform.args_fn(*variable.owner.inputs)
    if any(one is None for one in ends):
        return False
    both = [*bounds, *map(pt.as_tensor, ends)]
    if is_random(both):
        return False
    low, high, from_low, to_high = numpy_function([], both)()
    return bool((low == from_low).all() and (high == to_high).all())
