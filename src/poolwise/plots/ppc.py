"""Density of the observed outcomes over those of replications."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poolwise.judge.checks import Checks
from poolwise.plots import theme

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_SHOWN, _POINTS = 40, 60  # replications, and points of each curve


def ppc(checks: Checks, *, width: int | str = 480) -> alt.LayerChart:
    """Faint curves for replications, a bold one for the data."""
    import altair as alt
    import pandas as pd

    some = checks.replicated[:: max(1, len(checks.replicated) // _SHOWN)][:_SHOWN]
    low, high = np.quantile(np.concatenate([some.ravel(), checks.observed]), [0.0005, 0.9995])
    grid = np.linspace(low, high, _POINTS)
    faint = [row.assign(kind="replicated", curve=i) for i, row in enumerate(_curve(y, grid) for y in some)]
    colour = alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=["observed", "replicated"], range=[theme.DATA, theme.PARTIAL]),
        legend=alt.Legend(orient="top", symbolOpacity=1, symbolStrokeWidth=3),
    )
    x = alt.X("x:Q", title=checks.outcome, scale=alt.Scale(nice=False, zero=False), axis=alt.Axis(grid=False))
    y = alt.Y("density:Q", axis=None)
    background = alt.Chart(theme.data(pd.concat(faint))).mark_line(strokeWidth=0.6, opacity=0.35)
    data = alt.Chart(theme.data(_curve(checks.observed, grid).assign(kind="observed"))).mark_line(strokeWidth=2.5)
    layers = background.encode(x=x, y=y, color=colour, detail="curve:N") + data.encode(x=x, y=y, color=colour)
    title = alt.TitleParams("Would the model make such data?", subtitle=f"{len(some)} replications of the data")
    return theme.styled(layers.properties(width=width, height=220, title=title))


def _curve(values: np.ndarray, grid: np.ndarray) -> pd.DataFrame:
    import pandas as pd
    from scipy.stats import gaussian_kde

    density = gaussian_kde(values)(grid) if np.ptp(values) > 0 else np.zeros(len(grid))
    return pd.DataFrame({"x": grid, "density": density})
