"""From statistics of cells to the arrays of the blocked system."""

from __future__ import annotations

import numpy as np

from poolwise.density.blocks.kernels import Alike, Blocks, Precisions, System
from poolwise.density.blocks.ordering import Ordering
from poolwise.density.blocks.structure import Ranks, Structure
from poolwise.density.projection import products_of
from poolwise.density.theta import Prior
from poolwise.design.factors import Factor
from poolwise.statistics.products import CrossProducts


def assemble(
    statistics: CrossProducts,
    factors: tuple[Factor, ...],
    effects: list[np.ndarray],
    maps: np.ndarray,
    to_written: np.ndarray,
    columns: np.ndarray,
    xy: np.ndarray,
    prior: Prior,
    order: Ordering,
    structure: Structure,
    ranks: Ranks,
) -> System:
    """Cross-products of effects with effects, coefficients and the outcome, where `structure` wants them.

    Parameters
    ----------
    effects : for each factor its shifted effect columns (1 + K + 1, q), in the basis [1, W - origin, y - origin].
    maps, to_written : (Q, Q) from effects that theta speaks of to shifted effects, and to effects as written.
    columns : (1 + K + 1, p + 1) common columns in working coordinates and the residual outcome, in the same basis.
    xy : (p + 1, p + 1) cross-products of these.
    """
    border = columns.shape[1]
    rank = [ranks.rank[factors[f].codes + order.first[i]] for i, f in enumerate(order.others)]
    values = np.zeros(0)
    if order.leaf >= 0:
        leaf, mine = factors[order.leaf].codes, effects[order.leaf]
        width, offset = structure.width, structure.offset
        values = np.zeros(int((width[: structure.leaves] * mine.shape[1]).sum()))
        _add(values, offset[leaf], width[leaf], products_of(statistics, mine, mine))
        _add(values, offset[leaf] + width[leaf] - border, width[leaf], products_of(statistics, mine, columns))
        for i, f in enumerate(order.others):
            place = offset[leaf] + structure.entry_column[_entries(structure, ranks, leaf, rank[i])]
            _add(values, place, width[leaf], products_of(statistics, mine, effects[f]))
    blocks = _Blocks(structure, ranks)
    for i, f in enumerate(order.others):
        blocks.own(f, rank[i], products_of(statistics, effects[f], effects[f]))
        blocks.border(f, rank[i], products_of(statistics, effects[f], columns))
        for j in range(i):
            g = order.others[j]
            blocks.pair(f, g, rank[i], rank[j], products_of(statistics, effects[f], effects[g]))
    alike = Alike(np.ones(structure.leaves), np.zeros(0), np.zeros((0, border, border)))
    known, multiplier = prior_precisions(factors, order, structure, ranks)
    rows = float(statistics.rows)
    return System(structure, values, blocks.arrays(), known, multiplier, xy, rows, maps, to_written, prior, alike)


def _add(values: np.ndarray, place: np.ndarray, stride: np.ndarray, products: np.ndarray) -> None:
    """Add each cell's matrix (C, a, b) to the rows that begin at `place` and follow by `stride`."""
    for i in range(products.shape[1]):
        for j in range(products.shape[2]):
            np.add.at(values, place + i * stride + j, products[:, i, j])


