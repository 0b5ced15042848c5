"""Draws of the effects of factors whose draws are kept: all but the leaf's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from poolwise.density.layout import ParameterLayout
from poolwise.design.factors import Factor
from poolwise.support.progress import Progress, silent

T = TypeVar("T")
_TOGETHER = 256  # groups summarised at a time


class FactorsDensity(Protocol):
    """What is asked of the density of several factors; see `BlockedDensity`."""

    @property
    def layout(self) -> ParameterLayout:  # noqa: D102
        ...

    @property
    def factors(self) -> tuple[Factor, ...]:  # noqa: D102
        ...

    def unexplained_of(self, f: int, points: np.ndarray) -> np.ndarray: ...  # noqa: D102


@dataclass(frozen=True, slots=True, eq=False)
class KeptOffsets:
    """How far the effects of each level of a factor lie from the common part.

    Attributes
    ----------
    density : the density that theta was drawn from.
    factor : position of the factor in the design.
    places : (J, q) of its effects among the kept coefficients.
    theta : (chains, draws, d).
    working : (chains, draws, n) the kept coefficients, effects scaled.
    """

    density: FactorsDensity
    factor: int
    places: np.ndarray
    theta: np.ndarray
    working: np.ndarray

    @property
    def groups(self) -> int:
        """J."""
        return len(self.places)

    @property
    def fits_in_memory(self) -> bool:
        """They are in memory already."""
        return True

    def draws(self, groups: np.ndarray | None = None) -> np.ndarray:
        """Draws for the groups at these positions, all by default: (chains, draws, len(groups), q)."""
        places = self.places if groups is None else self.places[np.asarray(groups, dtype=np.int64)]
        return np.einsum("cdik,cdgk->cdgi", self._roots(), self.working[..., places])

    def mean(self) -> np.ndarray:
        """Means (J, q) of the draws."""
        return np.concatenate(self.map_blocks(lambda _, draws: draws.mean(axis=0).T))

    def unexplained(self) -> np.ndarray:
        """Var(u_jk | y, beta, theta) / tau_k^2 averaged over thetas spread over the chains, (J, q)."""
        return self.density.unexplained_of(self.factor, self.theta.reshape(-1, self.theta.shape[-1]))

    def map_blocks(
        self, work: Callable[[slice, np.ndarray], T], progress: Progress = silent, step: str = ""
    ) -> list[T]:
        """`work(groups, draws)` for consecutive groups and their draws (chains * draws, q, groups)."""
        factors = self._roots().reshape(-1, self.places.shape[1], self.places.shape[1])
        working = self.working.reshape(len(factors), -1)
        found = []
        for start in range(0, self.groups, _TOGETHER):
            groups = slice(start, min(start + _TOGETHER, self.groups))
            found.append(work(groups, np.einsum("mik,mgk->mig", factors, working[:, self.places[groups]])))
            progress(step, groups.stop / self.groups)
        return found

    def _roots(self) -> np.ndarray:
        """(chains, draws, q, q) what scaled effects are multiplied by to give effects as written."""
        return self.density.layout.root(self.theta, self.density.factors[self.factor].name)
