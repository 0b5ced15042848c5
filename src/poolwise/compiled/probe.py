"""A kernel that shows whether machine code reads Python's objects rightly."""

from __future__ import annotations

from poolwise.compiled import kernel
from poolwise.compiled.library import Probe
from poolwise.compiled.types import Vector


@kernel
def probe(given: Probe, whole: int, number: float, read: Vector) -> int:
    """Write down all that is given; returns the length of `given.numbers`."""
    read[0] = given.numbers[1]
    read[1] = given.number
    read[2] = given.whole
    read[3] = 1.0 if given.flag else 0.0
    read[4] = whole
    read[5] = number
    return given.numbers.size
