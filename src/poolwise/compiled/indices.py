"""Indices that do not count from the end, for numba.

numba lets `a[i]` mean `a[len(a) + i]` where i turns out negative. No kernel of poolwise uses that, and it costs much:
in loops whose index is a sum, every element is gathered from an address of its own. It also made digits depend on where
arrays lie in memory: before such a loop, machine code asks whether what it writes is near `a + len(a)` as well, where
another array may lie, and adds one by one if so. Written with a constant, as `a[-1]`, an index still counts from the
end; and kernels of users keep all that numba lets them do.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import BaseNativeLowering, NativeLowering
from numba.core.types.containers import BaseTuple


class _Lower(Lower):  # type: ignore[misc]
    """numba's translation to LLVM, in which indices of arrays are unsigned."""

    def lower_getitem(self, resty: Any, expr: Any, value: Any, index: Any, signature: Any) -> Any:
        return super().lower_getitem(resty, expr, value, index, self._unsigned(signature, index))

    def lower_setitem(self, target_var: Any, index_var: Any, value_var: Any, signature: Any) -> Any:
        return super().lower_setitem(target_var, index_var, value_var, self._unsigned(signature, index_var))

    def _unsigned(self, signature: Any, index: Any) -> Any:
        container, wanted, *rest = signature.args
        if not isinstance(container, types.Array):
            return signature
        given = self.typeof(index.name)
        if isinstance(given, BaseTuple):
            wanted = BaseTuple.from_types([_unsigned(*each) for each in zip(given, wanted, strict=True)])
        else:
            wanted = _unsigned(given, wanted)
        return signature.replace(args=(container, wanted, *rest))


def _unsigned(given: Any, wanted: Any) -> Any:
    constant = isinstance(given, types.Literal)
    return types.uintp if wanted == types.intp and not constant else wanted


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(BaseNativeLowering):  # type: ignore[misc]
    """Where numba's compiler translates to LLVM."""

    _name = "lowering_with_unsigned_indices"

    @property
    def lowering_class(self) -> type[Lower]:
        return _Lower


class Compiler(CompilerBase):  # type: ignore[misc]
    """numba's compiler, but for indices."""

    def define_pipelines(self) -> list[Any]:
        """The passes of numba."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [
            (_Lowering, words) if each is NativeLowering else (each, words) for each, words in passes.passes
        ]
        passes.finalize()
        return [passes]
