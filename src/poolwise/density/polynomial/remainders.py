"""Remainders by the polynomials of cells, and those of some cells by their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from poolwise.density.polynomial.coordinates import WeightMaps
from poolwise.density.polynomial.kernels import polynomial_remainders
from poolwise.density.polynomial.monomials import Monomials
from poolwise.density.working.remainders import Remainders

# Shares of a cell's posterior, by the normal model, beyond which polynomials are taken for cubes, and for nothing.
_BEYOND, NOWHERE = 1e-6, 1e-12


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
        each = polynomial_cost(self.monomials.size, self.monomials.variables)
        return len(self.of_cell) * each

    def length(self, share: float) -> float:
        """Beyond which so much of a standard normal lies, of as many dimensions as there are variables."""
        return float(np.sqrt(chdtri(self.monomials.variables, share)))

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
            self.length(_BEYOND),
            self.length(NOWHERE),
            self.monomials.ends,
            self.polynomials,
            out,
        )
        return out


def polynomial_cost(size: int, variables: int) -> float:
    """Flops of a polynomial at a draw, about."""
    return 2.0 * size + 4.0 * variables**2


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
