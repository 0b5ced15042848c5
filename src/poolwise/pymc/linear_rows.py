"""A block as rows of a linear model, whose entries depend on the rest: outcomes, and each prior as one more outcome.

Given theta, all other variables, row i says

    t_i ~ Normal(sum_c a_ic b_c, sd_i),

of the block's numbers b. Outcomes have t = y - c and entries from the derivative of their mean, c being the mean at
b = 0; the prior of b_j has t = its mean at zero, and entries 1 at j minus those of its mean. Which entries are not zero
is found at some values of theta, and then all of them follow from evaluating means at a few points, one for each colour
of columns that share no row (Curtis, Powell and Reid 1974). At every theta one more point, random in all of b, tells
whether that is still so: where an entry has appeared, or outcomes differ that were put together, `Changed` says at
which theta, and rows are found anew with these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.logprob.utils import local_check_parameter_to_ninf_switch
from pytensor.compile.function import function
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.rewriting.basic import in2out
from pytensor.graph.traversal import ancestors

from poolwise.pymc.graph import PLAIN, Block, outcomes, parameters
from poolwise.support.errors import DataError

_SEEN = 4  # values of the rest, at which rows and entries are told apart
_SAME = 1e-11  # of the size of a mean: rounding
_NUMBERS = 4e6  # of means, at a time
_FROM_PRIORS = 100  # draws
_WIDEST = 64  # entries of a row


@dataclass(frozen=True, slots=True, eq=False)
class LinearRows:
    """Rows of the linear model.

    Attributes
    ----------
    columns : (n, k) numbers of the block that each row's entries belong to, -1 where a row has fewer.
    counts : (n,) how many equal outcomes a row stands for.
    within : (n,) sums of squared deviations of the outcomes that a row stands for from their mean.
    evaluate : values of the rest (m, d) to entries (m or 1, n, k), targets (m or 1, n) and sds (m, n).
    log_prior : (m, d) to (m,) log density of the rest, potentials and Jacobians included.
    size : p.
    """

    columns: np.ndarray
    counts: np.ndarray
    within: np.ndarray
    evaluate: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
    log_prior: Callable[[np.ndarray], np.ndarray]
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """The other variables as one vector of their values on unconstrained scales.

    Attributes
    ----------
    names, shapes : of the values.
    start : (d,) PyMC's initial point.
    log_scales : places of logs of positive variables.
    drawn : (k, d) draws from their priors; none where these cannot be drawn from.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    start: np.ndarray
    log_scales: np.ndarray
    drawn: np.ndarray

    def split(self, points: np.ndarray) -> list[np.ndarray]:
        """(m, d) to the values of each variable, (m, *shape)."""
        ends = np.cumsum([int(np.prod(shape, dtype=int)) for shape in self.shapes])
        parts = np.split(points, ends[:-1], axis=-1) if len(self.shapes) else []
        return [part.reshape(*points.shape[:-1], *shape) for part, shape in zip(parts, self.shapes, strict=True)]


def rest_of(block: Block) -> Rest:
    """The vector of what is left."""
    model, initial = block.model, block.model.initial_point(random_seed=1)
    values = [model.rvs_to_values[one] for one in block.rest]
    shapes = tuple(np.shape(initial[value.name]) for value in values)
    start = [np.ravel(initial[value.name]).astype(float) for value in values]
    transforms = [model.rvs_to_transforms.get(one) for one in block.rest]
    logs = [_of_logs(transform, len(part)) for transform, part in zip(transforms, start, strict=True)]
    whole = np.concatenate([*start, np.zeros(0)])
    places = np.flatnonzero(np.concatenate([*logs, np.zeros(0, dtype=bool)]))
    return Rest(tuple(value.name for value in values), shapes, whole, places, _from_priors(block, len(whole)))


def _from_priors(block: Block, d: int) -> np.ndarray:
    """Draws (k, d) of values of the rest: where modes may lie that are far from PyMC's initial point."""
    model = block.model
    transforms = [model.rvs_to_transforms.get(one) for one in block.rest]
    graphs = [
        one if transform is None else transform.forward(one, *one.owner.inputs)
        for one, transform in zip(block.rest, transforms, strict=True)
    ]
    if not graphs:
        return np.zeros((0, 0))
    try:
        drawn = pm.draw(graphs, draws=_FROM_PRIORS, random_seed=1, mode=PLAIN)
    except (NotImplementedError, ValueError, TypeError):  # a flat prior, or one without draws
        return np.zeros((0, d))
    whole = np.concatenate([np.reshape(one, (_FROM_PRIORS, -1)) for one in drawn], axis=1)
    return whole[np.isfinite(whole).all(axis=1)]


