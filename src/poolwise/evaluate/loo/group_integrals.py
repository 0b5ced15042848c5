"""What groups and rows say given all but the group's effects, which are integrated out on a grid of nodes.

For a family that is sampled, p(y_i | the rest) given the effects of its own group is a bad start for importance
weights: the effects saw y_i. So for each draw the effects of a group are integrated by adaptive Gauss-Hermite
quadrature (Liu and Pierce 1994; Pinheiro and Bates 1995), as Merkle, Furr and Rabe-Hesketh 2019 advise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp

from poolwise.density.latent.observations import known_parts
from poolwise.design import Rows
from poolwise.design.design import linear_predictor, regression_weights
from poolwise.evaluate.loo.integrated_effects import Effects
from poolwise.evaluate.outcome_distribution import Outcomes
from poolwise.families import locations
from poolwise.families.evaluate import slopes_and_information
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.support.progress import Progress
from poolwise.support.threads import map_slices

_STEPS, _SETTLED = 12, 1e-6  # of Newton's method, in standard deviations of the effects
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


def integrate(posterior: Posterior, rows: Rows, effects: Effects | None, progress: Progress) -> Integrated:
    """Integrate the effects of groups; without any, nothing is integrated and a group is all rows."""
    nodes, log_weights = (np.zeros((1, 0)), np.zeros(1)) if effects is None else effects.grid()
    count = posterior.chains * posterior.draws
    kept = int(np.clip(_WORK / (len(rows.codes) * len(nodes)), _LEAST, _MOST))
    chosen = np.linspace(0, count - 1, min(kept, count)).astype(int)
    step = max(1, int(_TOGETHER / (len(rows.codes) * len(nodes))))
    done: list[int] = []

    def some(_: int, part: slice) -> Integrated:
        found = _some(posterior, rows, effects, chosen[part], nodes, log_weights)
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
    return _outcomes(posterior, rows, _predictors(posterior, rows, frozenset(), chosen))


def _some(
    posterior: Posterior,
    rows: Rows,
    effects: Effects | None,
    chosen: np.ndarray,
    nodes: np.ndarray,
    log_weights: np.ndarray,
) -> Integrated:
    y = rows.response
    codes = np.zeros(len(y), dtype=np.int64) if effects is None else effects.codes(rows)
    members = adder(codes, 1 if effects is None else effects.groups)
    centre = None if effects is None else _centres(posterior, rows, effects, chosen)
    densities, means, totals, others = [], [], [], []
    for k, found in enumerate(_at(posterior, rows, effects, chosen, nodes, centre)):
        here = found.log_density(y)
        # The sum of the other rows cannot be had by subtraction where this one has no density at the node.
        impossible = ~(here > -np.inf)
        finite = np.where(impossible, 0.0, here)
        sums, none = finite @ members, impossible.astype(float) @ members
        weight = log_weights[k] + (0.0 if centre is None else centre.log_ratio(nodes[k]))
        densities.append(np.where(impossible, -np.inf, here))
        means.append(found.mean())
        totals.append(np.where(none > 0, -np.inf, sums + weight))
        others.append(np.where(none[:, codes] > impossible, -np.inf, (sums + weight)[:, codes] - finite))
    density, rest = np.array(densities), np.array(others)
    with np.errstate(invalid="ignore"):
        groups = np.maximum(logsumexp(np.array(totals), axis=0), -1e300)
        without = np.maximum(logsumexp(rest, axis=0), -1e300)
        apart = np.exp(rest - without)
        twice = logsumexp(np.where(np.isneginf(density), -np.inf, rest + 2.0 * density), axis=0)
    return Integrated(
        groups,
        np.maximum(groups[:, codes] - without, -1e300),
        np.maximum(twice - groups[:, codes], -1e300),
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


def _centres(posterior: Posterior, rows: Rows, effects: Effects, chosen: np.ndarray) -> _Centres:
    """Modes and curvatures of each group's effects, by Newton's method from zero.

    The information that one parameter has on another is left out: nodes may lie anywhere, and lie well enough.
    """
    layout, q, m = posterior.model.priors.layout, len(effects.of), len(chosen)
    theta = np.asarray(posterior.theta).reshape(-1, layout.dimension)[chosen]
    scale, codes, z = effects.root(layout, theta), effects.codes(rows), effects.columns(rows)
    members, base = adder(codes, effects.groups), _predictors(posterior, rows, effects.names, chosen)
    # Columns of standardised effects in each linear predictor that has some.
    images = {k: np.einsum("nq,mqk->mnk", z[:, effects.of == k], scale[:, effects.of == k]) for k in set(effects.of)}
    centre, curvature = np.zeros((m, effects.groups, q)), np.broadcast_to(np.eye(q), (m, effects.groups, q, q))
    for _ in range(_STEPS):
        at = effects.moved(base, z, np.einsum("mik,mgk->mgi", scale, centre)[:, codes])
        slopes, information = _derivatives(posterior, rows, at)
        gradient = -centre
        curvature = np.broadcast_to(np.eye(q), curvature.shape).copy()
        for k, image in images.items():
            gradient = gradient + np.stack([(slopes[k] * image[..., i]) @ members for i in range(q)], axis=-1)
            for i in range(q):
                weighted = information[k] * image[..., i]
                curvature[..., i, :] += np.stack([(weighted * image[..., j]) @ members for j in range(q)], axis=-1)
        step = np.clip(np.linalg.solve(curvature, np.nan_to_num(gradient)[..., None])[..., 0], -2.0, 2.0)
        centre = centre + step
        if np.abs(step).max(initial=0.0) < _SETTLED:
            break
    return _Centres(scale, centre, np.linalg.cholesky(np.linalg.inv(curvature)))


def _derivatives(posterior: Posterior, rows: Rows, predictors: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Slopes of the log likelihood of each row in each linear predictor, and the information, (parameters, m, n)."""
    outcome, m = _outcomes(posterior, rows, predictors), len(predictors[0])
    y, trials, counted = (np.tile(each, m) for each in (rows.response, outcome.trials, outcome.counted))
    limits = None if rows.limits is None else np.tile(rows.limits, (1, m))
    flat = np.stack([np.ravel(each) for each in predictors])
    model = posterior.model
    found = slopes_and_information(model.family, model.link, y, trials, counted, flat, limits)
    slopes, information = (each.reshape(len(predictors), m, -1) for each in found)
    return slopes, np.nan_to_num(information, posinf=0.0)


