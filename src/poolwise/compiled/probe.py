"""A kernel that shows whether machine code reads Python's objects rightly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from poolwise.compiled.types import Vector


class Probe(NamedTuple):
    """One field of each kind."""

    numbers: Vector
    number: float
    whole: np.int64
    flag: bool


GIVEN = Probe(np.array([2.5, 3.5]), 4.5, np.int64(-6), True), 7, 8.5
READ = [3.5, 4.5, -6.0, 1.0, 7.0, 8.5]


def probe(given: Probe, whole: int, number: float, read: Vector) -> int:
    """Write down all that is given; returns the length of `given.numbers`."""
    read[0] = given.numbers[1]
    read[1] = given.number
    read[2] = given.whole
    read[3] = 1.0 if given.flag else 0.0
    read[4] = whole
    read[5] = number
    return given.numbers.size
