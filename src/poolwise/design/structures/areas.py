"""Areas on a map: `icar(area, neighbours)`, an intrinsic conditional autoregression (Besag 1974).

Given all others, the effect of an area is normal around the mean of its neighbours'. Scaled so that the sd is that of a
usual area (Riebler, Sorbye, Simpson and Rue 2016). `bym2(area, neighbours)` is this with `(1 | area)` beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from formulaic.materializers.types import FactorValues
from formulaic.utils.stateful_transforms import stateful_transform

from poolwise.design.levels import label_text
from poolwise.design.structures import levels
from poolwise.design.structures.coupling import Coupling, intrinsic
from poolwise.design.structures.levels import check_number, eigen_columns, encoded, learnt, table_named
from poolwise.support.errors import DataError


@stateful_transform
def neighbourhood(area: Any, neighbours: str, _state: Any = None, _context: Any = None) -> FactorValues[Any]:
    """Columns of effects of areas, those of neighbours alike.

    Parameters
    ----------
    neighbours : name of a table given beside the data: two columns with a pair of neighbours in each row, a dict from
        areas to lists of neighbours, or a square frame of zeros and ones with areas as its index and columns.
    """
    text = f"icar(..., {neighbours})"
    if "levels" not in _state:
        names, pairs = _pairs(table_named(_context, neighbours, text), neighbours)
        check_number(text, len(names))
        adjacency = np.zeros((len(names), len(names)))
        adjacency[pairs[:, 0], pairs[:, 1]] = adjacency[pairs[:, 1], pairs[:, 0]] = 1.0
        laplacian = np.diag(adjacency.sum(axis=1)) - adjacency
        learnt(_state, names, eigen_columns(laplacian, 1, scaled=True), groups=True)
    return encoded(_state, area, text)


def neighbours_coupling(table: Any, name: str) -> Coupling:
    """What couples areas in a normal model, whatever their number."""
    names, pairs = _pairs(table, name)
    return intrinsic(names, pairs[:, 0], pairs[:, 1])


def many_areas(table: Any, name: str) -> bool:
    """Whether a table of neighbours has more areas than are best given columns."""
    return len(_pairs(table, name)[0]) > levels.FEW


def _pairs(table: Any, name: str) -> tuple[list[str], np.ndarray]:
    """Areas, sorted, and the positions (n, 2) of each pair of neighbours, once.

    Raises
    ------
    DataError : for a table that says something else, or areas that do not all hang together.
    """
    import pandas as pd

    if isinstance(table, Mapping):
        if odd := [one for one, others in table.items() if isinstance(others, str) or not isinstance(others, Iterable)]:
            raise DataError(f"'{name}' must have a list of neighbours for each area, which '{odd[0]}' has not.")
        pairs = [(label_text(one), label_text(other)) for one, others in table.items() for other in others]
        names = sorted({label_text(one) for one in table} | {other for _, other in pairs})
        both_ways = True
    else:
        frame = table.to_pandas() if hasattr(table, "to_pandas") else pd.DataFrame(table)
        at, columns = list(map(label_text, frame.index)), list(map(label_text, frame.columns))
        counted = isinstance(frame.index, pd.RangeIndex) and isinstance(frame.columns, pd.RangeIndex)
        if len(set(at)) < len(at) and sorted(at) == sorted(columns):
            raise DataError(f"'{name}' has an area twice.")
        if sorted(at) == sorted(columns) and not counted:
            names, values = sorted(at), frame.to_numpy()[:, pd.Index(columns).get_indexer(pd.Index(at))]
            if not np.isin(values, (0, 1)).all():
                raise DataError(f"'{name}' must hold ones where areas are neighbours, and zeros; it has no weights.")
            pairs = [(at[i], at[j]) for i, j in zip(*np.nonzero(values), strict=True)]
            both_ways = True
        elif frame.shape[1] == 2:
            if frame.isna().any(axis=None):
                raise DataError(f"'{name}' has lines with one area only: leave them out.")
            pairs = [(label_text(one), label_text(other)) for one, other in frame.itertuples(index=False)]
            names = sorted({each for pair in pairs for each in pair})
            seen = set(pairs)
            both_ways = any((other, one) in seen for one, other in pairs)
        else:
            raise DataError(
                f"'{name}' must have two columns with a pair of neighbours in each row, or be a dict, or a square "
                f"frame with the areas as its index and columns; it has {frame.shape[1]} columns."
            )
    known = set(pairs)
    if not known:
        raise DataError(f"'{name}' has no neighbours in it.")
    for one in sorted(one for one, other in known if one == other):
        raise DataError(f"'{name}' makes '{one}' a neighbour of itself: leave that pair out.")
    for one, other in known:
        if both_ways and (other, one) not in known:
            raise DataError(f"'{name}' is not symmetric: '{other}' is a neighbour of '{one}', but not the other way.")
    place = {area: k for k, area in enumerate(names)}
    found = sorted({(min(place[one], place[other]), max(place[one], place[other])) for one, other in known})
    neighbours = np.array(found, dtype=np.int64).reshape(-1, 2)
    _check_connected(names, neighbours, name)
    return names, neighbours


def _check_connected(names: list[str], pairs: np.ndarray, name: str) -> None:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(names), len(names)))
    count, part = connected_components(graph.tocsr(), directed=False)
    if count > 1:
        smallest = int(np.argmin(np.bincount(part)))
        island = [names[k] for k in np.flatnonzero(part == smallest)[:3]]
        raise DataError(
            f"The map of '{name}' falls into {count} parts, one of them with {', '.join(island)}: say how they hang "
            "together, for instance by a ferry, or fit them apart."
        )
