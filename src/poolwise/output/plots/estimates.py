"""Predictions, comparisons and slopes along one column: a band, or points with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from poolwise.output.plots import theme
from poolwise.support.digits import labels
from poolwise.support.errors import DataError
from poolwise.support.plain_text import plain

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from poolwise.evaluate.estimates import Estimates

_CURVE = 12  # values of a number from which on a line is drawn, and not points
_PANELS = 36


def estimates_chart(
    found: Estimates, along: Sequence[str], title: str, nothing: float | None = None
) -> alt.Chart | alt.FacetChart | alt.LayerChart:
    """Estimates along the first column, in a colour for each value of the second, a panel for each of the third.

    Several terms, contrasts or quantities have a panel each. A dashed line is drawn at `nothing`, the value of a
    comparison where there is no effect.
    """
    import altair as alt

    table, panels, apart = _columns(found, along)
    x, *rest = along
    curve = table["x"].dtype.kind in "iuf" and table["x"].nunique() >= _CURVE
    if not curve and table["x"].dtype.kind == "f":
        table["x"] = _said(table["x"])
    values = list(dict.fromkeys(table["x"]))
    axis = alt.X(
        "x:Q" if curve else "x:N",
        title=plain(x),
        sort=None if curve else values,
        scale=alt.Scale(nice=False) if curve else alt.Scale(padding=0.4),
        axis=alt.Axis(grid=False, labelAngle=0 if len(values) <= 8 else -40) if not curve else alt.Axis(grid=False),
    )
    groups = list(dict.fromkeys(table["colour"]))
    colour = alt.Color(
        "colour:N",
        title=rest[0] if rest else None,
        sort=groups,
        scale=alt.Scale(domain=groups, range=[theme.CHAINS[k % len(theme.CHAINS)] for k in range(len(groups))]),
        legend=alt.Legend(orient="right", symbolOpacity=1) if rest else None,
    )
    base, data = alt.Chart(), theme.data(table)
    y = alt.Y("mean:Q", title=title, scale=alt.Scale(zero=False))
    low, high = alt.Y("low:Q", title=title, scale=alt.Scale(zero=False)), "high:Q"
    if curve:
        layers = base.mark_area(opacity=0.18).encode(x=axis, y=low, y2=high, color=colour) + base.mark_line(
            strokeWidth=2.5
        ).encode(x=axis, y=y, color=colour)
    else:
        beside = alt.XOffset("colour:N", sort=groups) if rest else alt.Undefined
        layers = base.mark_rule(strokeWidth=2).encode(
            x=axis, y=low, y2=high, color=colour, xOffset=beside
        ) + base.mark_circle(size=70, opacity=1).encode(x=axis, y=y, color=colour, xOffset=beside)
    if nothing is not None:
        line = base.mark_rule(strokeDash=[4, 3], color=theme.FAINT)
        layers = line.encode(y=alt.YDatum(nothing, title=title, scale=alt.Scale(zero=False))) + layers
    layers = layers.properties(width=_width(curve, len(values), len(groups)), height=260)
    if panels:
        shown = list(dict.fromkeys(table["panel"]))
        if len(shown) > _PANELS:
            raise DataError(f"{len(shown)} panels cannot be read: give fewer values, as a dict of lists.")
        facet = alt.Facet("panel:N", title=None, sort=shown)
        panelled = layers.facet(facet=facet, data=data, columns=3)
        return theme.styled(panelled.resolve_scale(y="independent") if apart else panelled)
    return theme.styled(layers.properties(data=data))


def _width(curve: bool, values: int, groups: int) -> int:
    return 380 if curve else min(max(160, 30 * values * groups), 720)


def _columns(found: Estimates, along: Sequence[str]) -> tuple[pd.DataFrame, bool, bool]:
    """The table with columns x, colour, panel, mean, low and high; whether there are panels, and of different terms."""
    import pandas as pd

    lines = found.table.iloc[:, : found.told]
    figures = found.table.iloc[:, found.told :]
    others = [name for name in lines.columns if name not in along[:2] and lines[name].nunique() > 1]
    panel = lines[others].apply(_said).agg(", ".join, axis=1) if others else pd.Series("", index=lines.index)
    return (
        pd.DataFrame(
            {
                "x": lines[along[0]],
                "colour": _said(lines[along[1]]) if len(along) > 1 else "",
                "panel": panel,
                "mean": figures.iloc[:, 0],
                "low": figures.iloc[:, 2],
                "high": figures.iloc[:, 3],
            }
        ),
        bool(others),
        len({name for name in others if name not in along}) > 0,
    )


def _said(column: pd.Series) -> pd.Series:
    """Texts of a column's values, of two values never the same: numbers have the digits that tell them apart."""
    values = list(dict.fromkeys(column))
    numbers = [value for value in values if isinstance(value, float)]
    texts = dict(zip(numbers, labels(numbers), strict=True))
    if len(set(texts.values())) < len(texts):
        texts = {}
    return column.map({value: texts.get(value, str(value)) for value in values})
