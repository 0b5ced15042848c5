"""A block as rows of a linear model, whose entries depend on the rest: outcomes, and each prior as one more outcome.

Given theta, all other variables, row i says

    t_i ~ Normal(sum_c a_ic b_c, sd_i),

of the block's numbers b. Outcomes have t = y - c and entries from the derivative of their mean, c being the mean at
b = 0; the prior of b_j has t = its mean at zero, and entries 1 at j minus those of its mean. Where the graph says that
means are affine in a few coordinates of theta, so are entries and targets (`affine.py`). Else which entries are not
zero is found at some values of theta, and at every theta one more point, random in all of b, tells whether that is
still so: where an entry has appeared, or outcomes differ that were put together, `Changed` says at which theta, and
rows are found anew with these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.utils import local_check_parameter_to_ninf_switch
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.rewriting.basic import in2out
from pytensor.graph.traversal import ancestors
from pytensor.scalar import basic as scalar

from poolwise.pymc.affine import AffineCoordinates, AffineParts, affine_coordinates
from poolwise.pymc.graph import Block, outcomes
from poolwise.pymc.normal_variables import parameters
from poolwise.pymc.numpy_calls import numpy_function
from poolwise.pymc.pattern import coloured, compressed, entries_of, pattern_of, probes
from poolwise.pymc.rest import Rest
from poolwise.pymc.vectorised import over, over_many, split
from poolwise.support.errors import DataError

_SEEN = 4  # values of the rest, at which it is told that rows have changed
_SAME = 1e-11  # of the size of a mean: rounding


@dataclass(frozen=True, slots=True, eq=False)
class LinearRows:
    """Rows of the linear model.

    Attributes
    ----------
    columns : (n, k) numbers of the block that each row's entries belong to, -1 where a row has fewer.
    counts : (n,) how many equal outcomes a row stands for.
    within : (n,) sums of squared deviations of the outcomes that a row stands for from their mean.
    evaluate : values of the rest (m, d) to entries (m or 1, n, k), targets (m or 1, n) and sds (m, n).
    log_prior : (m, d) to (m,) log density of the rest, potentials and Jacobians included, also of its own scales.
    size : p.
    parts : what entries, targets and sds are made of, where they are affine in coordinates.
    """

    columns: np.ndarray
    counts: np.ndarray
    within: np.ndarray
    evaluate: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
    log_prior: Callable[[np.ndarray], np.ndarray]
    size: int
    parts: AffineParts | None


def means(columns: np.ndarray, entries: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Means (m, n) of rows with such columns (n, k) and entries (m, n, k), at a block (m, p)."""
    return np.asarray((entries * np.where(columns >= 0, block[:, np.maximum(columns, 0)], 0.0)).sum(-1))


class Changed(Exception):
    """Rows have other entries at some values of the rest than where they were found.

    Attributes
    ----------
    points : (k, d) some of these values.
    """

    def __init__(self, points: np.ndarray) -> None:
        super().__init__()
        self.points = points


def linear_rows(block: Block, rest: Rest, points: np.ndarray) -> LinearRows:
    """Find the rows of a block.

    Parameters
    ----------
    points : (s, d) values of the rest, at which entries are looked at where they are not affine in a few coordinates.

    Raises
    ------
    DataError : where a mean has more than 64 numbers of the block in one row.
    """
    means, y = _means(block)
    spreads = _spreads(block, rest)
    start = [value[0] for value in rest.split(rest.start[None])]
    coordinates = affine_coordinates(means, block.values_of_rest, start, block.inputs)
    if coordinates is not None and (found := _affine(block, rest, y, spreads, coordinates)) is not None:
        return found
    return _seen(block, rest, means, y, spreads, points)


def _affine(
    block: Block, rest: Rest, y: np.ndarray, spreads: _Spreads, coordinates: AffineCoordinates
) -> LinearRows | None:
    """Rows with entries that are affine in coordinates; None where means cannot be computed at all values of these."""
    n, p = len(y), sum(block.sizes)
    of_means = over(coordinates.graph, coordinates.inputs, coordinates.shapes, block.inputs, block.own_shapes)
    at = np.vstack([np.zeros((1, coordinates.size)), np.eye(coordinates.size)])
    try:
        columns, found = pattern_of(of_means, split(at, coordinates.shapes), len(at), block, n)
    except (ArithmeticError, AssertionError, ValueError):  # a check that something is positive
        return None
    if not np.isfinite(found).all():
        return None
    found[1:] -= found[0]
    own = np.stack([spreads.place[:n], spreads.scale[:n]])
    representative, counts, y_mean, within, _ = compressed(columns[:n], found[:, :n], own, y)
    kept = np.concatenate([representative, n + np.arange(p)])
    columns, entries, at_zero = columns[kept], found[:, kept, :-1].copy(), found[:, kept, -1]
    targets = _as_outcomes(entries, at_zero, columns, y_mean, slice(1))
    values = over(coordinates.values, block.values_of_rest, rest.shapes)
    parts = AffineParts(
        entries, targets, spreads.place[kept], spreads.scale[kept], spreads.values(rest.start[None])[0],
        spreads.varying, spreads.values, lambda points: values(rest.split(points)),
    )  # fmt: skip
    return LinearRows(columns, *_stacked(counts, within, block), parts.evaluate, _log_prior(block, rest), p, parts)


