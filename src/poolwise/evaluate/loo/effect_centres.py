"""Where the effects of groups are most likely, given the rows of each and a draw of all else: centres of integrals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.design import Rows
from poolwise.evaluate.loo.conditional_outcomes import outcomes_of, predictors_of
from poolwise.evaluate.loo.integrated_effects import Effects
from poolwise.families.evaluate import slopes_and_information
from poolwise.inference.posterior import Posterior

_STEPS, _SETTLED = 12, 1e-6  # of Newton's method, in standard deviations of the effects


@dataclass(frozen=True, slots=True, eq=False)
class Centres:
    """Where the nodes of each draw and group are: u = M (centre + spread x), all (m, G, ...)."""

    scale: np.ndarray  # (m, Q, Q) M
    centre: np.ndarray  # (m, G, Q)
    spread: np.ndarray  # (m, G, Q, Q)

    def effects(self, node: np.ndarray) -> np.ndarray:
        """(m, G, Q) at a node (Q,)."""
        return np.einsum("mik,mgk->mgi", self.scale, self.centre + self.spread @ node)

    def log_ratio(self, node: np.ndarray) -> np.ndarray:
        """Prior density over that of the nodes, (m, G)."""
        w = self.centre + self.spread @ node
        volume = np.log(np.abs(np.diagonal(self.spread, axis1=-2, axis2=-1))).sum(axis=-1)
        return volume + 0.5 * float(node @ node) - 0.5 * np.square(w).sum(axis=-1)


def centres(
    posterior: Posterior, rows: Rows, effects: Effects, chosen: np.ndarray, codes: np.ndarray, size: int
) -> tuple[Centres, np.ndarray]:
    """Modes and curvatures of the effects of groups, by Newton's method from zero; and the leverage (m, n) of each row.

    That is its part of what is known of its group's effects, between zero and one for each of them. The information
    that one parameter has on another is left out: nodes may lie anywhere, and lie well enough.

    Parameters
    ----------
    chosen : (m,) positions of draws.
    codes : (n,) group of each row, below `size`.
    """
    layout, q, m = posterior.model.priors.layout, len(effects.of), len(chosen)
    theta = np.asarray(posterior.theta).reshape(-1, layout.dimension)[chosen]
    scale, z = effects.root(layout, theta), effects.columns(rows)
    members, base = adder(codes, size), predictors_of(posterior, rows, effects.names, chosen)
    # Columns of standardised effects in each linear predictor that has some.
    images = {k: np.einsum("nq,mqk->mnk", z[:, effects.of == k], scale[:, effects.of == k]) for k in set(effects.of)}
    centre, leverages, times = np.zeros((m, size, q)), np.zeros((m, len(codes))), rows.multiplicities
    curvature = np.broadcast_to(np.eye(q), (m, size, q, q))
    for _ in range(_STEPS if len(codes) else 0):
        at = effects.moved(base, z, np.einsum("mik,mgk->mgi", scale, centre)[:, codes])
        slopes, information = _derivatives(posterior, rows, at)
        gradient = -centre
        curvature = np.broadcast_to(np.eye(q), curvature.shape).copy()
        for k, image in images.items():
            gradient = gradient + np.stack([(slopes[k] * times * image[..., i]) @ members for i in range(q)], axis=-1)
            for i in range(q):
                weighted = information[k] * times * image[..., i]
                curvature[..., i, :] += np.stack([(weighted * image[..., j]) @ members for j in range(q)], axis=-1)
        step = np.clip(np.linalg.solve(curvature, np.nan_to_num(gradient)[..., None])[..., 0], -2.0, 2.0)
        centre = centre + step
        if np.abs(step).max(initial=0.0) < _SETTLED:
            break
    spread = np.linalg.cholesky(np.linalg.inv(curvature))
    if len(codes):
        for k, image in images.items():
            moved = np.einsum("mnij,mni->mnj", spread[:, codes], image)
            leverages += information[k] * np.square(moved).sum(axis=-1)
    return Centres(scale, centre, spread), leverages


def _derivatives(posterior: Posterior, rows: Rows, predictors: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Slopes of the log likelihood of each row in each linear predictor, and the information, (parameters, m, n)."""
    outcome, m = outcomes_of(posterior, rows, predictors), len(predictors[0])
    y, trials, counted = (np.tile(each, m) for each in (rows.response, outcome.trials, outcome.counted))
    limits = None if rows.limits is None else np.tile(rows.limits, (1, m))
    flat = np.stack([np.ravel(each) for each in predictors])
    model = posterior.model
    found = slopes_and_information(model.family, model.link, y, trials, counted, flat, limits)
    slopes, information = (each.reshape(len(predictors), m, -1) for each in found)
    return slopes, np.nan_to_num(information, posinf=0.0)


def adder(codes: np.ndarray, size: int) -> Any:
    """A sparse matrix (n, size) that adds up columns by their codes."""
    from scipy.sparse import csr_array

    shape = (len(codes), size)
    return csr_array((np.ones(len(codes)), (np.arange(len(codes)), codes)), shape=shape)
