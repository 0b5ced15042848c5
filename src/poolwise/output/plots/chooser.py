"""One group at a time: its rows and its regression line beside the population's; `chosen` says which group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poolwise.design import Rows
from poolwise.design.factors import NOBODY, Factor
from poolwise.evaluate.prediction_request import Kind, NewGroups, Question
from poolwise.evaluate.predictor import Predictor
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.output.plots import theme
from poolwise.output.plots.lines import outcome_title, shown_outcome

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_POINTS = 9  # of a line and its band
_DOTS = 5_000


def chooser(
    fits: dict[str, tuple[Posterior, str]],
    rows: Rows,
    factor: Factor,
    groups: np.ndarray,
    chosen: str,
    *,
    width: int | str = 480,
) -> alt.LayerChart:
    """Lines with 90% bands of one group, and its rows, for a signal `chosen` that holds the group's label.

    Parameters
    ----------
    fits : name in the legend to posterior and colour.
    rows : encoded; the predictor is the first column that varies by group, or the first one of all.
    factor, groups : grouping factor, and positions of the groups that can be chosen.
    chosen : label to begin with.
    """
    import altair as alt

    first = next(iter(fits.values()))[0]
    column = _predictor(first, factor)
    signal = alt.param(name="chosen", value=chosen)
    is_chosen = "datum.group === chosen"
    dots = _dots(first, rows, factor, groups, column)
    lines = _lines(fits, factor, groups, column, dots)
    x = alt.X(
        "x:Q",
        title=first.model.design.columns[column] if column is not None else "rows, side by side",
        scale=alt.Scale(zero=False),
        axis=alt.Axis(grid=False) if column is not None else alt.Axis(labels=False, ticks=False, grid=False),
    )
    outcome = outcome_title(first.model)
    y = alt.Y("y:Q", title=outcome, scale=alt.Scale(zero=False))
    colour = alt.Color(
        "model:N",
        title=None,
        scale=alt.Scale(domain=list(fits), range=[shade for _, shade in fits.values()]),
        legend=alt.Legend(orient="top", symbolOpacity=1),
    )
    table = alt.Chart(theme.data(lines)).transform_filter(is_chosen)
    band = table.mark_area(opacity=0.18).encode(x=x, y=alt.Y("low:Q", title=outcome), y2="high:Q", color=colour)
    line = table.mark_line(strokeWidth=3).encode(x=x, y=y, color=colour)
    points = (
        alt.Chart(theme.data(dots))
        .transform_filter(is_chosen)
        .mark_circle(size=40, opacity=0.75, color=theme.DATA)
        .encode(x=x, y=y, tooltip=[alt.Tooltip("x:Q", format=theme.NUMBER), alt.Tooltip("y:Q", format=theme.NUMBER)])
    )
    layers = (band + line + points).add_params(signal)
    many = int(np.isin(factor.codes[rows.codes], groups).sum())
    chart = layers.properties(width=width, height=300)
    if len(dots) < many:
        said = f"{len(dots):,} of {many:,} rows of these groups are drawn, taken at random"
        chart = chart.properties(title=alt.TitleParams("", subtitle=said))
    return theme.styled(chart)


def _predictor(posterior: Posterior, factor: Factor) -> int | None:
    """Position of the column to draw against, None where the model has none."""
    columns = posterior.model.design.columns
    varying = [name for name in factor.effects if name in columns]
    return columns.index(varying[0]) if varying else (0 if columns else None)


def _dots(posterior: Posterior, rows: Rows, factor: Factor, groups: np.ndarray, column: int | None) -> pd.DataFrame:
    import pandas as pd

    group_of = factor.codes[rows.codes]
    mine = np.flatnonzero(np.isin(group_of, groups))
    rng = np.random.default_rng(0)
    if len(mine) > _DOTS:
        mine = np.sort(rng.choice(mine, _DOTS, replace=False))
    x = rng.uniform(0.2, 0.8, len(mine)) if column is None else rows.values[mine, column]
    if column is not None and len(np.unique(x)) <= 2:
        x = x + rng.uniform(-0.05, 0.05, len(mine)) * np.ptp(rows.values[:, column])
    return pd.DataFrame(
        {"group": factor.levels[group_of[mine]].astype(str), "x": x, "y": shown_outcome(posterior.model, rows)[mine]}
    )


def _lines(
    fits: dict[str, tuple[Posterior, str]], factor: Factor, groups: np.ndarray, column: int | None, dots: pd.DataFrame
) -> pd.DataFrame:
    """Means and 90% bands of every group's line; other columns at their mean in the group."""
    import pandas as pd

    low, high = float(dots["x"].min()), float(dots["x"].max())
    grid = np.linspace(low, high, _POINTS)
    parts = []
    for name, (posterior, _) in fits.items():
        model = posterior.model
        counts = np.zeros(len(factor.levels))
        sums = np.zeros((len(factor.levels), len(model.design.columns)))
        cells = factor.codes if model.pooling is not Pooling.COMPLETE else None
        if cells is None:
            continue
        np.add.at(counts, cells, model.statistics.weights)
        means = model.statistics.means[:, :-1] + model.statistics.origin[:-1]
        np.add.at(sums, cells, model.statistics.weights[:, None] * means)
        for group in groups:
            values = np.tile(sums[group] / max(counts[group], 1e-300), (_POINTS, 1))
            if column is not None:
                values[:, column] = grid
            drawn = _predicted(posterior, factor, int(group), values)
            ends = np.quantile(drawn, [0.05, 0.95], axis=0)
            parts.append(
                pd.DataFrame(
                    {
                        "group": str(factor.levels[group]),
                        "x": grid,
                        "y": drawn.mean(axis=0),
                        "low": ends[0],
                        "high": ends[1],
                        "model": name,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def _predicted(posterior: Posterior, factor: Factor, group: int, values: np.ndarray) -> np.ndarray:
    """Draws (m, n) of the mean at columns W (n, K) in one group; the average level of all other factors."""
    from dataclasses import replace

    design = posterior.model.design
    alone = []
    for other in design.factors:
        mine = other.name == factor.name
        levels = other.levels[[group]] if mine else np.array([NOBODY], dtype=object)
        alone.append(replace(other, levels=levels, codes=np.zeros(1, dtype=np.int64)))
    rows = Rows(np.column_stack([values, np.full(len(values), np.nan)]), np.zeros(len(values), dtype=np.int64), 0)
    question = Question(Kind.MEAN, NewGroups.AVERAGE, posterior.seed)
    kept = np.linspace(0, posterior.chains * posterior.draws - 1, 400).astype(int)
    return Predictor(posterior, replace(design, factors=tuple(alone)), rows, question, kept).draws()
