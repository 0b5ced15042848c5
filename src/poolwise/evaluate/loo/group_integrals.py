"""What groups and rows say given all but the group's effects, which are integrated out on a grid of nodes.

For a family that is sampled, p(y_i | the rest) given the effects of its own group is a bad start for importance
weights: the effects saw y_i. So for each draw the effects of a group are integrated by adaptive Gauss-Hermite
quadrature (Liu and Pierce 1994; Pinheiro and Bates 1995), as Merkle, Furr and Rabe-Hesketh 2019 advise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from scipy.special import logsumexp

from poolwise.density.latent.observations import known_parts
from poolwise.design import Rows
from poolwise.design.design import linear_predictor, regression_weights
from poolwise.design.factors import Factor
from poolwise.evaluate.outcome_distribution import Outcomes
from poolwise.families import locations
from poolwise.families.evaluate import slope_and_information
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.support.progress import Progress
from poolwise.support.threads import map_slices

_NODES = {1: 15, 2: 9}  # along each effect; more effects than these are not integrated
_STEPS = 6
_MOST, _WORK, _LEAST = 1_000, 2e8, 100  # draws; rows x nodes x draws; draws at least
_TOGETHER = 2e6  # rows x nodes x draws at a time


@dataclass(frozen=True, slots=True, eq=False)
class Integrated:
    """For m draws, with the effects of groups integrated out.

    Attributes
    ----------
    groups : (m, G) log densities of each group's rows, all other rows' draws given.
    outside, inside : (m, n) log densities of each row, without and with its own outcome among its group's rows.
    means : (m, n) expected outcomes without it.
    """

    groups: np.ndarray
    outside: np.ndarray
    inside: np.ndarray
    means: np.ndarray


def finest(posterior: Posterior) -> Factor | None:
    """The factor of the mean with the most groups whose effects are few enough to be integrated."""
    found = [
        factor
        for factor in posterior.model.design.factors
        if factor.of_mean and len(factor.effects) in _NODES and posterior.u
    ]
    return max(found, key=lambda factor: len(factor.levels), default=None)


def integrate(posterior: Posterior, rows: Rows, factor: Factor | None, progress: Progress) -> Integrated:
    """Integrate the effects of a factor's groups; without one, nothing is integrated and a group is all rows."""
    nodes, log_weights = _grid(0 if factor is None else len(factor.effects))
    count = posterior.chains * posterior.draws
    kept = int(np.clip(_WORK / (len(rows.codes) * len(nodes)), _LEAST, _MOST))
    chosen = np.linspace(0, count - 1, min(kept, count)).astype(int)
    step = max(1, int(_TOGETHER / (len(rows.codes) * len(nodes))))
    done: list[int] = []

    def some(_: int, part: slice) -> Integrated:
        found = _some(posterior, rows, factor, chosen[part], nodes, log_weights)
        done.append(part.stop - part.start)
        return found

    def say() -> None:
        progress("integrating group effects", sum(done) / len(chosen))

    parts = map_slices(some, len(chosen), step, meanwhile=say)
    joined = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("groups", "outside", "inside", "means")
    )
    return Integrated(*joined)


def conditional(posterior: Posterior, rows: Rows, chosen: np.ndarray) -> Outcomes:
    """The distribution of outcomes in rows given all effects, for the draws at some positions."""
    return next(_at(posterior, rows, None, chosen, np.zeros((1, 0)), None))


