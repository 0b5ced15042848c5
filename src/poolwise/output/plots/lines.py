"""Regression lines of chosen groups over their data, as in the radon study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design import Design, Rows
from poolwise.design.design import regression_weights
from poolwise.design.factors import Factor
from poolwise.evaluate.along import Along, along
from poolwise.families import Family, locations
from poolwise.inference.fitted_rows import Shown
from poolwise.inference.posterior import Model, Pooling, Posterior
from poolwise.output.plots import theme
from poolwise.support.errors import DataError
from poolwise.support.plain_text import plain

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_DRAWS = 60  # faint lines of each model in each panel
_POINTS = 24  # of a curve


def lines(
    fits: dict[str, tuple[Posterior, str]],
    shown: Shown,
    factor: Factor,
    groups: np.ndarray,
    *,
    labels: dict[float, str] | None = None,
    columns: int = 3,
) -> alt.ConcatChart:
    """One panel for each group: its rows as dots, posterior draws of its line, and the mean line.

    Parameters
    ----------
    fits : name in the legend to posterior and colour.
    shown : rows; the predictor is what the first slope of the model is of.
    factor, groups : the grouping factor, and positions of its groups to show.
    labels : words for values of the predictor, such as `{0: "basement", 1: "first floor"}`.
    """
    import altair as alt
    import pandas as pd

    first, rows = next(iter(fits.values()))[0].model, shown.rows
    predictor = along_slope(first, shown, slope_of(next(iter(fits.values()))[0], factor))
    places = predictor.spread(2 if predictor.raw is None and not first.sampled else _POINTS)
    length = places[-1] - places[0]
    margin = 0.25 * length
    x_scale = alt.Scale(domain=[float(places[0] - margin), float(places[-1] + margin)], nice=False)
    positions = [int(j) for j in groups]
    of_columns = predictor.columns(first, factor, groups, places)
    curves = [
        {name: expected(posterior, factor, j, at) for name, (posterior, _) in fits.items()}
        for j, at in zip(positions, of_columns, strict=True)
    ]
    group_of, outcome = factor.codes[rows.codes], shown_outcome(first, rows)
    y_domain = _range(outcome[np.isin(group_of, positions)], curves)
    words = labels or predictor.words
    axis = named(words, grid=False) if words else alt.Axis(grid=False)
    x = alt.X("x:Q", title=None if labels else predictor.title, scale=x_scale, axis=axis)
    y = alt.Y(
        "y:Q",
        title=outcome_title(first),
        scale=alt.Scale(domain=y_domain, nice=False),
        axis=outcome_axis(first.family),
    )
    colour = alt.Color(
        "model:N",
        title=None,
        scale=alt.Scale(domain=list(fits), range=[shade for _, shade in fits.values()]),
        legend=alt.Legend(orient="top", symbolOpacity=1, symbolStrokeWidth=3),
    )
    few = len(np.unique(predictor.places)) <= 2
    step = 1.0 if predictor.words else length * few
    panels = []
    for j, curve in zip(positions, curves, strict=True):
        drawn, mean = _line_tables(curve, places)
        mine = group_of == j
        # Houses on one floor would hide one another: they are spread a little, always in the same way.
        apart = np.random.default_rng(j).uniform(-0.06, 0.06, int(mine.sum())) * step
        dots = pd.DataFrame({"x": predictor.places[mine] + apart, "y": outcome[mine]})
        faint = alt.Chart(theme.data(drawn)).mark_line(strokeWidth=0.6, opacity=0.18, clip=True)
        faint = faint.encode(x=x, y=y, color=colour, detail="draw:N")
        bold = alt.Chart(theme.data(mean)).mark_line(strokeWidth=3, clip=True).encode(x=x, y=y, color=colour)
        points = alt.Chart(theme.data(dots)).mark_circle(size=34, opacity=0.75, color=theme.DATA).encode(x=x, y=y)
        title = group_title(factor, j, int(mine.sum()))
        panels.append((faint + bold + points).properties(width=210, height=240, title=title))
    return theme.styled(alt.concat(*panels, columns=columns, spacing=16))


def rows_at_hand(shown: Shown | None) -> Shown:
    """The rows, where a fit still has them.

    Raises
    ------
    DataError : where it has none.
    """
    if shown is None:
        raise DataError("This fit was loaded from a file, which holds no rows to draw; fit again to see its lines.")
    return shown


def along_slope(model: Model, shown: Shown | None, slope: str) -> Along:
    """The predictor that a slope is of.

    Raises
    ------
    DataError : where several columns are made of it, and raw rows are not at hand.
    """
    found = along(model, shown, model.design.columns.index(slope))
    if found is None:
        raise DataError(
            f"Several columns move with '{slope}', and the rows that they are made of are not in memory, or have "
            "changed: fit.predict() has values of lines for rows that you give."
        )
    return found


def group_title(factor: Factor, j: int, count: int) -> alt.TitleParams:
    """Title of a panel: the group, and how many rows it has."""
    import altair as alt

    said = f"{count} row{'s' * (count != 1)}"
    return alt.TitleParams(str(factor.levels[j]), subtitle=said, fontSize=12, subtitleFontSize=11)


def named(words: Mapping[float, str], *, grid: bool = True) -> alt.Axis:
    """An axis with words at some values."""
    import altair as alt

    values, texts = list(map(float, words)), [plain(str(word)) for word in words.values()]
    said = f"{json.dumps(texts)}[indexof({json.dumps(values)}, datum.value)]"
    return alt.Axis(values=values, labelExpr=said, grid=grid)


def outcome_title(model: Model) -> str:
    """Name of what lies on the lines: rows are shown less their offsets, as lines are."""
    name, offsets = model.design.response, model.design.formula.offsets
    if model.family.trials:
        return f"share of {name}"
    if not offsets:
        return name
    return f"{name} / exp(offset)" if model.sampled and model.link.name == "log" else f"{name} less its offset"


def shown_outcome(model: Model, rows: Rows) -> np.ndarray:
    """(n,) outcomes as they lie beside lines without offsets: shares of trials, rates, less their offset."""
    if not model.sampled:
        return rows.values[:, -1]
    y = rows.response if rows.trials is None else rows.response / np.maximum(rows.trials, 1.0)
    if rows.offset is None:
        return y
    return y / np.exp(rows.offset) if model.link.name == "log" else y - rows.offset


def outcome_axis(family: Family) -> alt.Axis:
    """An axis of outcomes, with the words of ordered categories."""
    import altair as alt

    return named(dict(enumerate(family.labels))) if family.ordered else alt.Axis()


def slope_of(posterior: Posterior, factor: Factor) -> str:
    """The first predictor whose coefficient varies by group.

    Raises
    ------
    DataError : where there is none.
    """
    name = varying(posterior, factor)
    if name is None:
        raise DataError(
            "Lines need a predictor that varies by group; this model has intercepts only. Use plot.forest()."
        )
    return name


def varying(posterior: Posterior, factor: Factor) -> str | None:
    """The first column whose weight in the mean varies by group, if there is one."""
    design, separate = posterior.model.design, posterior.model.pooling is Pooling.SEPARATE
    effects = design.common_map if separate else factor.group_map
    of_mean = np.array([not name for name in design.predictors]) if separate else factor.part_of("")
    return first_column(design, effects[:, of_mean if of_mean.any() else slice(None)])


def first_column(design: Design, effects: np.ndarray) -> str | None:
    """The first column that some effects (1 + K, q) give weight to, if there is one."""
    for weights in effects[1:].T:
        if weights.any():
            return design.columns[int(np.flatnonzero(weights)[0])]
    return None


def expected(posterior: Posterior, factor: Factor, j: int, columns: np.ndarray) -> np.ndarray:
    """Draws (chains * draws, values) of the expected outcome of a group at columns (values, K) of the design."""
    location, parameters = locations_at(posterior, factor, j, columns)
    model = posterior.model
    return model.family.expectation(model.family.scale.mean(location), parameters) if model.sampled else location


def locations_at(
    posterior: Posterior, factor: Factor, j: int, columns: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Draws (chains * draws, values) of the location and the parameters on their scales at columns of the design."""
    model = posterior.model
    design, separate = model.design, model.pooling is Pooling.SEPARATE
    count = posterior.chains * posterior.draws
    own = {}
    if separate:
        names, draws = posterior.coefficients(factor, np.array([j]))
        own = regression_weights(design, draws.reshape(count, len(names)))
    nothing = np.zeros((count, 1 + len(design.columns)))  # of a parameter that is fixed

    def at(name: str) -> np.ndarray:
        """The linear predictor of a parameter."""
        weights = own.get(name, nothing) if separate else _weights(posterior, name, factor, j)
        return np.asarray(weights[:, :1] + weights[:, 1:] @ columns.T)

    if not model.sampled:
        return at(""), ()
    fixed = model.family.fixed(model.design.formula.fixed)
    parameters = tuple(
        np.log(posterior.dispersions[name].reshape(count, -1)[:, [j if separate else 0]])
        if name in posterior.dispersions
        else at(name) + fixed.get(name, 0.0)
        for name in model.family.predictors[1:]
    )
    return locations(model.link, at("")), parameters


