"""Functions around kernels that take what they need from Python's objects, or that C calls."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.np.arrayobj import populate_array
from numba.np.random.generator_core import _bit_gen_type
from tools.kernels.lower import Lowered

from poolwise.compiled.library import LAYOUT
from poolwise.compiled.types import Array, Fields, Type

_WORD, _BYTE, _FLOAT = ir.IntType(64), ir.IntType(8), ir.DoubleType()
_ADDRESS = _BYTE.as_pointer()
# Words of `poolwise_layout`, in the order of `library._describe_objects`.
_TUPLE_ITEMS, _NDARRAY, _PYTHON_FLOAT, _NUMPY_FLOAT, _NUMPY_INT, _TRUE, _FALSE = range(7)
_LAYOUT_WORDS = 7
# Bytes from the beginning of an object: of any; of an array (`PyArrayObject` of NumPy); of its dtype; of a number.
_TYPE, _DATA, _DIMENSIONS, _SHAPE, _DTYPE, _FLAGS = 8, 16, 24, 32, 56, 64
_BYTE_ORDER, _TYPE_NUMBER = 26, 28
_VALUE = 16
_CONTIGUOUS_AND_ALIGNED = 0x0001 | 0x0100
_SIZE = {"float64": 8, "int64": 8, "int32": 4, "bool": 1}


def wrapper_of(lowered: Lowered) -> str:
    """A module with one function of the kernel's symbol, in LLVM's language."""
    context = cpu_target.target_context
    module = context.create_module(lowered.symbol)
    described = lowered.description
    callee_type = context.call_conv.get_function_type(described.restype, described.argtypes)
    callee = ir.Function(module, callee_type, described.llvm_func_name)
    if lowered.stated is None:
        _for_c(context, module, lowered, callee)
    else:
        _for_python(context, module, lowered, callee)
    return cgutils.normalize_ir_text(str(module))


def _for_c(context: Any, module: Any, lowered: Lowered, callee: Any) -> None:
    described = lowered.description
    given = [context.get_value_type(each) for each in described.argtypes]
    returned = context.get_value_type(described.restype)
    function = ir.Function(module, ir.FunctionType(returned, given), lowered.symbol)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    status, answer = context.call_conv.call_function(
        builder, callee, described.restype, described.argtypes, function.args
    )
    lost = ir.Constant(returned, float("nan") if returned == _FLOAT else -1)
    builder.ret(builder.select(status.is_ok, answer, lost))


def _for_python(context: Any, module: Any, lowered: Lowered, callee: Any) -> None:
    """int64 f(PyObject *..., double *answer): 0, the number of a wrong argument, or -1 for no memory."""
    described, stated = lowered.description, lowered.stated
    assert stated is not None
    shape = ir.FunctionType(_WORD, [_ADDRESS] * (len(stated.arguments) + 1))
    function = ir.Function(module, shape, lowered.symbol)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    layout = ir.GlobalVariable(module, ir.ArrayType(_WORD, _LAYOUT_WORDS), LAYOUT)
    given = []
    for k, (type_, numba_type) in enumerate(zip(stated.arguments, described.argtypes, strict=True)):
        reader = _Reader(context, builder, layout, function.append_basic_block(f"wrong{k}"))
        given.append(reader.value(function.args[k], type_, numba_type))
        with builder.goto_block(reader.wrong):
            builder.ret(_WORD(k + 1))
    status, answer = context.call_conv.call_function(builder, callee, described.restype, described.argtypes, given)
    with builder.if_then(status.is_error, likely=False):
        builder.ret(_WORD(-1))
    place = builder.bitcast(function.args[-1], _FLOAT.as_pointer())
    for k, number in enumerate(_numbers(builder, answer, described.restype)):
        builder.store(number, builder.gep(place, [ir.IntType(32)(k)]))
    builder.ret(_WORD(0))


def _numbers(builder: Any, answer: Any, returned: Any) -> list[Any]:
    if returned == types.none:
        return []
    if isinstance(returned, types.UniTuple):
        return [builder.extract_value(answer, k) for k in range(returned.count)]
    if returned == types.float64:
        return [answer]
    return [builder.uitofp(answer, _FLOAT) if returned == types.boolean else builder.sitofp(answer, _FLOAT)]


class _Reader:
    """Takes one argument from its object; jumps to `wrong` where that is not of the type that the kernel states."""

    def __init__(self, context: Any, builder: Any, layout: Any, wrong: Any) -> None:
        self.context, self.builder, self.layout, self.wrong = context, builder, layout, wrong

    def value(self, thing: Any, type_: Type, numba_type: Any) -> Any:
        if isinstance(type_, Array):
            self._check_type(thing, _NDARRAY)
            return self._array(thing, type_, numba_type)
        if isinstance(type_, Fields):
            return self._named_tuple(thing, type_, numba_type)
        if type_ is float:
            self._check_type(thing, _PYTHON_FLOAT, _NUMPY_FLOAT)
            return self._load(thing, _VALUE, _FLOAT)
        if type_ is bool:
            true = self._same(self._word(thing), _TRUE)
            self._require(self.builder.or_(true, self._same(self._word(thing), _FALSE)))
            return true
        if type_ in (int, np.int64):
            self._check_type(thing, _NUMPY_INT)
            return self._load(thing, _VALUE, _WORD)
        return self._generator(thing, numba_type)

    def _array(self, thing: Any, type_: Array, numba_type: Any) -> Any:
        number = ir.IntType(32)
        dtype, flags = self._load(thing, _DTYPE, _ADDRESS), self._load(thing, _FLAGS, number)
        needed = number(_CONTIGUOUS_AND_ALIGNED)
        order = self._load(dtype, _BYTE_ORDER, _BYTE)
        self._require(self._equal(self._load(dtype, _TYPE_NUMBER, number), number(np.dtype(type_.dtype).num)))
        self._require(self.builder.icmp_signed("!=", order, _BYTE(ord(">"))))
        self._require(self._equal(self._load(thing, _DIMENSIONS, number), number(type_.dimensions)))
        self._require(self._equal(self.builder.and_(flags, needed), needed))
        lengths = self._load(thing, _SHAPE, _ADDRESS)
        shape = [self._load(lengths, 8 * k, _WORD) for k in range(type_.dimensions)]
        strides, step = [], _WORD(_SIZE[type_.dtype])
        for length in reversed(shape):
            strides.insert(0, step)
            step = self.builder.mul(step, length)
        array = self.context.make_array(numba_type)(self.context, self.builder)
        data = self.builder.bitcast(self._load(thing, _DATA, _ADDRESS), array.data.type)
        populate_array(array, data, shape, strides, _SIZE[type_.dtype], None)
        return array._getvalue()

    def _named_tuple(self, thing: Any, type_: Fields, numba_type: Any) -> Any:
        first, values = self._layout_word(_TUPLE_ITEMS), []
        # The class of a named tuple is not known to the library: its callers are ours, and give what they state.
        for k, (field, numba_field) in enumerate(zip(type_.types, numba_type.types, strict=True)):
            place = self.builder.add(first, _WORD(8 * k))
            item = self.builder.load(self.builder.bitcast(self.builder.gep(thing, [place]), _ADDRESS.as_pointer()))
            values.append(self.value(item, field, numba_field))
        return self.context.make_tuple(self.builder, numba_type, values)

    def _generator(self, thing: Any, numba_type: Any) -> Any:
        """From six words, as `library._generator_words` gives them."""
        self._check_type(thing, _NDARRAY)
        words = self._load(thing, _DATA, _ADDRESS)
        bits = cgutils.create_struct_proxy(_bit_gen_type)(self.context, self.builder)
        names = [
            "state_address",
            "state",
            "fnptr_next_uint64",
            "fnptr_next_uint32",
            "fnptr_next_double",
            "bit_generator",
        ]
        for k, name in enumerate(names):
            setattr(bits, name, self._load(words, 8 * k, _WORD))
        generator = cgutils.create_struct_proxy(numba_type)(self.context, self.builder)
        generator.bit_generator = bits._getvalue()
        return generator._getvalue()

    def _check_type(self, thing: Any, *allowed: int) -> None:
        type_ = self._load(thing, _TYPE, _WORD)
        same = [self._same(type_, word) for word in allowed]
        self._require(same[0] if len(same) == 1 else self.builder.or_(*same))

    def _require(self, condition: Any) -> None:
        right = self.builder.append_basic_block("right")
        self.builder.cbranch(condition, right, self.wrong)
        self.builder.position_at_end(right)

    def _same(self, word: Any, of_layout: int) -> Any:
        return self._equal(word, self._layout_word(of_layout))

    def _equal(self, one: Any, other: Any) -> Any:
        return self.builder.icmp_signed("==", one, other)

    def _layout_word(self, k: int) -> Any:
        zero = ir.IntType(32)(0)
        return self.builder.load(self.builder.gep(self.layout, [zero, ir.IntType(32)(k)]))

    def _word(self, thing: Any) -> Any:
        return self.builder.ptrtoint(thing, _WORD)

    def _load(self, thing: Any, offset: int, type_: Any) -> Any:
        place = self.builder.gep(thing, [_WORD(offset)])
        return self.builder.load(self.builder.bitcast(place, type_.as_pointer()))
