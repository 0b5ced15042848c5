"""Polynomials of the rows of each cell, summed.

In powers of a sum x . (w - w0) the Hermite expansions of rows (`hermite.py`) add up over the rows of a cell (Huggins,
Adams and Broderick 2017, for a regression as a whole, around zero and by Chebyshev polynomials). Logs of dispersions
that all rows share are further variables, so that there is a polynomial for each product of their powers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poolwise.density.polynomial.hermite import (
    OF_DISPERSIONS,
    Exponents,
    exponents_for,
    in_powers,
    in_powers_of_dispersions,
    terms_for,
)
from poolwise.density.polynomial.kernels import add_polynomials
from poolwise.density.polynomial.monomials import Monomials


def normal_terms(away: np.ndarray, precisions: np.ndarray, moves: np.ndarray) -> dict[Exponents, np.ndarray]:
    """(3, n) log densities of normal outcomes so far away (n,) from their means, by powers of what these move by; and
    for each product of powers of dispersions (2, n) or (1, n) what there is more as the outcomes move.

    Parameters
    ----------
    moves : (k, n) of outcomes, for a unit of each dispersion.
    """
    k, pulled = len(moves), precisions * away
    unit = [tuple(row) for row in np.eye(k, dtype=int).tolist()]
    found = {
        (0,) * k: np.array([0.5 * np.log(precisions / (2 * np.pi)) - 0.5 * pulled * away, pulled, -0.5 * precisions])
    }
    for i, move in enumerate(moves):
        found[unit[i]] = np.array([-pulled * move, precisions * move])
        for j in range(i, k):
            both = tuple(a + b for a, b in zip(unit[i], unit[j], strict=True))
            found[both] = -(0.5 if i == j else 1.0) * (precisions * move * moves[j])[None]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Polynomials of cells that rows are added to.

    Attributes
    ----------
    monomials : of their variables, by powers of dispersions.
    polynomials : (C, M) of each of these, multinomial coefficients left out.
    normal : the same of what was taken away, but for powers of dispersions, up to the second order.
    errors : (C,) what the terms that are left out may add up to, as a standard deviation.
    rows : (C,) how many.
    """

    monomials: dict[Exponents, Monomials]
    polynomials: dict[Exponents, np.ndarray]
    normal: np.ndarray
    errors: np.ndarray
    rows: np.ndarray

    @classmethod
    def empty(cls, variables: int, order: int, dispersions: int, cells: int) -> Sums:
        """Of no rows."""
        each = exponents_for(dispersions, order)
        monomials = {e: Monomials.of(variables, order - sum(e)) for e in each}
        normal = np.zeros((cells, Monomials.count(variables, 2)))
        found = {e: np.zeros((cells, one.size)) for e, one in monomials.items()}
        return cls(monomials, found, normal, np.zeros(cells), np.zeros(cells))

    @property
    def whole(self) -> Monomials:
        """Those without dispersions."""
        return next(iter(self.monomials.values()))

    def add(
        self,
        x: np.ndarray,
        codes: np.ndarray,
        terms: dict[Exponents, np.ndarray],
        sd: np.ndarray,
        less: dict[Exponents, np.ndarray],
        root: np.ndarray,
    ) -> None:
        """Add rows.

        Parameters
        ----------
        x, codes : (n, d) and (n,) cells.
        terms : Hermite coefficients, up to `terms_for` the order.
        sd : (n,) of linear predictors.
        less : (3, n) coefficients of a quadratic that is taken away, and those for powers of dispersions.
        root : (C, d, d) weights of the cells' variables.
        """
        order, ends = self.whole.order, self.whole.ends
        for e, own in in_powers_of_dispersions(terms, order).items():
            powers = in_powers(own, sd)
            if e in less:
                powers[: len(less[e])] -= less[e]
            add_polynomials(x, codes, powers, root, self.monomials[e].ends, self.polynomials[e])
        add_polynomials(x, codes, next(iter(less.values())), root, ends[:3], self.normal)
        self.errors[:] += errors_of(terms, codes, order, len(self.errors))
        self.rows[:] += np.bincount(codes, minlength=len(self.errors))

    def __add__(self, other: Sums) -> Sums:
        polynomials = {e: one + other.polynomials[e] for e, one in self.polynomials.items()}
        errors, rows = self.errors + other.errors, self.rows + other.rows
        return Sums(self.monomials, polynomials, self.normal + other.normal, errors, rows)


def errors_of(terms: dict[Exponents, np.ndarray], codes: np.ndarray, order: int, cells: int) -> np.ndarray:
    """(C,) what the terms beyond an order may add up to over the rows (n,) of each cell, as a standard deviation."""
    each = np.zeros(len(codes))
    for e, own in terms.items():
        below = math.prod(map(math.factorial, e))
        for a in range(min(len(own), terms_for(order) + 1 - sum(e))):
            if a + sum(e) > order or sum(e) > OF_DISPERSIONS:
                each += math.sqrt(math.factorial(a) * below) * np.abs(own[a])
    return np.bincount(codes, each, cells)


def count_of(variables: int, order: int, dispersions: int) -> int:
    """Terms of a cell's polynomials."""
    each = exponents_for(dispersions, order)
    return sum(Monomials.count(variables, order - sum(e)) for e in each)