def _weights(posterior: Posterior, predictor: str, factor: Factor, j: int) -> np.ndarray:
    """Draws of the weights (m, 1 + K) of the columns in the linear predictor of a parameter, for a group."""
    design = posterior.model.design
    mine = np.array([of == predictor for of in design.predictors], dtype=bool)
    beta = posterior.beta.reshape(-1, posterior.beta.shape[-1])[:, mine]
    weights = beta @ design.common_map[:, mine].T
    for other in design.factors:
        part = other.part_of(predictor)
        if part.any() and other.keys == factor.keys:
            drawn = posterior.offsets(other).draws(np.array([j]))[..., part]
            weights = weights + drawn.reshape(len(weights), -1) @ other.group_map[:, part].T
    return weights


def _line_tables(curves: dict[str, np.ndarray], places: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Some draws of the curve of each model, and their means."""
    import pandas as pd

    drawn, mean = [], []
    for name, values in curves.items():
        some = values[:: max(1, len(values) // _DRAWS)]
        for i, curve in enumerate(some):
            drawn.append(pd.DataFrame({"x": places, "y": curve, "draw": f"{name} {i}", "model": name}))
        mean.append(pd.DataFrame({"x": places, "y": values.mean(axis=0), "model": name}))
    return pd.concat(drawn, ignore_index=True), pd.concat(mean, ignore_index=True)


def _range(outcome: np.ndarray, curves: list[dict[str, np.ndarray]]) -> list[float]:
    """One range of y for all panels: all rows shown, and most of the drawn lines."""
    ends = [np.quantile(values, [0.02, 0.98]) for group in curves for values in group.values()]
    every = np.concatenate([outcome, *ends])
    pad = 0.04 * np.ptp(every)
    return [float(every.min() - pad), float(every.max() + pad)]
