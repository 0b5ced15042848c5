"""`datagrid`: rows to predict for, made from those of a fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.api.fitted_model import Fit
from poolwise.api.marginal_effects import check_fit
from poolwise.evaluate.marginal_effects import categories
from poolwise.support.errors import DataError, suggest

if TYPE_CHECKING:
    import pandas as pd

_MOST = 1_000_000  # rows


def datagrid(fit: Fit, kind: str = "typical", /, **values: Any) -> pd.DataFrame:
    """Rows for every combination of some values of predictors and groups.

    `datagrid(fit, floor=[0, 1], county=["CASS", "ANOKA"])` has four rows; a value may be a function of the column.

    Parameters
    ----------
    kind : of what is not given. "typical" has numbers at their mean and all else at the most frequent value; "balanced"
        every combination of the categories and indicators, whose plain averages are estimated marginal means; "tukey"
        numbers at their five numbers (smallest, quartiles, largest). Groups are at the most frequent one:
        `new_groups="population"` or "marginal" does not look at them.
    values : by column.

    Raises
    ------
    DataError : for a column that the formula does not use, a fit whose rows are not in memory, and more than a million
        combinations.
    """
    import pandas as pd

    check_fit(fit)
    if kind not in _FILLED:
        raise DataError(f"There is no grid {kind!r}. {suggest(str(kind), _FILLED)}")
    encoding = fit.result.model.encoding
    frame = fit.behind.units()[list(dict.fromkeys([*encoding.variables, *encoding.keys]))]
    lists = {name: _given(frame, name, asked) for name, asked in values.items()}
    for name in map(str, frame.columns):
        if name not in lists:
            known = categories(fit.result, name)
            if name in encoding.keys and name not in encoding.variables:
                lists[name] = _most_frequent(frame[name])
            else:
                lists[name] = _FILLED[kind](frame[name], known)
    rows = math.prod(map(len, lists.values()))
    if rows > _MOST:
        raise DataError(f"The grid would have {rows:,} rows; give fewer values of: {', '.join(lists)}.")
    grid = pd.DataFrame(list(product(*lists.values())), columns=list(lists))
    return grid[list(frame.columns)]


def _given(frame: pd.DataFrame, name: str, asked: Any) -> list[Any]:
    if name not in frame:
        raise DataError(f"The formula uses no predictor or group '{name}'. {suggest(name, map(str, frame.columns))}")
    try:
        found = asked(frame[name]) if callable(asked) else asked
    except Exception as error:  # whatever a function of the user raises
        raise DataError(f"The function for '{name}' failed: {error} ({type(error).__name__}).") from error
    if found is None or isinstance(found, Mapping):
        raise DataError(f"The values of '{name}' must be one value or a list, not {found!r}.")
    values = list(found) if isinstance(found, Iterable) and not isinstance(found, str) else [found]
    if not values:
        raise DataError(f"The list of values of '{name}' is empty.")
    return values


def _most_frequent(column: pd.Series) -> list[Any]:
    return [column.mode().iloc[0]]


def _is_number(column: pd.Series, known: list[Any] | None) -> bool:
    """Whether it is a number on a scale: no category, and no indicator."""
    return known is None and column.dtype.kind in "iuf" and column.nunique() > 2


def _typical(column: pd.Series, known: list[Any] | None) -> list[Any]:
    return [column.mean()] if _is_number(column, known) else _most_frequent(column)


def _balanced(column: pd.Series, known: list[Any] | None) -> list[Any]:
    if _is_number(column, known):
        return [column.mean()]
    return sorted(column.unique()) if known is None else known


def _tukey(column: pd.Series, known: list[Any] | None) -> list[Any]:
    if not _is_number(column, known):
        return _most_frequent(column)
    return list(np.unique(np.quantile(column, [0.0, 0.25, 0.5, 0.75, 1.0])))


_FILLED: Mapping[str, Callable[[pd.Series, list[Any] | None], list[Any]]] = {
    "typical": _typical,
    "balanced": _balanced,
    "tukey": _tukey,
}