def _entries(structure: Structure, ranks: Ranks, node: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """The entry in which an eliminated node meets the node of some rank, for each cell."""
    owner = np.repeat(np.arange(len(structure.entries) - 1), np.diff(structure.entries))
    # Kept places grow with ranks, so that entries are sorted by owner and then by them.
    size = len(ranks.rank)
    kept = np.concatenate([structure.entry_kept, structure.root_kept])
    distinct = np.unique(kept)
    key = owner * (size + 1) + np.searchsorted(distinct, structure.entry_kept)
    wanted = node * (size + 1) + np.searchsorted(distinct, kept_of(structure)[rank])
    return np.searchsorted(key, wanted)


def kept_of(structure: Structure) -> np.ndarray:
    """(nodes,) place among the kept coefficients, by rank."""
    widths = np.diff(structure.first_effect)
    eliminated = widths[structure.factor[structure.leaves :]]
    return np.concatenate([np.cumsum(eliminated) - eliminated, structure.root_kept]).astype(np.int64)


def prior_precisions(
    factors: tuple[Factor, ...], order: Ordering, structure: Structure, ranks: Ranks
) -> tuple[Precisions, np.int64]:
    """What the priors of scaled effects add to the store; and the place in the root of the multiplier, or -1."""
    from scipy.sparse import triu

    kept, places = kept_of(structure), Places(structure, ranks)
    parts, multiplier = [], np.int64(-1)
    for i, f in enumerate(order.others):
        rank = ranks.rank[order.first[i] : order.first[i + 1]]
        coupling = factors[f].coupling
        if coupling is None:
            one, other = rank, rank
            value = penalty = np.ones(len(rank))
        else:
            entries = triu(coupling.augmented, format="coo")
            one, other, value = rank[entries.row], rank[entries.col], entries.data
            added = coupling.intrinsic & (entries.row == coupling.anchor) & (entries.col == coupling.anchor)
            penalty = np.where(entries.col < len(coupling.levels), value - added, 0.0)
            if coupling.intrinsic:
                multiplier = kept[rank[-2]] - places.root_first
        early, late = np.minimum(one, other), np.maximum(one, other)
        place, stride = places.of(early, late)
        parts.append((np.full(len(place), f), place, stride, kept[early], kept[late], value, penalty))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Precisions(*(column.astype(np.int64) for column in columns[:5]), *columns[5:]), multiplier


class Places:
    """Where blocks of pairs of nodes are in the store."""

    def __init__(self, structure: Structure, ranks: Ranks) -> None:
        self.structure, self.ranks, self.kept = structure, ranks, kept_of(structure)
        widths = np.diff(structure.first_effect)
        self.root_first = int(widths[structure.factor[structure.leaves :]].sum())  # among the kept coefficients

    def rows(self, rank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the rows of nodes begin, and from one row to the next."""
        structure, in_root = self.structure, rank >= self.ranks.eliminated
        if in_root.all():
            return self._in_root(rank), np.full(len(rank), structure.root_size)
        node = np.where(in_root, 0, structure.leaves + rank)
        place = np.where(in_root, self._in_root(rank), structure.offset[node])
        return place, np.where(in_root, structure.root_size, structure.width[node])

    def _in_root(self, rank: np.ndarray) -> np.ndarray:
        return np.asarray(self.structure.root + (self.kept[rank] - self.root_first) * self.structure.root_size)

    def of(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the blocks of pairs of nodes begin, `first` not after `second`, and from one row to the next."""
        place, stride = self.rows(first)
        in_root = first >= self.ranks.eliminated
        column = np.where(in_root, self.kept[second] - self.root_first, 0)
        apart = ~in_root & (first != second)
        if apart.any():
            entry = _entries(self.structure, self.ranks, self.structure.leaves + first[apart], second[apart])
            column[apart] = self.structure.entry_column[entry]
        return place + column, stride


class _Blocks:
    """Blocks of the store, collected pair by pair of factors."""

    def __init__(self, structure: Structure, ranks: Ranks) -> None:
        self.places, self.ranks = Places(structure, ranks), ranks
        self.parts: list[tuple[int, int, np.ndarray, np.ndarray, np.ndarray]] = []

    def own(self, factor: int, rank: np.ndarray, products: np.ndarray) -> None:
        """Blocks on the diagonal."""
        distinct, inverse = np.unique(rank, return_inverse=True)
        self.parts.append(
            (factor, factor, *self.places.of(distinct, distinct), _sums(products, inverse, len(distinct)))
        )

    def border(self, factor: int, rank: np.ndarray, products: np.ndarray) -> None:
        """Blocks with the common coefficients and the outcome."""
        distinct, inverse = np.unique(rank, return_inverse=True)
        place, stride = self.places.rows(distinct)
        self.parts.append(
            (factor, -1, place + stride - products.shape[2], stride, _sums(products, inverse, len(distinct)))
        )

    def pair(self, one: int, other: int, rank: np.ndarray, rank_other: np.ndarray, products: np.ndarray) -> None:
        """Blocks of two factors; the rows are the node's that comes first."""
        for f, g, rows, columns, values in (
            (one, other, rank, rank_other, products),
            (other, one, rank_other, rank, products.transpose(0, 2, 1)),
        ):
            chosen = rows < columns
            if not chosen.any():
                continue
            size = len(self.ranks.rank)
            distinct, inverse = np.unique(rows[chosen] * size + columns[chosen], return_inverse=True)
            place, stride = self.places.of(distinct // size, distinct % size)
            self.parts.append((f, g, place, stride, _sums(values[chosen], inverse, len(distinct))))

    def arrays(self) -> Blocks:
        """The blocks for kernels."""
        counts = [len(place) for _, _, place, _, _ in self.parts]
        sizes = np.repeat([values[0].size for *_, values in self.parts], counts)
        return Blocks(
            np.repeat([f for f, *_ in self.parts], counts).astype(np.int64),
            np.repeat([g for _, g, *_ in self.parts], counts).astype(np.int64),
            np.concatenate([place for _, _, place, _, _ in self.parts]).astype(np.int64),
            np.concatenate([stride for *_, stride, _ in self.parts]).astype(np.int64),
            np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
            np.concatenate([values.ravel() for *_, values in self.parts]),
        )


def _sums(values: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    total = np.zeros((count, *values.shape[1:]))
    np.add.at(total, group.reshape(-1), values)
    return total
