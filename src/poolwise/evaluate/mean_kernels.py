"""Compiled kernel: posterior means of expected outcomes, without the draws in memory."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import exact_kernel
from poolwise.compiled.types import Array3, IntVector, Matrix, Vector
from poolwise.families.links import to_location, to_mean

_BLOCK = 512  # draws at a time: those of a cell's weights stay in the cache for all of its rows


@exact_kernel  # a row's digits are the same beside any others
def mean_expectations(
    link: int, scale: int, cells: IntVector, values: Matrix, offset: Vector, weights: Array3, out: Vector
) -> None:
    """Means over m draws of the expected outcomes of rows (n,), into `out`.

    Parameters
    ----------
    link, scale : codes of the link, and of the scale of its locations.
    cells : (n,) cell of each row, in order.
    values, offset : (n, K) predictors and (n,) known parts.
    weights : (C, 1 + K, m) of each cell.
    """
    n, m = cells.size, weights.shape[2]
    means, slopes = np.empty(_BLOCK), np.empty(_BLOCK)
    begin = 0
    while begin < n:
        end, of_cell = begin, weights[cells[begin]]
        while end < n and cells[end] == cells[begin]:
            out[end] = 0.0
            end += 1
        for start in range(0, m, _BLOCK):
            size = min(_BLOCK, m - start)
            at = means[:size]
            for i in range(begin, end):
                common, own = of_cell[0], offset[i]
                for d in range(size):
                    at[d] = common[start + d] + own
                for k in range(values.shape[1]):
                    x, slope = values[i, k], of_cell[k + 1]
                    if x != 0.0:
                        for d in range(size):
                            at[d] += x * slope[start + d]
                to_location(link, at, slopes)
                to_mean(scale, at)
                total = 0.0
                for d in range(size):
                    total += at[d]
                out[i] += total
        begin = end
    for i in range(n):
        out[i] /= m
