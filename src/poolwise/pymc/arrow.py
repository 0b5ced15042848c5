"""Many symmetric positive definite matrices of one arrow-shaped pattern: small blocks, and a border to all of them.

Hierarchical models have it: the coefficients of each group touch one another and those that all groups share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

_BLOCK = 12  # nodes of a block, at most
_ALL = 24  # nodes, up to which all are border


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
    def flops(self) -> float:
        """Of a factorisation, about."""
        count, q, r = self.sizes
        return count * (q**3 / 3 + q * q * r + q * r * r) + r**3 / 3 + 1.0


def arrow_of(size: int, rows: np.ndarray) -> Arrow:
    """The pattern of sums of outer products of rows with such nodes (n, k), -1 where a row has fewer.

    The nodes that touch most others make the border, as few as leave blocks of a dozen nodes at most.
    """
    one, other = (side.ravel() for side in np.broadcast_arrays(rows[:, :, None], rows[:, None, :]))
    known = (one >= 0) & (other >= 0)
    graph = coo_array((np.ones(known.sum()), (one[known], other[known])), shape=(size, size)).tocsr()
    order = np.argsort(-np.diff(graph.indptr), kind="stable")
    low, high = 0, size
    while low < high:  # the fewest nodes of the border
        middle = (low + high) // 2
        inner = np.sort(order[middle:])
        _, part = connected_components(graph[inner][:, inner], directed=False)
        if np.bincount(part).max(initial=0) <= _BLOCK:
            high = middle
        else:
            low = middle + 1
    if size <= _ALL:
        low = size
    border, inner = np.sort(order[:low]), np.sort(order[low:])
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


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """Solved systems H x = g for m matrices and right sides.

    Attributes
    ----------
    solution : (m, p).
    log_determinant : (m,).
    inner, cross, outer : Cholesky factors of the blocks (m, J, q, q), solved cross blocks (m, J, q, r), and the factor
        of the border's Schur complement (m, r, r).
    """

    solution: np.ndarray
    log_determinant: np.ndarray
    inner: np.ndarray
    cross: np.ndarray
    outer: np.ndarray


def factorise(arrow: Arrow, numbers: np.ndarray, right: np.ndarray) -> Factors:
    """Factorise and solve.

    Parameters
    ----------
    numbers : (m, size) as `assembly` puts them.
    right : (m, p).

    Raises
    ------
    LinAlgError : where a matrix is not positive definite.
    """
    count, q, r = arrow.sizes
    m = len(numbers)
    inside, crossing = count * q * q, count * q * (q + r)
    inner = numbers[:, :inside].reshape(m, count, q, q).copy()
    j, k = np.nonzero(arrow.blocks < 0)
    inner[:, j, k, k] = 1.0
    cross, outer = numbers[:, inside:crossing].reshape(m, count, q, r), numbers[:, crossing:].reshape(m, r, r)
    padded = np.where(arrow.blocks >= 0, right[:, np.maximum(arrow.blocks, 0)], 0.0)
    roots = np.linalg.cholesky(inner) if count else inner
    solved = np.linalg.solve(roots, np.concatenate([cross, padded[..., None]], axis=-1)) if count else cross
    half, own = (solved[..., :r], solved[..., r]) if count else (cross, padded)
    schur = outer - np.einsum("mjqr,mjqs->mrs", half, half, optimize=True)
    top = right[:, arrow.border] - np.einsum("mjqr,mjq->mr", half, own, optimize=True)
    root = np.linalg.cholesky(schur)
    at_border = np.linalg.solve(schur, top[..., None])[..., 0] if r else top
    rest = own - np.einsum("mjqr,mr->mjq", half, at_border, optimize=True)
    local = np.linalg.solve(roots.swapaxes(-1, -2), rest[..., None])[..., 0] if count else rest
    log_determinant = 2.0 * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
    log_determinant += 2.0 * np.log(np.diagonal(roots, axis1=-2, axis2=-1)).sum(axis=(-1, -2)) if count else 0.0
    return Factors(_joined(arrow, at_border, local), log_determinant, roots, half, root)


def deviations(arrow: Arrow, factors: Factors, rng: np.random.Generator) -> np.ndarray:
    """Normal draws (m, p) around zero with the inverse of each matrix as their covariance."""
    count, q, r = arrow.sizes
    m = len(factors.solution)
    at_border = rng.standard_normal((m, r))
    if r:
        at_border = np.linalg.solve(factors.outer.swapaxes(-1, -2), at_border[..., None])[..., 0]
    local = rng.standard_normal((m, count, q)) - np.einsum("mjqr,mr->mjq", factors.cross, at_border, optimize=True)
    if count:
        local = np.linalg.solve(factors.inner.swapaxes(-1, -2), local[..., None])[..., 0]
    return _joined(arrow, at_border, local)


def _joined(arrow: Arrow, at_border: np.ndarray, local: np.ndarray) -> np.ndarray:
    flat: Any = np.concatenate([at_border, local.reshape(len(local), -1)], axis=1)
    return flat[:, arrow.place]
