"""Quantiles of response times: observed points beside the intervals of replications."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poolwise.output.plots import theme

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd


def quantiles(table: pd.DataFrame, outcome: str, by: str | None, *, width: int = 220) -> alt.FacetChart:
    """A panel for each value of a column: times of both choices over the share of trials that are faster."""
    import altair as alt

    colour = alt.Color(
        "choice:N",
        title=None,
        scale=alt.Scale(domain=["upper boundary", "lower boundary"], range=[theme.PARTIAL, theme.SEPARATE]),
        legend=alt.Legend(orient="top"),
    )
    axis = alt.Axis(format="%", values=[0.1, 0.3, 0.5, 0.7, 0.9])
    x = alt.X("place:Q", title="share of trials that are faster", axis=axis, scale=alt.Scale(domain=[0, 1]))
    apart = table["choice"].map({"upper boundary": -0.02, "lower boundary": 0.02})  # side by side
    base = alt.Chart(theme.data(table.assign(place=table["quantile"] + apart))).encode(x=x, color=colour)
    bars = base.mark_rule(strokeWidth=5, opacity=0.35).encode(
        y=alt.Y("low:Q", title=outcome, scale=alt.Scale(zero=False)), y2="high:Q"
    )
    points = base.mark_point(filled=True, size=45, opacity=1).encode(
        y=alt.Y("observed:Q", scale=alt.Scale(zero=False)),
        tooltip=[
            "choice:N",
            alt.Tooltip("quantile:Q", format=".0%"),
            alt.Tooltip("observed:Q", format=theme.NUMBER),
            alt.Tooltip("replicated:Q", format=theme.NUMBER),
            alt.Tooltip("share_observed:Q", title="share of this choice", format=".0%"),
            alt.Tooltip("share_replicated:Q", title="replicated", format=".0%"),
        ],
    )
    title = alt.TitleParams(
        "Would the model make such response times?",
        subtitle="points: observed quantiles of each choice; bars: 90% of replications",
    )
    panels = (bars + points).properties(width=width, height=180)
    if by is None:
        return theme.styled(panels.properties(title=title, width=2 * width))
    facet = alt.Facet("group:N", title=by, sort=list(dict.fromkeys(table["group"])))
    return theme.styled(panels.facet(facet, columns=3).properties(title=title))
