"""Log likelihoods of rows as polynomials of their linear predictors and of dispersions.

If a linear predictor is about Normal(m, s^2), the polynomial that is closest in mean square is the Hermite expansion

    l(m + s z) = sum_k c_k He_k(z),  c_k = s / k! E[l'(m + s z) He_{k-1}(z)],

and what its next terms leave out is known beforehand. Logs of dispersions that all rows share are further variables
w_j, in units of their standard deviations: many rows tell them sharply, so that low powers do. Coefficients of
He_a(z) He_e(w), for exponents e of which one is that of w_j, follow from slopes in this one alone,

    c_ae = E[dl / dw_j He_a(z) He_{e - 1 of j}(w)] / (a! e!),

and where what is left of e is of one dispersion its axis tells them: slopes are asked for at a centre and on each axis,
not at all combinations of nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.polynomial import hermite_e

from poolwise.density.polynomial.kernels import add_node, add_times

_MORE_NODES = 3  # of the quadrature than the highest polynomial
OF_DISPERSIONS = 3  # highest power of these together, which many rows tell sharply
# Nodes on the axis of each dispersion, with the centre: of one or two; and of more.
_FEW_DISPERSIONS, _ON_AXIS_OF_FEW, _ON_AXIS_OF_MANY = 2, 5, 3
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


def exponents_for(dispersions: int, order: int) -> list[Exponents]:
    """Exponents of the products of powers of dispersions that polynomials of an order have: all that axes tell, which
    are those of which no three are different."""
    return [e for e in _exponents_up_to(dispersions, min(order, OF_DISPERSIONS)) if _split(e) is not None]


def hermite_terms(slopes: Slopes, normals: Normals, order: int) -> dict[Exponents, np.ndarray]:
    """(order + 1 - |e|, n) coefficients c of Hermite polynomials of predictors, for each product He_e of dispersions.

    The first of those without dispersions plays no part, and is zero. Of products of the next power than polynomials
    have there are those that axes tell.

    Parameters
    ----------
    slopes : linear predictors (n,) and logs of dispersions (k,) to the slopes (1 + k, n) of log likelihoods in these.
    """
    k, n = len(normals.centre), len(normals.mean)
    nodes, weights = _gauss(order + _MORE_NODES)
    of_predictor = np.ascontiguousarray(hermite_e.hermevander(nodes, max(order - 1, 0)))
    every = _exponents_up_to(k, min(order, OF_DISPERSIONS + 1))
    known = {e: split for e in every if (split := _split(e)) is not None}
    found = {e: np.zeros((order + 1 - sum(e), n)) for e in known}
    none = np.empty((0, n))
    for axis, at, share in _star(k):
        logs = normals.centre.copy()
        if axis >= 0:
            logs[axis] += at * normals.unit[axis]
        sums = np.zeros((1 + k, order, n))
        for node, weight, row in zip(nodes, weights, of_predictor, strict=True):
            for own, mine in zip(slopes(normals.mean + node * normals.sd, logs)[:, None], sums, strict=True):
                add_node(weight, np.ascontiguousarray(own), row, mine, none)
        for e, (by, rest) in known.items():
            times = _times(rest, axis, at, share, k)
            if times and by < 0:
                add_times(times, sums[0], found[e][1:])
            elif times:
                add_times(times * normals.unit[by], sums[1 + by], found[e])
    for e, terms in found.items():
        if not any(e):
            terms[1:] *= normals.sd
        below = math.prod(map(math.factorial, e))
        terms /= np.array([float(math.factorial(a) * below) for a in range(len(terms))])[:, None]
    return found


def nodes_for(dispersions: int, order: int) -> int:
    """Nodes of the quadrature that `hermite_terms` makes for polynomials of an order."""
    return (terms_for(order) + _MORE_NODES) * (1 + dispersions * (_on_axis(dispersions) - 1))


def terms_for(order: int) -> int:
    """Highest Hermite polynomial whose coefficient is needed."""
    return order + _TAIL


def in_powers(terms: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """(order + 1, n) coefficients of powers of eta - m, of those (order + 1, n) of Hermite polynomials."""
    order = len(terms) - 1
    to_powers = np.array([np.pad(hermite_e.herme2poly(row), (0, order - k)) for k, row in enumerate(np.eye(order + 1))])
    powers = to_powers.T @ terms
    return np.asarray(powers / np.maximum(sd, _LEAST) ** np.arange(order + 1)[:, None])


def in_powers_of_dispersions(terms: dict[Exponents, np.ndarray], order: int) -> dict[Exponents, np.ndarray]:
    """The same coefficients for products of powers of dispersions, in their units, up to an order in all."""
    found: dict[Exponents, np.ndarray] = {}
    for e, own in terms.items():
        if sum(e) <= min(order, OF_DISPERSIONS):
            powers = [hermite_e.herme2poly(np.eye(power + 1)[power]) for power in e]
            for lower in product(*(range(power + 1) for power in e)):
                times = math.prod(powers[j][power] for j, power in enumerate(lower))
                if times:
                    whole = found.setdefault(lower, np.zeros((order + 1 - sum(lower), own.shape[1])))
                    size = order + 1 - sum(e)
                    whole[:size] += times * own[:size]
    return found


def _exponents_up_to(dispersions: int, order: int) -> list[Exponents]:
    """Exponents of all products of powers of so many dispersions that are no more than an order together."""
    found = product(range(order + 1), repeat=dispersions)
    return sorted((one for one in found if sum(one) <= order), key=lambda one: (sum(one), one))


def _gauss(count: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = hermite_e.hermegauss(count)
    return nodes, weights / weights.sum()


def _on_axis(dispersions: int) -> int:
    return _ON_AXIS_OF_FEW if dispersions <= _FEW_DISPERSIONS else _ON_AXIS_OF_MANY


def _star(dispersions: int) -> list[tuple[int, float, float]]:
    """The centre, as (-1, 0, weight), and nodes other than it on each axis, as (axis, node, weight)."""
    nodes, weights = _gauss(_on_axis(dispersions))
    middle = len(nodes) // 2
    others = [(at, share) for i, (at, share) in enumerate(zip(nodes, weights, strict=True)) if i != middle]
    return [(-1, 0.0, weights[middle]), *((axis, *one) for axis in range(dispersions) for one in others)]


def _split(e: Exponents) -> tuple[int, Exponents] | None:
    """The dispersion whose slopes tell the coefficients, or -1 for linear predictors, and what is left of exponents;
    None where that is of several."""
    if not any(e):
        return -1, e
    by = min((j for j, power in enumerate(e) if power), key=lambda j: e[j])
    rest = tuple(power - (j == by) for j, power in enumerate(e))
    told = sum(power > 0 for power in rest) <= 1 and sum(rest) < _on_axis(len(e))
    return (by, rest) if told else None


def _times(rest: Exponents, axis: int, at: float, share: float, dispersions: int) -> float:
    """The part of a node in the mean of a function times He_rest: that of its axis; and in the mean itself the sum of
    what all axes make of it, beyond the centre."""
    if any(rest):
        mine = next(j for j, power in enumerate(rest) if power)
        power = rest[mine]
        return float(share * hermite_e.hermeval(at, np.eye(power + 1)[power])) if axis in (-1, mine) else 0.0
    return share if axis >= 0 else 1.0 - dispersions * (1.0 - share)
