"""What groups and rows say given all but the group's effects, which are integrated out on a grid of nodes.

For a family that is sampled, p(y_i | the rest) given the effects of its own group is a bad start for importance
weights: the effects saw y_i. So for each draw the effects of a group are integrated by adaptive Gauss-Hermite
quadrature (Liu and Pierce 1994; Pinheiro and Bates 1995), as Merkle, Furr and Rabe-Hesketh 2019 advise.

Nodes about the mode given all rows of a group serve each of its rows that is left out, but for rows that are much of
what is known of the group: without them its effects spread far beyond these nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from poolwise.design import Rows
from poolwise.evaluate.loo.conditional_outcomes import conditional, outcomes_of, predictors_of
from poolwise.evaluate.loo.effect_centres import Centres, adder, centres
from poolwise.evaluate.loo.integrated_effects import Effects
from poolwise.evaluate.outcome_distribution import Outcomes
from poolwise.inference.posterior import Posterior
from poolwise.support.progress import Progress
from poolwise.support.threads import map_slices

_MOST, _WORK, _LEAST = 1_000, 2e8, 100  # draws; rows x nodes x draws; draws at least
_TOGETHER = 2e6  # rows x nodes x draws at a time
# Leverage on its group's effects from which a row is left out at nodes of the other rows' own, by how many
# effects there are: the fewer nodes along each, the sooner they are too narrow.
_MUCH = {1: 0.5, 2: 0.5, 3: 0.4, 4: 0.4}


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

    def take(self, positions: np.ndarray) -> Integrated:
        """Of some rows."""
        return Integrated(self.groups, *(each[:, positions] for each in (self.outside, self.inside, self.means)))


def integrate(posterior: Posterior, rows: Rows, effects: Effects | None, progress: Progress) -> Integrated:
    """Integrate the effects of groups; without any, nothing is integrated and a group is all rows.

    Where rows stand for several each, one of these is left out.
    """
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
    members, times = adder(codes, 1 if effects is None else effects.groups), rows.multiplicities
    centre, leverages = (
        (None, None) if effects is None else centres(posterior, rows, effects, chosen, codes, effects.groups)
    )
    densities, means, totals, others = [], [], [], []
    for k, found in enumerate(_at(posterior, rows, effects, chosen, nodes, centre, codes)):
        here = found.log_density(y)
        # The sum of the other rows cannot be had by subtraction where this one has no density at the node.
        impossible = ~(here > -np.inf)
        finite = np.where(impossible, 0.0, here)
        sums, none = (finite * times) @ members, (impossible * times) @ members
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
    expected = np.einsum("kmn,kmn->mn", apart, np.array(means))
    if effects is not None and leverages is not None:
        heavy = np.flatnonzero(leverages.mean(axis=0) > _MUCH[len(effects.of)])
        if len(heavy):
            without[:, heavy], expected[:, heavy] = _by_the_others(
                posterior, rows, effects, chosen, nodes, log_weights, heavy
            )
    return Integrated(
        groups,
        np.maximum(groups[:, codes] - without, -1e300),
        np.maximum(twice - groups[:, codes], -1e300),
        expected,
    )


def _by_the_others(
    posterior: Posterior,
    rows: Rows,
    effects: Effects,
    chosen: np.ndarray,
    nodes: np.ndarray,
    log_weights: np.ndarray,
    left_out: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Log densities (m, k) of the other rows of the group of each row at k positions, and its expected outcomes (m, k)
    given these, by nodes about the modes of the others alone."""
    others, owner, times = _other_rows(effects.codes(rows), left_out, rows.multiplicities)
    rest, own, y = replace(rows.take(others), counts=times), rows.take(left_out), rows.response[others]
    centre, _ = centres(posterior, rest, effects, chosen, owner, len(left_out))
    members, places = adder(owner, len(left_out)), np.arange(len(left_out))
    totals, means = [], []
    of_rest = _at(posterior, rest, effects, chosen, nodes, centre, owner)
    of_own = _at(posterior, own, effects, chosen, nodes, centre, places)
    for k, (found, mine) in enumerate(zip(of_rest, of_own, strict=True)):
        density = np.maximum(found.log_density(y), -1e300)
        totals.append((density * times) @ members + log_weights[k] + centre.log_ratio(nodes[k]))
        means.append(mine.mean())
    total = np.array(totals)
    without = logsumexp(total, axis=0)
    return without, (np.exp(total - without) * np.array(means)).sum(axis=0)


def _other_rows(
    codes: np.ndarray, left_out: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of the rows that share a code with each row that is left out; whose they are, as places in `left_out`;
    and how many of each there are, that row being one less."""
    order = np.argsort(codes, kind="stable")
    first, last = (np.searchsorted(codes[order], codes[left_out], side=side) for side in ("left", "right"))
    owner = np.repeat(np.arange(len(left_out)), last - first)
    inside = np.arange(len(owner)) - np.repeat(np.cumsum(last - first) - (last - first), last - first)
    others = order[first[owner] + inside]
    rest = times[others] - (others == left_out[owner])
    kept = rest > 0
    return others[kept], owner[kept], rest[kept]


def _at(
    posterior: Posterior,
    rows: Rows,
    effects: Effects | None,
    chosen: np.ndarray,
    nodes: np.ndarray,
    centre: Centres | None,
    codes: np.ndarray,
) -> Iterator[Outcomes]:
    """The distribution of outcomes at each node, `codes` (n,) being the group of each row."""
    if effects is None or centre is None:
        yield conditional(posterior, rows, chosen)
        return
    base, z = predictors_of(posterior, rows, effects.names, chosen), effects.columns(rows)
    for node in nodes:
        yield outcomes_of(posterior, rows, effects.moved(base, z, centre.effects(node)[:, codes]))
