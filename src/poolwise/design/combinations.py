"""Combinations of codes that occur: which differ, in order, and which one each row has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

# Codes that a table of all is made for, rather than one of hashes: so many, or so many for each row.
_TABLED, _TABLED_EACH = 1 << 16, 8


def cells_of(codes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Distinct combinations of codes, (C, number of columns), in the order of their columns; and each row's, (n,)."""
    place = places_of(codes)
    first = first_of(place)
    return np.column_stack([column[first] for column in codes]), place


def places_of(codes: Iterable[np.ndarray]) -> np.ndarray:
    """(n,) the place of each row's combination of codes among those that differ, in the order of their columns; those
    that nothing is left to tell are not asked for."""
    columns = iter(codes)
    place = np.asarray(next(columns), dtype=np.int64)
    if place.min(initial=0) < 0:
        place = _ranked(place)
    rows, size, ranked = len(place), int(place.max(initial=-1)) + 1, False
    while True:
        # Not ranked before it has to be: only as many combinations as there are rows may tell all of these apart.
        if size >= rows or not _tabled(size, rows):
            place, ranked = _ranked(place), True
            size = int(place.max(initial=-1)) + 1
        if 0 < rows <= size or (column := next(columns, None)) is None:
            return place if ranked else _ranked(place)
        many = int(column.max(initial=0)) + 1
        place, size, ranked = place * many + column, size * many, False


def places_by(codes: np.ndarray, columns: Sequence[np.ndarray]) -> np.ndarray:
    """(n,) the same of codes and columns of numbers: of rows that stand in their order by a look at neighbours."""
    place = _in_order((codes, *columns))
    return places_of(chain([codes], map(value_codes, columns))) if place is None else place


def first_of(place: np.ndarray) -> np.ndarray:
    """The first row of each place, of which all up to the largest occur."""
    first = np.empty(int(place.max(initial=-1)) + 1, dtype=np.int64)
    first[place[::-1]] = np.arange(len(place))[::-1]
    return first


def value_codes(values: np.ndarray) -> np.ndarray:
    """(n,) ranks of numbers among those that differ; NaN is one of them, and the last."""
    import pandas as pd

    if len(values) and values.min() == values.max():
        return np.zeros(len(values), dtype=np.int64)
    # By hashes: where few values differ, much faster than by sorting.
    return np.asarray(pd.factorize(values, sort=True, use_na_sentinel=False)[0], dtype=np.int64)


def kind_codes(values: Any) -> np.ndarray:
    """(n,) codes that tell values of any type apart, in no order; missing ones are alike."""
    import pandas as pd

    whole = from_least(values) if isinstance(values, np.ndarray) else None
    return np.asarray(pd.factorize(values, use_na_sentinel=False)[0], dtype=np.int64) if whole is None else whole


def from_least(values: np.ndarray) -> np.ndarray | None:
    """(n,) whole numbers less the least of them; None where they are too far apart for a table, or no integers."""
    if not (np.can_cast(values.dtype, np.int64) and len(values)):
        return None
    least = int(values.min())
    return values.astype(np.int64) - least if int(values.max()) - least < _TABLED else None


def _ranked(codes: np.ndarray) -> np.ndarray:
    """(n,) ranks of codes among those that differ: by a table of all where these are not many more than rows."""
    import pandas as pd

    size = int(codes.max(initial=-1)) + 1
    if codes.min(initial=0) < 0 or not _tabled(size, len(codes)):
        return np.asarray(pd.factorize(codes, sort=True)[0], dtype=np.int64)
    occurs = np.zeros(size, dtype=bool)
    occurs[codes] = True
    return (np.cumsum(occurs) - 1)[codes]


def _tabled(size: int, rows: int) -> bool:
    """Whether a table of all codes below `size` is made."""
    return size <= max(_TABLED, _TABLED_EACH * rows)


def _in_order(columns: Sequence[np.ndarray]) -> np.ndarray | None:
    """(n,) places of rows that stand in the order of their columns; None where they do not, or values are missing."""
    tied = np.ones(len(columns[0]), dtype=bool)
    tied[:1] = False
    for column in columns:
        before, after, still = column[:-1], column[1:], tied[1:]
        same = before == after
        if not (same | (before < after) | ~still).all():
            return None
        still &= same
    return np.cumsum(~tied) - 1
