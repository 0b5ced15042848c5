"""A block as rows of a linear model, whose entries depend on the rest: outcomes, and each prior as one more outcome.

Given theta, all other variables, row i says

    t_i ~ Normal(sum_c a_ic b_c, sd_i),

of the block's numbers b. Outcomes have t = y - c and entries from the derivative of their mean, c being the mean at
b = 0; the prior of b_j has t = its mean at zero, and entries 1 at j minus those of its mean. Which entries are not zero
does not depend on theta: they are found once, and all of them follow from evaluating means at a few points, one for
each colour of columns that share no row (Curtis, Powell and Reid 1974).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.utils import local_check_parameter_to_ninf_switch
from pytensor.compile.function import function
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.rewriting.basic import in2out
from pytensor.graph.traversal import ancestors

from poolwise.pymc.graph import PLAIN, Block, parameters
from poolwise.support.errors import DataError

_SEEN = 4  # random values of the rest, at which rows and entries are told apart
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
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    start: np.ndarray
    log_scales: np.ndarray

    def split(self, points: np.ndarray) -> list[np.ndarray]:
        """(m, d) to the values of each variable, (m, *shape)."""
        ends = np.cumsum([int(np.prod(shape, dtype=int)) for shape in self.shapes])
        parts = np.split(points, ends[:-1], axis=-1) if len(self.shapes) else []
        return [part.reshape(*points.shape[:-1], *shape) for part, shape in zip(parts, self.shapes, strict=True)]


def rest_of(block: Block) -> Rest:
    """The vector of what is left."""
    model, initial = block.model, block.model.initial_point()
    values = [model.rvs_to_values[one] for one in block.rest]
    shapes = tuple(np.shape(initial[value.name]) for value in values)
    start = [np.ravel(initial[value.name]).astype(float) for value in values]
    transforms = [model.rvs_to_transforms.get(one) for one in block.rest]
    logs = [_of_logs(transform, len(part)) for transform, part in zip(transforms, start, strict=True)]
    whole = np.concatenate([*start, np.zeros(0)])
    places = np.flatnonzero(np.concatenate([*logs, np.zeros(0, dtype=bool)]))
    return Rest(tuple(value.name for value in values), shapes, whole, places)


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


def linear_rows(block: Block, rest: Rest) -> LinearRows:
    """Evaluate the block's means once to find its rows; what depends on the rest is compiled.

    Raises
    ------
    DataError : where a mean has more than 64 numbers of the block in one row.
    """
    means, y = _means(block)
    values = [block.model.rvs_to_values[one] for one in block.rest]
    mine = [block.model.rvs_to_values[one] for one in block.variables]
    shapes = block.model.eval_rv_shapes()
    own_shapes = [tuple(map(int, shapes[one.name])) for one in block.variables]
    p, n = sum(block.sizes), len(y)
    of_means = _over(means, values, rest.shapes, mine, own_shapes)
    of_sds = _sds(block, values, rest)
    rng = np.random.default_rng(1)
    some = rest.start + 0.5 * rng.standard_normal((_SEEN, len(rest.start)))
    columns, colours, values_seen = _pattern(of_means, rest, some, own_shapes, n)
    sd_seen = of_sds(some)
    representative, counts, y_mean, within = _compressed(columns[:n], values_seen[:, :n], sd_seen[:, :n], y)
    kept = np.concatenate([representative, n + np.arange(p)])
    columns = columns[kept]
    targets_of = np.concatenate([y_mean, np.zeros(p)])
    probes = _probes(colours, own_shapes)
    # Means that nothing of the rest reaches are the same for all of its values.
    fixed = not set(values) & set(ancestors([means]))
    known = of_means([one[:1, None] for one in rest.split(some)], probes)[:, :, kept] if fixed else None

    def evaluate(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        given = rest.split(points)
        found = of_means([one[:, None] for one in given], probes)[:, :, kept] if known is None else known
        entries, at_zero = _entries(found, columns, colours)
        own = np.arange(p)
        entries[:, -p:] *= -1.0
        place = np.argmax(columns[-p:] == own[:, None], axis=1)
        entries[:, len(entries[0]) - p + own, place] += 1.0
        targets = targets_of - at_zero
        targets[:, -p:] = at_zero[:, -p:]
        return entries, targets, of_sds(points)[:, kept]

    log_prior = _log_prior(block, values, rest)
    return LinearRows(
        columns, np.concatenate([counts, np.ones(p)]), np.concatenate([within, np.zeros(p)]), evaluate, log_prior, p
    )


def _means(block: Block) -> tuple[Any, np.ndarray]:
    """All means as one vector, outcomes before block, in terms of values; and the outcomes."""
    model, shapes = block.model, block.model.eval_rv_shapes()
    observed = [np.asarray(model.rvs_to_values[one].data, dtype=float) for one in block.observed]
    whole = [*(y.shape for y in observed), *(shapes[one.name] for one in block.variables)]
    means = [parameters(one)[0] for one in (*block.observed, *block.variables)]
    flat = [pt.broadcast_to(mean, shape).ravel() for mean, shape in zip(means, whole, strict=True)]
    return model.replace_rvs_by_values([pt.concatenate(flat)])[0], np.concatenate([y.ravel() for y in observed])


def _sds(block: Block, values: Sequence[Any], rest: Rest) -> Callable[[np.ndarray], np.ndarray]:
    """Standard deviations of all rows (m, n + p); each is computed once, however many rows it is of."""
    model, shapes = block.model, block.model.eval_rv_shapes()
    variables = (*block.observed, *block.variables)
    graphs = model.replace_rvs_by_values([pt.as_tensor(parameters(one)[1]) for one in variables])
    whole = [np.shape(model.rvs_to_values[one].data) for one in block.observed]
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
        flat = [
            np.reshape(one, (len(points) if reached else 1, -1)) for one, reached in zip(found, depends, strict=True)
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
) -> Callable[[list[np.ndarray], list[np.ndarray]], np.ndarray]:
    """A graph over many values of the rest, and with `mine` many of the block, as one compiled function."""
    extra = 2 if mine else 1

    many = _many(values, shapes, (None, 1) if mine else (None,))
    several = _many(mine, own_shapes, (1, None))
    vectorised = vectorize_graph(graph, {**many, **several}) if many or several else graph
    inputs = [*many.values(), *several.values()]
    compute = function(inputs, vectorised, mode=PLAIN, on_unused_input="ignore")

    def evaluate(given: list[np.ndarray], block: list[np.ndarray]) -> np.ndarray:
        m = len(given[0]) if given else 1
        found = np.asarray(compute(*given, *block), dtype=float)
        lead = (m,) if extra == 1 else (m, len(block[0][0]))
        return np.broadcast_to(found.reshape((1,) * (1 + extra - found.ndim) + found.shape), (*lead, found.shape[-1]))

    return evaluate


def _pattern(
    of_means: Callable[..., np.ndarray], rest: Rest, some: np.ndarray, shapes: Sequence[tuple[int, ...]], n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns (n + p, k) of the entries of each row, colours (p,) of columns, and entries with the means at zero at
    some points (s, n + p, k + 1)."""
    p = sum(int(np.prod(shape, dtype=int)) for shape in shapes)
    unit = np.vstack([np.zeros((1, p)), np.eye(p)])
    given = [one[:, None] for one in rest.split(some)]
    found = np.empty((len(some), p + 1, n + p))
    step = max(1, int(2e6 // (len(some) * (n + p))))
    for start in range(0, p + 1, step):  # a block of columns at a time
        part = unit[start : start + step]
        found[:, start : start + step] = of_means(given, _as_block(part, shapes))
    slopes = found[:, 1:] - found[:, :1]
    size = np.abs(found[:, 0]).max(initial=0.0) + np.abs(slopes).max(initial=0.0)
    nonzero = (np.abs(slopes) > 1e-11 * max(size, 1e-300)).any(axis=0).T
    own = np.arange(p)
    nonzero[n + own, own] = True  # a prior's own entry
    most = int(nonzero.sum(axis=1).max(initial=1))
    if most > _WIDEST:
        raise DataError(f"A mean depends on {most:,} numbers of the block at once; {_WIDEST} are the most here.")
    columns = np.full((n + p, most), -1)
    i, j = np.nonzero(nonzero)
    first = np.concatenate([[0], np.cumsum(nonzero.sum(axis=1))])
    columns[i, np.arange(len(i)) - first[i]] = j
    entries = np.where(columns >= 0, slopes[:, np.maximum(columns, 0), np.arange(n + p)[:, None]], 0.0)
    return columns, _coloured(nonzero), np.concatenate([entries, found[:, 0, :, None]], axis=-1)


def _coloured(nonzero: np.ndarray) -> np.ndarray:
    """Colours (p,) such that columns of one colour have no row in common; greedily, in their order."""
    colours, taken = np.empty(nonzero.shape[1], dtype=np.int64), list[np.ndarray]()
    for column, rows in enumerate(nonzero.T):
        colour = next((k for k, used in enumerate(taken) if not (used & rows).any()), len(taken))
        if colour == len(taken):
            taken.append(np.zeros(len(nonzero), dtype=bool))
        taken[colour] |= rows
        colours[column] = colour
    return colours


def _compressed(
    columns: np.ndarray, seen: np.ndarray, sds: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of outcomes whose rows and sds are equal wherever they were seen: a representative, how many, mean and spread."""
    key = np.concatenate(
        [
            columns.astype(float),
            seen.transpose(1, 0, 2).reshape(len(y), -1),
            np.broadcast_to(sds, (len(seen), len(y))).T,
        ],
        axis=1,
    )
    _, first, back = np.unique(key, axis=0, return_index=True, return_inverse=True)
    back = back.ravel()
    counts = np.bincount(back, minlength=len(first)).astype(float)
    mean = np.bincount(back, y, len(first)) / counts
    return first, counts, mean, np.bincount(back, (y - mean[back]) ** 2, len(first))


def _as_block(points: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    ends = np.cumsum([int(np.prod(shape, dtype=int)) for shape in shapes])
    parts = np.split(points, ends[:-1], axis=1)
    return [part.reshape(1, len(points), *shape) for part, shape in zip(parts, shapes, strict=True)]


def _probes(colours: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """The block at zero, and with ones at the columns of each colour, (1, K + 1, size) of each variable."""
    unit = np.vstack([np.zeros((1, len(colours))), np.eye(int(colours.max(initial=-1)) + 1)[:, colours]])
    return _as_block(unit, shapes)


def _entries(found: np.ndarray, columns: np.ndarray, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entries (m, n, k) and means at zero (m, n) from means at the probes (m, K + 1, n)."""
    at_zero = found[:, 0]
    probe = np.where(columns >= 0, 1 + colours[np.maximum(columns, 0)], 0)
    rows = np.arange(len(columns))[:, None]
    return found[:, probe, rows] - at_zero[:, :, None], at_zero.copy()


def _log_prior(block: Block, values: Sequence[Any], rest: Rest) -> Callable[[np.ndarray], np.ndarray]:
    terms = [*block.rest, *block.model.potentials]
    if not terms:
        return lambda points: np.zeros(len(points))
    others = [one for one in block.model.observed_RVs if one not in block.observed]
    graph = block.model.logp(vars=[*terms, *others], sum=True, jacobian=True)
    frozen = FunctionGraph(outputs=[graph], clone=False)
    in2out(local_check_parameter_to_ninf_switch).rewrite(frozen)
    compute = _over(pt.atleast_1d(frozen.outputs[0]), values, rest.shapes)
    return lambda points: compute(rest.split(points), [])[:, 0]
