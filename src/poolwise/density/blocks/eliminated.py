"""A blocked system at one theta, with all eliminated: means and covariances of what was integrated out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poolwise.density.blocks import back_substitution as back
from poolwise.density.blocks import evaluate, kernels, root
from poolwise.density.blocks.kernels import System
from poolwise.density.blocks.structure import Structure


def kept_size(structure: Structure) -> int:
    """Number of coefficients but the leaf's."""
    eliminated = np.diff(structure.first_effect)[structure.factor[structure.leaves :]]
    return int(eliminated.sum() + structure.root_size - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Eliminated:
    """A system at one theta.

    Attributes
    ----------
    system : arrays of the kernels.
    point : (d,) theta.
    covariance : (Q, Q) factor of the covariance of effects, as theta speaks of them.
    value : log p(y | theta).
    store, panels : what elimination has left, of the leaf in `panels`.
    """

    system: System
    point: np.ndarray
    covariance: np.ndarray
    value: float
    store: np.ndarray
    panels: np.ndarray

    @classmethod
    def at(cls, system: System, point: np.ndarray) -> Eliminated | None:
        """At a point (d,); None where its log density is not finite."""
        covariance, scale, store, panels = evaluate.room(system)
        kernels.scales(point, system, covariance, scale)
        log_determinant, log_precisions = kernels.reduce_to_root(point, system, scale, store, panels)
        log_determinant += root.factorise(system.structure, store, system.multiplier)
        log_sigma = point[len(system.prior.starts) + len(system.prior.correlations)]
        value = float(evaluate.assembled(log_determinant, log_precisions, store[-1], log_sigma, system))
        return None if value == -math.inf else cls(system, point, covariance, value, store, panels)

    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Conditional means of the kept coefficients (n,) and of the leaf's scaled effects (leaves, q)."""
        system, structure = self.system, self.system.structure
        kept = np.zeros(kept_size(structure))
        leaf = np.empty((int(structure.leaves), self._width))
        solved = root.solve(structure, self.store, np.zeros(structure.root_size - 1))
        kernels.unscale_coefficients(self.point, system.prior, solved)
        back.solve_kept(system, self.store, solved, np.zeros(len(kept)), kept)
        back.solve_leaf(system, self.panels, kept, leaf)
        return kept, leaf

    def root_covariance(self) -> np.ndarray:
        """Covariances of the root's effects and coefficients, in its place of an array like `store`."""
        system, inverse = self.system, np.empty_like(self.store)
        root.invert(system.structure, self.store, system.structure.root_size - 1, system.multiplier, inverse)
        kernels.unscale_covariance(self.point, system, inverse)
        return inverse

    def root_covariance_of_effects(self) -> np.ndarray:
        """The same of the root's effects alone, given the coefficients."""
        system, inverse = self.system, np.empty_like(self.store)
        effects = system.structure.root_size - system.xy.shape[0]
        root.invert(system.structure, self.store, effects, system.multiplier, inverse)
        return inverse

    def own_covariances(self, inverse: np.ndarray, common: int) -> np.ndarray:
        """Covariances (leaves, q, q) of the leaf's effects; those of the other factors are left in `inverse`, where
        those of the root are, with so many coefficients."""
        structure = self.system.structure
        most, q = int(structure.width.max(initial=1)), int(np.diff(structure.first_effect).max())
        own = np.empty((int(structure.leaves), self._width, self._width))
        work = back.Room(np.empty((most, most)), np.empty((q, most)), np.empty((q, most)), own)
        back.selected_inverse(self.system, self.store, self.panels, inverse, common, work)
        return own

    @property
    def _width(self) -> int:
        """Effects of a level of the leaf."""
        structure = self.system.structure
        return int(np.diff(structure.first_effect)[structure.factor[0]]) if structure.leaves else 0
