"""The face of estimated quantities: `predictions`, `comparisons`, `slopes`, and averages, as in marginaleffects."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import TYPE_CHECKING, Any

from poolwise.errors import DataError, suggest
from poolwise.fitted import Fit
from poolwise.judge import estimates
from poolwise.judge.estimates import Estimates
from poolwise.judge.predict import Question
from poolwise.sources.frames import as_table

if TYPE_CHECKING:
    import pandas as pd


def predictions(
    fit: Fit,
    new_data: Any = None,
    *,
    by: str | list[str] | None = None,
    kind: str = "mean",
    new_groups: str = "error",
    interval: float = 0.9,
    seed: int | None = None,
) -> Estimates:
    """Predictions of each row, or averaged over the rows that share the values of `by`.

    Parameters
    ----------
    fit : a fit.
    new_data : rows to predict for, the data of the fit by default; `datagrid(fit, ...)` makes some.
    by : column or columns of these rows.
    kind, new_groups, seed : as in `Fit.predict`.
    interval : probability of the central interval.

    Raises
    ------
    DataError : as `Fit.predict` does.
    """
    frame, question = _asked(fit, new_data, kind, new_groups, seed)
    found = estimates.predictions(fit.result, frame, question)
    return estimates.estimate(fit.result, found, frame, _columns(by), interval)


def comparisons(
    fit: Fit,
    variables: str | list[str] | None = None,
    new_data: Any = None,
    *,
    by: str | list[str] | None = None,
    kind: str = "mean",
    new_groups: str = "error",
    interval: float = 0.9,
    seed: int | None = None,
) -> Estimates:
    """What a change of a predictor does to the prediction of each row, all else equal; or its average by columns.

    A number goes up by one unit, an indicator from one value to the other, a category from the first to each other.

    Parameters
    ----------
    variables : predictors to change, all by default.
    fit, new_data, by, kind, new_groups, interval, seed : as in `predictions`.
    """
    frame, question = _asked(fit, new_data, kind, new_groups, seed)
    found = estimates.comparisons(fit.result, frame, question, _variables(fit, variables))
    return estimates.estimate(fit.result, found, frame, _columns(by), interval)


def slopes(
    fit: Fit,
    variables: str | list[str] | None = None,
    new_data: Any = None,
    *,
    by: str | list[str] | None = None,
    kind: str = "mean",
    new_groups: str = "error",
    interval: float = 0.9,
    seed: int | None = None,
) -> Estimates:
    """How steeply the prediction of each row rises with a numeric predictor; or its average by columns.

    Parameters
    ----------
    fit, variables, new_data, by, kind, new_groups, interval, seed : as in `comparisons`.
    """
    frame, question = _asked(fit, new_data, kind, new_groups, seed)
    found = estimates.slopes(fit.result, frame, question, _variables(fit, variables))
    return estimates.estimate(fit.result, found, frame, _columns(by), interval)


def avg_predictions(fit: Fit, new_data: Any = None, *, by: str | list[str] | None = None, **options: Any) -> Estimates:
    """`predictions`, averaged over all rows, or by columns."""
    return predictions(fit, new_data, by=by or [], **options)


def avg_comparisons(
    fit: Fit,
    variables: str | list[str] | None = None,
    new_data: Any = None,
    *,
    by: str | list[str] | None = None,
    **options: Any,
) -> Estimates:
    """`comparisons`, averaged over all rows, or by columns."""
    return comparisons(fit, variables, new_data, by=by or [], **options)


def avg_slopes(
    fit: Fit,
    variables: str | list[str] | None = None,
    new_data: Any = None,
    *,
    by: str | list[str] | None = None,
    **options: Any,
) -> Estimates:
    """`slopes`, averaged over all rows, or by columns."""
    return slopes(fit, variables, new_data, by=by or [], **options)


def datagrid(fit: Fit, **values: Any) -> pd.DataFrame:
    """Rows for every combination of the values given, the other columns at their mean or most frequent value.

    `datagrid(fit, floor=[0, 1], county=["CASS", "ANOKA"])` has four rows.

    Raises
    ------
    DataError : for a column that the formula does not use, or a fit whose rows are not in memory.
    """
    import pandas as pd

    frame = fit.frame()
    for name in values:
        if name not in frame:
            raise DataError(f"The formula uses no column '{name}'. {suggest(name, map(str, frame.columns))}")
    lists = {
        name: list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
        for name, given in values.items()
    }
    grid = pd.DataFrame(list(product(*lists.values())), columns=list(lists))
    for name in map(str, frame.columns):
        if name not in grid:
            column = frame[name]
            indicator = column.nunique() <= 2
            grid[name] = column.mean() if column.dtype.kind in "iuf" and not indicator else column.mode().iloc[0]
    return grid[list(frame.columns)]


def _asked(fit: Fit, new_data: Any, kind: str, new_groups: str, seed: int | None) -> tuple[pd.DataFrame, Question]:
    if not isinstance(fit, Fit):
        raise DataError(f"The first argument must be a fit, not {type(fit).__name__}.")
    question = Question.asked(kind, new_groups, fit.result.seed if seed is None else int(seed))
    return (fit.frame() if new_data is None else as_table(new_data).frame.to_pandas()), question


def _columns(by: str | list[str] | None) -> list[str] | None:
    return [by] if isinstance(by, str) else by


def _variables(fit: Fit, variables: str | list[str] | None) -> list[str]:
    if variables is None:
        return list(fit.result.model.encoding.variables)
    return [variables] if isinstance(variables, str) else list(variables)
