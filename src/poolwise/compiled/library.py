"""Kernels that were compiled ahead of time: which library serves this process, and calls into it.

`tools/kernels` makes the libraries, one for each kind of processor, from the same kernels that numba compiles here.
None is used whose sources are not those of this installation, byte for byte.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from poolwise.compiled.probe import GIVEN, READ, probe
from poolwise.compiled.types import Signature, signature_of
from poolwise.support.errors import PoolwiseError

FOLDER = Path(__file__).parent / "prebuilt"
PACKAGE = Path(__file__).parents[1]
LAYOUT = "poolwise_layout"  # words that the library reads: where objects of Python keep what it takes from them
# Features that each library takes for granted, as the processor's flags of Linux; the best one first.
_AVX2 = ("avx2", "bmi1", "bmi2", "f16c", "fma", "movbe")
_AVX512 = ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
FEATURES = {"x86_64_v4": (*_AVX2, *_AVX512), "x86_64_v3": _AVX2, "x86_64": ()}
SWITCH = "POOLWISE_KERNELS"  # auto, jit: compile all of them, prebuilt: compile none of poolwise's own


class Unusable(Exception):
    """Why there is no library for this process, in a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """A loaded library of kernels."""

    name: str
    handle: ctypes.CDLL

    def address(self, function: Callable[..., Any]) -> int | None:
        """Where the machine code of a function is, if it is here."""
        symbol = symbol_of(function)
        if symbol is None or not hasattr(self.handle, symbol):
            return None
        return ctypes.cast(self.handle[symbol], ctypes.c_void_p).value

    def entry(self, function: Callable[..., Any], otherwise: Callable[..., Any]) -> Callable[..., Any] | None:
        """The machine code of a kernel, to be called as the function; `otherwise` takes arguments of other types."""
        symbol = symbol_of(function)
        if symbol is None or not hasattr(self.handle, symbol):
            return None
        signature = signature_of(function)
        assert signature is not None, f"{symbol} is in the library but states no types"
        return _entry(self.handle[symbol], signature, symbol, otherwise)


def symbol_of(function: Callable[..., Any]) -> str | None:
    """The name of a function of poolwise in the library."""
    name = f"{function.__module__}.{function.__qualname__}"
    return name if name.startswith("poolwise.") else None


def forbid_compiling(function: Callable[..., Any]) -> None:
    """Refuse to compile a function of poolwise itself where that is forbidden, as in tests of the library."""
    if switch() == "prebuilt" and symbol_of(function):
        why = reason_without() or "it does not have the function, or not for arguments of these types"
        raise PoolwiseError(f"{SWITCH}=prebuilt, but {symbol_of(function)} cannot be run from the library: {why}.")


def switch() -> str:
    """What the environment asks for."""
    asked = os.environ.get(SWITCH, "auto")
    if asked not in ("auto", "jit", "prebuilt"):
        raise PoolwiseError(f"{SWITCH} must be 'auto', 'jit' or 'prebuilt', not {asked!r}.")
    return asked


def library() -> Library | None:
    """The library of this process, None where kernels are compiled by numba."""
    found = _found()
    return found if isinstance(found, Library) else None


def reason_without() -> str | None:
    """Why there is no library, in a sentence; None where there is one."""
    found = _found()
    return None if isinstance(found, Library) else found


@cache
def _found() -> Library | str:
    try:
        if switch() == "jit":
            raise Unusable(f"{SWITCH}=jit")
        return _load()
    except Unusable as why:
        return str(why)


def _load() -> Library:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise Unusable(f"there is none for {sys.platform} on {platform.machine()}")
    manifest = _manifest()
    changed = [name for name, digest in manifest["sources"].items() if digest_of(PACKAGE / name) != digest]
    if changed:
        raise Unusable(f"it was made of other sources than {', '.join(sorted(changed)[:3])}")
    name = best_for(processor_flags())
    path = FOLDER / f"{name}.so"
    if digest_of(path) != manifest["libraries"].get(name):
        raise Unusable(f"{path.name} is missing or damaged")
    try:
        ctypes.CDLL("libm.so.6", mode=ctypes.RTLD_GLOBAL)
        found = Library(name, ctypes.CDLL(str(path)))
    except OSError as error:
        raise Unusable(f"{path.name} cannot be loaded: {error}") from None
    _describe_objects(found.handle)
    _check_reading(found)
    return found


