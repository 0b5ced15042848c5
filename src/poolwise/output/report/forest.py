"""One effect of all groups, with the chosen group in front; as wide as the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poolwise.design.factors import Factor
from poolwise.inference.posterior import Posterior
from poolwise.output.plots import theme
from poolwise.output.tables.summary import group_table, interval_names

if TYPE_CHECKING:
    import altair as alt


def forest(posterior: Posterior, factor: Factor, groups: np.ndarray, effect: str, chosen: str) -> alt.LayerChart:
    """Interval and mean of an effect for groups in order of their means; a signal `chosen` names one of them."""
    import altair as alt

    low, high = interval_names(0.9)
    table = group_table(posterior, factor, groups)
    table = table[table["effect"] == effect].rename(columns={low: "low", high: "high"})
    table["group"] = table["group"].astype(str)
    order = table.sort_values("mean", ascending=False)["group"].tolist()
    front = alt.condition("datum.group === chosen", alt.value(theme.SEPARATE), alt.value(theme.PARTIAL))
    base = alt.Chart(theme.data(table)).encode(
        y=alt.Y("group:N", sort=order, title=None, axis=alt.Axis(labelFontSize=9, labelLimit=110, labelOverlap=True))
    )
    x = alt.X("low:Q", title=f"{effect} (mean and 90% interval)", scale=alt.Scale(zero=False))
    bars = base.mark_rule(strokeWidth=1.4).encode(x=x, x2="high:Q", color=front)
    points = base.mark_circle(size=34, opacity=1).encode(
        x=alt.X("mean:Q"),
        color=front,
        tooltip=[
            alt.Tooltip("group:N", title=factor.name),
            alt.Tooltip("n:Q", title="rows"),
            *(alt.Tooltip(f"{name}:Q", format=theme.NUMBER) for name in ("mean", "low", "high", "shrinkage")),
        ],
    )
    layers = (bars + points).add_params(alt.param(name="chosen", value=chosen))
    return theme.styled(layers.properties(width="container", height=11 * len(order)))
