"""Regression lines of chosen groups over their data, as in the radon study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design import Rows
from poolwise.design.design import regression_weights
from poolwise.design.factors import Factor
from poolwise.families import locations
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
    rows: Rows,
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
    rows : encoded rows; the predictor is the first slope of the model.
    factor, groups : the grouping factor, and positions of its groups to show.
    labels : words for values of the predictor, such as `{0: "basement", 1: "first floor"}`.
    """
    import altair as alt
    import pandas as pd

    first = next(iter(fits.values()))[0]
    design = first.model.design
    slope = slope_of(first, factor)
    column = design.columns.index(slope)
    x_all = rows.values[:, column]
    ends = np.linspace(x_all.min(), x_all.max(), _POINTS if first.model.sampled else 2)
    margin = 0.25 * (ends[-1] - ends[0])
    x_scale = alt.Scale(domain=[float(ends[0] - margin), float(ends[-1] + margin)], nice=False)
    shown = [int(j) for j in groups]
    group_of = factor.codes[rows.codes]
    y_domain = _range(fits, rows, factor, shown, column)
    axis = _named(labels, grid=False) if labels else alt.Axis(grid=False)
    x = alt.X("x:Q", title=None if labels else slope, scale=x_scale, axis=axis)
    y = alt.Y(
        "y:Q",
        title=outcome_title(first.model),
        scale=alt.Scale(domain=y_domain, nice=False),
        axis=_named(dict(enumerate(first.model.family.labels))) if first.model.family.ordered else alt.Axis(),
    )
    colour = alt.Color(
        "model:N",
        title=None,
        scale=alt.Scale(domain=list(fits), range=[shade for _, shade in fits.values()]),
        legend=alt.Legend(orient="top", symbolOpacity=1, symbolStrokeWidth=3),
    )
    binary = len(np.unique(x_all)) <= 2
    panels = []
    for j in shown:
        drawn, mean = _line_tables(fits, factor, j, ends, slope)
        mine = group_of == j
        # Houses on one floor would hide one another: they are spread a little, always in the same way.
        spread = np.random.default_rng(j).uniform(-0.06, 0.06, int(mine.sum())) * (ends[-1] - ends[0]) * binary
        dots = pd.DataFrame({"x": x_all[mine] + spread, "y": shown_outcome(first.model, rows)[mine]})
        faint = alt.Chart(theme.data(drawn)).mark_line(strokeWidth=0.6, opacity=0.18, clip=True)
        faint = faint.encode(x=x, y=y, color=colour, detail="draw:N")
        bold = alt.Chart(theme.data(mean)).mark_line(strokeWidth=3, clip=True).encode(x=x, y=y, color=colour)
        points = alt.Chart(theme.data(dots)).mark_circle(size=34, opacity=0.75, color=theme.DATA).encode(x=x, y=y)
        title = group_title(factor, j, int(mine.sum()))
        panels.append((faint + bold + points).properties(width=210, height=240, title=title))
    return theme.styled(alt.concat(*panels, columns=columns, spacing=16))


def rows_at_hand(rows: Rows | None) -> Rows:
    """The rows, where a fit still has them.

    Raises
    ------
    DataError : where it has none.
    """
    if rows is None:
        raise DataError("This fit was loaded from a file, which holds no rows to draw; fit again to see its lines.")
    return rows


def group_title(factor: Factor, j: int, count: int) -> alt.TitleParams:
    """Title of a panel: the group, and how many rows it has."""
    import altair as alt

    said = f"{count} row{'s' * (count != 1)}"
    return alt.TitleParams(str(factor.levels[j]), subtitle=said, fontSize=12, subtitleFontSize=11)


def _named(words: Mapping[float, str], *, grid: bool = True) -> alt.Axis:
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


def slope_of(posterior: Posterior, factor: Factor) -> str:
    """The first predictor whose coefficient varies by group."""
    design, separate = posterior.model.design, posterior.model.pooling is Pooling.SEPARATE
    effects = design.common_map if separate else factor.group_map
    of_mean = np.array([not name for name in design.predictors]) if separate else factor.part_of("")
    for weights in effects[1:, of_mean if of_mean.any() else slice(None)].T:
        if weights.any():
            return design.columns[int(np.flatnonzero(weights)[0])]
    raise DataError("Lines need a predictor that varies by group; this model has intercepts only. Use plot.forest().")


