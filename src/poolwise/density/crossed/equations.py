"""Sums over rows of a normal model with crossed intercepts: what levels and pairs of levels have in common.

Two kinds of effects: those of large factors, of which any two levels of one factor never meet in a row; and all others,
common coefficients and small factors, which are solved for together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array

from poolwise.density.priors import ModelPriors
from poolwise.density.projection import Projection, project
from poolwise.density.working_coordinates import WorkingBasis, gram_root, working_basis
from poolwise.design.design import Design
from poolwise.design.factors import Factor
from poolwise.statistics.products import CrossProducts
from poolwise.support.threads import map_slices

_BLOCK = 1 << 18  # entries of a block, which threads share out
_SMALL = 64  # levels of all small factors together


@dataclass(frozen=True, slots=True, eq=False)
class Meetings:
    """Weights of rows of two levels, one of each of two factors.

    Attributes
    ----------
    blocks : rows of the sparse matrix (J, J_other), as many in each as have about as many entries.
    threads : how many threads work on them.
    """

    blocks: tuple[csr_array, ...]
    threads: int

    def __matmul__(self, effects: np.ndarray) -> np.ndarray:
        """(J_other, C) to (J, C)."""
        found = map_slices(lambda i, _: self.blocks[i] @ effects, len(self.blocks), 1, self.threads)
        return np.concatenate(found) if len(found) > 1 else np.asarray(found[0])


@dataclass(frozen=True, slots=True, eq=False)
class LargeFactor:
    """A factor of many levels.

    Attributes
    ----------
    place : among the factors of the design.
    weights : (J,) of the rows of each level.
    dense : (J, m) sums of the columns of the dense part over the rows of each level.
    outcome : (J,) sums of the outcomes.
    meetings : for each other large factor in order, the weights of rows of two levels (J, J_other).
    """

    place: int
    weights: np.ndarray
    dense: np.ndarray
    outcome: np.ndarray
    meetings: dict[int, Meetings]


@dataclass(frozen=True, slots=True, eq=False)
class CrossedEquations:
    """Sums of the rows, outcomes counted from the reference regression of the basis.

    Attributes
    ----------
    basis : working coordinates of the common coefficients.
    large : factors of many levels.
    small : for each small factor its place in the design, and its levels' places in the dense part.
    products : (m, m) of the columns of the dense part.
    outcome : (m,) of these with the outcome.
    square : of the outcome.
    penalty, pull : (m, m) and (m,) of the prior of the common coefficients: its precision, and that times its mean.
    rows : how many.
    scales : (Q + 1, 6) priors of the sds of effects and of the residual sd.
    """

    basis: WorkingBasis
    large: tuple[LargeFactor, ...]
    small: tuple[tuple[int, slice], ...]
    products: np.ndarray
    outcome: np.ndarray
    square: float
    penalty: np.ndarray
    pull: np.ndarray
    rows: float
    scales: np.ndarray

    @property
    def common(self) -> int:
        """Number of common coefficients, which stand first in the dense part."""
        return len(self.basis.reference)

    @property
    def levels(self) -> int:
        """Effects of the large factors."""
        return sum(len(one.weights) for one in self.large)


def is_crossed(design: Design, priors: ModelPriors) -> bool:
    """Whether a design has nothing but independent intercepts of two large factors or more, and normal priors.

    And an intercept: without one either factor could take the mean up, which makes two modes, between which no chain
    would go.
    """
    plain = all(
        factor.effects == ("Intercept",) and factor.coupling is None and not factor.is_term for factor in design.factors
    )
    simple = not priors.layout.hyperparameters and not len(priors.ties.places) and not priors.exponents.any()
    return plain and simple and "Intercept" in design.coefficients and len(_large(design.factors)) > 1


def _large(factors: tuple[Factor, ...]) -> list[int]:
    """Places of the factors that are too large to be solved for with the common coefficients."""
    by_size = sorted(range(len(factors)), key=lambda f: len(factors[f].levels))
    within = np.cumsum([len(factors[f].levels) for f in by_size]) <= _SMALL
    return sorted(f for f, small in zip(by_size, within, strict=True) if not small)


def crossed_equations(
    statistics: CrossProducts, design: Design, priors: ModelPriors, *, threads: int
) -> CrossedEquations:
    """Sum the cells of the statistics."""
    factors, basis = design.factors, _basis(statistics, design, priors)
    projection, _ = project(statistics, basis, factors[0].group_map)
    projected = gram_root(statistics) @ projection.columns
    large = _large(factors)
    small = [f for f in range(len(factors)) if f not in large]
    p = len(basis.reference)
    starts = np.cumsum([p, *(len(factors[f].levels) for f in small)])
    places = [slice(int(a), int(b)) for a, b in zip(starts, starts[1:], strict=False)]
    m = int(starts[-1])
    products, outcome = np.zeros((m, m)), np.zeros(m)
    common = projected.T @ projected
    products[:p, :p], outcome[:p] = common[:p, :p], common[:p, p]
    cells = _cell_sums(statistics, projection)
    for i, f in enumerate(small):
        of_levels = _by_level(factors[f], cells)
        products[places[i], :p] = of_levels[:, :p]
        products[:p, places[i]] = of_levels[:, :p].T
        outcome[places[i]] = of_levels[:, p]
        for k, other in enumerate(small[: i + 1]):
            met = _meetings(factors[f], factors[other], statistics.weights).toarray()
            products[places[i], places[k]] = met
            products[places[k], places[i]] = met.T
    found = []
    for f in large:
        of_levels = _by_level(factors[f], cells)
        beside = [_meetings(factors[f], factors[other], statistics.weights).toarray() for other in small]
        others = {
            k: _in_blocks(_meetings(factors[f], factors[other], statistics.weights), threads)
            for k, other in enumerate(large)
            if other != f
        }
        weights = np.bincount(factors[f].codes, statistics.weights, len(factors[f].levels))
        dense = np.hstack([of_levels[:, :p], *beside])
        found.append(LargeFactor(f, weights, dense, of_levels[:, p].copy(), others))
    rows = priors.rows @ basis.to_written / priors.width[:, None]
    centre = (priors.mean - priors.rows @ basis.reference) / priors.width
    penalty, pull = np.zeros((m, m)), np.zeros(m)
    penalty[:p, :p], pull[:p] = rows.T @ rows, rows.T @ centre
    return CrossedEquations(
        basis, tuple(found), tuple(zip(small, places, strict=True)), products, outcome, float(common[p, p]),
        penalty, pull, float(statistics.rows), priors.scale_priors,
    )  # fmt: skip


def _basis(statistics: CrossProducts, design: Design, priors: ModelPriors) -> WorkingBasis:
    return working_basis(statistics, design.common_map, priors.rows, priors.mean, priors.width, priors.scaled)


def _cell_sums(statistics: CrossProducts, projection: Projection) -> np.ndarray:
    """(C, p + 1) sums of [X, y] over each cell."""
    return np.asarray(statistics.weights[:, None] * (projection.columns[0] + statistics.means @ projection.columns[1:]))


def _by_level(factor: Factor, cells: np.ndarray) -> np.ndarray:
    """(J, k) sums of cells (C, k)."""
    return np.stack([np.bincount(factor.codes, column, len(factor.levels)) for column in cells.T], axis=1)


def _in_blocks(matrix: csr_array, threads: int) -> Meetings:
    ends = np.searchsorted(matrix.indptr, np.arange(_BLOCK, matrix.nnz + _BLOCK, _BLOCK))
    bounds = np.unique(np.concatenate([[0], np.minimum(ends, matrix.shape[0]), [matrix.shape[0]]]))
    parts = [matrix[int(a) : int(b)].tocsr() for a, b in zip(bounds, bounds[1:], strict=False)]
    return Meetings(tuple(parts), threads)


def _meetings(one: Factor, other: Factor, weights: np.ndarray) -> csr_array:
    shape = len(one.levels), len(other.levels)
    return coo_array((weights, (one.codes.astype(np.int32), other.codes.astype(np.int32))), shape=shape).tocsr()
