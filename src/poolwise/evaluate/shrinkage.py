"""How much of a group's coefficients comes from its own rows, and how much from the pool."""

from __future__ import annotations

import numpy as np

from poolwise.density.working_coordinates import shifted
from poolwise.design.factors import Factor
from poolwise.inference.posterior import Model, Pooling, Posterior


def shrinkage(posterior: Posterior, factor: Factor) -> np.ndarray:
    """Share of a group effect's variance between groups that its own data leave unexplained, (J, q), from 0 to 1.

    Var(u_jk | y, beta, theta) / tau_k^2, averaged over theta. For intercepts alone it is the textbook factor
    (sigma^2 / n_j) / (sigma^2 / n_j + tau^2) (Gelman and Hill 2007, chapter 12). Without pooling it is zero.
    """
    if not posterior.u:
        return np.zeros((len(factor.levels), posterior.beta.shape[-1]))
    return posterior.offsets(factor).unexplained()


def prior_only(model: Model, factor: Factor) -> np.ndarray:
    """(J, q) whether a group's rows say nothing of a coefficient: its column is zero in all of them.

    Of coupled levels none is marked: those around them say something.
    """
    if factor.coupling is not None:
        return np.zeros((len(factor.levels), len(factor.effects)), dtype=bool)
    design, statistics = model.design, model.statistics
    separate = model.pooling is Pooling.SEPARATE
    columns = shifted(design.common_map if separate else factor.group_map, statistics.origin[:-1])
    scatter = np.einsum("kq,jkl,lq->jq", columns[1:], statistics.scatter[:, :-1, :-1], columns[1:])
    level = columns[0] + statistics.means[:, :-1] @ columns[1:]
    by_cell = scatter + statistics.weights[:, None] * level**2
    squares = np.zeros((len(factor.levels), by_cell.shape[1]))
    np.add.at(squares, factor.codes, by_cell)
    return squares <= 1e-20 * squares.sum(axis=0)
