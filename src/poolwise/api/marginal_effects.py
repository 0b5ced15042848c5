"""`predictions`, `comparisons`, `slopes`, and their averages, as in marginaleffects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

from poolwise.api.fitted_model import Fit
from poolwise.evaluate import marginal_effects as estimates
from poolwise.evaluate.marginal_effects import Estimates
from poolwise.evaluate.prediction_request import Question
from poolwise.samplers.settings import check_seed
from poolwise.sources.source import table_of
from poolwise.support.errors import DataError, suggest

if TYPE_CHECKING:
    import pandas as pd

Variables = str | list[str] | Mapping[str, Any] | None


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
    frame, question = _asked(fit, new_data, kind, new_groups, seed, by)
    found = estimates.predictions(fit.result, frame, question)
    return estimates.estimate(fit.result, found, frame, _columns(by), interval)


def comparisons(
    fit: Fit,
    variables: Variables = None,
    new_data: Any = None,
    *,
    by: str | list[str] | None = None,
    kind: str = "mean",
    new_groups: str = "error",
    interval: float = 0.9,
    seed: int | None = None,
) -> Estimates:
    """What a change of a predictor does to the prediction of each row, all else equal; or its average by columns.

    A number goes up by one unit, an indicator from zero to one, a category from the first to each other.

    Parameters
    ----------
    variables : predictors to change, all by default; or a dict that says how: `{"age": 10}` is ten more,
        `{"age": [20, 60]}` from 20 to 60.
    fit, new_data, by, kind, new_groups, interval, seed : as in `predictions`.
    """
    frame, question = _asked(fit, new_data, kind, new_groups, seed, by)
    found = estimates.comparisons(fit.result, frame, question, _changes(fit, variables))
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
    frame, question = _asked(fit, new_data, kind, new_groups, seed, by)
    found = estimates.slopes(fit.result, frame, question, _numbers(fit, frame, variables), _rows_of(fit))
    return estimates.estimate(fit.result, found, frame, _columns(by), interval)


def avg_predictions(fit: Fit, new_data: Any = None, *, by: str | list[str] | None = None, **options: Any) -> Estimates:
    """`predictions`, averaged over all rows, or by columns."""
    return predictions(fit, new_data, by=[] if by is None else by, **options)


def avg_comparisons(
    fit: Fit,
    variables: Variables = None,
    new_data: Any = None,
    *,
    by: str | list[str] | None = None,
    **options: Any,
) -> Estimates:
    """`comparisons`, averaged over all rows, or by columns."""
    return comparisons(fit, variables, new_data, by=[] if by is None else by, **options)


def avg_slopes(
    fit: Fit,
    variables: str | list[str] | None = None,
    new_data: Any = None,
    *,
    by: str | list[str] | None = None,
    **options: Any,
) -> Estimates:
    """`slopes`, averaged over all rows, or by columns."""
    return slopes(fit, variables, new_data, by=[] if by is None else by, **options)


def datagrid(fit: Fit, **values: Any) -> pd.DataFrame:
    """Rows for every combination of the values given, other numbers at their mean, all else at the most frequent value.

    `datagrid(fit, floor=[0, 1], county=["CASS", "ANOKA"])` has four rows; a value may be a function of the column.

    Raises
    ------
    DataError : for a column that the formula does not use, or a fit whose rows are not in memory.
    """
    import pandas as pd

    check_fit(fit)
    encoding = fit.result.model.encoding
    frame = fit.frame()[list(dict.fromkeys([*encoding.variables, *encoding.keys]))]
    lists = {}
    for name, given in values.items():
        if name not in frame:
            raise DataError(
                f"The formula uses no predictor or group '{name}'. {suggest(name, map(str, frame.columns))}"
            )
        try:
            found = given(frame[name]) if callable(given) else given
        except Exception as error:  # whatever a function of the user raises
            raise DataError(f"The function for '{name}' failed: {error} ({type(error).__name__}).") from error
        lists[name] = list(found) if isinstance(found, Iterable) and not isinstance(found, str) else [found]
        if not lists[name]:
            raise DataError(f"The list of values of '{name}' is empty.")
    grid = pd.DataFrame(list(product(*lists.values())), columns=list(lists))
    for name in map(str, frame.columns):
        if name not in grid:
            column = frame[name]
            label = name in encoding.keys or estimates.categories(fit.result, name) is not None
            number = not label and column.dtype.kind in "iuf" and column.nunique() > 2
            grid[name] = column.mean() if number else column.mode().iloc[0]
    return grid[list(frame.columns)]


def _asked(
    fit: Fit, new_data: Any, kind: str, new_groups: str, seed: int | None, by: str | list[str] | None = None
) -> tuple[pd.DataFrame, Question]:
    """Rows to predict for, with the columns of `by`, and the question in the words of `judge.predict`."""
    check_fit(fit)
    question = Question.asked(kind, new_groups, fit.result.seed if seed is None else check_seed(seed))
    if new_data is None:
        return fit.behind.frame(_columns(by) or []).reset_index(drop=True), question
    return table_of(new_data).frame.to_pandas().reset_index(drop=True), question


def check_fit(fit: object) -> None:
    """Refuse what is not a fit."""
    if not isinstance(fit, Fit):
        raise DataError(f"The first argument must be a fit, not {type(fit).__name__}.")


def _columns(by: str | list[str] | None) -> list[str] | None:
    if by is None or (isinstance(by, (list, tuple)) and all(isinstance(name, str) for name in by)):
        return None if by is None else list(by)
    if not isinstance(by, str):
        raise DataError(f"by must be the name of a column or a list of names, not a {type(by).__name__}.")
    return [by]


def _changes(fit: Fit, variables: Variables) -> dict[str, Any]:
    """How each variable changes; None for the usual way."""
    if variables is None:
        return dict.fromkeys(estimates.predictors(fit.result))
    if isinstance(variables, Mapping):
        return dict(variables)
    return dict.fromkeys(_columns(variables) or [])


def _numbers(fit: Fit, frame: pd.DataFrame, variables: str | list[str] | None) -> list[str]:
    """Variables that slopes are asked of: all that are numbers on a scale, by default."""
    if variables is not None:
        return _columns(variables) or []
    return [
        name
        for name in estimates.predictors(fit.result)
        if name in frame and frame[name].dtype.kind in "iuf" and estimates.categories(fit.result, name) is None
    ]


def _rows_of(fit: Fit) -> pd.DataFrame | None:
    """The rows that were fitted, where they are at hand."""
    try:
        return fit.frame()
    except DataError:
        return None
