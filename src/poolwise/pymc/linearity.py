"""Whether a graph is affine in some of its inputs: by the operations between them, of which none is tried out.

What is not known to be affine is taken not to be: a switch, a minimum or an exponential of a number of the block keeps
it out of the block, wherever it is linear.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pytensor.compile.ops import DeepCopyOp, ViewOp
from pytensor.raise_op import CheckAndRaise
from pytensor.scalar import basic as scalar
from pytensor.tensor import basic, extra_ops, subtensor
from pytensor.tensor.blockwise import Blockwise
from pytensor.tensor.einsum import Einsum
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.math import Dot, Sum
from pytensor.tensor.reshape import JoinDims, SplitDims
from pytensor.tensor.shape import Reshape, Shape, Shape_i, SpecifyShape

_ALL = (scalar.Add, scalar.Sub, scalar.Neg, scalar.Identity)  # affine in all inputs together
_ARRANGED = (  # the first input's numbers in another arrangement; the others say which
    DimShuffle, Reshape, SpecifyShape, subtensor.Subtensor, subtensor.AdvancedSubtensor,
    subtensor.AdvancedSubtensor1, basic.Alloc, extra_ops.Repeat, Sum, CheckAndRaise, JoinDims, SplitDims,
    basic.TensorFromScalar, basic.ScalarFromTensor, ViewOp, DeepCopyOp,
)  # fmt: skip
_PUT = (subtensor.IncSubtensor, subtensor.AdvancedIncSubtensor, subtensor.AdvancedIncSubtensor1)  # two, and indices
_SHAPES = (Shape, Shape_i)  # of an input whose numbers do not matter


Inputs = frozenset[Any]


def offenders(graph: Any, block: Collection[Any]) -> list[list[Inputs]]:
    """Inputs that a graph is not known to be affine in: for each operation in the way, sets of which one must go.

    There is one set where the operation is not affine in what reaches it, and one for each factor of a product.
    """
    reached: dict[Any, Inputs] = {}

    def of(variable: Any) -> Inputs:
        return reached.get(variable, frozenset())

    found: list[list[Inputs]] = []
    for variable in in_order(graph, block):
        if variable in block:
            reached[variable] = frozenset([variable])
            continue
        node = variable.owner
        if node is None:
            continue
        sets = [of(one) for one in read_by(node)]
        together: Inputs = frozenset[Any]().union(*sets)
        if not together:
            continue
        reached[variable] = together
        found += _not_affine(node.op, sets)
    return found


def read_by(node: Any) -> list[Any]:
    """Inputs of an operation whose numbers matter to it, not their shapes alone."""
    if isinstance(node.op, _SHAPES):
        return []
    if isinstance(node.op, Elemwise) and isinstance(node.op.scalar_op, scalar.Second):
        return list(node.inputs[1:])
    return list(node.inputs)


def made_of(graphs: Sequence[Any]) -> set[Any]:
    """All variables whose numbers matter to some graphs."""
    found: set[Any] = set()
    open_ = list(graphs)
    while open_:
        variable = open_.pop()
        if variable not in found:
            found.add(variable)
            open_ += read_by(variable.owner) if variable.owner else []
    return found


def in_order(graph: Any, block: Collection[Any]) -> list[Any]:
    """All variables between a graph and the block, each after those that it is made of."""
    found: dict[Any, None] = {}
    open_ = [(graph, False)]
    while open_:
        variable, entered = open_.pop()
        if variable in found:
            continue
        inputs = [] if variable in block or variable.owner is None else variable.owner.inputs
        if entered or not inputs:
            found[variable] = None
            continue
        open_.append((variable, True))
        open_ += [(one, False) for one in inputs]
    return list(found)


def _not_affine(op: Any, sets: list[Inputs]) -> list[list[Inputs]]:
    core = op.core_op if isinstance(op, Blockwise) else op
    if isinstance(core, Elemwise):
        return _of_scalars(core.scalar_op, sets)
    if isinstance(core, basic.MakeVector):
        return []
    if isinstance(core, basic.Join):
        return _given_up(sets[:1])
    if isinstance(core, (Dot, Einsum)):
        return _product(sets)
    if isinstance(core, extra_ops.CumOp) and core.mode == "add":
        return []
    if isinstance(core, _PUT):
        return _given_up(sets[2:])
    if isinstance(core, _ARRANGED):
        return _given_up(sets[1:])
    return _given_up(sets)


def _of_scalars(op: Any, sets: list[Inputs]) -> list[list[Inputs]]:
    if isinstance(op, (*_ALL, scalar.Second)):
        return []
    if isinstance(op, scalar.Cast):  # to a whole number it would cut off
        return [] if op.o_type.dtype == "float64" else _given_up(sets)
    if isinstance(op, scalar.Mul):
        return _product(sets)
    if isinstance(op, scalar.Switch):  # by what is not of the block
        return _given_up(sets[:1])
    if isinstance(op, scalar.TrueDiv):
        return _given_up(sets[1:])
    return _given_up(sets)


def _given_up(sets: list[Inputs]) -> list[list[Inputs]]:
    return [[one] for one in sets if one]


def _product(sets: list[Inputs]) -> list[list[Inputs]]:
    factors = [one for one in sets if one]
    return [factors] if len(factors) > 1 else []