def _seen(block: Block, rest: Rest, means: Any, y: np.ndarray, spreads: _Spreads, points: np.ndarray) -> LinearRows:
    """Rows whose entries were looked at for some values of the rest, by means at all others."""
    p, n = sum(block.sizes), len(y)
    of_means = over(means, block.values_of_rest, rest.shapes, block.inputs, block.own_shapes)
    columns, seen = pattern_of(of_means, rest.split(points), len(points), block, n)
    colours = coloured(columns, p)
    representative, counts, y_mean, within, back = compressed(columns[:n], seen[:, :n], spreads(points)[:, :n], y)
    kept = np.concatenate([representative, n + np.arange(p)])
    columns, every = columns[kept], np.concatenate([back, len(representative) + np.arange(p)])
    probed, witness = probes(colours, block)

    def evaluate(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = of_means(rest.split(points), probed)
        entries, at_zero = entries_of(found[:, :, kept], columns, colours)
        by_entries = at_zero + (entries * np.where(columns >= 0, witness[np.maximum(columns, 0)], 0.0)).sum(axis=-1)
        size = np.abs(found).max(axis=1) + np.abs(entries).sum(axis=-1)[:, every] + 1e-300
        off = np.abs(found[:, -1] - by_entries[:, every]) + np.abs(found[:, 0] - at_zero[:, every])
        if len(wrong := np.flatnonzero((off > _SAME * size).any(axis=1))):
            raise Changed(points[wrong[:_SEEN]])
        sds = spreads(points)
        same = np.abs(sds[:, :n] - sds[:, representative[back]]) <= _SAME * np.abs(sds[:, :n])
        if len(wrong := np.flatnonzero(~same.all(axis=1) & np.isfinite(sds).all(axis=1))):
            raise Changed(points[wrong[:_SEEN]])
        return entries, _as_outcomes(entries, at_zero, columns, y_mean, slice(None)), sds[:, kept]

    return LinearRows(columns, *_stacked(counts, within, block), evaluate, _log_prior(block, rest), p, None)


def _as_outcomes(
    entries: np.ndarray, at_zero: np.ndarray, columns: np.ndarray, y: np.ndarray, whole: slice
) -> np.ndarray:
    """Targets (s, n + p) of rows with means at zero (s, n + p); entries (s, n + p, k) of priors change their sign.

    `whole` are those of the s that stand for a mean, not for what a coordinate adds to it.
    """
    p = len(columns) - len(y)
    own = np.arange(p)
    place = np.argmax(columns[len(y) :] == own[:, None], axis=1)
    entries[:, len(y) :] *= -1.0
    entries[whole, len(y) + own, place] += 1.0
    targets = -at_zero
    targets[whole, : len(y)] += y
    targets[:, len(y) :] *= -1.0
    return targets


def _stacked(counts: np.ndarray, within: np.ndarray, block: Block) -> tuple[np.ndarray, np.ndarray]:
    """With the priors' rows, each of which is one, or none where the prior is flat."""
    return np.concatenate([counts, np.where(block.flat, 0.0, 1.0)]), np.concatenate([within, np.zeros(len(block.flat))])


def _means(block: Block) -> tuple[Any, np.ndarray]:
    """All means as one vector, outcomes before block, in terms of values; and the outcomes."""
    observed = [outcomes(block.model, one) for one in block.observed]
    whole = [*(y.shape for y in observed), *block.own_shapes]
    means = [*(parameters(one)[0] for one in block.observed), *(mean for mean, _ in block.priors)]
    flat = [pt.broadcast_to(mean, shape).ravel() for mean, shape in zip(means, whole, strict=True)]
    return block.in_inputs([pt.concatenate(flat)])[0], np.concatenate([y.ravel() for y in observed])


@dataclass(frozen=True, slots=True, eq=False)
class _Spreads:
    """Standard deviations of all rows; each is computed once, however many rows it is of.

    Attributes
    ----------
    values : (m, d) to those that are computed (m, C).
    place, scale : (n + p,) which of them each row has, and how many times as large its own is.
    varying : (C,) whether the rest plays a part in them.
    """

    values: Callable[[np.ndarray], np.ndarray]
    place: np.ndarray
    scale: np.ndarray
    varying: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(m, n + p)."""
        return self.values(points)[:, self.place] * self.scale


def _spreads(block: Block, rest: Rest) -> _Spreads:
    """Of all rows.

    Raises
    ------
    DataError : where one that is fixed is not positive.
    """
    values = block.values_of_rest
    sds = [*(parameters(one)[1] for one in block.observed), *(sd for _, sd in block.priors)]
    graphs = block.without_numbers(block.model.replace_rvs_by_values([pt.as_tensor(sd) for sd in sds]))
    whole = [*(outcomes(block.model, one).shape for one in block.observed), *block.own_shapes]
    computed, factors = zip(*(_as_product(graph, set(values)) for graph in graphs), strict=True)
    compute = over_many(list(computed), values, rest.shapes)
    depends = [_is_reached(graph, set(values)) for graph in computed]
    first = compute(*rest.split(rest.start[None]))
    places, scales, varying, start = [], [], [], 0
    for variable, one, factor, reached, shape in zip(
        (*block.observed, *block.variables), first, factors, depends, whole, strict=True
    ):
        if not (factor > 0).all():
            raise DataError(f"The standard deviation of '{variable.name}' is not positive everywhere.")
        own = np.shape(one)[1:] if reached else np.shape(one)
        size = int(np.prod(own, dtype=int))
        places.append(np.broadcast_to(start + np.arange(size).reshape(own), shape).ravel())
        scales.append(np.broadcast_to(factor, shape).ravel())
        varying.append(np.full(size, reached))
        start += size

    def evaluate(points: np.ndarray) -> np.ndarray:
        found = compute(*rest.split(points))
        flat = [
            np.reshape(one, (len(points) if reached else 1, -1)).astype(float)
            for one, reached in zip(found, depends, strict=True)
        ]
        return np.concatenate([np.broadcast_to(one, (len(points), one.shape[1])) for one in flat], axis=1)

    return _Spreads(evaluate, np.concatenate(places), np.concatenate(scales), np.concatenate(varying))


def _as_product(graph: Any, values: set[Any]) -> tuple[Any, np.ndarray]:
    """Standard deviations as a graph times fixed numbers: where they are made so, as in `s * known`, the graph is that
    of one number, which is computed once for all rows."""
    as_it_is = graph, np.ones(())
    if not _is_reached(graph, values):
        return pt.as_tensor(1.0), _fixed(graph)
    operation = getattr(graph.owner and graph.owner.op, "scalar_op", None)
    if all(graph.type.broadcastable) or not isinstance(operation, scalar.Mul | scalar.TrueDiv):
        return as_it_is
    numbers, factors = zip(*(_as_product(one, values) for one in graph.owner.inputs), strict=True)
    if not all(all(one.type.broadcastable) for one in numbers):
        return as_it_is
    with np.errstate(all="ignore"):
        whole = reduce(np.multiply if isinstance(operation, scalar.Mul) else np.divide, factors)
    return (graph.owner.op(*numbers), whole) if ((whole > 0) & np.isfinite(whole)).all() else as_it_is


def _is_reached(graph: Any, values: set[Any]) -> bool:
    return not values.isdisjoint(ancestors([graph]))


def _fixed(graph: Any) -> np.ndarray:
    """The numbers of a graph that nothing varies in; whole ones would overflow when squared."""
    return np.asarray(numpy_function([], graph)(), dtype=float)


def _log_prior(block: Block, rest: Rest) -> Callable[[np.ndarray], np.ndarray]:
    others = [one for one in block.model.observed_RVs if one not in block.observed]
    terms = [*block.rest, *block.model.potentials, *others]
    if not terms:
        return rest.log_jacobian
    frozen = FunctionGraph(outputs=block.without_numbers([block.log_density(terms)]), clone=False)
    in2out(local_check_parameter_to_ninf_switch).rewrite(frozen)
    compute = over(pt.atleast_1d(frozen.outputs[0]), block.values_of_rest, rest.shapes)
    return lambda points: compute(rest.split(points))[:, 0] + rest.log_jacobian(points)
