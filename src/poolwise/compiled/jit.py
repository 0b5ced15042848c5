"""Compiling kernels in the running process, by numba.

For kernels that the prebuilt library has not: families of one's own, other platforms, sources under development.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
from numba.core.codegen import JITCodeLibrary
from numba.core.registry import cpu_target

from poolwise.compiled.indices import Compiler
from poolwise.compiled.library import symbol_of
from poolwise.support.interrupts import uninterrupted

# Where arrays lie closer together than a vectorised loop advances in a step, their elements are added one by one, which
# rounds in another way. A vectorised rest shorter than that step would do so for arrays that merely are neighbours, and
# the last digits of draws would depend on addresses of memory.
llvm.set_option("poolwise", "-enable-epilogue-vectorization=false")

with uninterrupted():  # else done with the first kernel, where an interrupt would lose entries of the tables
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()


class _OwnCopies(JITCodeLibrary):  # type: ignore[misc]
    """Machine code that calls its own copies of the kernels that it was linked with.

    numba optimises the copies once more where they are called, and rounding may change with it. Their names are weak:
    whichever copy a process has loaded first would serve all callers, so that draws would depend on what it did before.
    """

    def _finalize_final_module(self) -> None:
        self._shared_module = self._final_module.clone()  # what callers are linked with, as numba itself makes it
        for function in self._shared_module.functions:
            if not function.is_declaration and function.linkage.name == "external":
                function.linkage = "linkonce_odr"
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage.name == "linkonce_odr":
                function.linkage = "internal"
        with uninterrupted():  # LLVM calls back into Python, and what is raised there is lost
            super()._finalize_final_module()


library_class: type[JITCodeLibrary] = _OwnCopies
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


class _IntoOwnCopies:
    """A compiler that has `library_class` to compile into."""

    state: Any

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        """Compile a function of Python."""
        self.state.library = library_class(self.state.targetctx.codegen(), func.__qualname__)
        self.state.library.enable_object_caching()
        return super().compile_extra(func)  # type: ignore[misc]


class _OfPoolwise(_IntoOwnCopies, Compiler):
    """For kernels of poolwise, none of which has a negative index but for constants."""


class _OfOthers(_IntoOwnCopies, numba.core.compiler.Compiler):  # type: ignore[misc]
    """For kernels of users, in which indices mean what they mean in Python."""


def _compiler_of(function: Callable[..., Any]) -> type:
    return _OfOthers if symbol_of(function) is None else _OfPoolwise


def dispatcher(function: Callable[..., Any], fastmath: frozenset[str], inline: bool) -> Callable[..., Any]:
    """numba's function, which compiles for the types of its arguments when it is called with them."""
    options = {**OPTIONS, "pipeline_class": _compiler_of(function), "forceinline": inline}
    options["fastmath"] = set(sorted(fastmath))  # noqa: C414  names of machine code hold the flags as they were added
    try:
        return numba.njit(**options, cache=True)(function)
    except RuntimeError:  # no folder to cache it in
        return numba.njit(**options)(function)


def function_of_c(function: Callable[..., Any], signature: str) -> Any:
    """numba's compiled function with an `address`; cached on disk where its file is, if it has one."""
    try:
        return numba.cfunc(signature, cache=True, pipeline_class=_compiler_of(function))(function)
    except RuntimeError:
        return numba.cfunc(signature, pipeline_class=_compiler_of(function))(function)


def type_of(value: Any) -> Any:
    """numba's type of a function that kernels may call."""
    cpu_target.typing_context.refresh()
    return cpu_target.typing_context.resolve_value_type(value)