def _predictors(posterior: Posterior, rows: Rows, without: frozenset[str], chosen: np.ndarray) -> np.ndarray:
    """Linear predictors of all parameters (parameters, m, n), leaving out the effects of some factors."""
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
            if not part.any() or factor.name in without:
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


def _outcomes(posterior: Posterior, rows: Rows, predictors: Iterable[np.ndarray]) -> Outcomes:
    model = posterior.model
    trials = np.ones(len(rows.codes)) if rows.trials is None else rows.trials
    counted = np.ones(len(rows.codes)) if model.family.precise else rows.precisions
    linear, *others = predictors
    return Outcomes(model.family, linear, locations(model.link, linear), tuple(others), trials, counted, rows.limits)


def _at(
    posterior: Posterior,
    rows: Rows,
    effects: Effects | None,
    chosen: np.ndarray,
    nodes: np.ndarray,
    centre: _Centres | None,
) -> Iterator[Outcomes]:
    """The distribution of outcomes at each node."""
    if effects is None or centre is None:
        yield conditional(posterior, rows, chosen)
        return
    base = _predictors(posterior, rows, effects.names, chosen)
    z, codes = effects.columns(rows), effects.codes(rows)
    for node in nodes:
        yield _outcomes(posterior, rows, effects.moved(base, z, centre.effects(node)[:, codes]))
