"""Forest plot: interval and mean of each group's coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poolwise.design.factors import Factor
from poolwise.inference.posterior import Posterior
from poolwise.output.plots import theme
from poolwise.output.tables.summary import group_table, interval_names

if TYPE_CHECKING:
    import altair as alt

_MOST = 150  # groups that can still be read


def forest(
    posterior: Posterior, factor: Factor, effect: str | None = None, *, interval: float = 0.9
) -> alt.HConcatChart:
    """One panel for each effect (or the one named), groups sorted by their first coefficient; hollow: prior only.

    With many groups the largest ones are shown, and the title says so.
    """
    import altair as alt

    from poolwise.support.errors import DataError, suggest

    counts = np.bincount(factor.codes, posterior.model.statistics.counts, len(factor.levels))
    largest = np.sort(np.argsort(-counts, kind="stable")[:_MOST])
    table = group_table(posterior, factor, largest, interval=interval)
    low, high = interval_names(interval)
    effects = list(dict.fromkeys(table["effect"]))
    if effect is not None:
        if effect not in effects:
            raise DataError(f"There is no effect '{effect}' in this fit. {suggest(effect, effects)}")
        effects = [effect]
        table = table[table["effect"] == effect]
    table = table.rename(columns={low: "low", high: "high"})
    table["group"] = table["group"].astype(str)
    order = table[table["effect"] == effects[0]].sort_values("mean", ascending=False)["group"].tolist()
    told, silent = "own data and pool", "no data of its own: pool only"
    table["told by"] = table["prior_only"].map({False: told, True: silent})
    names_axis = alt.Axis(labelFontSize=8, labelLimit=160, labelOverlap=False)
    panels: list[alt.LayerChart] = []
    for name in effects:
        title = f"{name} (mean and {100 * interval:g}% interval)"
        y = alt.Y("group:N", sort=order, title=None, axis=None if panels else names_axis)
        base = alt.Chart(theme.data(table[table["effect"] == name])).encode(y=y)
        middle = float(table.loc[table["effect"] == name, "mean"].mean())
        bars = base.mark_rule(strokeWidth=1.2, color=theme.PARTIAL).encode(
            x=alt.X("low:Q", title=title, scale=alt.Scale(zero=False)), x2="high:Q"
        )
        points = base.mark_point(size=28, strokeWidth=1.4, opacity=1, color=theme.PARTIAL).encode(
            x=alt.X("mean:Q", title=title),
            fill=alt.Fill(
                "told by:N",
                title=None,
                scale=alt.Scale(domain=[told, silent], range=[theme.PARTIAL, "white"]),
                legend=alt.Legend(orient="top", symbolStrokeColor=theme.PARTIAL),
            ),
            tooltip=[
                alt.Tooltip("group:N", title=factor.name),
                "effect:N",
                alt.Tooltip("n:Q", title="rows"),
                *(alt.Tooltip(f"{c}:Q", format=theme.NUMBER) for c in ("mean", "low", "high", "shrinkage")),
            ],
        )
        rule = (
            alt.Chart(alt.InlineData(values=[{"x": middle}]))
            .mark_rule(strokeDash=[4, 3], color=theme.FAINT)
            .encode(x=alt.X("x:Q", title=title))
        )
        panels.append((rule + bars + points).properties(width=300, height={"step": 10}))
    shown = f"{len(order)} groups"
    if len(order) < len(factor.levels):
        shown = f"the {len(order):,} of {len(factor.levels):,} groups with most rows"
    heading = alt.TitleParams(f"Coefficients by {factor.name}", subtitle=f"{shown}; dashed: their average")
    return theme.styled(alt.hconcat(*panels, spacing=24).properties(title=heading))
