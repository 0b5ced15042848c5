"""Log likelihoods of rows as polynomials of their linear predictors and of dispersions, and their sums by cells.

If a linear predictor is about Normal(m, s^2), the polynomial that is closest in mean square is the Hermite expansion

    l(m + s z) = sum_k c_k He_k(z),  c_k = s / k! E[l'(m + s z) He_{k-1}(z)],

and what its next terms leave out is known beforehand. In powers of a sum x . (w - w0) it adds up over the rows of a
cell (Huggins, Adams and Broderick 2017, for a regression as a whole, around zero and by Chebyshev polynomials). Logs of
dispersions that all rows share are further variables, so that there is a polynomial for each product of their powers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.polynomial import hermite_e

from poolwise.density.polynomial.kernels import add_node, add_polynomials, add_times
from poolwise.density.polynomial.monomials import Monomials

_MORE_NODES = 3  # of the quadrature than the highest polynomial
_OF_DISPERSIONS = 3  # highest power of these, which many rows tell sharply
_TAIL = 2  # terms beyond the order that tell the error
_LEAST = 1e-30  # standard deviation
# At which each row's slopes are asked for at the most: some thousand draws look at every row as often, but for values
# alone, which cost a seventh where categories are ordered.
MOST_NODES = 500

Exponents = tuple[int, ...]  # of dispersions
Slopes = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Normals:
    """What is known of some rows and of dispersions.

    Attributes
    ----------
    mean, sd : (n,) of linear predictors.
    centre, unit : (k,) means and standard deviations of logs of dispersions.
    """

    mean: np.ndarray
    sd: np.ndarray
    centre: np.ndarray
    unit: np.ndarray


def exponents_up_to(dispersions: int, order: int) -> list[Exponents]:
    """Exponents of all products of powers of so many dispersions that are no more than an order together."""
    found = product(range(order + 1), repeat=dispersions)
    return sorted((one for one in found if sum(one) <= order), key=lambda one: (sum(one), one))


def exponents_for(dispersions: int, order: int) -> list[Exponents]:
    """Exponents of the products of powers of dispersions that polynomials of an order have."""
    return exponents_up_to(dispersions, min(order, _OF_DISPERSIONS))


def hermite_terms(slopes: Slopes, normals: Normals, order: int) -> dict[Exponents, np.ndarray]:
    """(order + 1 - |e|, n) coefficients c of Hermite polynomials of predictors, for each product He_e of dispersions.

    The first of those without dispersions plays no part, and is zero.

    Parameters
    ----------
    slopes : linear predictors (n,) and logs of dispersions (k,) to the slopes (1 + k, n) of log likelihoods in these.
    """
    k, most = len(normals.centre), min(order, _OF_DISPERSIONS + 1)
    nodes, weights = _gauss(order + _MORE_NODES)
    own = list(product(zip(*_gauss(most + 1), strict=True), repeat=k))
    of_predictor = np.ascontiguousarray(hermite_e.hermevander(nodes, order))
    found = {e: np.zeros((order + 1 - sum(e), len(normals.mean))) for e in exponents_up_to(k, most)}
    for points in own:
        at = np.array([node for node, _ in points])
        logs, share = normals.centre + normals.unit * at, math.prod(weight for _, weight in points)
        values = hermite_e.hermevander(at, most) if k else np.zeros((0, most + 1))
        of_mean, in_logs = np.zeros((order, len(normals.mean))), np.zeros((k, len(normals.mean)))
        for node, weight, row in zip(nodes, weights, of_predictor, strict=True):
            add_node(weight * share, slopes(normals.mean + node * normals.sd, logs), row, of_mean, in_logs)
        for e, terms in found.items():
            add_times(math.prod(values[j, power] for j, power in enumerate(e)), of_mean, terms[1:])
            if any(e):  # the first one, by the slope in a dispersion that it has
                j = next(j for j, power in enumerate(e) if power)
                less = math.prod(values[i, power - (i == j)] for i, power in enumerate(e))
                terms[0] += less * normals.unit[j] * in_logs[j]
    for e, terms in found.items():
        below = math.prod(map(math.factorial, e))
        terms[1:] *= normals.sd
        terms /= np.array([float(math.factorial(a) * below) for a in range(len(terms))])[:, None]
    return found


def nodes_for(dispersions: int, order: int) -> int:
    """Nodes of the quadrature that `hermite_terms` makes for polynomials of an order."""
    return (terms_for(order) + _MORE_NODES) * (min(terms_for(order), _OF_DISPERSIONS + 1) + 1) ** dispersions


def _gauss(count: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = hermite_e.hermegauss(count)
    return nodes, weights / weights.sum()


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


def in_powers_of_dispersions(terms: dict[Exponents, np.ndarray], order: int) -> dict[Exponents, np.ndarray]:
    """The same coefficients for products of powers of dispersions, in their units, up to an order in all."""
    found: dict[Exponents, np.ndarray] = {}
    for e, own in terms.items():
        if sum(e) <= min(order, _OF_DISPERSIONS):
            powers = [hermite_e.herme2poly(np.eye(power + 1)[power]) for power in e]
            for lower in product(*(range(power + 1) for power in e)):
                times = math.prod(powers[j][power] for j, power in enumerate(lower))
                if times:
                    whole = found.setdefault(lower, np.zeros((order + 1 - sum(lower), own.shape[1])))
                    size = order + 1 - sum(e)
                    whole[:size] += times * own[:size]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Polynomials of cells that rows are added to.

    Attributes
    ----------
    monomials : of their variables, by powers of dispersions.
    polynomials : (C, M) of each of these, multinomial coefficients left out.
    normal : the same of what was taken away, up to the second order.
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
        less: np.ndarray,
        root: np.ndarray,
    ) -> None:
        """Add rows.

        Parameters
        ----------
        x, codes : (n, d) and (n,) cells.
        terms : Hermite coefficients, up to `terms_for` the order.
        sd : (n,) of linear predictors.
        less : (3, n) coefficients of a quadratic that is taken away.
        root : (C, d, d) weights of the cells' variables.
        """
        order, ends = self.whole.order, self.whole.ends
        for e, own in in_powers_of_dispersions(terms, order).items():
            powers = in_powers(own, sd)
            if not any(e):
                powers[:3] -= less
            add_polynomials(x, codes, powers, root, self.monomials[e].ends, self.polynomials[e])
        add_polynomials(x, codes, less, root, ends[:3], self.normal)
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
        for a in range(min(len(own), order + _TAIL + 1 - sum(e))):
            if a + sum(e) > order or sum(e) > _OF_DISPERSIONS:
                each += math.sqrt(math.factorial(a) * below) * np.abs(own[a])
    return np.bincount(codes, each, cells)


def terms_for(order: int) -> int:
    """Highest Hermite polynomial whose coefficient is needed."""
    return order + _TAIL


def count_of(variables: int, order: int, dispersions: int) -> int:
    """Terms of a cell's polynomials."""
    each = exponents_for(dispersions, order)
    return sum(Monomials.count(variables, order - sum(e)) for e in each)
