"""Remainders by the polynomials of cells, and those of some cells by their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poolwise.density.polynomial.coordinates import WeightMaps
from poolwise.density.polynomial.kernels import polynomial_remainders
from poolwise.density.polynomial.monomials import Monomials
from poolwise.density.working.remainders import Remainders

FURTHEST = 6.5  # posterior standard deviations in which polynomials hold; there is no density beyond


@dataclass(frozen=True, slots=True, eq=False)
class PolynomialRemainders:
    """Remainders of cells whose rows are not looked at again.

    Attributes
    ----------
    maps : from coefficients and effects to weights; places of these cells alone.
    monomials, polynomials : (C, M) of the remainders.
    origin, inverse : (C, d) and (C, d, d): they are in s = inverse (w - origin).
    of_cell : (C,) level of the leaf.
    levels : of the leaf.
    constant : what the log likelihood has beyond `ratios`.
    """

    maps: WeightMaps
    monomials: Monomials
    polynomials: np.ndarray
    origin: np.ndarray
    inverse: np.ndarray
    of_cell: np.ndarray
    levels: int
    constant: float = 0.0

    @property
    def cost(self) -> float:
        """Flops of a draw's ratios, about."""
        d = self.monomials.variables
        return 2.0 * len(self.of_cell) * (self.monomials.size + (len(self.maps.slots) + d) * d)

    def ratios(self, logs: np.ndarray, beta: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """(m, G)."""
        out = np.zeros((len(beta), self.levels))
        polynomial_remainders(
            np.ascontiguousarray(self.maps.of_coefficients @ beta.T),
            effects,
            self.maps.slots,
            self.maps.places,
            self.of_cell,
            self.origin,
            self.inverse,
            FURTHEST,
            self.monomials.ends,
            self.polynomials,
            out,
        )
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """Remainders of different rows, summed."""

    parts: Sequence[Remainders]

    @property
    def levels(self) -> int:
        """G."""
        return self.parts[0].levels

    @property
    def constant(self) -> float:
        """That of all."""
        return sum(part.constant for part in self.parts)

    @property
    def cost(self) -> float:
        """That of all."""
        return sum(part.cost for part in self.parts)

    def ratios(self, logs: np.ndarray, beta: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """(m, G)."""
        return np.asarray(sum(part.ratios(logs, beta, effects) for part in self.parts))