def _grid(q: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (k, q) and log weights (k,) for integrals over a standard normal density in q dimensions."""
    if not q:
        return np.zeros((1, 0)), np.zeros(1)
    x, w = np.polynomial.hermite_e.hermegauss(_NODES[q])
    nodes = np.array(list(product(x, repeat=q)))
    return nodes, np.array([np.log(each).sum() for each in product(w / np.sqrt(2 * np.pi), repeat=q)])


def _some(
    posterior: Posterior,
    rows: Rows,
    factor: Factor | None,
    chosen: np.ndarray,
    nodes: np.ndarray,
    log_weights: np.ndarray,
) -> Integrated:
    y = rows.response
    codes = np.zeros(len(y), dtype=np.int64) if factor is None else factor.codes[rows.codes]
    size = 1 if factor is None else len(factor.levels)
    members = adder(codes, size)
    centre = None if factor is None else _centres(posterior, rows, factor, chosen)
    densities, means, totals = [], [], []
    for k, found in enumerate(_at(posterior, rows, factor, chosen, nodes, centre)):
        here = np.maximum(found.log_density(y), -1e300)
        densities.append(here)
        means.append(found.mean())
        totals.append(here @ members + log_weights[k] + (0.0 if centre is None else centre.log_ratio(nodes[k])))
    density, total = np.array(densities), np.array(totals)
    groups = np.asarray(logsumexp(total, axis=0))
    share = (total - groups)[:, :, codes]
    outside = -np.asarray(logsumexp(share - density, axis=0))
    apart = np.exp(share - density + outside)
    return Integrated(
        groups,
        outside,
        np.asarray(logsumexp(share + density, axis=0)),
        np.einsum("kmn,kmn->mn", apart, np.array(means)),
    )


def adder(codes: np.ndarray, size: int) -> Any:
    """A sparse matrix (n, size) that adds up columns by their codes."""
    from scipy.sparse import csr_array

    shape = (len(codes), size)
    return csr_array((np.ones(len(codes)), (np.arange(len(codes)), codes)), shape=shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Centres:
    """Where the nodes of each draw and group are: u = M (centre + spread x), all (m, G, ...)."""

    scale: np.ndarray  # (m, q, q) M
    centre: np.ndarray  # (m, G, q)
    spread: np.ndarray  # (m, G, q, q)

    def effects(self, node: np.ndarray) -> np.ndarray:
        """(m, G, q) at a node (q,)."""
        return np.einsum("mik,mgk->mgi", self.scale, self.centre + self.spread @ node)

    def log_ratio(self, node: np.ndarray) -> np.ndarray:
        """Prior density over that of the nodes, (m, G)."""
        w = self.centre + self.spread @ node
        volume = np.log(np.abs(np.diagonal(self.spread, axis1=-2, axis2=-1))).sum(axis=-1)
        return volume + 0.5 * float(node @ node) - 0.5 * np.square(w).sum(axis=-1)


def _centres(posterior: Posterior, rows: Rows, factor: Factor, chosen: np.ndarray) -> _Centres:
    """Modes and curvatures of each group's effects, by Newton's method from zero."""
    model, q, size = posterior.model, len(factor.effects), len(factor.levels)
    layout, theta = model.priors.layout, np.asarray(posterior.theta).reshape(-1, model.priors.layout.dimension)[chosen]
    scale = layout.root(theta, factor.name)
    codes, m = factor.codes[rows.codes], len(chosen)
    z = factor.group_map[0] + rows.values[:, :-1] @ factor.group_map[1:]
    members = adder(codes, size)
    y, centre = rows.response, np.zeros((m, size, q))
    base = _predictors(posterior, rows, factor, chosen)
    image = np.einsum("nq,mqk->mnk", z, scale)  # columns of standardised effects
    curvature = np.broadcast_to(np.eye(q), (m, size, q, q))
    for _ in range(_STEPS):
        linear = base[0] + np.einsum("mnk,mnk->mn", image, centre[:, codes])
        outcome = _outcomes(posterior, rows, np.stack([linear, *base[1:]]))
        flat = np.stack([linear.ravel(), *(each.ravel() for each in outcome.parameters)])
        tiled = [np.tile(each, m) for each in (y, outcome.trials, outcome.counted)]
        limits = None if rows.limits is None else np.tile(rows.limits, (1, m))
        found = slope_and_information(model.family, model.link, tiled[0], tiled[1], tiled[2], flat, limits)
        slope, information = (each.reshape(m, -1) for each in found)
        gradient = np.stack([(slope * image[..., k]) @ members for k in range(q)], axis=-1) - centre
        curvature = np.eye(q) + np.stack(
            [
                np.stack([(information * image[..., k] * image[..., j]) @ members for j in range(q)], axis=-1)
                for k in range(q)
            ],
            axis=-1,
        )
        step = np.linalg.solve(curvature, np.nan_to_num(gradient)[..., None])[..., 0]
        centre = centre + np.clip(step, -2.0, 2.0)
    root = np.linalg.cholesky(np.linalg.inv(curvature))
    return _Centres(scale, centre, root)


def _predictors(posterior: Posterior, rows: Rows, without: Factor | None, chosen: np.ndarray) -> np.ndarray:
    """Linear predictors of all parameters (parameters, m, n), leaving out the effects of one factor."""
    model = posterior.model
    design, values = model.design, rows.values[:, :-1]
    known = known_parts(design, rows, model.family)
    if model.pooling is Pooling.SEPARATE:
        return _of_regressions(posterior, rows, chosen) + known[:, None, :]
    beta = posterior.beta.reshape(-1, posterior.beta.shape[-1])[chosen]
    common = design.common_map[0] + values @ design.common_map[1:]
    found = []
    for k, name in enumerate(model.family.predictors):
        if name in posterior.dispersions:
            drawn = posterior.dispersions[name].reshape(-1)[chosen]
            found.append(np.log(drawn)[:, None] + known[k])
            continue
        mine = np.array([of == name for of in design.predictors], dtype=bool)
        total = beta[:, mine] @ common[:, mine].T + known[k]
        for factor in design.factors:
            part = factor.part_of(name)
            if not part.any() or (without is not None and factor.name == without.name):
                continue
            z = factor.group_map[0, part] + values @ factor.group_map[1:, part]
            drawn = posterior.offsets(factor).draws()[..., part]
            effects = drawn.reshape(-1, *drawn.shape[2:])[chosen]
            total = total + np.einsum("nq,mnq->mn", z, effects[:, factor.codes[rows.codes]])
        found.append(total)
    return np.stack(found)


def _of_regressions(posterior: Posterior, rows: Rows, chosen: np.ndarray) -> np.ndarray:
    """Linear predictors of all parameters (parameters, m, n) by the regression of each row's own group."""
    design, count = posterior.model.design, posterior.chains * posterior.draws
    weights = regression_weights(design, posterior.beta.reshape(count, *posterior.beta.shape[2:])[chosen])
    logs = {name: np.log(each.reshape(count, -1)[chosen]) for name, each in posterior.dispersions.items()}
    values, codes, names = rows.values[:, :-1], rows.codes, posterior.model.family.predictors
    fixed = np.zeros((len(chosen), len(codes)))  # what is known of a parameter that is not estimated is added later
    found = [
        logs[name][:, codes]
        if name in logs
        else linear_predictor(values, codes, weights[name])
        if name in weights
        else fixed
        for name in names
    ]
    return np.stack(found)


def _outcomes(posterior: Posterior, rows: Rows, predictors: np.ndarray) -> Outcomes:
    model = posterior.model
    trials = np.ones(len(rows.codes)) if rows.trials is None else rows.trials
    counted = np.ones(len(rows.codes)) if model.family.precise else rows.precisions
    linear = predictors[0]
    location = locations(model.link, linear)
    return Outcomes(model.family, linear, location, tuple(predictors[1:]), trials, counted, rows.limits)


def _at(
    posterior: Posterior,
    rows: Rows,
    factor: Factor | None,
    chosen: np.ndarray,
    nodes: np.ndarray,
    centre: _Centres | None,
) -> Iterator[Outcomes]:
    """The distribution of outcomes at each node."""
    base = _predictors(posterior, rows, factor, chosen)
    if factor is None or centre is None:
        yield _outcomes(posterior, rows, base)
        return
    z = factor.group_map[0] + rows.values[:, :-1] @ factor.group_map[1:]
    start = _outcomes(posterior, rows, base)
    codes = factor.codes[rows.codes]
    for node in nodes:
        linear = base[0] + np.einsum("nq,mnq->mn", z, centre.effects(node)[:, codes])
        yield replace(start, linear=linear, location=locations(posterior.model.link, linear))
