"""The charts of the page: drawn once, after which only their named tables change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poolwise.output.plots import theme

if TYPE_CHECKING:
    import altair as alt

_MODELS = ("complete", "separate", "partial")
_COLOURS = (theme.COMPLETE, theme.SEPARATE, theme.PARTIAL)


def charts() -> dict[str, Any]:
    """Specifications by name. Their tables are named, and empty until the page fills them."""
    return {"groups": _groups(), "lines": _lines(), "prior": _prior(), "outcomes": _outcomes()}


def _groups() -> dict[str, Any]:
    """Each group from its own estimate to its pooled one, by how many rows it has."""
    import altair as alt

    groups, population = alt.NamedData("groups"), alt.NamedData("population")
    x = alt.X("x:Q", title="rows of the group", scale=alt.Scale(type="log", nice=False, padding=12), axis=_few_ticks())
    y = alt.Y("partial:Q", title="estimate", scale=alt.Scale(zero=False))
    tooltip = [
        alt.Tooltip("group:N"),
        alt.Tooltip("rows:Q"),
        alt.Tooltip("separate:Q", title="own rows alone", format=".3f"),
        alt.Tooltip("partial:Q", title="pooled", format=".3f"),
    ]
    band = alt.Chart(population).mark_rect(color=theme.PARTIAL, opacity=0.1).encode(y="low:Q", y2="high:Q")
    middle = alt.Chart(population).mark_rule(color=theme.PARTIAL, strokeWidth=1.5, opacity=0.7).encode(y="mean:Q")
    shafts = (
        alt.Chart(groups)
        .mark_rule(strokeWidth=1, color="#8fb7cf")
        .encode(x=x, y=alt.Y("separate:Q"), y2="partial:Q")
        .transform_filter("isValid(datum.separate)")
    )
    own = (
        alt.Chart(groups)
        .mark_point(filled=False, size=26, strokeWidth=1.2, color=theme.SEPARATE)
        .encode(
            x=x, y="separate:Q", tooltip=tooltip, opacity=alt.condition("datum.untold", alt.value(0.25), alt.value(0.8))
        )
        .transform_filter("isValid(datum.separate)")
    )
    pooled = alt.Chart(groups).mark_circle(size=44, color=theme.PARTIAL, opacity=0.95).encode(x=x, y=y, tooltip=tooltip)
    chosen = (
        alt.Chart(groups)
        .mark_text(dy=-9, fontSize=11, fontWeight="bold", color=theme.PARTIAL)
        .encode(x=x, y=y, text="group:N")
        .transform_filter("datum.chosen")
    )
    return _finished(alt.layer(band, middle, shafts, own, pooled, chosen).properties(width="container", height=330))


def _lines() -> dict[str, Any]:
    """The rows of some groups, and the expected outcome by each model."""
    import altair as alt

    x = alt.X("x:Q", title=None, scale=alt.Scale(zero=False, nice=False, padding=10), axis=_few_ticks(grid=False))
    y = alt.Y("y:Q", title=None, scale=alt.Scale(zero=False))
    colour = alt.Color(
        "model:N",
        title=None,
        scale=alt.Scale(domain=list(_MODELS), range=list(_COLOURS)),
        legend=alt.Legend(orient="top", symbolStrokeWidth=3, symbolType="stroke"),
    )
    base = alt.Chart()
    band = (
        base.mark_area(opacity=0.15, color=theme.PARTIAL)
        .encode(x=x, y=alt.Y("low:Q"), y2="high:Q")
        .transform_filter("datum.model === 'partial'")
    )
    line = (
        base.mark_line(strokeWidth=2.4)
        .encode(
            x=x,
            y=y,
            color=colour,
            strokeDash=alt.condition("datum.model === 'complete'", alt.value([5, 3]), alt.value([1, 0])),
        )
        .transform_filter("isValid(datum.model)")
    )
    dots = (
        base.mark_circle(size=24, opacity=0.6, color="#777777")
        .encode(x=x, y=y)
        .transform_filter("!isValid(datum.model)")
    )
    panels = (
        alt.layer(band, dots, line, data=alt.NamedData("lines"))
        .properties(width=190, height=190)
        .facet(facet=alt.Facet("group:N", title=None, sort=None), columns=3)
    )
    return _finished(panels)


def _prior() -> dict[str, Any]:
    """The density of a prior, and the histogram of its posterior."""
    import altair as alt

    x = alt.X("x:Q", title=None, axis=_few_ticks(grid=False), scale=alt.Scale(nice=False))
    y = alt.Y("y:Q", axis=None)
    bars = (
        alt.Chart(alt.NamedData("posterior"))
        .mark_rect(color=theme.PARTIAL, opacity=0.55)
        .encode(x=x, x2="x2:Q", y=y, y2="y2:Q")
    )
    curve = alt.Chart(alt.NamedData("prior")).mark_line(color=theme.SEPARATE, strokeWidth=2).encode(x=x, y=y)
    return _finished(alt.layer(bars, curve).properties(width="container", height=56))


def _outcomes() -> dict[str, Any]:
    """Outcomes as observed, as the priors make them, and as the fitted model does."""
    import altair as alt

    x = alt.X("x:Q", title=None, axis=_few_ticks(grid=False), scale=alt.Scale(nice=False))
    y = alt.Y("y:Q", title="share of the rows", axis=alt.Axis(format="%", tickCount=4))
    data = alt.NamedData("outcomes")
    names, shades = ["observed", "by the fitted model", "by the priors"], ["#777777", theme.PARTIAL, theme.SEPARATE]
    colour = alt.Color(
        "what:N",
        title=None,
        scale=alt.Scale(domain=names, range=shades),
        legend=alt.Legend(orient="top", labelLimit=220),
    )
    bars = (
        alt.Chart(data)
        .mark_rect(opacity=0.45)
        .encode(x=x, x2="x2:Q", y=y, y2="zero:Q", color=colour)
        .transform_filter("datum.what === 'observed'")
    )
    steps = (
        alt.Chart(data)
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(x=x, y=y, color=colour)
        .transform_filter("datum.what !== 'observed'")
    )
    return _finished(alt.layer(bars, steps).properties(width="container", height=210))


def _few_ticks(*, grid: bool = True) -> alt.Axis:
    import altair as alt

    return alt.Axis(grid=grid, tickCount=5, labelOverlap=True, format="~g")


def _finished(chart: Any) -> dict[str, Any]:
    """A specification in the page's type, on the page's ground."""
    spec: dict[str, Any] = (
        chart.configure(font="system-ui, Helvetica, Arial, sans-serif", background="transparent")
        .configure_view(stroke=None)
        .to_dict(validate=False)
    )
    return spec
