"""Which numbers of a block are in the mean of each row, and how much of each: by means at a few points.

Entries follow from means at one point for each colour of columns that share no row (Curtis, Powell and Reid 1974).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from poolwise.pymc.graph import Block
from poolwise.pymc.vectorised import split
from poolwise.support.errors import DataError

_NUMBERS = 4e6  # of means, at a time
_WIDEST = 64  # entries of a row


def pattern_of(
    of_means: Callable[..., np.ndarray], given: list[np.ndarray], some: int, block: Block, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Columns (n + p, k) of the entries of each row, and entries, with means at zero, at `some` given values
    (s, n + p, k + 1).

    Columns of the block are looked at some at a time, and only what is not zero is kept.
    """
    p, shapes = sum(block.sizes), block.own_shapes
    zero = of_means(given, split(np.zeros((1, p)), shapes))[:, 0]
    step = max(1, int(_NUMBERS // (some * (n + p))))
    rows, columns, entries = [np.arange(n, n + p)], [np.arange(p)], [np.full((some, p), np.nan)]
    for start in range(0, p, step):
        slopes = of_means(given, split(_unit(p, start, step), shapes)) - zero[:, None]
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
    placed = np.zeros((some, n + p, most))
    placed[:, i, within] = values
    return found, np.concatenate([placed, zero[:, :, None]], axis=-1)


def _unit(p: int, start: int, step: int) -> np.ndarray:
    """Rows of the unit matrix (p, p)."""
    found = np.zeros((min(step, p - start), p))
    own = np.arange(len(found))
    found[own, start + own] = 1.0
    return found


def coloured(columns: np.ndarray, p: int) -> np.ndarray:
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


def compressed(
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


def probes(colours: np.ndarray, block: Block) -> tuple[list[np.ndarray], np.ndarray]:
    """The block at zero, with ones at the columns of each colour, and at a random point, (K + 2, *shape) of each
    variable; and that point (p,)."""
    witness = np.random.default_rng(7).uniform(0.5, 1.5, len(colours))
    ones = np.eye(int(colours.max(initial=-1)) + 1)[:, colours]
    return split(np.vstack([np.zeros((1, len(colours))), ones, witness]), block.own_shapes), witness


def entries_of(found: np.ndarray, columns: np.ndarray, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entries (m, n, k) and means at zero (m, n) from means at the probes (m, K + 2, n)."""
    at_zero = found[:, 0]
    probe = np.where(columns >= 0, 1 + colours[np.maximum(columns, 0)], 0)
    rows = np.arange(len(columns))[:, None]
    return np.where(columns >= 0, found[:, probe, rows] - at_zero[:, :, None], 0.0), at_zero.copy()
