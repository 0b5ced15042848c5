"""The forest plot of a meta-analysis: what each study found, what it is shrunk to, and the pooled diamond."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poolwise.design import Rows
from poolwise.design.factors import Factor
from poolwise.inference.posterior import Posterior
from poolwise.output.plots import theme
from poolwise.output.plots.lines import outcome_title, shown_outcome
from poolwise.support.plain_text import plain

if TYPE_CHECKING:
    import altair as alt

_FOUND, _SHRUNK, _POOLED, _NEW = "as published", "given all studies", "average study", "a new study"


def is_meta_analysis(posterior: Posterior, factor: Factor) -> bool:
    """Whether outcomes have known errors, one for each group, and nothing but groups tells them apart."""
    design = posterior.model.design
    alone = len(factor.levels) == posterior.model.statistics.rows and factor.effects == ("Intercept",)
    return design.formula.known_errors and alone and design.coefficients == ("Intercept",) and len(design.factors) == 1


def studies(posterior: Posterior, factor: Factor, rows: Rows, *, interval: float = 0.9) -> alt.LayerChart:
    """A line for each study, in the order of their estimates; below them the average study, and a new one."""
    import altair as alt
    import pandas as pd
    from scipy.special import ndtri

    tail = (1 - interval) / 2
    study = factor.codes[rows.codes]
    found = shown_outcome(posterior.model, rows)
    order = np.argsort(found, kind="stable")
    drawn = posterior.coefficients(factor)[1][..., 0].reshape(-1, len(factor.levels))
    middle = posterior.beta[..., 0].ravel()
    sd = posterior.model.priors.layout.sd(np.asarray(posterior.theta), factor.name)[..., 0].ravel()
    new = middle + sd * np.random.default_rng(posterior.seed).standard_normal(len(sd))
    half = -ndtri(tail) / np.sqrt(rows.precisions)
    lines = []
    for place, k in enumerate(order):
        y, mine = found[k], drawn[:, study[k]]
        low, high = np.quantile(mine, [tail, 1 - tail])
        lines.append({"y": place - 0.13, "what": _FOUND, "mean": y, "low": y - half[k], "high": y + half[k]})
        lines.append({"y": place + 0.13, "what": _SHRUNK, "mean": mine.mean(), "low": low, "high": high})
    bottom = len(order) + 0.4
    ends = np.quantile(middle, [tail, 1 - tail])
    corners = [(ends[0], bottom), (middle.mean(), bottom - 0.3), (ends[1], bottom), (middle.mean(), bottom + 0.3)]
    diamond = pd.DataFrame([{"x": x, "y": y, "order": k} for k, (x, y) in enumerate([*corners, corners[0]])])
    low, high = np.quantile(new, [tail, 1 - tail])
    lines.append({"y": bottom + 1, "what": _SHRUNK, "mean": new.mean(), "low": low, "high": high})
    table = pd.DataFrame(lines).assign(weight=1.0)
    labels = [str(factor.levels[study[k]]) for k in order] + [_POOLED, _NEW]
    places = [*range(len(order)), bottom, bottom + 1]
    said = " : ".join(
        f"abs(datum.value - {at}) < 0.01 ? {_quoted(text)}" for at, text in zip(places, labels, strict=True)
    )
    axis = alt.Axis(values=places, labelExpr=f"{said} : ''", grid=False, ticks=False, domain=False, labelLimit=220)
    y_scale = alt.Scale(domain=[bottom + 1.7, -0.7], nice=False)
    y = alt.Y("y:Q", title=None, axis=axis, scale=y_scale)
    title = f"{outcome_title(posterior.model)} (mean and {100 * interval:g}% interval)"
    colour = alt.Color(
        "what:N",
        title=None,
        scale=alt.Scale(domain=[_FOUND, _SHRUNK], range=["#999999", theme.PARTIAL]),
        legend=alt.Legend(orient="top"),
    )
    base = alt.Chart(theme.data(table)).encode(y=y, color=colour)
    bars = base.mark_rule(strokeWidth=1.6).encode(
        x=alt.X("low:Q", title=title, scale=alt.Scale(zero=False)), x2="high:Q"
    )
    points = base.mark_point(filled=True, size=42, opacity=1).encode(
        x="mean:Q", tooltip=[alt.Tooltip(f"{name}:Q", format=theme.NUMBER) for name in ("mean", "low", "high")]
    )
    filled = alt.Chart(theme.data(diamond)).mark_line(filled=True, fill=theme.PARTIAL, stroke=theme.PARTIAL)
    filled = filled.encode(x="x:Q", y=alt.Y("y:Q", axis=axis, scale=y_scale), order="order:Q")
    rule = alt.Chart(theme.data(pd.DataFrame({"x": [float(middle.mean())]}))).mark_rule(
        strokeDash=[4, 3], color=theme.FAINT
    )
    heading = alt.TitleParams(
        f"{len(order)} studies and what they say together", subtitle="diamond: the average study; below: a new one"
    )
    chart = (rule.encode(x="x:Q") + bars + points + filled).properties(width=420, height={"step": 1}, title=heading)
    return theme.styled(chart.properties(height=28 * (len(order) + 2)))


def _quoted(text: str) -> str:
    """A text in the chart's language."""
    return "'" + plain(text).replace("\\", "\\\\").replace("'", "\\'") + "'"
