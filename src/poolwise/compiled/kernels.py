"""A kernel as Python sees it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, update_wrapper
from typing import Any

from poolwise.compiled.library import forbid_compiling, library, reason_without
from poolwise.support.errors import PoolwiseError


class Kernel:
    """A function in machine code: of the prebuilt library where that has it, else compiled when it is first called."""

    def __init__(self, function: Callable[..., Any], fastmath: frozenset[str], *, inline: bool = False) -> None:
        update_wrapper(self, function)
        self.function, self.fastmath, self.inline = function, fastmath, inline
        self._run: Callable[..., Any] = self._find

    def __call__(self, *arguments: Any) -> Any:  # noqa: D102
        return self._run(*arguments)

    def _find(self, *arguments: Any) -> Any:
        found = library()
        entry = None if found is None else found.entry(self.function, self._compile)
        self._run = self._compile if entry is None else entry
        return self._run(*arguments)

    def _compile(self, *arguments: Any) -> Any:
        forbid_compiling(self.function)
        if library() is None:
            self._run = self.dispatcher
        return self.dispatcher(*arguments)

    @cached_property
    def dispatcher(self) -> Callable[..., Any]:
        """numba's function."""
        return _jit().dispatcher(self.function, self.fastmath, self.inline)

    @property
    def _numba_type_(self) -> Any:
        """What numba sees where another kernel calls this one."""
        return _jit().type_of(self.dispatcher)


class Callback:
    """A function in machine code that other languages call by its address."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self.__doc__ = function.__doc__
        self.function, self.signature = function, signature

    @cached_property
    def address(self) -> int:
        """Where it is; compiled if the prebuilt library does not have it."""
        found = library()
        prebuilt = None if found is None else found.address(self.function)
        if prebuilt is not None:
            return prebuilt
        forbid_compiling(self.function)
        return int(self._compiled.address)

    @cached_property
    def _compiled(self) -> Any:
        return _jit().function_of_c(self.function, self.signature)


def _jit() -> Any:
    """The module that compiles.

    Raises
    ------
    PoolwiseError : without numba, where nothing can be compiled.
    """
    try:
        from poolwise.compiled import jit
    except ImportError as error:
        why = reason_without()
        what = f"no kernels compiled ahead of time serve here ({why})" if why else "this function must be compiled"
        raise PoolwiseError(
            f"{what[0].upper()}{what[1:]}, and numba is not installed: pip install 'poolwise[jit]'."
        ) from error
    return jit
