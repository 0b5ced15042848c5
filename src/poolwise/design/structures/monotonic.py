"""`mo(x)`: a monotonic effect of an ordered predictor (Buerkner and Charpentier 2020).

The columns are the steps between neighbouring categories that a row has behind it. Their coefficients have one sign:
they are shares of one coefficient, the mean step; see `poolwise.density.monotonic`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from formulaic.materializers.types import FactorValues
from formulaic.utils.stateful_transforms import stateful_transform

from poolwise.design.levels import label_text
from poolwise.design.structures.levels import as_values, columns_at, positions
from poolwise.design.structures.smooth import number_column
from poolwise.design.structures.structure import PENALTIES, Penalty
from poolwise.support.errors import DataError, FormulaError

_MOST = 30  # steps: each is a number to be sampled


@stateful_transform
def monotonic(x: Any, levels: Sequence[object] | None = None, by: Any = None, _state: Any = None) -> FactorValues[Any]:
    """Columns of the steps between categories.

    Parameters
    ----------
    levels : the categories in their order, for text; ordered categories and whole numbers have one.
    by : numbers that multiply the effect, as in an interaction.
    """
    times = None if by is None else number_column("by= of mo()", _numbers(by))
    if "levels" not in _state:
        _learn(_state, x, levels)
    places = positions(_state, x, "mo(...)")
    if times is None:
        return columns_at(_state, places)
    steps = np.asarray(_state["columns"])[places] * times[:, None]
    return as_values({str(j + 1): steps[:, j] for j in range(steps.shape[1])})


def _numbers(values: Any) -> Any:
    """Truth values as zeros and ones; all else as it is."""
    import pandas as pd

    column = pd.Series(values)
    if isinstance(column.dtype, pd.CategoricalDtype) and all(isinstance(one, bool) for one in column.cat.categories):
        return column.astype(float).to_numpy()
    return column.to_numpy(dtype=float) if column.dtype.kind == "b" else values


def _learn(state: Any, x: Any, levels: Sequence[object] | None) -> None:
    if levels is not None and not isinstance(levels, (list, tuple)):
        raise FormulaError(f"levels= of mo() is a list of categories in their order, not {levels!r}.")
    found = _categories(x) if levels is None else list(levels)
    labels = [label_text(one) for one in found]
    if len(set(labels)) < len(labels):
        raise FormulaError("levels= of mo() names a category twice.")
    if len(labels) < 2:
        raise DataError("mo(...) needs two categories at least.")
    if len(labels) - 1 > _MOST:
        raise DataError(f"mo(...) has {len(labels)} categories; it takes {_MOST + 1} at most. s(x) is for numbers.")
    steps = np.tri(len(labels), len(labels) - 1, -1)
    state |= {"levels": labels, "ordered": list(found), "columns": steps, "null": {}}
    state[PENALTIES] = [Penalty.of_simplex(labels[1:]).state()]


def _categories(x: Any) -> list[Any]:
    """All categories of a column that has an order.

    Raises
    ------
    DataError : for text, and for numbers with fractions.
    """
    import pandas as pd

    column = pd.Series(x)
    if isinstance(column.dtype, pd.CategoricalDtype):
        plain = all(isinstance(one, (bool, int, float, np.number)) for one in column.cat.categories)
        if not column.cat.ordered and not plain:
            raise DataError(
                "mo(...) takes categories that have an order: make the column an ordered category, or give "
                "mo(x, levels=('low', 'middle', 'high'))."
            )
        return list(column.cat.categories)
    if column.dtype.kind == "b":
        return [False, True]
    if column.dtype.kind not in "iuf":
        raise DataError(
            "mo(...) cannot tell the order of text, as which categories come from files and databases too: give it, as "
            "in mo(x, levels=('low', 'middle', 'high')), or make the column an ordered category in memory."
        )
    values = np.unique(column.to_numpy(dtype=float))
    if not (values == np.floor(values)).all():
        raise DataError("mo(...) takes whole numbers or ordered categories; s(x) is for other numbers.")
    if values[-1] - values[0] > _MOST:
        raise DataError(
            f"mo(...) has {int(values[-1] - values[0]) + 1:,} categories from {values[0]:g} to {values[-1]:g}; it "
            f"takes {_MOST + 1} at most. s(x) is for numbers."
        )
    return [float(one) for one in np.arange(values[0], values[-1] + 1)]
