"""Types that kernels state for arguments that come from Python. Arrays are contiguous.

Besides arrays: `float`, `int`, `bool`, random generators, and named tuples of arrays, floats, bools and `np.int64`. A
kernel returns nothing, a number or a tuple of floats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np


@dataclass(frozen=True, slots=True)
class Array:
    """Element type and number of dimensions."""

    dtype: str
    dimensions: int


Vector = Annotated[np.ndarray, Array("float64", 1)]
Matrix = Annotated[np.ndarray, Array("float64", 2)]
Array3 = Annotated[np.ndarray, Array("float64", 3)]
Array4 = Annotated[np.ndarray, Array("float64", 4)]
IntVector = Annotated[np.ndarray, Array("int64", 1)]
IntMatrix = Annotated[np.ndarray, Array("int64", 2)]
Int32Vector = Annotated[np.ndarray, Array("int32", 1)]
BoolVector = Annotated[np.ndarray, Array("bool", 1)]


@dataclass(frozen=True, slots=True)
class Fields:
    """A named tuple and the types of its fields."""

    named_tuple: type
    types: tuple[Type, ...]


Type = Array | Fields | type
SCALARS = (float, int, bool, np.int64)


@dataclass(frozen=True, slots=True)
class Signature:
    """Types of the arguments in order; what is returned: None, `float`, `int`, `bool`, or so many floats."""

    arguments: tuple[Type, ...]
    returns: type | int | None


def signature_of(function: Callable[..., Any]) -> Signature | None:
    """The signature that a kernel states; None where it states none, or returns arrays, as only other kernels want."""
    if not function.__annotations__:
        return None
    hints = get_type_hints(function, include_extras=True)
    if get_origin(hints["return"]) is tuple and set(get_args(hints["return"])) != {float}:
        return None
    arguments = tuple(
        _type(hints[name], f"'{name}' of {function.__qualname__}") for name in signature(function).parameters
    )
    returns = hints["return"]
    if get_origin(returns) is tuple:
        return Signature(arguments, len(get_args(returns)))
    return Signature(arguments, None if returns is type(None) else returns)


def _type(hint: Any, where: str) -> Type:
    if get_origin(hint) is Annotated:
        return get_args(hint)[1]
    if hint in SCALARS or hint is np.random.Generator:
        return hint
    if issubclass(hint, tuple) and hasattr(hint, "_fields"):
        fields = get_type_hints(hint, include_extras=True)
        return Fields(hint, tuple(_type(fields[name], f"'{name}' of {hint.__name__}") for name in hint._fields))
    raise TypeError(f"No argument of a kernel can be of type {hint}: {where}.")