def best_for(flags: frozenset[str]) -> str:
    """The best library for a processor."""
    return next(name for name, needed in FEATURES.items() if flags.issuperset(needed))


def _manifest() -> dict[str, Any]:
    try:
        manifest = json.loads((FOLDER / "manifest.json").read_text())
        return {name: dict(manifest[name]) for name in ("made_by", "sources", "libraries")}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Unusable(f"its manifest cannot be read: {error!r}") from None


def made_by() -> str:
    """Which numba and llvmlite made the library, in words."""
    by = _manifest()["made_by"]
    return f"numba {by['numba']}, llvmlite {by['llvmlite']}"


def digest_of(path: Path) -> str | None:
    """SHA-256 of a file, None without one."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def processor_flags() -> frozenset[str]:
    """Features of the processor, as Linux names them; empty where it does not say."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(
                (frozenset(line.split(":")[1].split()) for line in lines if line.startswith("flags")), frozenset()
            )
    except OSError:
        return frozenset()


def _describe_objects(handle: ctypes.CDLL) -> None:
    """Tell the library the types that it accepts, and where tuples keep their items."""
    words = [tuple.__basicsize__, id(np.ndarray), id(float), id(np.float64), id(np.int64), id(True), id(False)]
    place = (ctypes.c_int64 * len(words)).in_dll(handle, LAYOUT)
    ctypes.memmove(place, (ctypes.c_int64 * len(words))(*words), ctypes.sizeof(place))


def _check_reading(found: Library) -> None:
    """Read objects as kernels will: another Python or NumPy might lay them out in another way."""
    entry, read = found.entry(probe, lambda *_: None), np.zeros(len(READ))
    if entry is None or entry(*GIVEN, read) != 2 or read.tolist() != READ:
        raise Unusable("objects of this Python or NumPy are not laid out as the library expects")


def _generator_words(rng: np.random.Generator) -> np.ndarray:
    """Addresses of a generator's state and functions."""
    c = rng.bit_generator.ctypes
    functions = [ctypes.cast(each, ctypes.c_void_p).value for each in (c.next_uint64, c.next_uint32, c.next_double)]
    return np.array([c.state_address, c.state.value, *functions, c.bit_generator.value], dtype=np.int64)


_CONVERSIONS: dict[Any, Callable[[Any], Any]] = {
    float: float,
    int: np.int64,
    bool: bool,
    np.int64: np.int64,
    np.random.Generator: _generator_words,
}


def _entry(run: Any, signature: Signature, symbol: str, otherwise: Callable[..., Any]) -> Callable[..., Any]:
    """A function of Python that calls machine code, which takes what it needs from the objects themselves."""
    run.restype = ctypes.c_int64
    run.argtypes = [ctypes.py_object] * len(signature.arguments) + [ctypes.c_void_p]
    converted = [(k, _CONVERSIONS[type_]) for k, type_ in enumerate(signature.arguments) if type_ in _CONVERSIONS]

    def ready(arguments: tuple[Any, ...]) -> list[Any]:
        changed = list(arguments)
        for k, convert in converted:
            changed[k] = convert(changed[k])
        return changed

    def not_done(code: int, arguments: tuple[Any, ...]) -> Any:
        if code < 0:
            raise MemoryError(f"{symbol} could not allocate memory")
        return otherwise(*arguments)  # argument number `code` is not of the type that the kernel states

    def without_answer(*arguments: Any) -> None:
        given = ready(arguments) if converted else arguments
        if code := run(*given, None):
            not_done(code, arguments)

    def with_answer(*arguments: Any) -> Any:
        given = ready(arguments) if converted else arguments
        answer = answers()
        if code := run(*given, answer):
            return not_done(code, arguments)
        return tuple(answer) if number is None else number(answer[0])

    returns = signature.returns
    if returns is None:
        return without_answer
    number = None if isinstance(returns, int) else returns
    answers = ctypes.c_double * (returns if isinstance(returns, int) else 1)
    return with_answer