def endpoints(posterior: Posterior, factor: Factor, j: int, ends: np.ndarray, slope: str) -> np.ndarray:
    """Draws of the line at some values, (chains * draws, values); other predictors at their mean in the group."""
    location, parameters = along_predictor(posterior, factor, j, ends, slope)
    model = posterior.model
    return model.family.expectation(model.family.scale.mean(location), parameters) if model.sampled else location


def along_predictor(
    posterior: Posterior, factor: Factor, j: int, ends: np.ndarray, slope: str
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Draws (chains * draws, values) of the location and the parameters on their scales at some values of a predictor,
    the others at their mean in the group."""
    model = posterior.model
    design, separate = model.design, model.pooling is Pooling.SEPARATE
    count = posterior.chains * posterior.draws
    own = {}
    if separate:
        names, draws = posterior.coefficients(factor, np.array([j]))
        own = regression_weights(design, draws.reshape(count, len(names)))
    nothing = np.zeros((count, 1 + len(design.columns)))  # of a parameter that is fixed

    def weights_of(name: str) -> np.ndarray:
        return own.get(name, nothing) if separate else _weights(posterior, name, factor, j)

    column = 1 + design.columns.index(slope)
    cells = factor.codes == j
    shares = model.statistics.weights[cells] / model.statistics.weights[cells].sum()
    average = shares @ model.statistics.means[cells, :-1] + model.statistics.origin[:-1]

    def along(weights: np.ndarray) -> np.ndarray:
        """The linear predictor of weights (m, 1 + K) of the columns."""
        rest = weights[:, 0] + weights[:, 1:] @ average - weights[:, column] * average[column - 1]
        return np.asarray(rest[:, None] + weights[:, column, None] * ends)

    if not model.sampled:
        return along(weights_of("")), ()
    fixed = model.family.fixed(model.design.formula.fixed)
    parameters = tuple(
        np.log(posterior.dispersions[name].reshape(count, -1)[:, [j if separate else 0]])
        if name in posterior.dispersions
        else along(weights_of(name)) + fixed.get(name, 0.0)
        for name in model.family.predictors[1:]
    )
    return locations(model.link, along(weights_of(""))), parameters


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


def _line_tables(
    fits: dict[str, tuple[Posterior, str]], factor: Factor, j: int, ends: np.ndarray, slope: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    import pandas as pd

    drawn, mean = [], []
    for name, (posterior, _) in fits.items():
        values = endpoints(posterior, factor, j, ends, slope)
        some = values[:: max(1, len(values) // _DRAWS)]
        for i, pair in enumerate(some):
            at = zip(ends, pair, strict=True)
            drawn += [{"x": float(x), "y": float(y), "draw": f"{name} {i}", "model": name} for x, y in at]
        middle = values.mean(axis=0)
        mean += [{"x": float(x), "y": float(y), "model": name} for x, y in zip(ends, middle, strict=True)]
    return pd.DataFrame(drawn), pd.DataFrame(mean)


def _range(
    fits: dict[str, tuple[Posterior, str]], rows: Rows, factor: Factor, shown: list[int], column: int
) -> list[float]:
    """One range of y for all panels: all rows shown, and most of the drawn lines."""
    first = next(iter(fits.values()))[0].model
    outcome = shown_outcome(first, rows)[np.isin(factor.codes[rows.codes], shown)]
    x_all = rows.values[:, column]
    ends = np.array([x_all.min(), x_all.max()])
    slope = first.design.columns[column]
    drawn = [
        np.quantile(endpoints(posterior, factor, j, ends, slope), [0.02, 0.98])
        for posterior, _ in fits.values()
        for j in shown
    ]
    low, high = min(outcome.min(), np.min(drawn)), max(outcome.max(), np.max(drawn))
    pad = 0.04 * (high - low)
    return [float(low - pad), float(high + pad)]
