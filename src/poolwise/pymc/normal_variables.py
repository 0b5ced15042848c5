"""Variables of PyMC whose values are normal given others: their means, and standard deviations or covariances.

A random walk or an autoregression is normal step by step, around a mean that is made of its own earlier values. Rows of
the linear model have such means as all others; that no value is in the mean of an earlier one keeps the volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.continuous import FlatRV, HalfFlatRV
from pymc.distributions.multivariate import ZeroSumNormalRV
from pymc.distributions.timeseries import AutoRegressiveRV, RandomWalkRV
from pymc.distributions.transforms import ZeroSumTransform
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant
from pytensor.graph.traversal import graph_inputs
from pytensor.tensor.elemwise import DimShuffle
from pytensor.tensor.math import Dot
from pytensor.tensor.random.basic import MvNormalRV, NormalRV, UniformRV

from poolwise.pymc.numpy_calls import numpy_function


def has_normal_value(model: pm.Model, variable: Any) -> bool:
    """Whether PyMC's value of a free variable is normal, if one that is to sum to zero by its own transform."""
    transform = model.rvs_to_transforms.get(variable)
    if _is(ZeroSumNormalRV, variable):
        return isinstance(transform, ZeroSumTransform)
    return transform is None and (is_normal(variable) or is_multivariate(variable) or is_flat(variable))


def is_normal(variable: Any) -> bool:
    """Whether each value is normal given those before it, with a standard deviation of its own."""
    if _is(RandomWalkRV, variable):
        return all(_is(NormalRV, one) for one in variable.owner.inputs[:2])
    if _is(AutoRegressiveRV, variable):
        return _is(NormalRV, variable.owner.inputs[2])
    return _is(NormalRV, variable)


def is_flat(variable: Any) -> bool:
    """Whether its prior is the same everywhere: a normal one without precision."""
    return _is(FlatRV, variable)


def is_uniform(variable: Any) -> bool:
    """Whether its prior is the same between two bounds."""
    return _is(UniformRV, variable)


def has_no_precision(variable: Any) -> bool:
    """Whether it is flat, or uniform, which is flat where no bound is near."""
    return is_flat(variable) or is_uniform(variable)


def is_flat_somewhere(variable: Any) -> bool:
    """Whether its prior is the same everywhere, or for all positive numbers."""
    return is_flat(variable) or _is(HalfFlatRV, variable)


def is_multivariate(variable: Any) -> bool:
    """Whether it has a covariance."""
    return _is(MvNormalRV, variable)


def spread_of(variable: Any) -> str:
    """What `parameters` has as the second."""
    return "covariance" if is_multivariate(variable) else "standard deviation"


def parameters(variable: Any, own: Any = None) -> tuple[Any, Any]:
    """Mean of a normal variable, and standard deviation, or covariance of a multivariate one; any, without precision.

    Parameters
    ----------
    own : what stands for the variable's own earlier values; the variable itself by default.
    """
    own = variable if own is None else own
    if has_no_precision(variable):
        return pt.as_tensor(0.0), pt.as_tensor(1.0)
    if _is(RandomWalkRV, variable):
        return _walk(variable, own)
    if _is(AutoRegressiveRV, variable):
        return _autoregression(variable, own)
    first, second = variable.owner.op.dist_params(variable.owner)
    return (pt.as_tensor(0.0), first) if _is(ZeroSumNormalRV, variable) else (first, second)


def _walk(variable: Any, own: Any) -> tuple[Any, Any]:
    """Of x_1 that of its own distribution, of x_t that of x_(t-1) and a step; PyMC has time first in both of these."""
    first, step = variable.owner.inputs[:2]
    size = step.owner.op.size_param(step.owner)  # steps, and what is beside
    *lead, length = _shape(variable, size[0] + 1, size[1:])
    mean, sd = (pt.moveaxis(pt.broadcast_to(each, (1, *lead)), 0, -1) for each in parameters(first))
    drift, of_steps = (pt.moveaxis(pt.broadcast_to(each, (length - 1, *lead)), 0, -1) for each in parameters(step))
    return _in_time([mean, own[..., :-1] + drift]), _in_time([sd, of_steps])


def _autoregression(variable: Any, own: Any) -> tuple[Any, Any]:
    """Of the first values that of their own distribution, of x_t rho_0 + rho_1 x_(t-1) + rho_2 x_(t-2) + ..."""
    rho, innovation, first, steps = variable.owner.inputs[:4]
    order, constant = variable.owner.op.ar_order, int(variable.owner.op.constant_term)
    *lead, length = _shape(variable, steps + order, first.owner.op.size_param(first.owner)[:-1])
    lagged = [rho[..., constant + k, None] * own[..., order - 1 - k : -1 - k] for k in range(order)]
    if constant:
        lagged.insert(0, rho[..., 0, None])
    mean, sd = (pt.broadcast_to(each, (*lead, order)) for each in parameters(first))
    later = (*lead, length - order)
    expected = pt.broadcast_to(reduce(pt.add, lagged), later)
    return _in_time([mean, expected]), _in_time([sd, pt.broadcast_to(innovation[..., None], later)])


def _shape(variable: Any, steps: Any, size: Any) -> Sequence[Any]:
    """In numbers where these are known: a shape that is computed would depend on all that its variable does.

    Parameters
    ----------
    steps, size : graphs of the number of values, and of the shape without that.
    """
    if None not in variable.type.shape:
        return tuple(variable.type.shape)
    if all(isinstance(one, Constant | SharedVariable) for one in graph_inputs([steps, size])):
        length, lead = numpy_function([], [steps, size])()
        return *map(int, lead), int(length)
    return tuple(variable.shape)


def _in_time(parts: Sequence[Any]) -> Any:
    return pt.concatenate(parts, axis=-1)


def root_of(covariance: Any) -> Any:
    """A matrix that gives a covariance with its transpose: the one that it was made of, or its Cholesky factor."""
    made = covariance
    while _is(DimShuffle, made) and made.owner.op.is_left_expand_dims:
        made = made.owner.inputs[0]
    if made.owner and isinstance(getattr(made.owner.op, "core_op", made.owner.op), Dot):
        one, other = made.owner.inputs
        order = (*range(one.ndim - 2), one.ndim - 1, one.ndim - 2)
        size = one.type.shape[-2:]
        square = None not in size and len(set(size)) == 1
        if square and _is(DimShuffle, other) and other.owner.inputs[0] is one and other.owner.op.new_order == order:
            return one
    return pt.linalg.cholesky(covariance)


def _is(operation: type, variable: Any) -> bool:
    return variable.owner is not None and isinstance(variable.owner.op, operation)
