"""`plot_predictions`, `plot_comparisons`, `plot_slopes`, as in marginaleffects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.api.datagrid import datagrid
from poolwise.api.fitted_model import Fit
from poolwise.api.marginal_effects import Variables, check_fit, comparisons, predictions, slopes
from poolwise.evaluate.marginal_effects import Compare, categories
from poolwise.output.plots.estimates import estimates_chart
from poolwise.support.errors import DataError, suggest

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from poolwise.evaluate.estimates import Estimates

Columns = str | Sequence[str] | Mapping[str, Any]
_ALONG = 50  # values of a number along the axis


def plot_predictions(
    fit: Fit,
    condition: Columns | None = None,
    *,
    by: str | list[str] | None = None,
    kind: str = "mean",
    new_groups: str | None = None,
    interval: float = 0.9,
) -> alt.Chart | alt.FacetChart | alt.LayerChart:
    """Predictions along a column, the others at typical values; or averages over the rows by columns.

    Parameters
    ----------
    fit : a fit with its rows in memory.
    condition : up to three columns: along the axis, by colour, by panel; or a dict with their values. A number runs
        over its range along the axis; elsewhere it is at its mean and one sd to either side.
    by : instead of `condition`: columns of the rows to average by.
    kind, interval : as in `predictions`.
    new_groups : as in `predictions`; by default the average group, or those of the rows where the columns name groups.

    Raises
    ------
    DataError : for no column or too many, and as `predictions` does.
    """
    along, grid, groups = _asked(fit, condition, by, new_groups)
    options: dict[str, Any] = {"kind": kind, "new_groups": groups, "interval": interval}
    found = predictions(fit, grid, by=by if grid is None else None, **options)
    return estimates_chart(_of(found, along), along, fit.result.model.design.response)


def plot_comparisons(
    fit: Fit,
    variables: Variables = None,
    condition: Columns | None = None,
    *,
    comparison: str | Compare = "difference",
    by: str | list[str] | None = None,
    kind: str = "mean",
    new_groups: str | None = None,
    interval: float = 0.9,
) -> alt.Chart | alt.FacetChart | alt.LayerChart:
    """What a change of a predictor does, along a column; see `comparisons` and `plot_predictions`."""
    along, grid, groups = _asked(fit, condition, by, new_groups)
    options: dict[str, Any] = {"kind": kind, "new_groups": groups, "interval": interval, "comparison": comparison}
    found = comparisons(fit, variables, grid, by=by if grid is None else None, **options)
    named = comparison if isinstance(comparison, str) else "comparison"
    title = f"{named} in {fit.result.model.design.response}"
    return estimates_chart(_of(found, along), along, title, {"ratio": 1.0, "comparison": None}.get(named, 0.0))


def plot_slopes(
    fit: Fit,
    variables: str | list[str] | None = None,
    condition: Columns | None = None,
    *,
    by: str | list[str] | None = None,
    kind: str = "mean",
    new_groups: str | None = None,
    interval: float = 0.9,
) -> alt.Chart | alt.FacetChart | alt.LayerChart:
    """How steeply the prediction rises with a predictor, along a column; see `slopes` and `plot_predictions`."""
    along, grid, groups = _asked(fit, condition, by, new_groups)
    options: dict[str, Any] = {"kind": kind, "new_groups": groups, "interval": interval}
    found = slopes(fit, variables, grid, by=by if grid is None else None, **options)
    return estimates_chart(_of(found, along), along, f"slope of {fit.result.model.design.response}", 0.0)


def _asked(
    fit: Fit, condition: Columns | None, by: str | list[str] | None, new_groups: str | None
) -> tuple[list[str], pd.DataFrame | None, str]:
    """Columns of the chart, the rows to predict for (None for those of the fit), and what groups they are of."""
    check_fit(fit)
    if (condition is None) == (by is None):
        raise DataError("Give either condition=, columns along which to predict, or by=, columns to average by.")
    columns = by if condition is None else condition
    if not isinstance(columns, (str, Sequence, Mapping)):
        raise DataError(f"condition= and by= name columns, or hold values by column; not {columns!r}.")
    along = [columns] if isinstance(columns, str) else [str(name) for name in columns or []]
    if not 1 <= len(set(along)) == len(along) <= 3:
        raise DataError("A chart takes one to three different columns: along the axis, by colour, by panel.")
    if condition is None:
        return along, None, new_groups or "error"
    given = condition if isinstance(condition, Mapping) else {}
    frame, keys = fit.frame(), fit.result.model.encoding.keys
    for name in along:
        if name not in frame:
            raise DataError(f"The formula uses no column '{name}'. {suggest(name, map(str, frame.columns))}")
    values = {name: given.get(name, _values(fit, frame[name], k == 0)) for k, name in enumerate(along)}
    labelled = any(name in keys for name in along)
    usual = "error" if labelled or not keys else "population"
    return along, datagrid(fit, **values), new_groups or usual


def _values(fit: Fit, column: pd.Series, first: bool) -> list[Any]:
    """Values of a column that a chart shows."""
    name = str(column.name)
    known = categories(fit.result, name)
    number = known is None and name not in fit.result.model.encoding.keys and column.dtype.kind in "iuf"
    if not number or column.nunique() <= 2:
        return list(known if known is not None else sorted(column.unique()))
    if first:
        return list(np.linspace(column.min(), column.max(), _ALONG))
    mean, sd = float(column.mean()), float(column.std())
    return [mean - sd, mean, mean + sd]


def _of(found: Estimates, along: Sequence[str]) -> Estimates:
    """Estimates that have the columns of the chart: that of a predictor is gone where it is what changes."""
    for name in along:
        if name not in found.table.columns[: found.told]:
            raise DataError(f"'{name}' is not among the columns of the estimates: {', '.join(found.table.columns)}.")
    return found
