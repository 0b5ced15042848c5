"""Monomials of several variables up to some order, in an order that lets kernels go through them by ranges.

They are graded; among those of a degree they stand by their last variable, and behind that as those of the degree below
do. So the monomials of degree k with last variable v are x_v times a range of those of degree k - 1: all of them whose
last variable is v at the most.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Monomials:
    """M monomials of d variables up to an order.

    Attributes
    ----------
    order : the highest degree.
    ends : (order + 1, d) place after the last monomial of each degree whose last variable is one of these or before.
    multinomial : (M,) how often each comes in the power of a sum, (x_1 + ... + x_d)^k.
    """

    order: int
    ends: np.ndarray
    multinomial: np.ndarray

    @classmethod
    def of(cls, variables: int, order: int) -> Monomials:
        """All of them."""
        named: list[tuple[int, ...]] = [()]
        ends, start = np.ones((order + 1, variables), dtype=np.int64), 0
        for k in range(1, order + 1):
            first = len(named)
            for v in range(variables):
                named += [(*one, v) for one in named[start : ends[k - 1, v]]]
                ends[k, v] = len(named)
            start = first
        counts = [
            math.factorial(len(one)) / math.prod(map(math.factorial, Counter(one).values())) for one in named
        ]  # fmt: skip
        return cls(order, ends, np.array(counts))

    @property
    def size(self) -> int:
        """M."""
        return len(self.multinomial)

    @staticmethod
    def count(variables: int, order: int) -> int:
        """M, before they are made."""
        return math.comb(variables + order, order)
