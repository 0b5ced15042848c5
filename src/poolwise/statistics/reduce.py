"""One pass over rows in memory: from columns and group codes to sufficient statistics."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import exact_kernel
from poolwise.statistics.blocks import SufficientStatistics
from poolwise.threads import map_slices

CHUNK = 1 << 20  # rows; fixed, so that sums do not depend on the number of threads


def reduce_rows(
    values: np.ndarray,
    codes: np.ndarray,
    columns: tuple[str, ...],
    levels: np.ndarray,
    *,
    threads: int | None = None,
    chunk: int = CHUNK,
) -> SufficientStatistics:
    """Reduce rows to statistics.

    Parameters
    ----------
    values : (n, K) float64, C-contiguous; the outcome is the last column.
    codes : (n,) integers in [0, J).
    columns, levels : (K,) and (J,) names.
    """
    head = values[:10_000]
    centre, spread = head.mean(axis=0), head.std(axis=0)
    # Only where it saves digits: an indicator column stays as it is, and its blocks keep their zeros.
    origin = np.where(np.abs(centre) > 3 * spread, centre, 0.0)

    def one_chunk(_: int, part: slice) -> SufficientStatistics:
        groups, width = len(levels), values.shape[1]
        counts = np.zeros(groups)
        first = np.zeros((groups, width))
        means = np.zeros((groups, width))
        scatter = np.zeros((groups, width, width))
        _accumulate(values[part], codes[part], counts, first, means, scatter)
        _centre(counts, first, origin, means, scatter)
        return SufficientStatistics(columns, levels, counts, origin, means, scatter)

    parts = map_slices(one_chunk, len(values), chunk, threads)
    while len(parts) > 1:  # pairwise, so that rounding grows with the logarithm of the number of chunks
        parts = [sum_pair(parts[i : i + 2]) for i in range(0, len(parts), 2)]
    return parts[0]


def sum_pair(parts: list[SufficientStatistics]) -> SufficientStatistics:
    """The sum of one or two statistics."""
    return parts[0] + parts[1] if len(parts) == 2 else parts[0]


@exact_kernel
def _accumulate(values, codes, counts, first, sums, products):
    """Sums and lower-triangular products of deviations from the first row of each group.

    The first row is as good a centre as the mean for keeping digits, and needs no second pass.
    """
    width = values.shape[1]
    deviation = np.empty(width)
    for i in range(values.shape[0]):
        j = codes[i]
        if counts[j] == 0.0:
            for k in range(width):
                first[j, k] = values[i, k]
        counts[j] += 1.0
        for k in range(width):
            deviation[k] = values[i, k] - first[j, k]
            sums[j, k] += deviation[k]
            for h in range(k + 1):
                products[j, k, h] += deviation[k] * deviation[h]


@exact_kernel
def _centre(counts, first, origin, sums, products):
    """Turn sums about the first row into means about `origin` and scatter about the mean, in place."""
    width = sums.shape[1]
    for j in range(counts.size):
        if counts[j] > 0.0:
            for k in range(width):
                for h in range(k + 1):
                    products[j, k, h] -= sums[j, k] * sums[j, h] / counts[j]
                    products[j, h, k] = products[j, k, h]
            for k in range(width):
                sums[j, k] = sums[j, k] / counts[j] + (first[j, k] - origin[k])
