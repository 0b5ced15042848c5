"""Trace plot: marginal posteriors on the left, chains on the right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poolwise.inference.posterior import Posterior
from poolwise.output.plots import theme
from poolwise.output.tables.summary import flatten
from poolwise.support.arguments import check_texts

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_POINTS = 300  # of each chain; a trace says no more with all of them


def trace(posterior: Posterior, names: list[str] | None = None) -> alt.VConcatChart:
    """Marginals and chains of the population's parameters, or of those in `names`.

    Raises
    ------
    ValueError : for a name that is not a parameter, with names near it.
    """
    import altair as alt
    import pandas as pd

    check_texts("names", names)
    rows = []
    for name, draws in choose(posterior, names):
        chains, length = draws.shape
        density = pd.concat([_density(draws[chain], chain + 1) for chain in range(chains)])
        step = max(1, length // _POINTS)
        kept = np.arange(0, length, step)
        lines = pd.DataFrame(
            {
                "draw": np.tile(kept, chains),
                "value": draws[:, kept].ravel(),
                "chain": np.repeat(np.arange(1, chains + 1), len(kept)),
            }
        )
        colour = alt.Color("chain:N", scale=alt.Scale(range=list(theme.CHAINS)), legend=None)
        left = (
            alt.Chart(theme.data(density))
            .mark_line(strokeWidth=1.5)
            .encode(
                x=alt.X("value:Q", title=name, scale=alt.Scale(zero=False), axis=alt.Axis(grid=False, tickCount=5)),
                y=alt.Y("density:Q", axis=None),
                color=colour,
            )
            .properties(width=260, height=70)
        )
        right = (
            alt.Chart(theme.data(lines))
            .mark_line(strokeWidth=0.6, opacity=0.7)
            .encode(
                x=alt.X("draw:Q", title="draw", axis=alt.Axis(grid=False, tickCount=5)),
                y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(grid=False, tickCount=4)),
                color=colour,
            )
            .properties(width=380, height=70)
        )
        rows.append(alt.hconcat(left, right, spacing=30))
    title = alt.TitleParams(
        "Posterior draws",
        subtitle="marginals and chains, one colour a chain" + (f"; one draw in {step} is drawn" if step > 1 else ""),
    )
    return theme.styled(alt.vconcat(*rows, spacing=12).properties(title=title))


def choose(posterior: Posterior, names: list[str] | None) -> list[tuple[str, np.ndarray]]:
    """Named scalars of a posterior: the population's by default."""
    from poolwise.support.errors import DataError, suggest

    if names is None:
        chosen = list(flatten(posterior, groups=False))
        return chosen or list(flatten(posterior, groups=True))[:6]
    known = dict(flatten(posterior, groups=True))
    for name in names:
        if name not in known:
            raise DataError(f"There is no parameter '{name}' to plot. {suggest(name, known)}")
    return [(name, known[name]) for name in names]


def _density(draws: np.ndarray, chain: int) -> pd.DataFrame:
    """Kernel density estimate of one chain, on a grid."""
    import pandas as pd
    from arviz_stats.base import array_stats

    grid, density, _ = array_stats.kde(draws)
    thin = slice(None, None, max(1, len(grid) // 128))
    return pd.DataFrame({"value": grid[thin], "density": density[thin], "chain": chain})
