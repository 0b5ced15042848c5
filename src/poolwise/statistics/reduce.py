"""One pass over rows in memory: from columns and group codes to sufficient statistics."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import exact_kernel
from poolwise.compiled.types import Array3, IntVector, Matrix, Vector
from poolwise.design.factors import Cells
from poolwise.statistics.products import CrossProducts
from poolwise.support.threads import map_slices

CHUNK = 1 << 20  # rows; fixed, so that sums do not depend on the number of threads
HEAD = 10_000  # rows from which a rough centre is taken
_NO_WEIGHTS = np.zeros(0)


def reduce_rows(
    values: np.ndarray,
    codes: np.ndarray,
    columns: tuple[str, ...],
    cells: Cells,
    *,
    weights: np.ndarray | None = None,
    threads: int | None = None,
    chunk: int | None = None,
) -> CrossProducts:
    """Reduce rows to statistics.

    Parameters
    ----------
    values : (n, K) float64, C-contiguous; the outcome is the last column.
    codes : (n,) integers in [0, C).
    columns : (K,) names.
    cells : labels of the cells by grouping column; () where there is one cell.
    weights : (n,) positive, None for ones.
    """
    origin = rough_origin(values[:HEAD])

    def one_chunk(_: int, part: slice) -> CrossProducts:
        sums = _Sums(columns, cells, origin)
        sums.add(values[part], codes[part], None if weights is None else weights[part])
        return sums.statistics()

    return add_pairwise(map_slices(one_chunk, len(values), chunk or chunk_rows(cells), threads))


def chunk_rows(cells: Cells) -> int:
    """Rows that are summed before sums are merged: many for each cell, since each chunk has sums of all cells."""
    return max(CHUNK, 16 * len(cells[0])) if cells else CHUNK


def add_pairwise(parts: list[CrossProducts]) -> CrossProducts:
    """The sum of statistics; rounding grows with the logarithm of their number."""
    while len(parts) > 1:
        parts = [sum_pair(parts[i : i + 2]) for i in range(0, len(parts), 2)]
    return parts[0]


class _Sums:
    """Accumulators of one chunk."""

    def __init__(self, columns: tuple[str, ...], cells: Cells, origin: np.ndarray) -> None:
        count, width = len(cells[0]) if cells else 1, len(columns)
        self.columns, self.cells, self.origin = columns, cells, origin
        self.counts, self.weights, self.log_weights = np.zeros(count), np.zeros(count), np.zeros(count)
        self.first, self.sums = np.zeros((count, width)), np.zeros((count, width))
        self.products = np.zeros((count, width, width))
        self.rows = 0

    def add(self, values: np.ndarray, codes: np.ndarray, weights: np.ndarray | None) -> None:
        each = _NO_WEIGHTS if weights is None else weights
        _accumulate(
            values, codes, each, self.counts, self.weights, self.log_weights, self.first, self.sums, self.products
        )
        self.rows += len(codes)

    def statistics(self) -> CrossProducts:
        _centre(self.counts, self.weights, self.first, self.origin, self.sums, self.products)
        return CrossProducts(
            self.columns,
            self.cells,
            self.counts,
            self.weights,
            self.origin,
            self.sums,
            self.products,
            self.log_weights,
        )


class Reducer:
    """Statistics of rows that come in batches; memory does not grow with their number.

    Full chunks are merged like the carries of a binary counter: pairwise, with few of them alive at a time.
    """

    def __init__(self, columns: tuple[str, ...], cells: Cells, origin: np.ndarray) -> None:
        self._fresh = lambda: _Sums(columns, cells, origin)
        self._limit = chunk_rows(cells)
        self._open = self._fresh()
        self._full: list[tuple[int, CrossProducts]] = []

    def add(self, values: np.ndarray, codes: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Add rows: values (n, K) float64, codes (n,), weights (n,) or None for ones."""
        self._open.add(values, codes, weights)
        if self._open.rows >= self._limit:
            rank, chunk = 0, self._open.statistics()
            while self._full and self._full[-1][0] == rank:
                rank, chunk = rank + 1, self._full.pop()[1] + chunk
            self._full.append((rank, chunk))
            self._open = self._fresh()

    def statistics(self) -> CrossProducts:
        """The statistics of all rows so far; the reducer takes no more after this."""
        total = self._open.statistics()
        for _, chunk in reversed(self._full):
            total = chunk + total
        return total


def rough_origin(head: np.ndarray) -> np.ndarray:
    """A centre of each column (n, K) from its first rows, (K,).

    Only where it saves digits: an indicator column stays as it is, and its blocks keep their zeros. It has few binary
    digits beyond those of the spread, so that whole numbers minus it, and their squares, are exact.
    """
    if not len(head):
        return np.zeros(head.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):  # what has no square is refused by name later
        centre, spread = head.mean(axis=0), head.std(axis=0)
        step = np.exp2(np.floor(np.log2(np.where(spread > 0, spread, 1.0))))
        rounded = np.where(head.min(axis=0) == head.max(axis=0), head[0], np.round(centre / step) * step)
        return np.where(np.abs(centre) > 3 * spread, rounded, 0.0)


def sum_pair(parts: list[CrossProducts]) -> CrossProducts:
    """The sum of one or two statistics."""
    return parts[0] + parts[1] if len(parts) == 2 else parts[0]


@exact_kernel
def _accumulate(
    values: Matrix,
    codes: IntVector,
    each: Vector,
    counts: Vector,
    weights: Vector,
    log_weights: Vector,
    first: Matrix,
    sums: Matrix,
    products: Array3,
) -> None:
    """Weighted sums and lower-triangular products of deviations from the first row of each cell.

    The first row is as good a centre as the mean for keeping digits, and needs no second pass. Without weights `each`
    is empty.
    """
    width = values.shape[1]
    deviation = np.empty(width)
    weighted = each.size > 0
    for i in range(values.shape[0]):
        j = codes[i]
        if counts[j] == 0.0:
            for k in range(width):
                first[j, k] = values[i, k]
        counts[j] += 1.0
        weight = 1.0
        if weighted:
            weight = each[i]
            log_weights[j] += math.log(weight)
        weights[j] += weight
        for k in range(width):
            deviation[k] = values[i, k] - first[j, k]
            scaled = weight * deviation[k]
            sums[j, k] += scaled
            for h in range(k + 1):
                products[j, k, h] += scaled * deviation[h]


@exact_kernel
def _centre(counts: Vector, weights: Vector, first: Matrix, origin: Vector, sums: Matrix, products: Array3) -> None:
    """Turn sums about the first row into means about `origin` and scatter about the mean, in place."""
    width = sums.shape[1]
    for j in range(counts.size):
        if counts[j] > 0.0:
            for k in range(width):
                for h in range(k + 1):
                    products[j, k, h] -= sums[j, k] * sums[j, h] / weights[j]
                    products[j, h, k] = products[j, k, h]
            for k in range(width):
                sums[j, k] = sums[j, k] / weights[j] + (first[j, k] - origin[k])
