"""Shrinkage plot: an arrow for each group from its separate estimate to its partially pooled one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design.factors import Factor
from poolwise.evaluate.along import Along
from poolwise.evaluate.explain import is_indicator_column
from poolwise.evaluate.shrinkage import prior_only
from poolwise.inference.fitted_rows import Shown
from poolwise.inference.posterior import Model, Posterior
from poolwise.output.plots import theme
from poolwise.output.plots.lines import along_slope, expected, outcome_title
from poolwise.support.digits import labels
from poolwise.support.errors import DataError, suggest

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_LABELS = 6
_HEAD = 0.022  # of the diagonal
_TOLD, _UNTOLD = "own data on both coefficients", "one coefficient from the prior alone"


def shrinkage(
    separate: Posterior,
    partial: Posterior,
    shown_of: Callable[[Factor, np.ndarray], Shown | None],
    *,
    x: str | None = None,
    y: str | None = None,
    label: list[object] | None = None,
    outcome: bool = False,
) -> alt.LayerChart:
    """Arrows in the plane of two coefficients, the intercept and the first slope by default.

    With `outcome` they are in the plane of the expected outcomes at two values of the predictor whose slope is `y`:
    zero and one of an indicator, else one standard deviation below its mean and above.

    Groups whose own rows cannot tell one of the two coefficients start from its prior; their arrows are pale.
    `label` names the groups to write beside their arrows; by default the longest arrows' and the largest groups'.
    """
    import altair as alt

    factor = partial.model.design.factor()
    x, y = _two_coefficients(separate, partial, x, y)
    if outcome:
        every = np.arange(len(factor.levels))
        predictor, places = _two_places(partial.model, shown_of(factor, every), y)
        words = [predictor.words.get(at, text) for at, text in zip(places, labels(list(places)), strict=True)]
        titles = [f"expected {outcome_title(partial.model)} where {predictor.title} is {word}" for word in words]
        columns = predictor.columns(partial.model, factor, every, places)
        start, end = (_expected(one, factor, columns) for one in (separate, partial))
    else:
        titles = [_titled(name, partial.model) for name in (x, y)]
        start, end = (_means(one, factor, (x, y)) for one in (separate, partial))
    table = _table(start, end, separate, factor, x, y)
    plane = _Plane.of(table, titles)
    centre = [] if outcome else _population(partial, x, y)
    named = _notable(table, plane.spans) if label is None else table.iloc[_named(partial, factor, label)]
    words_at = _placed(named, table, plane, every=label is not None)
    layers = [*_arrows(table, plane, factor.name), *_cross(centre, plane), *_words(words_at, plane)]
    title = alt.TitleParams(
        "What partial pooling does",
        subtitle=f"each {factor.name} from its separate estimate (dot) to its pooled one (arrow head)"
        + ("; cross: population" if centre else ""),
    )
    return theme.styled(alt.layer(*layers).properties(width=620, height=460, title=title))


@dataclass(frozen=True, slots=True)
class _Plane:
    """The plane of two coefficients: the ends of its axes and their titles, the same in all layers."""

    domains: list[list[float]]
    titles: list[str]

    @classmethod
    def of(cls, table: pd.DataFrame, titles: list[str]) -> _Plane:
        """One that all arrows lie in."""
        ends = (table[["x", "x2"]].to_numpy(), table[["y", "y2"]].to_numpy())
        return cls([_padded(values) for values in ends], titles)

    @property
    def spans(self) -> np.ndarray:
        """(2,) lengths of the axes."""
        return np.array([high - low for low, high in self.domains])

    @property
    def axes(self) -> dict[str, Any]:
        """The encoding of x and y."""
        import altair as alt

        scales = [alt.Scale(domain=domain, nice=False) for domain in self.domains]
        return {
            "x": alt.X("x:Q", title=self.titles[0], scale=scales[0]),
            "y": alt.Y("y:Q", title=self.titles[1], scale=scales[1]),
        }


def _two_coefficients(separate: Posterior, partial: Posterior, x: str | None, y: str | None) -> tuple[str, str]:
    """Names of two coefficients that vary by group, those that were asked for or the first ones."""
    factor = partial.model.design.factor()
    names, pooled_names = (one.coefficients(factor)[0] for one in (separate, partial))
    shared = [name for name in names if name in pooled_names]
    if len(shared) < 2:
        raise DataError("Shrinkage arrows need two coefficients that vary by group; use plot.forest() for one.")
    x, y = x or shared[0], y or shared[1]
    for name in (x, y):
        if name not in shared:
            raise DataError(f"There is no coefficient '{name}' that varies by group. {suggest(name, shared)}")
    return x, y


def _means(posterior: Posterior, factor: Factor, coefficients: tuple[str, str]) -> np.ndarray:
    """(J, 2) posterior means of two coefficients of each group."""
    names, draws = posterior.coefficients(factor)
    return np.asarray(draws.mean(axis=(0, 1))[:, [names.index(one) for one in coefficients]])


def _table(start: np.ndarray, end: np.ndarray, separate: Posterior, factor: Factor, x: str, y: str) -> pd.DataFrame:
    """A line for each arrow: its ends, group, number of rows, and what tells where it starts."""
    import pandas as pd

    names, _ = separate.coefficients(factor)
    silent = prior_only(separate.model, factor)[:, [names.index(x), names.index(y)]].any(axis=1)
    return pd.DataFrame(
        {
            "x": start[:, 0], "y": start[:, 1], "x2": end[:, 0], "y2": end[:, 1],
            "group": [str(level) for level in factor.levels], "n": separate.model.statistics.counts.astype(int),
            "told by": np.where(silent, _UNTOLD, _TOLD),
        }
    )  # fmt: skip


def _population(partial: Posterior, x: str, y: str) -> list[float]:
    """Posterior means of two common coefficients; none where one of them is no common one."""
    centre = dict(zip(partial.model.design.coefficients, partial.beta.mean(axis=(0, 1)), strict=True))
    return [float(centre[name]) for name in (x, y)] if {x, y} <= centre.keys() else []


def _arrows(table: pd.DataFrame, plane: _Plane, group: str) -> list[alt.Chart]:
    """Shafts, heads, and dots where they start, the larger the more rows."""
    import altair as alt

    tooltip = [
        alt.Tooltip("group:N", title=group),
        alt.Tooltip("n:Q", title="rows"),
        *(alt.Tooltip(f"{c}:Q", format=theme.NUMBER) for c in ("x", "y", "x2", "y2")),
    ]
    encoding = plane.axes | {
        "color": alt.Color(
            "told by:N",
            title=None,
            scale=alt.Scale(domain=[_TOLD, _UNTOLD], range=[theme.PARTIAL, "#a9c8dc"]),
            legend=alt.Legend(orient="top", symbolType="stroke", symbolStrokeWidth=3, labelLimit=320),
        )
    }
    legend = alt.Legend(
        orient="right", values=_size_steps(table["n"]), symbolFillColor=theme.PARTIAL, symbolStrokeWidth=0
    )
    size = alt.Size("n:Q", title="rows", scale=alt.Scale(type="sqrt", range=[8, 220]), legend=legend)
    shafts, heads = alt.Chart(theme.data(table)), alt.Chart(theme.data(_heads(table, plane.spans)))
    return [
        shafts.mark_rule(strokeWidth=1.3).encode(x2="x2:Q", y2="y2:Q", tooltip=tooltip, **encoding),
        heads.mark_line(strokeWidth=1.3).encode(detail="group:N", order="order:Q", **encoding),
        alt.Chart(theme.data(table)).mark_circle(opacity=0.9).encode(size=size, tooltip=tooltip, **encoding),
    ]


def _cross(centre: list[float], plane: _Plane) -> list[alt.Chart]:
    """The population's coefficients, where there are such."""
    import altair as alt
    import pandas as pd

    if not centre:
        return []
    chart = alt.Chart(theme.data(pd.DataFrame([centre], columns=["x", "y"])))
    cross = chart.mark_point(shape="cross", size=220, filled=True, color=theme.SEPARATE, opacity=1, stroke="white")
    return [cross.encode(**plane.axes)]


