"""Probabilities of categories along a predictor, in chosen groups, over the categories that were observed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poolwise.design.factors import Factor
from poolwise.inference.fitted_rows import Shown
from poolwise.inference.posterior import Model, Posterior
from poolwise.output.plots import theme
from poolwise.output.plots.lines import along_slope, group_title, locations_at, named, slope_of
from poolwise.support.errors import DataError
from poolwise.support.plain_text import plain

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_POINTS = 24  # of a curve
_STEP = 0.045  # between the lines of ticks below the curves


def category_lines(
    fits: dict[str, Posterior], shown: Shown, factor: Factor, groups: np.ndarray, *, columns: int = 3
) -> alt.ConcatChart:
    """One panel for each group: curves with 90% bands, one for each category, and below them a tick for each row.

    Parameters
    ----------
    fits : name in the legend to posterior; of two, the first one's curves are dashed and have no bands.
    shown : rows; the predictor is what the first slope of the model is of.
    """
    import altair as alt

    first, rows = next(iter(fits.values())), shown.rows
    model, family = first.model, first.model.family
    if len(family.labels) > len(theme.CHAINS):
        raise DataError(f"Curves of {len(family.labels)} categories cannot be told apart: use fit.predict().")
    predictor = along_slope(model, shown, slope_of(first, factor))
    places = predictor.spread(_POINTS)
    axis = named(predictor.words, grid=False) if predictor.words else alt.Axis(grid=False)
    x = alt.X("x:Q", title=predictor.title, axis=axis)
    panels = []
    for j, at in zip(map(int, groups), predictor.columns(model, factor, groups, places), strict=True):
        curves = category_curves(fits, factor, j, at, places)
        mine = factor.codes[rows.codes] == j
        tables = (
            curves[curves["model"] == list(fits)[-1]],
            curves,
            category_ticks(model, predictor.places[mine], rows.response[mine]),
        )
        layers = category_layers(model, list(fits), x, *(alt.Chart(theme.data(table)) for table in tables))
        panels.append(layers.properties(width=210, height=240, title=group_title(factor, j, int(mine.sum()))))
    return theme.styled(alt.concat(*panels, columns=columns, spacing=16))


def category_curves(
    fits: dict[str, Posterior], factor: Factor, j: int, columns: np.ndarray, places: np.ndarray
) -> pd.DataFrame:
    """Means and 90% bands of the probability of each category in a group, at columns of the design."""
    import pandas as pd

    curves = []
    for name, posterior in fits.items():
        family = posterior.model.family
        location, parameters = locations_at(posterior, factor, j, columns)
        for label, probability in zip(_words(posterior.model), family.quantities.values(), strict=True):
            drawn = np.broadcast_to(probability(location, *parameters), location.shape)
            low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
            table = {"x": places, "y": drawn.mean(axis=0), "low": low, "high": high}
            curves.append(pd.DataFrame(table).assign(category=label, model=name))
    return pd.concat(curves, ignore_index=True)


def category_ticks(model: Model, x: np.ndarray, outcome: np.ndarray) -> pd.DataFrame:
    """A tick for each row, in a line for each category below the curves."""
    import pandas as pd

    place = outcome.astype(int)
    return pd.DataFrame({"x": x, "y": -_STEP * (place + 1), "category": np.array(_words(model))[place]})


def category_layers(
    model: Model, names: list[str], x: alt.X, banded: alt.Chart, curves: alt.Chart, ticks: alt.Chart
) -> alt.LayerChart:
    """Bands, curves and ticks of categories; of two models the first one's curves are dashed."""
    import altair as alt

    labels = _words(model)
    y_scale = alt.Scale(domain=[-_STEP * (len(labels) + 0.5), 1.0], nice=False)
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format="%")
    y = alt.Y("y:Q", title="probability", scale=y_scale, axis=axis)
    colour = alt.Color(
        "category:N",
        title=model.design.response,
        sort=labels,
        scale=alt.Scale(domain=labels, range=list(theme.CHAINS[: len(labels)])),
        legend=alt.Legend(orient="top", symbolOpacity=1, symbolStrokeWidth=3),
    )
    dash = alt.StrokeDash(
        "model:N",
        title=None,
        scale=alt.Scale(domain=names, range=[[1, 0]] if len(names) == 1 else [[5, 3], [1, 0]]),
        legend=alt.Legend(orient="top", symbolStrokeColor=theme.DATA) if len(names) > 1 else None,
    )
    low = alt.Y("low:Q", title="probability", scale=y_scale, axis=axis)
    band = banded.mark_area(opacity=0.15).encode(x=x, y=low, y2="high:Q", color=colour)
    line = curves.mark_line(strokeWidth=2.5).encode(x=x, y=y, color=colour, strokeDash=dash)
    return band + line + ticks.mark_tick(thickness=1.5, size=7, opacity=0.8).encode(x=x, y=y, color=colour)


def _words(model: Model) -> list[str]:
    return list(map(plain, model.family.labels))
