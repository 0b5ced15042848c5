"""Where every number of the blocked system is stored: built once from the order of elimination.

Eliminated nodes have panels: own effects as rows, and as columns their own effects, those of later nodes that they
meet, and the border [X, y]. Panels of the leaf come one after the other in an array of their own; panels of further
nodes and the dense root share the store in which Schur complements are formed. All triangles are upper ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from poolwise.compiled import exact_kernel
from poolwise.compiled.types import BoolVector, Int32Vector, IntVector
from poolwise.density.blocks.ordering import Ordering
from poolwise.design.factors import Factor

_DENSE = 0.3  # share of the root's columns that levels of the leaf meet


class Structure(NamedTuple):
    """Integers that say where things are. Nodes: levels of the leaf, then further eliminated ones in order.

    An entry is a meeting of an eliminated node with a later one. "Kept" is the vector of all coefficients but the
    leaf's: eliminated nodes by rank, nodes of the root, common coefficients.
    """

    first_effect: IntVector  # (F + 1,) of each factor among all Q effects
    factor: IntVector  # (E,) of each node
    offset: IntVector  # (E,) where its panel begins: in the leaf's data, or in the store
    width: IntVector  # (E,) columns of its panel
    entries: IntVector  # (E + 1,) first entry of each node
    entry_factor: IntVector  # (N,) factor of the node met
    entry_column: IntVector  # (N,) its first column in the panel
    entry_base: IntVector  # (N,) where its first row begins in the store
    entry_stride: IntVector  # (N,) from one of its rows to the next
    entry_places: IntVector  # (N,) first of `places` for its columns from `entry_column` on
    entry_kept: IntVector  # (N,) its first place among the kept coefficients
    border_places: IntVector  # (E,) first of `places` for the border's columns
    places: Int32Vector  # column within a row of the store
    root_factor: IntVector  # (nodes of the root,)
    root_kept: IntVector  # (nodes of the root,) place among the kept coefficients
    leaves: np.int64
    root: np.int64  # where the root begins in the store
    root_size: np.int64  # its rows: effects, coefficients and the outcome
    size: np.int64  # of the store
    dense: bool  # whether levels of the leaf meet so much of the root that their rows are best gathered in full


class Ranks(NamedTuple):
    """Where nodes went: `rank` (nodes,) in order of elimination, the root last; `eliminated` of them are not root."""

    rank: np.ndarray
    eliminated: int


def build_structure(factors: Sequence[Factor], order: Ordering, border: int) -> tuple[Structure, Ranks]:
    """Lay out panels, store and kept coefficients; `border` is p + 1."""
    widths = np.array([len(factor.effects) for factor in factors])
    node_factor = np.repeat(np.array(order.others, dtype=np.int64), np.diff(order.first))
    sequence = np.concatenate([*(nodes for _, nodes in order.stages), order.root]).astype(np.int64)
    rank = np.empty(len(sequence), dtype=np.int64)
    rank[sequence] = np.arange(len(sequence))
    eliminated = len(sequence) - len(order.root)
    leaves = len(factors[order.leaf].levels) if order.leaf >= 0 else 0
    by_rank = node_factor[sequence]
    kept = np.concatenate([[0], np.cumsum(widths[by_rank])])
    pointers, met = order.leaf_neighbours
    later = [rank[met], *(rank[each] for each in order.neighbours)]
    entries = np.concatenate([pointers, pointers[-1] + np.cumsum([len(each) for each in order.neighbours])]).astype(int)
    entry_rank = np.concatenate(later).astype(np.int64)
    owner = np.repeat(np.arange(len(entries) - 1), np.diff(entries))
    entry_rank = entry_rank[np.lexsort((entry_rank, owner))]
    factor = np.concatenate([np.full(leaves, order.leaf), by_rank[:eliminated]]).astype(np.int64)
    sizes = widths[by_rank[entry_rank]]
    before = np.concatenate([[0], np.cumsum(sizes)])
    entry_column = before[:-1] - before[entries[owner]] + widths[factor[owner]]
    width = widths[factor] + (before[entries[1:]] - before[entries[:-1]]) + border
    offset = np.concatenate(
        [_starts(widths[factor[:leaves]] * width[:leaves]), _starts((widths[factor] * width)[leaves:])]
    )
    root = int((widths[factor] * width)[leaves:].sum())
    root_size = int(kept[-1] - kept[eliminated]) + border
    in_root = entry_rank >= eliminated
    target = np.where(in_root, 0, leaves + entry_rank)
    base = np.where(in_root, root + (kept[entry_rank] - kept[eliminated]) * root_size, offset[target])
    stride = np.where(in_root, root_size, width[target])
    columns = width - widths[factor]
    room = np.where(in_root, 0, columns[owner] - (entry_column - widths[factor[owner]]))
    own = np.where(in_root, 0, _starts(room))
    first_root = np.minimum.reduceat(
        np.append(np.where(in_root, entry_column, width[owner] - border), width.max(initial=0)), entries[:-1]
    )
    first_root = np.where(np.diff(entries) > 0, first_root, width - border)
    shared = int(room.sum()) + _starts(width - first_root)
    places = np.empty(int(room.sum() + (width - first_root).sum()), dtype=np.int32)
    entry_places = np.where(in_root, shared[owner] + entry_column - first_root[owner], own)
    _fill_places(
        entries, entry_rank, sizes, entry_column, in_root, own, shared, first_root, width, widths[factor], kept,
        eliminated, leaves, border, root_size, places,
    )  # fmt: skip
    structure = Structure(
        np.concatenate([[0], np.cumsum(widths)]).astype(np.int64),
        factor,
        offset,
        width,
        entries,
        by_rank[entry_rank].astype(np.int64),
        entry_column,
        base,
        stride,
        entry_places,
        kept[entry_rank],
        shared + (width - border) - first_root,
        places,
        by_rank[eliminated:].astype(np.int64),
        kept[eliminated:-1],
        np.int64(leaves),
        np.int64(root),
        np.int64(root_size),
        np.int64(root + root_size**2),
        bool(eliminated == 0 and leaves and widths[order.leaf] <= 16 and np.mean(width) > _DENSE * root_size),
    )
    return structure, Ranks(rank, eliminated)


def _starts(sizes: np.ndarray) -> np.ndarray:
    """Where each of consecutive pieces begins."""
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64) if len(sizes) else np.zeros(0, dtype=np.int64)


@exact_kernel
def _fill_places(
    entries: IntVector, rank: IntVector, sizes: IntVector, column: IntVector, in_root: BoolVector, own: IntVector,
    shared: IntVector, first_root: IntVector, width: IntVector, q: IntVector, kept: IntVector, eliminated: int,
    leaves: int, border: int, root_size: int, places: Int32Vector,
) -> None:  # fmt: skip
    """For every row that an eliminated node updates, the columns there of the node's own columns."""
    for node in range(entries.size - 1):
        at = shared[node]
        for e in range(entries[node], entries[node + 1]):
            if in_root[e]:
                for k in range(sizes[e]):
                    places[at] = kept[rank[e]] - kept[eliminated] + k
                    at += 1
        for k in range(border):
            places[at] = root_size - border + k
            at += 1
        for e in range(entries[node], entries[node + 1]):
            if in_root[e]:
                continue
            # The node met is eliminated later; both lists of later nodes are sorted, and its own holds all of ours.
            target, at = leaves + rank[e], own[e]
            for k in range(sizes[e]):
                places[at] = k
                at += 1
            other = entries[target]
            for d in range(e + 1, entries[node + 1]):
                while rank[other] != rank[d]:
                    other += 1
                for k in range(sizes[d]):
                    places[at] = column[other] + k
                    at += 1
            for k in range(border):
                places[at] = width[target] - border + k
                at += 1
