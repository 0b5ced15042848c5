"""Combinations of codes that occur: which differ, in order, and which one each row has."""

from __future__ import annotations

from collections.abc import Iterable

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
    place = _ranked(next(columns))
    while (len(place) == 0 or place.max() + 1 < len(place)) and (column := next(columns, None)) is not None:
        place = _ranked(place * (int(column.max(initial=0)) + 1) + column)
    return place


def first_of(place: np.ndarray) -> np.ndarray:
    """The first row of each place, of which all up to the largest occur."""
    first = np.empty(int(place.max(initial=-1)) + 1, dtype=np.int64)
    first[place[::-1]] = np.arange(len(place))[::-1]
    return first


def value_codes(values: np.ndarray) -> np.ndarray:
    """(n,) ranks of numbers among those that differ; NaN is one of them, and the last."""
    import pandas as pd

    # By hashes: where few values differ, much faster than by sorting.
    return np.asarray(pd.factorize(values, sort=True, use_na_sentinel=False)[0], dtype=np.int64)


def _ranked(codes: np.ndarray) -> np.ndarray:
    """(n,) ranks of codes among those that differ: by a table of all where these are not many more than rows."""
    import pandas as pd

    size = int(codes.max(initial=-1)) + 1
    if codes.min(initial=0) < 0 or size > max(_TABLED, _TABLED_EACH * len(codes)):
        return np.asarray(pd.factorize(codes, sort=True)[0], dtype=np.int64)
    occurs = np.zeros(size, dtype=bool)
    occurs[codes] = True
    return (np.cumsum(occurs) - 1)[codes]
