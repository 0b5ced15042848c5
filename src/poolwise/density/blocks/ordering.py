"""In which order the levels of several factors are eliminated, and what fills in on the way.

The leaf, the factor with most effects of those with independent levels, goes first, level by level: its levels never
meet. A further factor whose levels do not meet either, as in nested designs, goes next, without fill. Levels that
remain sparse are eliminated in order of least degree; the rest is one dense root, with the common coefficients.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.design.factors import Factor
from poolwise.support.errors import DataError

_SMALL = 64  # effects: a root of so few costs less dense than sparse
_DENSE = 0.5  # share of the others that a level meets from which it would be pointless to look for an order
_STEPS = 1e8  # pairs of levels that meet, over all eliminated levels, up to which an order is looked for
_FASTER = 3.0  # how many times faster LAPACK is on a dense root than going level by level
_MOST_MEETINGS = 5e7  # pairs of levels that share a leaf: beyond this they are taken to meet all
MOST_ROOT = 25_000  # effects: 5 GB, and minutes for each evaluation


@dataclass(frozen=True, slots=True, eq=False)
class Ordering:
    """The order of elimination.

    A node is a level of a factor other than the leaf, numbered factor by factor in `others`. A factor whose effects sum
    to zero has two more: that constraint's multiplier, and what makes up for the anchor (see `Coupling.augmented`).

    Attributes
    ----------
    leaf : position of the leaf among the factors, -1 where no factor has independent levels.
    others : positions of the other factors.
    first : (len(others) + 1,) first node of each of them.
    stages : nodes of each stage after the leaf, with the factor's position, or -1 for levels in order of least degree.
    root : nodes that are left over.
    neighbours : for each eliminated node in order, the later nodes that it meets.
    leaf_neighbours : (leaf levels + 1,) and (pairs,): for each level of the leaf the nodes that it meets, as in CSR.
    """

    leaf: int
    others: tuple[int, ...]
    first: np.ndarray
    stages: tuple[tuple[int, np.ndarray], ...]
    root: np.ndarray
    neighbours: tuple[np.ndarray, ...]
    leaf_neighbours: tuple[np.ndarray, np.ndarray]


def order_levels(factors: Sequence[Factor]) -> Ordering:
    """Choose the order for two factors or more, or for one whose levels are coupled.

    Raises
    ------
    DataError : when the dense root would not fit in memory.
    """
    found = _ordered(factors)
    _check_root(root_of(found, factors), [factors[f].name for f in found.others])
    return found


def root_size(factors: Sequence[Factor]) -> int:
    """Effects of the dense root."""
    return root_of(_ordered(factors), factors) if len(factors) > 1 else 0


def root_of(order: Ordering, factors: Sequence[Factor]) -> int:
    """Effects of the dense root of an order."""
    of = np.searchsorted(order.first, order.root, side="right") - 1
    return int(sum(len(factors[order.others[i]].effects) for i in of))


def _ordered(factors: Sequence[Factor]) -> Ordering:
    from scipy.sparse import csr_array

    sizes = [len(factor.levels) * len(factor.effects) for factor in factors]
    independent = [f for f, factor in enumerate(factors) if factor.coupling is None]
    leaf = max(independent, key=lambda f: sizes[f], default=-1)
    others = tuple(sorted((f for f in range(len(factors)) if f != leaf), key=lambda f: -sizes[f]))
    couplings = [(i, found) for i, f in enumerate(others) if (found := factors[f].coupling) is not None]
    counts = [len(factors[f].levels) for f in others]
    for i, found in couplings:
        counts[i] += 2 * found.intrinsic
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    total, cells = int(first[-1]), len(factors[leaf].codes)
    nodes = np.stack([factors[f].codes + first[i] for i, f in enumerate(others)])
    ones = np.ones(nodes.size, dtype=np.int8)
    leaves = np.tile(factors[leaf].codes, len(others))
    if leaf >= 0:
        met = _pattern(csr_array((ones, (leaves, nodes.ravel())), shape=(len(factors[leaf].levels), total)))
    else:
        met = csr_array((0, total), dtype=np.int8)
    width = np.repeat([len(factors[f].effects) for f in others], counts)
    constraints = {int(first[i + 1]) - 2: int(first[i]) + c.anchor for i, c in couplings if c.intrinsic}
    further = np.array([node + k for node in constraints for k in range(2)], dtype=np.int64)
    stages: list[tuple[int, np.ndarray]] = []
    neighbours: list[np.ndarray] = []
    remaining = np.ones(total, dtype=bool)
    if np.square(np.diff(met.indptr).astype(float)).sum() <= _MOST_MEETINGS:
        rows = np.tile(np.arange(cells), len(others))
        together = csr_array((ones, (rows, nodes.ravel())), shape=(cells, total))
        graph = met.T.astype(np.int32) @ met.astype(np.int32) + together.T.astype(np.int32) @ together
        for i, found in couplings:
            entries = np.ones_like(found.rows, dtype=np.int32), (found.rows + first[i], found.columns + first[i])
            between = csr_array(entries, shape=(total, total))
            graph = graph + between + between.T
        graph = _pattern(graph)
        for i, f in enumerate(others):
            mine = np.arange(first[i], first[i + 1])
            if width[remaining].sum() <= _SMALL or graph[mine][:, mine].nnz > len(mine):
                continue
            remaining[mine] = False
            between = graph[mine].tocsr()
            for k in range(len(mine)):
                row = between.indices[between.indptr[k] : between.indptr[k + 1]]
                neighbours.append(np.sort(row[remaining[row]]))
            stages.append((f, mine))
            graph = _pattern(graph + between.T.astype(np.int32) @ between.astype(np.int32))
        left = np.setdiff1d(np.flatnonzero(remaining), further)
        if width[left].sum() > _SMALL:
            eliminated, theirs = _least_degree(graph, left, set(constraints.values()))
            if len(eliminated):
                stages.append((-1, eliminated))
                neighbours += theirs
                remaining[eliminated] = False
        # What is eliminated before a multiplier fills its row.
        neighbours = [np.concatenate([each, sorted(constraints)]).astype(np.int64) for each in neighbours]
    remaining[further] = False
    root = np.concatenate([np.flatnonzero(remaining), further])
    return Ordering(leaf, others, first, tuple(stages), root, tuple(neighbours), (met.indptr, met.indices))


def _pattern(matrix: Any) -> Any:
    """Ones where a sparse matrix has entries, columns sorted."""
    found = matrix.tocsr()
    found.sum_duplicates()
    found.data = np.ones(len(found.data), dtype=np.int8)
    found.sort_indices()
    return found


def _least_degree(graph: Any, nodes: np.ndarray, held: set[int]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Nodes in order of least degree, as far as it costs least to go by nodes; those that are held are left over."""
    within = graph[nodes][:, nodes].tocsr()
    meets = {
        int(v): set(nodes[within.indices[within.indptr[k] : within.indptr[k + 1]]].tolist())
        for k, v in enumerate(nodes)
    }
    for v, mine in meets.items():
        mine.discard(v)
    queue = [(len(mine), v) for v, mine in meets.items() if v not in held]
    heapq.heapify(queue)
    order: list[int] = []
    neighbours: list[np.ndarray] = []
    steps = 0
    while queue and len(meets) > _SMALL:
        degree, v = heapq.heappop(queue)
        if v not in meets or degree != len(meets[v]):
            continue
        steps += degree**2
        if degree > _DENSE * len(meets) or steps > _STEPS:
            break
        mine = meets.pop(v)
        for u in mine:
            meets[u] |= mine
            meets[u] -= {u, v}
            if u not in held:
                heapq.heappush(queue, (len(meets[u]), u))
        order.append(v)
        neighbours.append(np.array(sorted(mine), dtype=np.int64))
    by_nodes = np.concatenate([[0.0], np.cumsum([float(len(mine)) ** 2 for mine in neighbours])])
    left = len(nodes) - np.arange(len(order) + 1, dtype=float)
    cut = int(np.argmin(by_nodes + left**3 / (3.0 * _FASTER)))
    return np.array(order[:cut], dtype=np.int64), neighbours[:cut]


def _check_root(size: int, names: list[str]) -> None:
    if size > MOST_ROOT:
        raise DataError(
            f"{' and '.join(names)} cross so densely that {size:,} effects must be solved for together: "
            f"{8e-9 * size**2:.0f} GB and about {size**3 / 9e10:.0f} s for each of thousands of evaluations. The limit "
            f"is {MOST_ROOT:,}; leave out the factor whose levels are least of interest, or fit a sample of them."
        )
