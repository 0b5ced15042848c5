"""Remainders by the polynomials of cells, and those of some cells by their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.special import chdtri

from poolwise.density.polynomial.coordinates import CellMoments, WeightMaps
from poolwise.density.polynomial.expansion import Sums
from poolwise.density.polynomial.kernels import polynomial_remainders
from poolwise.density.polynomial.monomials import Monomials
from poolwise.density.working.dispersions import Dispersions
from poolwise.density.working.remainders import Ratios, Remainders

# Shares of a cell's posterior, by the normal model, beyond which polynomials are taken for cubes, and for nothing.
BEYOND, NOWHERE = 1e-6, 1e-12


def beyond(share: float, variables: int) -> float:
    """The distance beyond which so much of a standard normal of so many dimensions lies."""
    return float(np.sqrt(chdtri(variables, share)))


@dataclass(frozen=True, slots=True, eq=False)
class PolynomialRemainders:
    """Remainders of cells whose rows are not looked at again.

    Attributes
    ----------
    maps : from coefficients and effects to weights; places of these cells alone.
    monomials : of the polynomials without dispersions.
    exponents, sizes : (E, k) which products of powers of dispersions there are, and (E,) terms of what these multiply.
    polynomials : (C, M) their coefficients, one after the other.
    origin, inverse : (C, d) and (C, d, d): they are in s = inverse (w - origin).
    centre, unit : (k,) of logs of dispersions.
    of_cell : (C,) level of the leaf.
    levels : of the leaf.
    constant : what the log likelihood has beyond `ratios`.
    """

    maps: WeightMaps
    monomials: Monomials
    exponents: np.ndarray
    sizes: np.ndarray
    polynomials: np.ndarray
    origin: np.ndarray
    inverse: np.ndarray
    centre: np.ndarray
    unit: np.ndarray
    of_cell: np.ndarray
    levels: int
    constant: float = 0.0

    @classmethod
    def of(
        cls,
        sums: Sums,
        some: np.ndarray,
        maps: WeightMaps,
        moments: CellMoments,
        inverse: np.ndarray,
        dispersions: Dispersions,
        leaf: tuple[int, np.ndarray],
        constant: float = 0.0,
    ) -> PolynomialRemainders:
        """Of some cells, by their positions.

        Parameters
        ----------
        leaf : its levels, and the one (C,) of each cell.
        """
        levels, of_cell = leaf
        each = [(own * sums.monomials[e].multinomial)[some] for e, own in sums.polynomials.items()]
        return cls(
            replace(maps, places=np.take(maps.places, some, axis=1)),
            sums.whole,
            np.array(list(sums.polynomials), dtype=np.int64),
            np.array([own.shape[1] for own in each]),
            np.hstack(each),
            moments.means[some],
            inverse[some],
            dispersions.centre,
            dispersions.sd,
            of_cell[some],
            levels,
            constant,
        )

    @property
    def cost(self) -> float:
        """Flops of a draw's ratios, about."""
        return len(self.of_cell) * polynomial_cost(self.polynomials.shape[1], self.maps.slots.shape[1])

    @property
    def time(self) -> float:
        """The same."""
        return self.cost

    @property
    def shared_cost(self) -> float:
        """None."""
        return 0.0

    def given(self, logs: np.ndarray, beta: np.ndarray, effects: np.ndarray) -> Ratios:
        """A function of effects (U, m)."""
        return partial(self.ratios, logs, beta)

    def ratios(self, logs: np.ndarray, beta: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """(m, G)."""
        variables, total = self.maps.slots.shape[1], np.zeros((len(beta), self.levels))
        away = (logs - self.centre) / self.unit
        polynomial_remainders(
            np.ascontiguousarray(self.maps.of_coefficients @ beta.T),
            effects,
            self.maps.slots,
            self.maps.places,
            self.of_cell,
            self.origin,
            self.inverse,
            beyond(BEYOND, variables),
            beyond(NOWHERE, variables),
            self.monomials.ends,
            self.sizes,
            self.polynomials,
            np.ascontiguousarray(np.prod(away[None] ** self.exponents[:, None], axis=2)),
            total,
        )
        return total


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

    @property
    def time(self) -> float:
        """That of all."""
        return sum(part.time for part in self.parts)

    def ratios(self, logs: np.ndarray, beta: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """(m, G)."""
        return np.asarray(sum(part.ratios(logs, beta, effects) for part in self.parts))

    @property
    def shared_cost(self) -> float:
        """That of all."""
        return sum(part.shared_cost for part in self.parts)

    def given(self, logs: np.ndarray, beta: np.ndarray, effects: np.ndarray) -> Ratios:
        """A function of effects (U, m)."""
        each = [part.given(logs, beta, effects) for part in self.parts]
        return lambda others: np.asarray(sum(ratios(others) for ratios in each))
