"""One group at a time: its rows and its regression line beside the population's; `chosen` says which group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poolwise.design.factors import Factor
from poolwise.evaluate.along import Along, along
from poolwise.inference.fitted_rows import Shown
from poolwise.inference.posterior import Model, Posterior
from poolwise.output.plots import theme
from poolwise.output.plots.category_lines import category_curves, category_layers, category_ticks
from poolwise.output.plots.lines import (
    expected,
    first_column,
    named,
    outcome_axis,
    outcome_title,
    shown_outcome,
    varying,
)

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_POINTS, _CURVED = 9, 17  # of a straight line and its band, and of others
_DOTS = 5_000
_IS_CHOSEN = "datum.group === chosen"


def chooser(
    fits: dict[str, tuple[Posterior, str]],
    shown: Shown,
    factor: Factor,
    groups: np.ndarray,
    chosen: str,
    *,
    width: int | str = 480,
) -> alt.LayerChart | None:
    """Lines with 90% bands of one group, and its rows, for a signal `chosen` that holds the group's label.

    Of categories without an order: the probability of each, with a tick for each row below. None where several columns
    move with the predictor and the rows that they are made of are not at hand, and where categories are too many.

    Parameters
    ----------
    fits : name in the legend to posterior and colour.
    shown : rows; the predictor is what the first column that varies by group is of, or the first one of all.
    factor, groups : grouping factor, and positions of the groups that can be chosen.
    chosen : label to begin with.
    """
    import altair as alt

    first = next(iter(fits.values()))[0]
    family, predictor = first.model.family, _predictor(first, shown, factor)
    unordered = bool(family.labels) and not family.ordered
    if predictor is None or (unordered and len(family.labels) > len(theme.CHAINS)):
        return None
    places = predictor.spread(_POINTS if predictor.raw is None and not first.model.sampled else _CURVED)
    columns = predictor.columns(first.model, factor, groups, places)
    mine = np.flatnonzero(np.isin(factor.codes[shown.rows.codes], groups))
    some = mine if len(mine) <= _DOTS else np.sort(np.random.default_rng(0).choice(mine, _DOTS, replace=False))
    dots = _dots(first.model, predictor, shown, some).assign(
        group=_labels(factor, factor.codes[shown.rows.codes[some]])
    )
    layers = (_of_categories if unordered else _of_numbers)(
        fits, factor, groups, columns, places, dots, _axis(predictor)
    )
    chart = layers.add_params(alt.param(name="chosen", value=chosen)).properties(width=width, height=300)
    if len(some) < len(mine):
        said = f"{len(some):,} of {len(mine):,} rows of these groups are drawn, taken at random"
        chart = chart.properties(title=alt.TitleParams("", subtitle=said))
    return theme.styled(chart)


def _predictor(posterior: Posterior, shown: Shown, factor: Factor) -> Along | None:
    """What the lines are along; without any column rows lie side by side."""
    design = posterior.model.design
    of_mean = np.array([not name for name in design.predictors], dtype=bool)
    common = design.common_map[:, of_mean if of_mean.any() else slice(None)]
    name = varying(posterior, factor) or first_column(design, common)
    if name is not None:
        return along(posterior.model, shown, design.columns.index(name))
    places = np.random.default_rng(0).uniform(0.2, 0.8, len(shown.rows.codes))
    return Along("rows, side by side", places, ())


def _axis(predictor: Along) -> alt.X:
    import altair as alt

    plain = alt.Axis(grid=False) if predictor.moving else alt.Axis(labels=False, ticks=False, grid=False)
    axis = named(predictor.words, grid=False) if predictor.words else plain
    return alt.X("x:Q", title=predictor.title, scale=alt.Scale(zero=False), axis=axis)


def _dots(model: Model, predictor: Along, shown: Shown, some: np.ndarray) -> pd.DataFrame:
    """Predictor and outcome of some rows; those of few values are spread a little."""
    import pandas as pd

    x, step = predictor.places[some], 1.0 if predictor.words else np.ptp(predictor.places)
    if predictor.words or len(np.unique(predictor.places)) <= 2:
        x = x + np.random.default_rng(0).uniform(-0.05, 0.05, len(x)) * step
    return pd.DataFrame({"x": x, "y": shown_outcome(model, shown.rows)[some]})


def _labels(factor: Factor, groups: np.ndarray) -> np.ndarray:
    return factor.levels[groups].astype(str)


def _of_numbers(
    fits: dict[str, tuple[Posterior, str]],
    factor: Factor,
    groups: np.ndarray,
    columns: np.ndarray,
    places: np.ndarray,
    dots: pd.DataFrame,
    x: alt.X,
) -> alt.LayerChart:
    """Means and 90% bands of the expected outcome, and dots for rows."""
    import altair as alt
    import pandas as pd

    model, parts = next(iter(fits.values()))[0].model, []
    for label, group, at in zip(_labels(factor, groups), groups, columns, strict=True):
        for name, (posterior, _) in fits.items():
            drawn = expected(posterior, factor, int(group), at)
            low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
            line = {"group": label, "x": places, "y": drawn.mean(axis=0), "low": low, "high": high, "model": name}
            parts.append(pd.DataFrame(line))
    title, scale = outcome_title(model), alt.Scale(zero=False)
    y = alt.Y("y:Q", title=title, scale=scale, axis=outcome_axis(model.family))
    colour = alt.Color(
        "model:N",
        title=None,
        scale=alt.Scale(domain=list(fits), range=[shade for _, shade in fits.values()]),
        legend=alt.Legend(orient="top", symbolOpacity=1),
    )
    table = alt.Chart(theme.data(pd.concat(parts, ignore_index=True))).transform_filter(_IS_CHOSEN)
    band = table.mark_area(opacity=0.18).encode(
        x=x, y=alt.Y("low:Q", title=title, axis=outcome_axis(model.family)), y2="high:Q", color=colour
    )
    line = table.mark_line(strokeWidth=3).encode(x=x, y=y, color=colour)
    tooltip = [alt.Tooltip("x:Q", format=theme.NUMBER), alt.Tooltip("y:Q", format=theme.NUMBER)]
    points = alt.Chart(theme.data(dots)).transform_filter(_IS_CHOSEN)
    points = points.mark_circle(size=40, opacity=0.75, color=theme.DATA).encode(x=x, y=y, tooltip=tooltip)
    return band + line + points


def _of_categories(
    fits: dict[str, tuple[Posterior, str]],
    factor: Factor,
    groups: np.ndarray,
    columns: np.ndarray,
    places: np.ndarray,
    dots: pd.DataFrame,
    x: alt.X,
) -> alt.LayerChart:
    """Curves of the probability of each category, and ticks for rows."""
    import altair as alt
    import pandas as pd

    posteriors = {name: posterior for name, (posterior, _) in fits.items()}
    model = next(iter(posteriors.values())).model
    curves = pd.concat(
        [
            category_curves(posteriors, factor, int(group), at, places).assign(group=label)
            for label, group, at in zip(_labels(factor, groups), groups, columns, strict=True)
        ],
        ignore_index=True,
    )
    ticks = category_ticks(model, dots["x"].to_numpy(), dots["y"].to_numpy()).assign(group=dots["group"])
    tables = (curves[curves["model"] == list(fits)[-1]], curves, ticks)
    return category_layers(
        model, list(fits), x, *(alt.Chart(theme.data(table)).transform_filter(_IS_CHOSEN) for table in tables)
    )
