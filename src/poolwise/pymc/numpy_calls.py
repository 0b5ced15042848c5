"""A graph of PyTensor as a list of NumPy calls, without a compiler.

PyTensor's own functions are made for graphs that run for long: to make one takes tens of milliseconds, and each
operation checks and stores much when it runs in Python. Here a graph runs about a hundred times on thousands of points
at once. What does not depend on the inputs is computed once; a number is forgotten after its last use. Operations
without a form of their own here run by PyTensor's `perform`, and graphs with loops, operations in place or random
numbers of generators that are not inputs by PyTensor's function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from pytensor.compile.builders import OpFromGraph
from pytensor.compile.function import function
from pytensor.compile.mode import Mode
from pytensor.compile.ops import ViewOp
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant
from pytensor.graph.op import Op
from pytensor.graph.traversal import graph_inputs, io_toposort
from pytensor.link.c.op import COp
from pytensor.scalar import basic as scalar
from pytensor.tensor.basic import Alloc, Join
from pytensor.tensor.blockwise import Blockwise
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.random.type import RandomType
from pytensor.tensor.subtensor import AdvancedIncSubtensor, IncSubtensor
from pytensor.tensor.type import TensorType
from pytensor.tensor.utils import import_func_from_string

# Nothing is rewritten or compiled to C, which would take longer than all else.
PLAIN = Mode(linker="py", optimizer=None)

Call = Callable[..., Any]


def numpy_function(inputs: Sequence[Any], outputs: Any) -> Callable[..., Any]:
    """A function of arrays, as `pytensor.function(inputs, outputs)` would make it.

    Parameters
    ----------
    outputs : a variable, or a list of them for a list of arrays.

    Returns
    -------
    A function of one array for each input. Its results share no memory with anything.
    """
    wanted = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    nodes = io_toposort(inputs, wanted)
    if not all(map(_can_be_called, nodes)) or not _all_given(inputs, wanted, nodes):
        return function(list(inputs), outputs, mode=PLAIN, on_unused_input="ignore")
    run = _Run(inputs, wanted, nodes)
    return run if isinstance(outputs, list | tuple) else lambda *given: run(*given)[0]


def drawing_function(graphs: Sequence[Any]) -> Callable[[np.random.SeedSequence], list[np.ndarray]]:
    """A function that computes graphs, by a seed for the random numbers in them."""
    generators = [one for one in graph_inputs(graphs) if isinstance(one.type, RandomType)]
    compute = numpy_function(generators, graphs)
    return lambda seed: compute(*map(np.random.default_rng, seed.spawn(len(generators))))


def is_random(graphs: Sequence[Any]) -> bool:
    """Whether random numbers play a part in graphs: those of variables, of distributions within them, or of loops."""
    return any(isinstance(one.type, RandomType) for one in graph_inputs(graphs))


class _Run:
    """The calls of a graph in their order, each with the places that it reads, writes, and reads last."""

    def __init__(self, inputs: Sequence[Any], outputs: Sequence[Any], nodes: Sequence[Any]) -> None:
        self._places: dict[Any, int] = {}
        self._values: list[Any] = []  # what is known before a call
        self._inputs = [(self._new(one), _dtype(one)) for one in inputs]
        given = {place for place, _ in self._inputs}
        varying, steps = set(given), list[tuple[Call, list[int], list[int]]]()
        for node in nodes:
            call, takes = _call(node), [self._known(one) for one in node.inputs]
            gives = [self._new(one) for one in node.outputs]
            if varying.isdisjoint(takes) and self._folded(call, takes, gives):
                continue
            varying.update(gives)
            steps.append((call, takes, gives))
        self._outputs = [self._known(one) for one in outputs]
        self._borrowed = [place not in varying or place in given for place in self._outputs]
        kept, self._steps = set(self._outputs), list[tuple[Call, list[int], list[int], list[int]]]()
        for call, takes, gives in reversed(steps):
            last = [place for place in {*takes, *gives} if place in varying and place not in kept]
            kept.update(last)
            self._steps.append((call, takes, gives, last))
        self._steps.reverse()

    def _new(self, variable: Any) -> int:
        self._places[variable] = len(self._values)
        self._values.append(None)
        return self._places[variable]

    def _known(self, variable: Any) -> int:
        """The place of a variable that was made before, or of a constant."""
        if variable not in self._places:
            place = self._new(variable)
            shared = isinstance(variable, SharedVariable)
            self._values[place] = variable.get_value(borrow=True) if shared else variable.data
        return self._places[variable]

    def _folded(self, call: Call, takes: Sequence[int], gives: Sequence[int]) -> bool:
        """Compute what no input reaches; what is raised there is raised by each call."""
        try:
            with np.errstate(all="ignore"):
                found = call(*[self._values[place] for place in takes])
        except Exception:
            return False
        for place, value in zip(gives, found, strict=True):
            self._values[place] = value
        return True

    def __call__(self, *given: Any) -> list[np.ndarray]:
        values = self._values.copy()
        for (place, dtype), value in zip(self._inputs, given, strict=True):
            values[place] = value if dtype is None else np.asarray(value, dtype=dtype)
        with np.errstate(all="ignore"):
            for call, takes, gives, last in self._steps:
                found = call(*[values[place] for place in takes])
                for place, value in zip(gives, found, strict=True):
                    values[place] = value
                for place in last:
                    values[place] = None
        found = [values[place] for place in self._outputs]
        return [
            np.array(one) if borrowed or getattr(one, "base", None) is not None else one
            for one, borrowed in zip(found, self._borrowed, strict=True)
        ]


def _can_be_called(node: Any) -> bool:
    """Whether an operation may run by its `perform` alone."""
    return not node.op.destroy_map and type(node.op).make_thunk in (Op.make_thunk, COp.make_thunk)


def _all_given(inputs: Sequence[Any], outputs: Sequence[Any], nodes: Sequence[Any]) -> bool:
    """Whether all that is not made is an input or fixed, as generators of random numbers are not."""
    made = {one for node in nodes for one in node.outputs}.union(inputs)
    return all(
        one in made or (isinstance(one, Constant | SharedVariable) and not isinstance(one.type, RandomType))
        for one in (*outputs, *(one for node in nodes for one in node.inputs))
    )


def _dtype(variable: Any) -> Any:
    return np.dtype(variable.type.dtype) if isinstance(variable.type, TensorType) else None


def _call(node: Any) -> Call:
    """An operation as a function of its inputs to a sequence of its outputs."""
    op = node.op
    found = None
    if isinstance(op, Elemwise):
        found = _elementwise(node)
    elif isinstance(op, DimShuffle):
        found = _rearranged(op)
    elif isinstance(op, Blockwise):
        found = _by_batches(node)
    elif isinstance(op, OpFromGraph):
        return numpy_function(op.inner_inputs, list(op.inner_outputs))
    return _performed(node) if found is None else _single(found)


def _single(call: Call) -> Call:
    return lambda *given: (call(*given),)


def _performed(node: Any) -> Call:
    op = node.op
    op.prepare_node(node, None, None, "py")
    count = len(node.outputs)

    def call(*given: Any) -> list[Any]:
        storage: list[list[Any]] = [[None] for _ in range(count)]
        op.perform(node, list(given), storage)
        return [one for (one,) in storage]

    return call


def _elementwise(node: Any) -> Call | None:
    """An operation on each number, by the ufunc that PyTensor names for it; None where it names none."""
    op, dtype, count = node.op.scalar_op, np.dtype(node.outputs[0].type.dtype), len(node.inputs)
    if isinstance(op, scalar.Cast):
        return lambda x: np.asarray(x, dtype=dtype)
    if isinstance(op, scalar.Second):
        return lambda like, x: np.broadcast_to(np.asarray(x, dtype=dtype), np.broadcast_shapes(like.shape, x.shape))
    if (spec := getattr(node.op, "nfunc_spec", None)) is None or len(node.outputs) > 1:
        return None
    ufunc = import_func_from_string(spec[0])
    same = all(one.type.dtype == node.outputs[0].type.dtype for one in node.inputs)
    if count > 2 and same and isinstance(op, scalar.Add | scalar.Mul):
        return lambda *given: reduce(ufunc, given)
    if count != spec[1]:
        return None
    if same:
        return lambda *given: np.asarray(ufunc(*given), dtype=dtype)
    if dtype.kind == "f" and isinstance(ufunc, np.ufunc) and np.dtype(node.inputs[0].type.dtype).kind in "biu":
        return lambda *given: np.asarray(ufunc(*(one.astype(dtype) for one in map(np.asarray, given))), dtype=dtype)
    return lambda *given: np.asarray(ufunc(*given), dtype=dtype)


def _rearranged(op: Any) -> Call:
    kept = [k for k in op.new_order if k != "x"]
    order = (*kept, *(k for k in range(op.input_ndim) if k not in kept))
    index = (*(None if k == "x" else slice(None) for k in op.new_order), *[0] * (len(order) - len(kept)))
    return lambda x: x.transpose(order)[index]


def _by_batches(node: Any) -> Call | None:
    """An operation on each array of a batch, as one on all of them; None where there is no such form here."""
    op, core, batch = node.op, node.op.core_op, node.op.batch_ndim(node)
    if isinstance(core, ViewOp):
        return lambda x: x
    if isinstance(core, Alloc):
        sizes = node.inputs[1:]
        if any(not all(one.type.broadcastable) for one in sizes):
            return None
        cores = len(sizes)

        def allocated(x: np.ndarray, *sizes: np.ndarray) -> np.ndarray:
            lead, own = x.shape[:batch], x.shape[batch:]
            shape = (*lead, *(int(one.item()) for one in sizes))
            return np.broadcast_to(x.reshape(*lead, *[1] * (cores - len(own)), *own), shape)

        return allocated
    if isinstance(core, Join):
        if not all(node.inputs[0].type.broadcastable):
            return None

        def joined(axis: np.ndarray, *parts: np.ndarray) -> np.ndarray:
            lead = np.broadcast_shapes(*(one.shape[:batch] for one in parts))
            whole = [np.broadcast_to(one, (*lead, *one.shape[batch:])) for one in parts]
            own = whole[0].ndim - batch
            return np.concatenate(whole, axis=batch + int(axis.item()) % own)

        return joined
    if isinstance(core, AdvancedIncSubtensor | IncSubtensor):
        return _put(node, op, core, batch)
    return None


def _put(node: Any, op: Any, core: Any, batch: int) -> Call | None:
    """Put numbers into each array at the same places; None where places differ."""
    if core.destroy_map or any(not all(one.type.broadcastable[:batch]) for one in node.inputs[2:]):
        return None
    entries = core.idx_list if isinstance(core, IncSubtensor) else None
    if entries is None and len({len(one) for one in op.inputs_sig[2:]}) > 1:
        return None  # NumPy would not leave the batch in front
    adds, duplicates = not core.set_instead_of_inc, not getattr(core, "ignore_duplicates", True)

    def put(x: np.ndarray, y: np.ndarray, *places: np.ndarray) -> np.ndarray:
        lead = np.broadcast_shapes(x.shape[:batch], y.shape[:batch])
        found = np.array(np.broadcast_to(x, (*lead, *x.shape[batch:])))
        own = [one.reshape(one.shape[batch:]) for one in places]
        index = (*[slice(None)] * batch, *(own if entries is None else _sliced(entries, own)))
        missing = found[index].ndim - y.ndim
        y = y.reshape(*y.shape[:batch], *[1] * missing, *y.shape[batch:])
        if not adds:
            found[index] = y
        elif duplicates:
            np.add.at(found, index, y)
        else:
            found[index] += y
        return found

    return put


def _sliced(entries: Sequence[Any], places: Sequence[np.ndarray]) -> list[Any]:
    """An index from PyTensor's list of slices and types, with the numbers that belong in their places."""
    left = iter(int(one) for one in places)

    def number(given: Any) -> int | None:
        return None if given is None else next(left)

    return [
        slice(number(one.start), number(one.stop), number(one.step)) if isinstance(one, slice) else next(left)
        for one in entries
    ]
