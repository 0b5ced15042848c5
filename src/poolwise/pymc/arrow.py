"""Many symmetric positive definite matrices of one arrow-shaped pattern: small blocks, and a border to all of them.

Hierarchical models have it: the coefficients of each group touch one another and those that all groups share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtrs
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, reverse_cuthill_mckee

from poolwise.density.arrow_kernels import backward, eliminate_blocks, forward, subtract_crossed
from poolwise.support.errors import DataError

_BLOCK = 12  # nodes of a block, at most
_HUB = 4.0  # times as many others as the median node touches
_ALL = 24  # nodes, up to which all are border
_WIDE = 64  # nodes of a border, from which a library of matrices is faster
_MOST_BORDER = 1_500


@dataclass(frozen=True, slots=True, eq=False)
class Arrow:
    """Where each node stands.

    Attributes
    ----------
    border : (r,) nodes.
    blocks : (J, q) nodes of each block, -1 where a block has fewer.
    place : (p,) of each node: its place in the border, or r + j q + its place in block j.
    """

    border: np.ndarray
    blocks: np.ndarray
    place: np.ndarray

    @property
    def sizes(self) -> tuple[int, int, int]:
        """J, q and r."""
        return (*self.blocks.shape, len(self.border))

    @property
    def numbers(self) -> int:
        """Numbers of a matrix."""
        count, q, r = self.sizes
        return count * q * (q + r) + r * r

    @property
    def flops(self) -> float:
        """Of a factorisation, about."""
        count, q, r = self.sizes
        return count * (q**3 / 3 + q * q * r + q * r * r) + r**3 / 3 + 1.0


def arrow_of(size: int, rows: np.ndarray) -> Arrow:
    """The pattern of sums of outer products of rows with such nodes (n, k), -1 where a row has fewer.

    Blocks have a dozen nodes at most. The border has the nodes that touch most others; or beside those that touch very
    many, such as leave stretches of a dozen, as the values of a random walk do: whichever takes fewer flops.

    Raises
    ------
    DataError : where the border has too many.
    """
    one, other = (side.ravel() for side in np.broadcast_arrays(rows[:, :, None], rows[:, None, :]))
    known = (one >= 0) & (other >= 0)
    graph = coo_array((np.ones(known.sum()), (one[known], other[known])), shape=(size, size)).tocsr()
    found = _with_border(graph, np.arange(size) if size <= _ALL else _touching_most(graph))
    if len(found.border) > _BLOCK and size > _ALL:
        found = min(found, _with_border(graph, _between_stretches(graph)), key=lambda arrow: arrow.flops)
    if len(found.border) > _MOST_BORDER:
        raise DataError(
            f"{len(found.border):,} numbers of the block hang together, and {_MOST_BORDER:,} are the most here: write "
            "the model as a formula, whose algebra is sparse."
        )
    return found


def _touching_most(graph: csr_array) -> np.ndarray:
    """The nodes that touch most others, as few as leave small blocks."""
    order = np.argsort(-np.diff(graph.indptr), kind="stable")
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        inner = np.sort(order[middle:])
        _, part = connected_components(graph[inner][:, inner], directed=False)
        if np.bincount(part).max(initial=0) <= _BLOCK:
            high = middle
        else:
            low = middle + 1
    return order[:low]


def _between_stretches(graph: csr_array) -> np.ndarray:
    """Nodes that touch very many others; and of the rest, in an order in which neighbours lie close to one another
    (Cuthill and McKee 1969), the neighbours of each dozen that come after it."""
    degrees = np.diff(graph.indptr)
    hubs = degrees > _HUB * np.median(degrees)
    rest = np.flatnonzero(~hubs)
    inner = graph[rest][:, rest].tocsr()
    free, between, block = np.ones(len(rest), dtype=bool), list[int](), list[int]()
    for node in reverse_cuthill_mckee(inner, symmetric_mode=True):
        if len(block) == _BLOCK:
            touched = np.unique(np.concatenate([inner.indices[inner.indptr[k] : inner.indptr[k + 1]] for k in block]))
            after = touched[free[touched]]
            between += after.tolist()
            free[after], block = False, []
        if free[node]:
            free[node] = False
            block.append(int(node))
    return np.concatenate([np.flatnonzero(hubs), rest[between]])


def _with_border(graph: csr_array, nodes: np.ndarray) -> Arrow:
    """The pattern that some nodes as the border leave."""
    size = graph.shape[0]
    border = np.sort(nodes)
    inner = np.setdiff1d(np.arange(size), border)
    count, part = connected_components(graph[inner][:, inner], directed=False) if len(inner) else (0, np.zeros(0, int))
    sizes = np.bincount(part, minlength=count)
    blocks = np.full((count, int(sizes.max(initial=0))), -1)
    by_part = np.argsort(part, kind="stable")
    within = np.arange(len(inner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    blocks[part[by_part], within] = inner[by_part]
    place = np.empty(size, dtype=np.int64)
    place[border] = np.arange(len(border))
    j, k = np.nonzero(blocks >= 0)
    place[blocks[j, k]] = len(border) + j * blocks.shape[1] + k
    return Arrow(border, blocks, place)


def assembly(arrow: Arrow, rows: np.ndarray) -> csr_array:
    """Takes products of the entries of rows, (n k k), to the numbers of blocks, cross blocks and border, one after the
    other."""
    count, q, r = arrow.sizes
    one, other = (side.ravel() for side in np.broadcast_arrays(rows[:, :, None], rows[:, None, :]))
    known = (one >= 0) & (other >= 0)
    a, b = arrow.place[one], arrow.place[other]
    a_block, a_at = np.divmod(a - r, max(q, 1))
    b_at = (b - r) % max(q, 1)
    inside, cross, outside = (a >= r) & (b >= r), (a >= r) & (b < r), (a < r) & (b < r)
    target = np.select(
        [inside, cross, outside],
        [
            (a_block * q + a_at) * q + b_at,
            count * q * q + (a_block * q + a_at) * r + b,
            count * q * (q + r) + a * r + b,
        ],
        -1,
    )
    used = known & (target >= 0)
    size = count * q * (q + r) + r * r
    entries = np.flatnonzero(used)
    return coo_array((np.ones(len(entries)), (target[used], entries)), shape=(size, len(one))).tocsr()


def gathering(size: int, rows: np.ndarray) -> csr_array:
    """Adds entries of rows, (n k), up by the nodes that they belong to."""
    columns = rows.ravel()
    known = np.flatnonzero(columns >= 0)
    return csr_array((np.ones(len(known)), (columns[known], known)), shape=(size, len(columns)))


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """Factors of m matrices, whose numbers lie beside one another.

    Attributes
    ----------
    arrow : their pattern.
    inner, cross, outer : Cholesky factors of the blocks (J, q, q, m), of which the lower triangles count, solved cross
        blocks (J, q, r, m), and the factor of the border's Schur complement (r, r, m).
    """

    arrow: Arrow
    inner: np.ndarray
    cross: np.ndarray
    outer: np.ndarray

    @property
    def log_determinants(self) -> np.ndarray:
        """(m,)."""
        pivots = np.diagonal(self.inner, axis1=1, axis2=2), np.diagonal(self.outer)  # (J, m, q) and (m, r)
        of_blocks, of_border = np.log(pivots[0]).sum(axis=(0, 2)), np.log(pivots[1]).sum(axis=1)
        return np.asarray(2.0 * (of_border + of_blocks))

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Solutions (p, m) for right sides (p, m)."""
        right = np.ascontiguousarray(right)
        own, top = np.empty((*self.inner.shape[:2], right.shape[1])), right[self.arrow.border]
        forward(self.inner, self.cross, right, self.arrow.blocks, own, top)
        return self._back(_triangular(self.outer, top), own)

    def deviations(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Normal draws (p, m) around zero with the inverse of each matrix as their covariance; and the squares (m,) of
        the standard normal numbers that they are made of."""
        count, q, _, m = self.inner.shape
        top = rng.standard_normal((len(self.arrow.border), m))
        own = np.where(self.arrow.blocks[..., None] >= 0, rng.standard_normal((count, q, m)), 0.0)
        squares = np.square(top).sum(axis=0) + np.square(own).sum(axis=(0, 1))
        return self._back(top, own), squares

    def _back(self, top: np.ndarray, own: np.ndarray) -> np.ndarray:
        arrow, found = self.arrow, np.empty((len(self.arrow.place), top.shape[1]))
        at_border = np.ascontiguousarray(_triangular(self.outer, top, transposed=True))
        backward(self.inner, self.cross, own, at_border, arrow.blocks, arrow.border, found)
        return found


def factorise(arrow: Arrow, numbers: np.ndarray) -> Factors:
    """Factorise matrices whose numbers (size, m) stand as `assembly` puts them.

    The factors of one that is not positive definite are not finite.
    """
    count, q, r = arrow.sizes
    m = numbers.shape[1]
    inner, cross = np.empty((count, q, q, m)), np.empty((count, q, r, m))
    eliminate_blocks(np.ascontiguousarray(numbers), arrow.blocks, inner, cross)
    outer = numbers[count * q * (q + r) :].reshape(r, r, m).copy()
    if r <= _WIDE:
        subtract_crossed(cross, outer)
    else:
        by_matrix = np.ascontiguousarray(cross.reshape(count * q, r, m).transpose(2, 0, 1))
        outer -= (by_matrix.swapaxes(1, 2) @ by_matrix).transpose(1, 2, 0)
    return Factors(arrow, inner, cross, _root(outer))


def _root(matrices: np.ndarray) -> np.ndarray:
    """Cholesky factors of many matrices (r, r, m), of which lower triangles count; NaN where there is none."""
    r = len(matrices)
    if r > _ALL:
        by_matrix = np.ascontiguousarray(matrices.transpose(2, 0, 1))
        return np.stack([_root_of(one) for one in by_matrix]).transpose(1, 2, 0)
    found = np.zeros_like(matrices)
    with np.errstate(invalid="ignore", divide="ignore"):
        for j in range(r):
            column = matrices[j:, j] - (found[j:, :j] * found[j, :j]).sum(axis=1)
            found[j:, j] = column / np.sqrt(column[0])
    return found


def _root_of(matrix: np.ndarray) -> np.ndarray:
    root, failed = dpotrf(matrix.T, lower=0, clean=1)  # by columns, as LAPACK has it
    return np.full_like(matrix, np.nan) if failed else np.asarray(root.T)


def _triangular(root: np.ndarray, right: np.ndarray, *, transposed: bool = False) -> np.ndarray:
    """Solve with the border's factors (r, r, m), or their transposes, right sides (r, m)."""
    r = len(right)
    found = np.empty_like(right)
    if r > _ALL:
        for i in range(right.shape[1]):
            found[:, i] = dtrtrs(root[..., i].T, right[:, i], lower=0, trans=int(not transposed))[0]
        return found
    for i in reversed(range(r)) if transposed else range(r):
        known = slice(i + 1, r) if transposed else slice(i)
        factors = root[known, i] if transposed else root[i, known]
        found[i] = (right[i] - (factors * found[known]).sum(axis=0)) / root[i, i]
    return found
