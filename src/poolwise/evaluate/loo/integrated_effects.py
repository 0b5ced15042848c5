"""The effects of a grouping that are integrated out together, whichever linear predictors they are part of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np

from poolwise.density.layout import ParameterLayout
from poolwise.design import Rows
from poolwise.design.factors import Factor
from poolwise.inference.posterior import Posterior

_NODES = {1: 15, 2: 9, 3: 5, 4: 3}  # along each effect; more effects than these are not integrated
TELLING = 50  # rows for each effect of a group, from which one of them may hardly move it


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """The Q effects of each of G groups, of factors by the same grouping columns.

    Attributes
    ----------
    factors : one at least.
    of : (Q,) positions of the linear predictors that effects are part of, among those of the family.
    """

    factors: tuple[Factor, ...]
    of: np.ndarray

    @property
    def name(self) -> str:
        """The grouping columns."""
        return ":".join(self.factors[0].keys)

    @property
    def groups(self) -> int:
        """How many there are."""
        return len(self.factors[0].levels)

    @property
    def names(self) -> frozenset[str]:
        """Names of the factors."""
        return frozenset(factor.name for factor in self.factors)

    def codes(self, rows: Rows) -> np.ndarray:
        """(n,) group of each row."""
        return self.factors[0].codes[rows.codes]

    def columns(self, rows: Rows) -> np.ndarray:
        """(n, Q) what the effects are multiplied by."""
        values = rows.values[:, :-1]
        return np.hstack([each.group_map[0] + values @ each.group_map[1:] for each in self.factors])

    def root(self, layout: ParameterLayout, theta: np.ndarray) -> np.ndarray:
        """(m, Q, Q) R with R R' the covariance of the effects, from theta (m, d)."""
        found, start = np.zeros((len(theta), len(self.of), len(self.of))), 0
        for each in self.factors:
            end = start + len(each.effects)
            found[:, start:end, start:end] = layout.root(theta, each.name)
            start = end
        return found

    def moved(self, predictors: Iterable[np.ndarray], columns: np.ndarray, effects: np.ndarray) -> list[np.ndarray]:
        """Linear predictors (m, n) with the effects (m, n, Q) of each row's group added."""
        found = list(predictors)
        for k in np.unique(self.of):
            mine = self.of == k
            found[k] = found[k] + np.einsum("nq,mnq->mn", columns[:, mine], effects[..., mine])
        return found

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Nodes (k, Q) and log weights (k,) of Gauss and Hermite for integrals over a standard normal density."""
        x, w = np.polynomial.hermite_e.hermegauss(_NODES[len(self.of)])
        nodes = np.array(list(product(x, repeat=len(self.of))))
        return nodes, np.array([np.log(each).sum() for each in product(w / np.sqrt(2 * np.pi), repeat=len(self.of))])


def finest(posterior: Posterior) -> Effects | None:
    """The effects of the grouping with the most groups, where they are few enough to be integrated."""
    found = [_few(posterior, keys) for keys in _groupings(posterior)]
    return max((each for each in found if each), key=lambda each: each.groups, default=None)


def hardly_moved(effects: Effects, rows: Rows) -> bool:
    """Whether every group has so many rows that one of them may hardly move its effects."""
    counts = np.bincount(effects.codes(rows), rows.multiplicities)
    return not np.any((counts > 0) & (counts < TELLING * len(effects.of)))


def effects_by(posterior: Posterior, by: str) -> Effects | None:
    """The effects of the grouping of a name, where they are few enough to be integrated."""
    named = [factor.keys for factor in posterior.model.design.factors if is_of(factor, by)]
    return _few(posterior, named[0]) if named else None


def is_of(factor: Factor, by: str) -> bool:
    """Whether a name is that of a factor or of its grouping columns."""
    return by in (factor.name, ":".join(factor.keys))


def _groupings(posterior: Posterior) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(factor.keys for factor in posterior.model.design.factors)) if posterior.u else []


def _few(posterior: Posterior, keys: tuple[str, ...]) -> Effects | None:
    """All effects of a grouping; where these are too many, those of factors of the mean."""
    factors = tuple(each for each in posterior.model.design.factors if each.keys == keys) if posterior.u else ()
    parameters = posterior.model.family.predictors
    for some in (factors, tuple(each for each in factors if each.of_mean)):
        of = np.array([parameters.index(name) for each in some for name in each.predictors], dtype=np.int64)
        if len(of) in _NODES:
            return Effects(some, of)
    return None
