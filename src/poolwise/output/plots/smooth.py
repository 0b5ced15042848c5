"""Smooth terms: curves with bands over partial residuals and a rug of the data, and surfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poolwise.output.plots import theme

if TYPE_CHECKING:
    import altair as alt

    from poolwise.evaluate.smooth_terms import SmoothTerm

_WHAT = "What {} adds"
_TABLE, _ROWS = ("by", "mean", "sd", "low", "high"), ("by", "residual")  # what stands behind the variables


def smooth(term: SmoothTerm, outcome: str, *, width: int = 420) -> alt.LayerChart | alt.HConcatChart | alt.FacetChart:
    """A curve for each level of `by=`, side by side; of two variables the mean and its uncertainty as colours.

    Ordered categories have points.
    """
    if term.ordered:
        return _points(term, outcome, width)
    return _surface(term, outcome) if len(term.axes) == 2 else _curves(term, outcome, width)


def _curves(term: SmoothTerm, outcome: str, width: int) -> alt.LayerChart | alt.FacetChart:
    import altair as alt
    import pandas as pd

    (axis,), table = term.axes, term.table.set_axis(["x", *_TABLE], axis=1)
    rows = term.rows.set_axis(["x", *_ROWS], axis=1)
    several, shown = table["by"].nunique() > 1, rows["residual"].notna().any()
    x = alt.X("x:Q", title=axis, scale=alt.Scale(zero=False, nice=False))
    y = alt.Y("low:Q", title=f"added to {outcome}", scale=alt.Scale(zero=False))
    base = alt.Chart(theme.data(pd.concat([table.assign(what="curve"), rows.assign(what="row")], ignore_index=True)))
    curve, data = base.transform_filter("datum.what == 'curve'"), base.transform_filter("datum.what == 'row'")
    layers = [curve.mark_area(color=theme.PARTIAL, opacity=0.22).encode(x=x, y=y, y2="high:Q")]
    if shown:
        dots = data.mark_circle(
            color=theme.DATA, size=14, opacity=min(0.55, max(0.15, 60 * table["by"].nunique() / len(rows)))
        )
        layers.append(dots.encode(x=x, y="residual:Q"))
    layers.append(
        curve.mark_line(color=theme.PARTIAL, strokeWidth=2.5).encode(
            x=x,
            y="mean:Q",
            tooltip=[
                alt.Tooltip("x:Q", title=axis, format=theme.NUMBER),
                alt.Tooltip("mean:Q", format=theme.NUMBER),
                alt.Tooltip("low:Q", format=theme.NUMBER),
                alt.Tooltip("high:Q", format=theme.NUMBER),
            ],
        )
    )
    rug = data.mark_tick(color=theme.DATA, opacity=0.35, thickness=1, height=6, yOffset=-3)
    height = 170 if several else 280
    layers.append(rug.encode(x=x, y=alt.value(height)))
    said = "line: mean; band: 90% interval; " + (
        "dots: the term plus what is left of each row" if shown else "ticks: rows"
    )
    title = alt.TitleParams(_WHAT.format(term.name), subtitle=said)
    panel = alt.layer(*layers).properties(width=240 if several else width, height=height)
    if not several:
        return theme.styled(panel.properties(title=title))
    return theme.styled(panel.facet(alt.Facet("by:N", title=term.by), columns=3).properties(title=title))


def _points(term: SmoothTerm, outcome: str, width: int) -> alt.LayerChart:
    import altair as alt

    (axis,), rows = term.axes, term.rows.set_axis(["category", *_ROWS], axis=1)
    table, shown = theme.data(term.table.set_axis(["category", *_TABLE], axis=1)), rows["residual"].notna().any()
    rows = rows.assign(apart=np.random.default_rng(0).uniform(-0.25, 0.25, len(rows)))
    x = alt.X("category:O", title=axis, sort=list(term.ordered), axis=alt.Axis(labelAngle=0))
    base = alt.Chart(table).encode(x=x)
    layers = [
        base.mark_rule(color=theme.PARTIAL, strokeWidth=2.5).encode(
            y=alt.Y("low:Q", title=f"added to {outcome}", scale=alt.Scale(zero=False)), y2="high:Q"
        ),
        base.mark_line(color=theme.PARTIAL, strokeWidth=1, opacity=0.5).encode(y="mean:Q"),
        base.mark_point(color=theme.PARTIAL, size=60, filled=True, opacity=1).encode(
            y="mean:Q",
            tooltip=[
                alt.Tooltip("category:O", title=axis),
                *(alt.Tooltip(f"{name}:Q", format=theme.NUMBER) for name in ("mean", "low", "high")),
            ],
        ),
    ]
    if shown:
        dots = alt.Chart(theme.data(rows)).mark_circle(
            color=theme.DATA, size=14, opacity=min(0.55, max(0.15, 60 / len(rows)))
        )
        beside = alt.XOffset("apart:Q", scale=alt.Scale(domain=[-0.5, 0.5]))
        layers.insert(0, dots.encode(x=x, y="residual:Q", xOffset=beside))
    said = "point: mean; line: 90% interval" + ("; dots: the term plus what is left of each row" if shown else "")
    title = alt.TitleParams(_WHAT.format(term.name), subtitle=said)
    return theme.styled(alt.layer(*layers).properties(width=width, height=280, title=title))


def _surface(term: SmoothTerm, outcome: str) -> alt.HConcatChart:
    """Mean and sd on a grid, each in colours of its own, with the rows as dots."""
    import altair as alt

    one, other = term.axes
    table = term.table.set_axis(["x", "y", *_TABLE], axis=1)
    rows = theme.data(term.rows.set_axis(["x", "y", *_ROWS], axis=1)[["x", "y"]])
    step_x, step_y = (np.diff(np.unique(table[name]))[0] for name in ("x", "y"))
    table = table.assign(
        x1=table["x"] - step_x / 2, x2=table["x"] + step_x / 2, y1=table["y"] - step_y / 2, y2=table["y"] + step_y / 2
    )
    most = float(table["mean"].abs().max())
    panels = []
    for name, title, scale in (
        ("mean", f"added to {outcome}", alt.Scale(scheme="blueorange", domain=[-most, most])),
        ("sd", "its sd", alt.Scale(scheme="greys", domainMin=0)),
    ):
        tiles = (
            alt.Chart(theme.data(table))
            .mark_rect()
            .encode(
                x=alt.X("x1:Q", title=one, scale=alt.Scale(zero=False, nice=False)),
                x2="x2:Q",
                y=alt.Y("y1:Q", title=other, scale=alt.Scale(zero=False, nice=False)),
                y2="y2:Q",
                color=alt.Color(f"{name}:Q", title=title, scale=scale),
                tooltip=[
                    alt.Tooltip("x:Q", title=one, format=theme.NUMBER),
                    alt.Tooltip("y:Q", title=other, format=theme.NUMBER),
                    alt.Tooltip("mean:Q", format=theme.NUMBER),
                    alt.Tooltip("sd:Q", format=theme.NUMBER),
                ],
            )
        )
        dots = alt.Chart(rows).mark_circle(color=theme.DATA, size=6, opacity=0.35).encode(x="x:Q", y="y:Q")
        panels.append((tiles + dots).properties(width=300, height=280))
    title = alt.TitleParams(_WHAT.format(term.name), subtitle="left: mean; right: how uncertain it is; dots: rows")
    return theme.styled(alt.hconcat(*panels).resolve_scale(color="independent").properties(title=title))
