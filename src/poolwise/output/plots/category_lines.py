"""Probabilities of categories along a predictor, in chosen groups, over the categories that were observed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poolwise.design import Rows
from poolwise.design.factors import Factor
from poolwise.inference.posterior import Posterior
from poolwise.output.plots import theme
from poolwise.output.plots.lines import along_predictor, group_title, slope_of
from poolwise.support.errors import DataError
from poolwise.support.plain_text import plain

if TYPE_CHECKING:
    import altair as alt

_POINTS = 24  # of a curve
_STEP = 0.045  # between the lines of ticks below the curves


def category_lines(
    fits: dict[str, Posterior], rows: Rows, factor: Factor, groups: np.ndarray, *, columns: int = 3
) -> alt.ConcatChart:
    """One panel for each group: curves with 90% bands, one for each category, and below them a tick for each row.

    Parameters
    ----------
    fits : name in the legend to posterior; of two, the first one's curves are dashed and have no bands.
    rows : encoded rows; the predictor is the first slope of the model.
    """
    import altair as alt
    import pandas as pd

    first = next(iter(fits.values()))
    family, slope = first.model.family, slope_of(first, factor)
    if len(family.labels) > len(theme.CHAINS):
        raise DataError(f"Curves of {len(family.labels)} categories cannot be told apart: use fit.predict().")
    x_all = rows.values[:, first.model.design.columns.index(slope)]
    along = np.linspace(x_all.min(), x_all.max(), _POINTS)
    lowest = -_STEP * (len(family.labels) + 0.5)
    x = alt.X("x:Q", title=slope, axis=alt.Axis(grid=False))
    y_scale = alt.Scale(domain=[lowest, 1.0], nice=False)
    y = alt.Y("y:Q", title="probability", scale=y_scale, axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format="%"))
    labels = list(map(plain, family.labels))
    colour = alt.Color(
        "category:N",
        title=first.model.design.response,
        sort=labels,
        scale=alt.Scale(domain=labels, range=list(theme.CHAINS[: len(labels)])),
        legend=alt.Legend(orient="top", symbolOpacity=1, symbolStrokeWidth=3),
    )
    dash = alt.StrokeDash(
        "model:N",
        title=None,
        scale=alt.Scale(domain=list(fits), range=[[1, 0]] if len(fits) == 1 else [[5, 3], [1, 0]]),
        legend=alt.Legend(orient="top", symbolStrokeColor=theme.DATA) if len(fits) > 1 else None,
    )
    panels = []
    for j in map(int, groups):
        curves = []
        for name, posterior in fits.items():
            location, parameters = along_predictor(posterior, factor, j, along, slope)
            for label, probability in zip(labels, family.quantities.values(), strict=True):
                drawn = np.broadcast_to(probability(location, *parameters), location.shape)
                low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
                table = {"x": along, "y": drawn.mean(axis=0), "low": low, "high": high}
                curves.append(pd.DataFrame(table).assign(category=label, model=name))
        mine = factor.codes[rows.codes] == j
        place = rows.response[mine].astype(int)
        ticks = pd.DataFrame({"x": x_all[mine], "y": -_STEP * (place + 1), "category": np.array(labels)[place]})
        shown = pd.concat(curves, ignore_index=True)
        banded = theme.data(shown[shown["model"] == list(fits)[-1]])
        band = (
            alt.Chart(banded)
            .mark_area(opacity=0.15)
            .encode(x=x, y=alt.Y("low:Q", scale=y_scale), y2="high:Q", color=colour)
        )
        line = alt.Chart(theme.data(shown)).mark_line(strokeWidth=2.5).encode(x=x, y=y, color=colour, strokeDash=dash)
        rug = alt.Chart(theme.data(ticks)).mark_tick(thickness=1.5, size=7, opacity=0.8).encode(x=x, y=y, color=colour)
        title = group_title(factor, j, int(mine.sum()))
        panels.append((band + line + rug).properties(width=210, height=240, title=title))
    return theme.styled(alt.concat(*panels, columns=columns, spacing=16))
