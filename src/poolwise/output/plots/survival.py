"""Survival by the model over the steps of Kaplan and Meier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poolwise.output.plots import theme

if TYPE_CHECKING:
    import altair as alt

    from poolwise.evaluate.survival import Curves


def survival(curves: Curves, outcome: str, by: str | None, *, width: int | str = 480) -> alt.LayerChart:
    """A line with its band for each group by the model, and the steps that were observed; ticks where rows were
    censored.
    """
    import altair as alt

    groups = list(dict.fromkeys(curves.model["group"]))
    colour = alt.Color(
        "group:N",
        title=by,
        sort=groups,
        scale=alt.Scale(range=[theme.PARTIAL, *theme.CHAINS[1:]]),
        legend=None if by is None else alt.Legend(orient="right"),
    )
    x = alt.X("time:Q", title=outcome, scale=alt.Scale(nice=False), axis=alt.Axis(grid=False))
    scale = alt.Scale(domain=[0, 1])
    model = alt.Chart(theme.data(curves.model))
    band = model.mark_area(opacity=0.18).encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q", color=colour)
    line = model.mark_line(strokeWidth=2.5).encode(
        x=x, y=alt.Y("mean:Q", title="share above", scale=scale), color=colour
    )
    layers = band + line
    subtitle = "lines: the model, with a 90% band"
    if len(curves.observed):
        steps = alt.Chart(theme.data(curves.observed)).mark_line(interpolate="step-after", strokeWidth=1.2)
        layers += steps.encode(x=x, y=alt.Y("mean:Q", scale=scale), color=colour)
        subtitle += "; steps: Kaplan and Meier's estimate"
    if len(curves.censored):
        ticks = alt.Chart(theme.data(curves.censored)).mark_tick(orient="vertical", thickness=1, size=7, opacity=0.8)
        layers += ticks.encode(x=x, y=alt.Y("survival:Q", scale=scale), color=colour)
        subtitle += ", with ticks at censored rows"
    title = alt.TitleParams("Survival by the model and as observed", subtitle=subtitle)
    return theme.styled(layers.properties(width=width, height=260, title=title))
