"""Rows in terms of standardised deviations of a block's priors, where they are affine in a few products.

With b_j = (mean of its prior) + sd_j v_j the priors of v are standard normals: where a standard deviation goes to zero,
the precision of v goes to one, and keeps its digits, while that of b has none. Entries of outcomes are then multiplied
by these standard deviations. If the means of priors are linear in one another with fixed entries E, and t(theta) is
what is left of them,

    b = W (t + sd * v),  W = (I - E)^-1 = I + E + E E + ...,

a sum that ends, as no prior depends on itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array, csr_array, diags_array, eye_array

from poolwise.pymc.linear_rows import LinearRows
from poolwise.pymc.orthogonal import turn_of

_DEPTH = 8  # of priors on priors
_FILL = 6  # numbers of a column of W, on average
_MOST = 20  # products


@dataclass(frozen=True, slots=True, eq=False)
class SummedRows:
    """Rows whose entries and targets are affine in products of coordinates, in terms of v or of b.

    Attributes
    ----------
    columns, counts, within : as of `LinearRows`.
    entries, targets : (M + 1, n, k) and (M + 1, n).
    place, scale : (n,) which standard deviation each row has, and how many times as large its own is.
    varying : (C,) whether theta plays a part in each of these.
    of_theta : theta (m, d) to standard deviations (m, C) and products (m, M).
    written : block (m, p) of these rows at theta (m, d) to the one as written, and `standardised` back.
    log_volume : log of the volume that one of these rows' blocks has where priors are written.
    """

    columns: np.ndarray
    counts: np.ndarray
    within: np.ndarray
    entries: np.ndarray
    targets: np.ndarray
    place: np.ndarray
    scale: np.ndarray
    varying: np.ndarray
    of_theta: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    written: Callable[[np.ndarray, np.ndarray], np.ndarray]
    standardised: Callable[[np.ndarray, np.ndarray], np.ndarray]
    log_volume: float = 0.0


def as_written(rows: LinearRows) -> SummedRows | None:
    """Rows in terms of b; None where they are not affine in a few numbers."""
    if (parts := rows.parts) is None:
        return None
    return SummedRows(
        rows.columns, rows.counts, rows.within, parts.entries, parts.targets, parts.place, parts.scale, parts.varying,
        lambda points: (parts.sds(points), parts.coordinates(points)),
        lambda points, block: block, lambda points, block: block,
    )  # fmt: skip


def standardised(rows: LinearRows) -> SummedRows | None:
    """Rows in terms of v; None where they are not affine in a few products, or W has too many numbers."""
    if (parts := rows.parts) is None:
        return None
    p, n = rows.size, len(rows.columns) - rows.size
    matrices = [_sparse(each, rows.columns, p) for each in parts.entries]
    identity = eye_array(p, format="csr")
    whole = None if any(each[n:].nnz for each in matrices[1:]) else _inverse((identity - matrices[0][n:]).tocsr())
    if whole is None:
        return None
    of_priors, of_scale, own_targets = parts.place[n:], parts.scale[n:], parts.targets[:, n:]
    atoms, fixed = len(parts.entries) - 1, parts.constants
    # Products are named by two atoms: coordinates, then standard deviations; the last one is 1.
    one = atoms + len(fixed)
    entries: dict[tuple[int, int], csr_array] = {}
    targets: dict[tuple[int, int], np.ndarray] = {}
    for j, matrix in enumerate(matrices):
        atom = one if j == 0 else j - 1
        _add(targets, (atom, one), parts.targets[j, :n])
        through = (matrix[:n] @ whole).tocsr()
        for other in range(len(matrices)):
            _add(targets, (atom, one if other == 0 else other - 1), -(through @ own_targets[other]))
        for c in np.unique(of_priors):
            mine = (of_priors == c) * of_scale * (1.0 if parts.varying[c] else fixed[c])
            _add(entries, (atom, atoms + int(c) if parts.varying[c] else one), (through @ diags_array(mine)).tocsr())
    names = [name for name in sorted({*entries, *targets}) if name != (one, one)]
    if len(names) > _MOST:
        return None
    names.insert(0, (one, one))
    columns, placed = _aligned([entries.get(name, csr_array((n, p))) for name in names], p)
    own = np.zeros((len(names), p))
    placed_targets = np.concatenate([np.array([targets.get(name, np.zeros(n)) for name in names]), own], axis=1)
    first, second = np.array(names[1:], dtype=int).reshape(-1, 2).T

    def coordinates(points: np.ndarray) -> np.ndarray:
        return np.broadcast_to(parts.coordinates(points), (len(points), atoms))

    def of_theta(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sds = np.concatenate([parts.sds(points), np.ones((len(points), 1))], axis=1)
        of_atoms = np.concatenate([coordinates(points), sds], axis=1)
        return sds, np.asarray(of_atoms[:, first] * of_atoms[:, second])

    def means(points: np.ndarray) -> np.ndarray:
        return np.asarray(own_targets[0] + coordinates(points) @ own_targets[1:])

    def spreads(points: np.ndarray) -> np.ndarray:
        return np.asarray(parts.sds(points)[:, of_priors] * of_scale)

    def written(points: np.ndarray, block: np.ndarray) -> np.ndarray:
        return np.asarray((whole @ (means(points) + spreads(points) * block).T).T)

    def back(points: np.ndarray, block: np.ndarray) -> np.ndarray:
        deviations = np.asarray((matrices[0][n:] @ block.T).T) - means(points)
        return np.asarray(deviations / spreads(points))

    place, scale = np.append(parts.place[:n], np.full(p, len(fixed))), np.append(parts.scale[:n], np.ones(p))
    return SummedRows(
        columns, rows.counts, rows.within, placed, placed_targets, place, scale, np.append(parts.varying, False),
        of_theta, written, back,
    )  # fmt: skip


def orthogonal(rows: SummedRows, p: int, reference: np.ndarray) -> SummedRows:
    """The same rows, in terms of orthonormal columns where some are nearly collinear at a theta of reference (d,)."""
    sds, products = rows.of_theta(reference[None])
    products = np.broadcast_to(products, (1, len(rows.entries) - 1))[0]
    at = rows.entries[0] + np.tensordot(products, rows.entries[1:], 1)
    weights = np.sqrt(rows.counts) / (sds[0][rows.place] * rows.scale)
    turn = turn_of(rows.columns, at * weights[:, None], p)
    if turn is None:
        return rows
    columns, entries = turn.entries(rows.entries)
    return replace(
        rows, columns=columns, entries=entries,
        written=lambda points, block: rows.written(points, turn.written(block)),
        standardised=lambda points, block: turn.turned(rows.standardised(points, block)),
        log_volume=turn.log_volume,
    )  # fmt: skip


def _sparse(entries: np.ndarray, columns: np.ndarray, p: int) -> csr_array:
    """(n, p) of entries (n, k)."""
    i, at = np.nonzero((columns >= 0) & (entries != 0.0))
    return coo_array((entries[i, at], (i, columns[i, at])), shape=(len(columns), p)).tocsr()


def _inverse(lower: csr_array) -> csr_array | None:
    """The inverse of I - E, given E as I minus that."""
    p = lower.shape[0]
    found = term = eye_array(p, format="csr")
    for _ in range(_DEPTH):
        term = (lower @ term).tocsr()
        term.eliminate_zeros()
        if not term.nnz:
            return found
        found = (found + term).tocsr()
        if found.nnz > _FILL * p:
            return None
    return None


def _add(sums: dict, name: tuple[int, int], values: np.ndarray | csr_array) -> None:  # type: ignore[type-arg]
    name = (min(name), max(name))
    if values.nnz if isinstance(values, csr_array) else values.any():
        sums[name] = sums[name] + values if name in sums else values


def _aligned(matrices: list[csr_array], p: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns (n + p, k) and entries (M + 1, n + p, k) of matrices (n, p) of one pattern, over unit rows (p, p)."""
    n, found = matrices[0].shape[0], [matrix.tocoo() for matrix in matrices]
    names = [one.coords[0].astype(np.int64) * p + one.coords[1] for one in found]
    pattern = np.unique(np.concatenate(names))
    i, j = np.divmod(pattern, p)
    counts = np.bincount(i, minlength=n)
    at = np.arange(len(pattern)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = np.full((n + p, max(1, int(counts.max(initial=0)))), -1)
    columns[i, at], columns[n:, 0] = j, np.arange(p)
    entries = np.zeros((len(matrices), *columns.shape))
    for k, (name, one) in enumerate(zip(names, found, strict=True)):
        where = np.searchsorted(pattern, name)
        entries[k, i[where], at[where]] = one.data
    entries[0, n:, 0] = 1.0
    return columns, entries