def _of_logs(transform: Any, size: int) -> np.ndarray:
    """Which numbers of a value are logs of what is positive: all of a positive variable, the diagonal of a Cholesky
    factor."""
    from pymc.distributions.transforms import CholeskyCovPacked
    from pymc.logprob.transforms import LogTransform

    found = np.full(size, isinstance(transform, LogTransform))
    if isinstance(transform, CholeskyCovPacked):
        order = round((np.sqrt(8 * size + 1) - 1) / 2)
        found[np.cumsum(np.arange(1, order + 1)) - 1] = True
    return found


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
    """Find the rows of a block, from their entries at some values of the rest.

    Parameters
    ----------
    points : (s, d) values of the rest.

    Raises
    ------
    DataError : where a mean has more than 64 numbers of the block in one row.
    """
    means, y = _means(block)
    values = [block.model.rvs_to_values[one] for one in block.rest]
    mine = [block.model.rvs_to_values[one] for one in block.variables]
    own_shapes = [block.shapes[one.name] for one in block.variables]
    p, n = sum(block.sizes), len(y)
    of_means = _over(means, values, rest.shapes, mine, own_shapes)
    of_sds = _sds(block, values, rest)
    fixed = not set(values) & set(ancestors([means]))  # then means are the same for all values of the rest
    seen = points[:1] if fixed else points
    columns, entries_seen = _pattern(of_means, rest, seen, own_shapes, n)
    colours = _coloured(columns, p)
    representative, counts, y_mean, within, back = _compressed(
        columns[:n], entries_seen[:, :n], of_sds(points)[:, :n], y
    )
    kept, own = np.concatenate([representative, n + np.arange(p)]), np.arange(p)
    columns, every = columns[kept], np.concatenate([back, len(representative) + own])
    probes, witness = _probes(colours, own_shapes)
    targets_of = np.concatenate([y_mean, np.zeros(p)])
    place = np.argmax(columns[-p:] == own[:, None], axis=1)

    def seen_at(points: np.ndarray, given: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Entries and means at zero, once it is known that they are all."""
        found = of_means(given, probes)
        entries, at_zero = _entries(found[:, :, kept], columns, colours)
        by_entries = at_zero + (entries * np.where(columns >= 0, witness[np.maximum(columns, 0)], 0.0)).sum(axis=-1)
        size = np.abs(found).max(axis=1) + np.abs(entries).sum(axis=-1)[:, every] + 1e-300
        off = np.abs(found[:, -1] - by_entries[:, every]) + np.abs(found[:, 0] - at_zero[:, every])
        if len(wrong := np.flatnonzero((off > _SAME * size).any(axis=1))):
            raise Changed(points[wrong[:_SEEN]])
        return entries, at_zero

    known = seen_at(seen, rest.split(seen)) if fixed else None

    def evaluate(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        entries, at_zero = (each.copy() for each in (known or seen_at(points, rest.split(points))))
        entries[:, -p:] *= -1.0
        entries[:, len(columns) - p + own, place] += 1.0
        targets = targets_of - at_zero
        targets[:, -p:] = at_zero[:, -p:]
        sds = of_sds(points)
        same = np.abs(sds[:, :n] - sds[:, representative[back]]) <= _SAME * np.abs(sds[:, :n])
        if len(wrong := np.flatnonzero(~same.all(axis=1) & np.isfinite(sds).all(axis=1))):
            raise Changed(points[wrong[:_SEEN]])
        return entries, targets, sds[:, kept]

    return LinearRows(
        columns,
        np.concatenate([counts, np.ones(p)]),
        np.concatenate([within, np.zeros(p)]),
        evaluate,
        _log_prior(block, values, rest),
        p,
    )


def _means(block: Block) -> tuple[Any, np.ndarray]:
    """All means as one vector, outcomes before block, in terms of values; and the outcomes."""
    model, shapes = block.model, block.shapes
    observed = [outcomes(model, one) for one in block.observed]
    whole = [*(y.shape for y in observed), *(shapes[one.name] for one in block.variables)]
    means = [parameters(one)[0] for one in (*block.observed, *block.variables)]
    flat = [pt.broadcast_to(mean, shape).ravel() for mean, shape in zip(means, whole, strict=True)]
    return model.replace_rvs_by_values([pt.concatenate(flat)])[0], np.concatenate([y.ravel() for y in observed])


def _sds(block: Block, values: Sequence[Any], rest: Rest) -> Callable[[np.ndarray], np.ndarray]:
    """Standard deviations of all rows (m, n + p); each is computed once, however many rows it is of."""
    model, shapes = block.model, block.shapes
    variables = (*block.observed, *block.variables)
    graphs = model.replace_rvs_by_values([pt.as_tensor(parameters(one)[1]) for one in variables])
    whole = [outcomes(model, one).shape for one in block.observed]
    whole += [tuple(map(int, shapes[one.name])) for one in block.variables]
    many = _many(values, rest.shapes, (None,))
    vectorised = vectorize_graph(graphs, many) if many else graphs
    compute = function(list(many.values()), vectorised, mode=PLAIN, on_unused_input="ignore")
    depends = [bool(set(values) & set(ancestors([graph]))) for graph in graphs]
    first = compute(*rest.split(rest.start[None]))
    places, start = [], 0
    for one, graph, reached, shape in zip(first, graphs, depends, whole, strict=True):
        own = np.shape(one)[1:] if reached else np.shape(one)
        size = int(np.prod(own, dtype=int))
        places.append(np.broadcast_to(start + np.arange(size).reshape(own), shape).ravel())
        start += size
        assert graph.ndim == len(own)
    place = np.concatenate(places)

    def evaluate(points: np.ndarray) -> np.ndarray:
        found = compute(*rest.split(points))
        flat = [  # whole numbers, as constants may be, would overflow when squared
            np.reshape(one, (len(points) if reached else 1, -1)).astype(float)
            for one, reached in zip(found, depends, strict=True)
        ]
        return np.concatenate([np.broadcast_to(one, (len(points), one.shape[1])) for one in flat], axis=1)[:, place]

    return evaluate


def _many(values: Sequence[Any], shapes: Sequence[Any], lead: tuple[int | None, ...]) -> dict[Any, Any]:
    """For each value a tensor of many of it."""
    return {
        value: pt.tensor(name=f"many_{value.name}", dtype="float64", shape=(*lead, *shape))
        for value, shape in zip(values, shapes, strict=True)
    }


def _over(
    graph: Any, values: Sequence[Any], shapes: Sequence[Any], mine: Sequence[Any] = (), own_shapes: Sequence[Any] = ()
) -> Callable[..., np.ndarray]:
    """A graph as a compiled function of m values of the rest, and with `mine` of K of the block each, (m, K, ...)."""
    many = _many([*values, *mine], [*shapes, *own_shapes], (None,))
    vectorised = vectorize_graph(graph, many) if many else graph
    compute = function(list(many.values()), vectorised, mode=PLAIN, on_unused_input="ignore")

    def evaluate(given: list[np.ndarray], block: Sequence[np.ndarray] = ()) -> np.ndarray:
        m, k = len(given[0]) if given else 1, len(block[0]) if block else 1
        every = [np.repeat(one, k, axis=0) for one in given]
        every += [np.tile(one, (m, *[1] * (one.ndim - 1))) for one in block]
        found = np.asarray(compute(*every), dtype=float)
        lead = (m, k) if block else (m,)
        if found.ndim == graph.ndim:  # nothing reaches it
            return np.broadcast_to(found, (*lead, *found.shape))
        return found.reshape(*lead, *found.shape[1:])

    return evaluate


def _pattern(
    of_means: Callable[..., np.ndarray], rest: Rest, some: np.ndarray, shapes: Sequence[tuple[int, ...]], n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Columns (n + p, k) of the entries of each row, and entries, with means at zero, at some points (s, n + p, k + 1).

    Columns of the block are looked at some at a time, and only what is not zero is kept.
    """
    p = sum(int(np.prod(shape, dtype=int)) for shape in shapes)
    given = rest.split(some)
    zero = of_means(given, _as_block(np.zeros((1, p)), shapes))[:, 0]
    step = max(1, int(_NUMBERS // (len(some) * (n + p))))
    rows, columns, entries = [np.arange(n, n + p)], [np.arange(p)], [np.full((len(some), p), np.nan)]
    for start in range(0, p, step):
        slopes = of_means(given, _as_block(_unit(p, start, step), shapes)) - zero[:, None]
        column, row = np.nonzero((slopes != 0.0).any(axis=0))  # what a number does not reach stays the same to the bit
        rows.append(row)
        columns.append(start + column)
        entries.append(slopes[:, column, row])
    i, j = np.concatenate(rows), np.concatenate(columns)
    values = np.concatenate(entries, axis=1)
    order = np.lexsort((np.isnan(values[0]), j, i))  # a prior's own entry comes last where its mean has one too
    i, j, values = i[order], j[order], values[:, order]
    first = np.concatenate([[True], (np.diff(i) != 0) | (np.diff(j) != 0)])
    i, j, values = i[first], j[first], np.nan_to_num(values[:, first])
    counts = np.bincount(i, minlength=n + p)
    most = int(counts.max(initial=1))
    if most > _WIDEST:
        raise DataError(
            f"A mean depends on {most:,} numbers of the block at once, and {_WIDEST} are the most here: write the "
            "model as a formula, or hand it over by otherwise='nutpie'."
        )
    within = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
    found = np.full((n + p, most), -1)
    found[i, within] = j
    placed = np.zeros((len(some), n + p, most))
    placed[:, i, within] = values
    return found, np.concatenate([placed, zero[:, :, None]], axis=-1)


def _unit(p: int, start: int, step: int) -> np.ndarray:
    """Rows of the unit matrix (p, p)."""
    found = np.zeros((min(step, p - start), p))
    own = np.arange(len(found))
    found[own, start + own] = 1.0
    return found


def _coloured(columns: np.ndarray, p: int) -> np.ndarray:
    """Colours (p,) such that columns of one colour have no row in common; greedily, in their order."""
    i, at = np.nonzero(columns >= 0)
    j = columns[i, at]
    order = np.argsort(j, kind="stable")
    rows = np.split(i[order], np.cumsum(np.bincount(j, minlength=p))[:-1])
    colours, taken = np.empty(p, dtype=np.int64), list[np.ndarray]()
    for column, mine in enumerate(rows):
        colour = next((k for k, used in enumerate(taken) if not used[mine].any()), len(taken))
        if colour == len(taken):
            taken.append(np.zeros(len(columns), dtype=bool))
        taken[colour][mine] = True
        colours[column] = colour
    return colours


def _compressed(
    columns: np.ndarray, seen: np.ndarray, sds: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of outcomes whose rows and sds are equal wherever they were seen: a representative, how many, mean and spread;
    and which of these each outcome is one of."""
    key = np.concatenate([columns.astype(float), seen.transpose(1, 0, 2).reshape(len(y), -1), sds.T], axis=1)
    _, first, back = np.unique(key, axis=0, return_index=True, return_inverse=True)
    back = back.ravel()
    counts = np.bincount(back, minlength=len(first)).astype(float)
    mean = np.bincount(back, y, len(first)) / counts
    return first, counts, mean, np.bincount(back, (y - mean[back]) ** 2, len(first)), back


def _as_block(points: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    ends = np.cumsum([int(np.prod(shape, dtype=int)) for shape in shapes])
    parts = np.split(points, ends[:-1], axis=1)
    return [part.reshape(len(points), *shape) for part, shape in zip(parts, shapes, strict=True)]


def _probes(colours: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> tuple[list[np.ndarray], np.ndarray]:
    """The block at zero, with ones at the columns of each colour, and at a random point, (K + 2, *shape) of each
    variable; and that point (p,)."""
    witness = np.random.default_rng(7).uniform(0.5, 1.5, len(colours))
    ones = np.eye(int(colours.max(initial=-1)) + 1)[:, colours]
    return _as_block(np.vstack([np.zeros((1, len(colours))), ones, witness]), shapes), witness


def _entries(found: np.ndarray, columns: np.ndarray, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entries (m, n, k) and means at zero (m, n) from means at the probes (m, K + 2, n)."""
    at_zero = found[:, 0]
    probe = np.where(columns >= 0, 1 + colours[np.maximum(columns, 0)], 0)
    rows = np.arange(len(columns))[:, None]
    return np.where(columns >= 0, found[:, probe, rows] - at_zero[:, :, None], 0.0), at_zero.copy()


def _log_prior(block: Block, values: Sequence[Any], rest: Rest) -> Callable[[np.ndarray], np.ndarray]:
    others = [one for one in block.model.observed_RVs if one not in block.observed]
    terms = [*block.rest, *block.model.potentials, *others]
    if not terms:
        return lambda points: np.zeros(len(points))
    graph = block.log_density(terms)
    frozen = FunctionGraph(outputs=[graph], clone=False)
    in2out(local_check_parameter_to_ninf_switch).rewrite(frozen)
    compute = _over(pt.atleast_1d(frozen.outputs[0]), values, rest.shapes)
    return lambda points: np.broadcast_to(compute(rest.split(points))[:, 0], len(points))
