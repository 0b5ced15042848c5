"""Names that only numba understands, without importing numba before it compiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Deferred:
    """Stands for an object of numba in the globals of kernels; made when a kernel that uses it is compiled."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None

    @property
    def _numba_type_(self) -> Any:
        from poolwise.compiled.jit import type_of

        if self._made is None:
            self._made = self._make()
        return type_of(self._made)

    def __call__(self, *arguments: Any) -> Any:  # noqa: D102
        raise TypeError("This function exists inside of kernels only.")
