"""What a leaf with one effect a level leaves of the root, interpolated.

With r = tau^2 / sigma^2 of the leaf's effect, its levels j take from the cross-products of the root, in units of
sigma^2 and before the scales of the other factors,

    sum_j c_j c_j' r / (1 + r z_j),  and add  sum_j log(1 + r z_j)  to the log determinant:

functions of one number, however many levels there are. In log r they are analytic but for log r = -log z_j +- i pi, so
that the polynomial through Chebyshev nodes on an interval of half-width h has errors that fall as rho^-nodes, rho =
(pi + sqrt(pi^2 + h^2)) / h (Trefethen 2013, theorem 8.2): for h = 1 and 18 nodes these are beyond the digits of sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from poolwise.density.blocks.interpolation import NONE, LeafTable, without_leaf
from poolwise.density.blocks.kernels import System

_NODES, _HALF = 18, 1.0
_FEWEST = 8  # points of an interval that are worth its table
_CHEAPER = 3.0  # times as cheap as elimination that interpolation has to be
_MOST = 1 << 21  # numbers of a table
_WITHIN = 300.0  # log r, whose exponential is a number


@dataclass(frozen=True, slots=True, eq=False)
class LeafTables:
    """Tables of intervals of log r, which are made when points are in them.

    Attributes
    ----------
    system : whose leaf they are of.
    known : tables so far, by their interval.
    """

    system: System
    known: dict[int, LeafTable] = field(default_factory=dict)

    @staticmethod
    def suit(system: System) -> bool:
        """Whether there is such a leaf, and interpolation costs less than its elimination."""
        structure = system.structure
        if not structure.leaves or structure.factor.size > structure.leaves:
            return False
        own = structure.factor[0]
        size = float(structure.root_size) ** 2
        taken = structure.leaves * size if structure.dense else np.square(structure.width.astype(float)).sum()
        one = structure.first_effect[own + 1] - structure.first_effect[own] == 1
        return bool(one and _NODES * size < _MOST and _CHEAPER * _NODES * size < taken)

    @property
    def cost(self) -> float:
        """Flops of an interpolation, about."""
        return _NODES * float(self.system.structure.root_size) ** 2

    def parts(self, ratios: np.ndarray) -> Iterator[tuple[np.ndarray, LeafTable]]:
        """Positions of points whose logs of r are given (m,), and a table for these, or none.

        Which one it is depends on the points alone, and not on those that came before.
        """
        with np.errstate(invalid="ignore"):
            intervals = np.where(np.abs(ratios) < _WITHIN, np.floor(ratios / (2 * _HALF)), np.inf)
        few = []
        for interval in np.unique(intervals):
            positions = np.flatnonzero(intervals == interval)
            if np.isfinite(interval) and len(positions) >= _FEWEST:
                yield positions, self._of(int(interval))
            else:
                few.append(positions)
        if few:
            yield np.sort(np.concatenate(few)), NONE

    def _of(self, interval: int) -> LeafTable:
        if interval not in self.known:
            structure, angles = self.system.structure, np.pi * (np.arange(_NODES) + 0.5) / _NODES
            nodes = (2 * interval + 1) * _HALF + _HALF * np.cos(angles)
            weights = np.sin(angles) * (-1.0) ** np.arange(_NODES)
            values, panels = np.zeros((_NODES, int(structure.size) + 1)), np.empty(self.system.leaf.size)
            for node, own in zip(nodes, values, strict=True):
                own[-1] = without_leaf(float(np.exp(node)), self.system, own[:-1], panels)
            self.known[interval] = LeafTable(nodes, weights, values)
        return self.known[interval]
