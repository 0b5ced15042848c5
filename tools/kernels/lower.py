"""From kernels to LLVM modules: numba's compiler up to the point where it would make machine code."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, sigutils, types
from numba.core.codegen import JITCodeLibrary
from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target

import poolwise
from poolwise.compiled import jit, kernel, probe
from poolwise.compiled.kernels import Callback, Kernel
from poolwise.compiled.library import PACKAGE, symbol_of
from poolwise.compiled.types import Array, Fields, Signature, Type, signature_of

GENERATOR = numba.typeof(np.random.Generator(np.random.SFC64(1)))


@dataclass(frozen=True, slots=True)
class Lowered:
    """A function in LLVM's language, optimised in no way yet."""

    symbol: str  # in the library
    stated: Signature | None  # None for functions that C calls
    library: Raw
    description: Any  # numba's: name, types of arguments and of what is returned


class Raw(JITCodeLibrary):
    """Keeps modules as numba writes them: nothing is optimised, linked or made into machine code."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        """Do nothing but say that it is done."""
        self._raise_if_finalized()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Any address but zero: it is never called."""
        return 1

    def with_linked(self, seen: dict[Raw, None]) -> None:
        """Add this library and all that it calls to `seen`, callees first."""
        if self not in seen:
            for library in self._linking_libraries:
                if isinstance(library, Raw):  # the other one is numba's memory, for which `shared.ll` stands in
                    library.with_linked(seen)
            seen[self] = None

    def copy(self) -> Any:
        """LLVM's module, to be linked with others that may hold the same helpers of numba."""
        module = self._final_module.clone()
        for function in module.functions:
            if not function.is_declaration and function.linkage.name == "external":
                function.linkage = "weak_odr"
        return module


def lower_all() -> Iterator[Lowered]:
    """All kernels that Python calls, and all that C calls, in the order of their names."""
    context = cpu_target.target_context
    codegen = context.codegen()
    codegen._library_class, codegen.set_env, jit.library_class = Raw, lambda name, environment: None, Raw
    Dispatcher.enable_caching = lambda self: None
    jit.OPTIONS.update(no_cpython_wrapper=True, no_cfunc_wrapper=True)  # which hold addresses of this process
    context.add_dynamic_addr = _no_address
    for symbol, each in stated().items():
        if isinstance(each, Callback):
            arguments, returns = sigutils.normalize_signature(each.signature)
            yield _lowered(symbol, None, jit.dispatcher(each.function, frozenset(), False), arguments, returns)
        elif (signature := signature_of(each.function)) is not None:
            arguments = tuple(map(_numba_type, signature.arguments))
            yield _lowered(symbol, signature, each.dispatcher, arguments, _returned(signature))


def _no_address(builder: Any, address: int, info: str) -> Any:
    """Stand in for the address of a kernel as an object, which numba writes down but never uses."""
    if info not in ("Kernel", "CPUDispatcher"):
        raise TypeError(f"A kernel holds an address of this process: of {info}.")
    return ir.Constant(cgutils.voidptr_t, None)


def stated() -> dict[str, Kernel | Callback]:
    """Functions that the libraries have, by their symbols in order: those that C calls, and those that state types."""
    found = {str(symbol_of(each.function)): each for module in modules() for each in _of(module)}
    return {
        symbol: each
        for symbol, each in sorted(found.items())
        if isinstance(each, Callback) or signature_of(each.function) is not None
    }


def modules() -> list[ModuleType]:
    """Modules of poolwise that have kernels."""
    found = []
    for info in pkgutil.walk_packages(poolwise.__path__, "poolwise."):
        path = PACKAGE.joinpath(*info.name.split(".")[1:])
        path = path / "__init__.py" if info.ispkg else path.with_suffix(".py")
        if re.search(r"^from poolwise\.(compiled|families\.callback)[.\w]* import", path.read_text(), re.M):
            found.append(importlib.import_module(info.name))
    return [module for module in found if _of(module)]


def _of(module: ModuleType) -> list[Kernel | Callback]:
    if module is probe:  # undecorated, since the library itself calls it
        return [kernel(probe.probe)]
    of_module = [each for each in vars(module).values() if isinstance(each, (Kernel, Callback))]
    return [each for each in of_module if each.function.__module__ == module.__name__]


def _lowered(symbol: str, stated: Signature | None, dispatcher: Any, arguments: Any, returns: Any) -> Lowered:
    # numba keeps helpers such as powers, with the options of whoever asked first: a package that was imported, perhaps
    cpu_target.target_context.cached_internal_func.clear()
    dispatcher.compile(arguments)
    result = dispatcher.overloads[arguments]
    if result.signature.return_type != returns and not types.unliteral(result.signature.return_type) == returns:
        raise TypeError(f"{symbol} states that it returns {returns}, but returns {result.signature.return_type}.")
    return Lowered(symbol, stated, result.library, result.fndesc)


def _numba_type(type_: Type) -> Any:
    if isinstance(type_, Array):
        return types.Array(getattr(types, type_.dtype), type_.dimensions, "C")
    if isinstance(type_, Fields):
        return types.NamedTuple(tuple(map(_numba_type, type_.types)), type_.named_tuple)
    return {float: types.float64, int: types.int64, np.int64: types.int64, bool: types.boolean}.get(type_, GENERATOR)


def _returned(stated: Signature) -> Any:
    if isinstance(stated.returns, int):
        return types.UniTuple(types.float64, stated.returns)
    return types.none if stated.returns is None else _numba_type(stated.returns)
