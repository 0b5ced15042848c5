"""Levels of the leaf that are alike, eliminated together.

Levels with one effect that meet the same later nodes, with the same cross-products, differ in the border alone: with
varying intercepts, all classes of one school with equally many pupils. For n of them with border vectors z_j the sum of
B'B is n times that of their mean, and what z_j spread around it, which depends on their own block only. Densities and
draws of the kept coefficients then cost as much as there are kinds of levels, not levels.
"""

from __future__ import annotations

import numpy as np

from poolwise.density.blocks.kernels import Alike, System

_WORTHWHILE = 0.7  # kinds for each level, at the most


def compressed(system: System) -> System:
    """The same density with one level of the leaf for each kind; the system itself where that saves little."""
    structure, border = system.structure, system.xy.shape[0]
    if not structure.leaves:
        return system
    leaf = structure.factor[0]
    if structure.first_effect[leaf + 1] - structure.first_effect[leaf] != 1:
        return system
    if len(np.unique(system.leaf[structure.offset[: structure.leaves]])) > _WORTHWHILE * structure.leaves:
        return system
    kind, first = _kinds(system)
    if len(first) > _WORTHWHILE * structure.leaves:
        return system
    count = np.bincount(kind).astype(float)
    last = structure.offset[: structure.leaves] + structure.width[: structure.leaves] - border
    borders = system.leaf[last[:, None] + np.arange(border)]
    mean = np.zeros((len(first), border))
    np.add.at(mean, kind, borders)
    mean /= count[:, None]
    own, place = np.unique(system.leaf[structure.offset[: structure.leaves]], return_inverse=True)
    apart = borders - mean[kind]
    spread = np.zeros((len(own), border, border))
    np.add.at(spread, place.reshape(-1), apart[:, :, None] * apart[:, None, :])
    nodes = np.concatenate([first, np.arange(structure.leaves, len(structure.factor))])
    sizes = np.diff(structure.entries)[nodes]
    entries = np.concatenate([[0], np.cumsum(sizes)])
    picked = np.repeat(structure.entries[nodes] - entries[:-1], sizes) + np.arange(entries[-1])
    width = structure.width[first]
    offset = np.concatenate([[0], np.cumsum(width)[:-1]])
    values = system.leaf[np.repeat(structure.offset[first] - offset, width) + np.arange(width.sum())]
    values[(offset + width - border)[:, None] + np.arange(border)] = mean
    smaller = structure._replace(
        factor=structure.factor[nodes],
        offset=np.concatenate([offset, structure.offset[structure.leaves :]]).astype(np.int64),
        width=structure.width[nodes],
        entries=entries.astype(np.int64),
        entry_factor=structure.entry_factor[picked],
        entry_column=structure.entry_column[picked],
        entry_base=structure.entry_base[picked],
        entry_stride=structure.entry_stride[picked],
        entry_places=structure.entry_places[picked],
        entry_kept=structure.entry_kept[picked],
        border_places=structure.border_places[nodes],
        leaves=np.int64(len(first)),
    )
    return system._replace(structure=smaller, leaf=values, alike=Alike(count, own, spread))


def _kinds(system: System) -> tuple[np.ndarray, np.ndarray]:
    """The kind (leaves,) of each level of the leaf, and the first level of each kind."""
    import pandas as pd

    structure, border = system.structure, system.xy.shape[0]
    sizes = structure.width[: structure.leaves] - border
    kind, first, found = np.empty(structure.leaves, dtype=np.int64), [], 0
    for size in np.unique(sizes):
        mine = np.flatnonzero(sizes == size)
        met = np.diff(structure.entries)[mine]
        columns = [system.leaf[structure.offset[mine] + k] for k in range(size)]
        most = int(met.max(initial=0))
        for e in range(most):
            entry = np.minimum(structure.entries[mine] + e, len(structure.entry_kept) - 1)
            columns.append(np.where(e < met, structure.entry_kept[entry], -1))
        codes = np.zeros(len(mine), dtype=np.int64)
        for column in columns:
            values = pd.factorize(column)[0].astype(np.int64)
            codes = pd.factorize(codes * (values.max() + 1) + values)[0].astype(np.int64)
        kind[mine] = found + codes
        first.append(mine[np.unique(codes, return_index=True)[1]])
        found += int(codes.max()) + 1
    return kind, np.concatenate(first)
