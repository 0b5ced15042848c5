"""Log likelihoods of rows as polynomials of their linear predictors, and their sums by cells.

If a linear predictor is about Normal(m, s^2), the polynomial that is closest in mean square is the Hermite expansion

    l(m + s z) = sum_k c_k He_k(z),  c_k = s / k! E[l'(m + s z) He_{k-1}(z)],

and what its next terms leave out is known beforehand. In powers of a sum x . (w - w0) it adds up over the rows of a
cell (Huggins, Adams and Broderick 2017, for a regression as a whole, around zero and by Chebyshev polynomials).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import hermite_e

from poolwise.density.polynomial.kernels import add_polynomials
from poolwise.density.polynomial.monomials import Monomials

_MORE_NODES = 6  # of the quadrature than the order
_TAIL = 2  # terms beyond the order that tell the error
_LEAST = 1e-30  # standard deviation


def hermite_terms(
    slopes: Callable[[np.ndarray], np.ndarray], mean: np.ndarray, sd: np.ndarray, order: int
) -> np.ndarray:
    """(order + 1, n) coefficients c; the first, which plays no part, is zero.

    Parameters
    ----------
    slopes : linear predictors (n,) to slopes of log likelihoods.
    mean, sd : (n,) of linear predictors.
    """
    nodes, weights = hermite_e.hermegauss(order + _MORE_NODES)
    weights = weights / weights.sum()
    factors = hermite_e.hermevander(nodes, order - 1) * weights[:, None]
    found = np.zeros((order + 1, len(mean)))
    for node, factor in zip(nodes, factors, strict=True):
        found[1:] += factor[:, None] * slopes(mean + node * sd)
    found[1:] *= sd / np.array([math.factorial(k) for k in range(1, order + 1)])[:, None]
    return found


def in_powers(terms: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """(order + 1, n) coefficients of powers of eta - m, of those (order + 1, n) of Hermite polynomials."""
    order = len(terms) - 1
    to_powers = np.array([np.pad(hermite_e.herme2poly(row), (0, order - k)) for k, row in enumerate(np.eye(order + 1))])
    powers = to_powers.T @ terms
    return np.asarray(powers / np.maximum(sd, _LEAST) ** np.arange(order + 1)[:, None])


def normal_terms(away: np.ndarray, precisions: np.ndarray) -> np.ndarray:
    """(3, n) log densities of normal outcomes so far away (n,) from their means, by powers of what these move by."""
    pulled = precisions * away
    return np.array([0.5 * np.log(precisions / (2 * np.pi)) - 0.5 * pulled * away, pulled, -0.5 * precisions])


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Polynomials of cells that rows are added to.

    Attributes
    ----------
    monomials : of their variables.
    polynomials : (C, M), multinomial coefficients left out.
    normal : the same of what was taken away, up to the second order.
    errors : (C,) what the terms that are left out may add up to, as a standard deviation.
    rows : (C,) how many.
    """

    monomials: Monomials
    polynomials: np.ndarray
    normal: np.ndarray
    errors: np.ndarray
    rows: np.ndarray

    @classmethod
    def empty(cls, monomials: Monomials, cells: int) -> Sums:
        """Of no rows."""
        normal = np.zeros((cells, int(monomials.ends[2, -1])))
        return cls(monomials, np.zeros((cells, monomials.size)), normal, np.zeros(cells), np.zeros(cells))

    def add(
        self,
        x: np.ndarray,
        codes: np.ndarray,
        terms: np.ndarray,
        sd: np.ndarray,
        less: np.ndarray,
        root: np.ndarray,
    ) -> None:
        """Add rows.

        Parameters
        ----------
        x, codes : (n, d) and (n,) cells.
        terms : (order + 1 + `_TAIL`, n) Hermite coefficients.
        sd : (n,) of linear predictors.
        less : (3, n) coefficients of a quadratic that is taken away.
        root : (C, d, d) weights of the cells' variables.
        """
        order, cells = self.monomials.order, len(self.errors)
        powers = in_powers(terms[: order + 1], sd)
        powers[:3] -= less
        add_polynomials(x, codes, powers, root, self.monomials.ends, self.polynomials)
        add_polynomials(x, codes, less, root, self.monomials.ends[:3], self.normal)
        self.errors[:] += errors_of(terms, codes, order, cells)
        self.rows[:] += np.bincount(codes, minlength=cells)

    def __add__(self, other: Sums) -> Sums:
        names = ("polynomials", "normal", "errors", "rows")
        return Sums(self.monomials, *(getattr(self, name) + getattr(other, name) for name in names))


def errors_of(terms: np.ndarray, codes: np.ndarray, order: int, cells: int) -> np.ndarray:
    """(C,) what the terms beyond an order may add up to over the rows (n,) of each cell, as a standard deviation."""
    beyond = range(order + 1, order + 1 + _TAIL)
    each = sum(math.sqrt(math.factorial(k)) * np.abs(terms[k]) for k in beyond)
    return np.bincount(codes, each, cells)


def terms_for(order: int) -> int:
    """Highest Hermite polynomial whose coefficient is needed."""
    return order + _TAIL
