"""Which values of a parameter the default run takes; the others are marked `long`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest


def long_but_for(kept: int | Callable[..., bool], values: Iterable[object]) -> list[object]:
    """Values, of which those not among the first `kept` (or that it is not true of) are marked `long`.

    A tuple holds a value of each of several parameters."""
    found: list[object] = []
    for place, value in enumerate(values):
        known = isinstance(value, type(pytest.param()))
        parts = value.values if known else value if isinstance(value, tuple) else (value,)
        keep = place < kept if isinstance(kept, int) else kept(*parts)
        if not isinstance(keep, bool):
            raise TypeError(f"whether {value!r} is kept must be true or false, not {keep!r}")
        if keep:
            found.append(value)
        elif known:
            found.append(pytest.param(*parts, id=value.id, marks=[*value.marks, pytest.mark.long]))
        else:
            found.append(pytest.param(*parts, marks=pytest.mark.long))
    return found