def _words(placed: pd.DataFrame, plane: _Plane) -> list[alt.Chart]:
    """Names of groups, and a halo behind them."""
    import altair as alt

    words = alt.Chart(theme.data(placed)).encode(text="group:N", **plane.axes)
    return [
        words.mark_text(fontSize=10, stroke="white", strokeWidth=3, strokeOpacity=0.85),
        words.mark_text(fontSize=10, color=theme.DATA),
    ]


def _two_places(model: Model, shown: Shown | None, slope: str) -> tuple[Along, np.ndarray]:
    """The predictor that a slope is of, and two of its values between which the slope shows."""
    if slope not in model.design.columns:
        raise DataError(f"'{slope}' is no column: name as y= the slope along which expected outcomes are shown.")
    predictor, total, k = along_slope(model, shown, slope), model.statistics.merged(), model.design.columns.index(slope)
    if predictor.raw is None:
        mean, sd = total.means[0, k] + total.origin[k], np.sqrt(total.scatter[0, k, k] / total.weights[0])
        return predictor, np.array([0.0, 1.0] if is_indicator_column(total, k) else [mean - sd, mean + sd])
    known, first = np.unique(predictor.places, return_index=True)
    if predictor.words and predictor.rows is not None:
        of_known = predictor.rows.values[first, k]
        return predictor, known[[of_known.argmin(), of_known.argmax()]]
    mean, sd = predictor.places.mean(), predictor.places.std()
    near = predictor.near(np.array([mean - sd, mean + sd]))
    return predictor, near if len(near) == 2 else known[[0, -1]]


