"""Log densities of the variables and potentials of a PyMC model, as graphs of values."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.distribution import SymbolicRandomVariable
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import ancestors
from pytensor.tensor.elemwise import CAReduce
from pytensor.tensor.random.op import RandomVariable

from poolwise.pymc.numpy_calls import is_random
from poolwise.support.errors import DataError


def log_factors(model: pm.Model) -> dict[Any, Any]:
    """Of each free and observed variable, Jacobian included, and of each potential.

    `pm.Model.logp` derives densities by rewriting the graph of the whole model, which takes longer than to sample it.
    Where each variable is drawn from a distribution that has a density of its own, none need be derived, and there is
    one at a time.

    Raises
    ------
    DataError : for random numbers in a density, which are no variable of the model.
    """
    terms = (*model.basic_RVs, *model.potentials)
    own = all(map(_has_own_density, model.basic_RVs))
    found = _one_by_one(model) if own else model.logp(jacobian=True, sum=False)
    for variable, factor in zip(terms, found, strict=True):
        if is_random([factor]):
            raise DataError(
                f"The density of '{variable.name}' has random numbers in it that are no variable of the model, as of "
                "pm.Normal.dist(): give them a name, as in pm.Normal('noise', ...)."
            )
    return dict(zip(terms, map(_without_idle_sums, found), strict=True))


def _one_by_one(model: pm.Model) -> list[Any]:
    given = [one.owner.inputs for one in model.basic_RVs]
    in_values = iter(model.replace_rvs_by_values([*(one for each in given for one in each), *model.potentials]))
    factors = [
        _log_density(model, one, list(islice(in_values, len(each))))
        for one, each in zip(model.basic_RVs, given, strict=True)
    ]
    return [*factors, *in_values]


def _without_idle_sums(factor: Any) -> Any:
    """PyMC sums single numbers along an axis that they do not have, which PyTensor forgives where it rewrites."""
    sums = [one for one in ancestors([factor]) if one.owner and isinstance(one.owner.op, CAReduce)]
    idle = {one: pt.cast(one.owner.inputs[0], one.dtype) for one in sums if not one.owner.inputs[0].ndim}
    return clone_replace(factor, idle) if idle else factor


def _has_own_density(variable: Any) -> bool:
    op = variable.owner.op
    return isinstance(op, RandomVariable) or (isinstance(op, SymbolicRandomVariable) and not op.inline_logprob)


def _log_density(model: pm.Model, variable: Any, given: list[Any]) -> Any:
    """Of a variable's own value, which may be on a transformed scale, for such inputs of its distribution."""
    node = variable.owner
    drawn = node.clone_with_new_inputs(given).outputs[node.outputs.index(variable)]
    value, transform = model.rvs_to_values[variable], model.rvs_to_transforms.get(variable)
    if transform is None:
        return pm.logp(drawn, value)
    found, volume = pm.logp(drawn, transform.backward(value, *given)), transform.log_jac_det(value, *given)
    if volume.ndim < found.ndim:  # of numbers that are transformed together
        found = pt.sum(found, axis=tuple(range(volume.ndim - found.ndim, 0)))
    return found + volume
