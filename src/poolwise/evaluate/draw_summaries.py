"""Mean, sd and two quantiles of many sets of draws, by selection instead of sorting."""

from __future__ import annotations

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import Matrix
from poolwise.support.errors import DataError
from poolwise.support.threads import map_slices

_TASK = 512  # lines
_SAMPLE = 256


def summaries(drawn: np.ndarray, tail: float) -> np.ndarray:
    """Mean, sd, and the quantiles at `tail` and 1 - `tail` of each line of draws (n, m), (n, 4).

    Quantiles are interpolated as NumPy's are by default (Hyndman and Fan 1996, type 7).

    Raises
    ------
    DataError : where draws are not finite.
    """
    lines, found = np.ascontiguousarray(drawn, dtype=float), np.empty((len(drawn), 4))
    map_slices(lambda _, part: summarise_lines(lines[part], tail, found[part]), len(lines), _TASK)
    if not np.isfinite(found).all():
        raise DataError(
            "Predictions go beyond what floating-point numbers hold: the new values lie far outside those of the fit, "
            "or the scale of a log link is left. Predict nearer to the data, or kind='linear'."
        )
    return found


@kernel
def summarise_lines(lines: Matrix, tail: float, found: Matrix) -> None:
    """Fill `found`; see `summaries`."""
    m = lines.shape[1]
    far = np.sqrt(max(-2.0 * np.log(max(tail, 1e-300)), 0.0)) - 0.9  # sds: a little less than a normal quantile
    some, turned, sample = np.empty(m + 1), np.empty(m), np.empty(min(m, _SAMPLE))
    for line in range(len(lines)):
        values = lines[line]
        mean = 0.0
        for i in range(m):
            mean += values[i]
        mean /= m
        squares = 0.0
        for i in range(m):
            squares += (values[i] - mean) * (values[i] - mean)
            turned[i] = -values[i]
        sd = np.sqrt(squares / max(m - 1, 1))
        found[line, 0], found[line, 1] = mean, sd
        if np.isfinite(squares):
            found[line, 2] = _low_quantile(values, tail, mean - far * sd, sample, some)
            found[line, 3] = -_low_quantile(turned, tail, -mean - far * sd, sample, some)
        else:
            found[line, 2], found[line, 3] = np.nan, np.nan


@kernel
def _low_quantile(values, tail, guess, sample, some):
    """A quantile below the median: only values below a guess of it are looked at.

    Where a guess turns out too low, the next one is a quantile of a sample, three of its standard errors above the one
    that is asked for (Floyd and Rivest 1975), then all values are looked at.
    """
    m = len(values)
    place = tail * (m - 1)
    k = int(np.floor(place))
    share = place - k
    count = _below(values, guess, some)
    if count < k + 2:
        count = _below(values, _upper_guess(values, tail, sample), some)
    if count < k + 2:
        count = _below(values, np.inf, some)
    low = _select(some, count, k)
    if share == 0.0 or k + 1 >= count:
        return low
    high = some[k + 1]  # all that is not smaller stands behind k
    for i in range(k + 2, count):
        if some[i] < high:
            high = some[i]
    return low + share * (high - low)


@kernel
def _below(values, limit, some):
    """Copy the values up to a limit, and count them."""
    count = 0
    for i in range(len(values)):
        some[count] = values[i]  # without a branch: written over where it is not kept
        count += values[i] <= limit
    return count


@kernel
def _upper_guess(values, tail, sample):
    size = len(sample)
    step = len(values) // size
    for i in range(size):
        sample[i] = values[i * step]
    aimed = tail + 3.0 * np.sqrt(tail * (1.0 - tail) / size)
    return _select(sample, size, min(size - 1, int(np.ceil(aimed * size))))


@kernel
def _select(values, count, k):
    """The k-th smallest of the first `count` values, which are partitioned about it (Hoare 1961)."""
    low, high = 0, count - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]