def _expected(posterior: Posterior, factor: Factor, columns: np.ndarray) -> np.ndarray:
    """(J, 2) posterior means of the expected outcomes of each group at two values of a predictor."""
    return np.array([expected(posterior, factor, j, at).mean(axis=0) for j, at in enumerate(columns)])


def _titled(coefficient: str, model: Model) -> str:
    """A coefficient with the scale that it is on, where that is not the outcome's."""
    return coefficient if model.link.name == "identity" else f"{coefficient} (on the {model.link.name} scale)"


def _size_steps(counts: pd.Series) -> list[int]:
    """Numbers of rows for the legend: the smallest, the largest and one between."""
    ends = (int(counts.min()), int(np.sqrt(max(counts.min(), 1) * counts.max())), int(counts.max()))
    return sorted(set(ends))


def _padded(values: np.ndarray) -> list[float]:
    low, high = float(values.min()), float(values.max())
    pad = 0.06 * (high - low)
    return [low - pad, high + pad]


def _heads(table: pd.DataFrame, spans: np.ndarray) -> pd.DataFrame:
    """The two strokes of each arrow head as a line of three points; in screen proportions, no longer than the arrow."""
    import pandas as pd

    start, end = table[["x", "y"]].to_numpy() / spans, table[["x2", "y2"]].to_numpy() / spans
    along = start - end
    length = np.linalg.norm(along, axis=1, keepdims=True)
    unit = along / np.maximum(length, 1e-12)
    across = np.column_stack([-unit[:, 1], unit[:, 0]])
    size = np.minimum(_HEAD, 0.6 * length)
    parts = [end + size * (unit + 0.45 * across), end, end + size * (unit - 0.45 * across)]
    group = table.columns[4]
    frames = [
        pd.DataFrame(
            {
                "x": part[:, 0] * spans[0],
                "y": part[:, 1] * spans[1],
                "order": i,
                group: table[group],
                "told by": table["told by"],
            }
        )
        for i, part in enumerate(parts)
    ]
    return pd.concat(frames)


def _named(partial: Posterior, factor: Factor, label: list[object]) -> np.ndarray:
    """Positions of the groups that are to be named; of an empty list none."""
    return np.zeros(0, dtype=int) if label == [] else np.unique(partial.positions(factor, label))


def _notable(table: pd.DataFrame, spans: np.ndarray) -> pd.DataFrame:
    """Lines of the longest arrows and of the largest groups."""
    moved = np.hypot((table["x2"] - table["x"]) / spans[0], (table["y2"] - table["y"]) / spans[1])
    longest, largest = moved.nlargest(_LABELS).index, table["n"].nlargest(2).index
    return table.loc[longest.union(largest)]


def _placed(named: pd.DataFrame, table: pd.DataFrame, plane: _Plane, *, every: bool) -> pd.DataFrame:
    """Where labels go: beyond the arrow's tail or beside it; one that would cover a dot or a label is left out, or, of
    those that are wanted, above the tail."""
    import pandas as pd

    spans, dots = plane.spans, table[["x", "y"]].to_numpy() / plane.spans
    low = np.array([domain[0] for domain in plane.domains]) / spans
    placed: list[dict[str, Any]] = []
    taken: list[tuple[np.ndarray, float]] = []
    for _, row in named.iterrows():
        tail = np.array([row["x"] / spans[0], row["y"] / spans[1]])
        away = tail - np.array([row["x2"] / spans[0], row["y2"] / spans[1]])
        away = away / max(float(np.linalg.norm(away)), 1e-9)
        text = str(row[named.columns[4]])
        half = 0.0058 * len(text) + 0.004
        aside, above = np.array([0.012 + half, 0.0]), np.array([0.0, 0.032])
        for step in (away * [0.016 + half, 0.034], above, -above, aside, -aside, above + aside / 2, above - aside / 2):
            centre = tail + step
            covers = np.abs(dots - centre) < [half, 0.018]
            inside = half <= centre[0] - low[0] <= 1 - half and 0.02 <= centre[1] - low[1] <= 0.98
            free = all(abs(centre[0] - c[0]) > half + h or abs(centre[1] - c[1]) > 0.032 for c, h in taken)
            if inside and free and not covers.all(axis=1).any():
                taken.append((centre, half))
                placed.append({"x": centre[0] * spans[0], "y": centre[1] * spans[1], named.columns[4]: text})
                break
        else:
            if every:
                centre = tail + above
                placed.append({"x": centre[0] * spans[0], "y": centre[1] * spans[1], named.columns[4]: text})
    return pd.DataFrame(placed, columns=["x", "y", named.columns[4]])
