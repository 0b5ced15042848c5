"""The one place that says how kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core import cgutils, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from poolwise.interrupts import uninterrupted

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


class _Compiler(Compiler):  # type: ignore[misc]
    """numba's, with `_OwnCopies` to compile into."""

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        """Compile a function of Python."""
        self.state.library = _OwnCopies(self.state.targetctx.codegen(), func.__qualname__)
        self.state.library.enable_object_caching()
        return super().compile_extra(func)


_COMMON = {"nogil": True, "cache": True, "error_model": "numpy", "pipeline_class": _Compiler}
# Reassociation lets sums be vectorised. `nnan` and `ninf` stay out: a density must be able to say "not finite".
_FAST = {"reassoc", "contract", "arcp", "nsz"}

kernel = numba.njit(**_COMMON, fastmath=_FAST)
# For short loops over lanes: an array passed to a call that is not inlined is a dozen words on the stack.
lane = numba.njit(**_COMMON, fastmath=_FAST, forceinline=True)
# For sums whose digits depend on the order of operations, as first - origin does where both are large. Callees take
# over their caller's fast-math flags unless they have their own.
exact_kernel = numba.njit(**_COMMON, fastmath={"contract"})

# Of a log density for C: dimension, point, gradient, value, words; the answer is zero where all is finite.
DENSITY_SIGNATURE = types.int64(types.uint64, *([types.CPointer(types.double)] * 3), types.voidptr)


@intrinsic
def pointer(typing_context: Any, address: Any) -> Any:
    """An integer address as a void pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate


def callback(signature: Any, *, cache: bool = True) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function for callers in other languages, with their types; its `address` is what they call."""
    return numba.cfunc(signature, cache=cache, pipeline_class=_Compiler)
