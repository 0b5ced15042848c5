"""Density of the observed outcomes over those of replications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.evaluate.posterior_checks import Checks, Replications
from poolwise.output.plots import theme

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

_SHOWN, _POINTS = 40, 60  # replications, and points of each curve
_BARS = 40


def ppc(checks: Checks | Replications, *, width: int | str = 480) -> alt.LayerChart:
    """Density of the outcome, observed and in replications; a rootogram for counts, bars for categories.

    Outcomes that were censored are drawn from their intervals, since replications are not censored.
    """
    if checks.labels:
        return bars(checks, width=width)
    return rootogram(checks, width=width) if checks.whole else curves(checks, width=width)


def bars(checks: Checks | Replications, *, width: int | str = 480) -> alt.LayerChart:
    """Bars for how often each category was observed, with what replications expect."""
    import altair as alt
    import pandas as pd

    count = len(checks.labels)
    seen = np.bincount(checks.observed.astype(int), minlength=count)
    made = np.array([np.bincount(y.astype(int), minlength=count) for y in checks.replicated])
    table = pd.DataFrame({"count": checks.labels, "observed": seen, **_expected(made)})
    x = alt.X("count:N", title=checks.outcome, sort=None, axis=alt.Axis(labelAngle=0))
    return _frequencies(table, x, alt.Scale(), "rows", checks, width)


def rootogram(checks: Checks | Replications, *, width: int | str = 480) -> alt.LayerChart:
    """Bars for how often each count was observed, with what replications expect, on a scale of square roots.

    Square roots make the small frequencies of large counts visible beside the others (Kleiber and Zeileis 2016).
    """
    import altair as alt
    import pandas as pd

    observed = _completed(checks)
    top = int(max(observed.max(), np.quantile(checks.replicated, 0.999)))
    step = max(1, -(-(top + 1) // _BARS))
    edges = np.arange(0, top + 1 + step, step)
    seen = np.histogram(observed, edges)[0]
    made = np.array([np.histogram(y, edges)[0] for y in checks.replicated])
    table = pd.DataFrame({"count": edges[:-1], "observed": seen, **_expected(made)})
    what = checks.outcome if step == 1 else f"{checks.outcome} (from, in steps of {step})"
    x = alt.X("count:O", title=what, axis=alt.Axis(labelOverlap=True, labelAngle=0))
    return _frequencies(table, x, alt.Scale(type="sqrt"), "rows (square-root scale)", checks, width)


def _expected(made: np.ndarray) -> dict[str, np.ndarray]:
    """Mean frequencies (values,) and the ends of a 90% interval from those of replications (draws, values)."""
    low, high = np.quantile(made, [0.05, 0.95], axis=0)
    return {"expected": made.mean(axis=0), "low": low, "high": high}


def _frequencies(
    table: pd.DataFrame, x: Any, scale: Any, words: str, checks: Checks | Replications, width: int | str
) -> alt.LayerChart:
    import altair as alt

    base = alt.Chart(theme.data(table)).encode(x=x)
    observed = base.mark_bar(color=theme.DATA, opacity=0.55).encode(y=alt.Y("observed:Q", title=words, scale=scale))
    rules = base.mark_rule(color=theme.PARTIAL, strokeWidth=2.5).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    points = base.mark_circle(color=theme.PARTIAL, size=45, opacity=1).encode(
        y=alt.Y("expected:Q", scale=scale),
        tooltip=[alt.Tooltip("count:N", title=checks.outcome), "observed:Q", alt.Tooltip("expected:Q", format=".1f")],
    )
    title = alt.TitleParams(
        "Would the model make such data?",
        subtitle=f"bars: observed; dots: {len(checks.replicated)} replications on average, with 90% of them"
        + _part(checks),
    )
    return theme.styled((observed + rules + points).properties(width=width, height=220, title=title))


def curves(checks: Checks | Replications, *, width: int | str = 480) -> alt.LayerChart:
    """Faint curves for replications, a bold one for the data; a share of zeros is told beside the rest."""
    import altair as alt
    import pandas as pd

    observed, some = _completed(checks), checks.replicated[:: max(1, len(checks.replicated) // _SHOWN)][:_SHOWN]
    zeros = ""
    if (checks.replicated == 0).any():
        made = 100 * (checks.replicated == 0).mean(axis=1)
        zeros = f" above zero; zeros: {100 * (observed == 0).mean():.0f}% observed, {made.mean():.0f}% replicated"
    shown = np.concatenate([some.ravel(), observed])
    low, high = np.quantile(shown[shown != 0] if zeros else shown, [0.0005, 0.9995])
    grid = np.linspace(low, high, _POINTS)
    faint = [row.assign(kind="replicated", curve=i) for i, row in enumerate(_curve(y, grid, bool(zeros)) for y in some)]
    colour = alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=["observed", "replicated"], range=[theme.DATA, theme.PARTIAL]),
        legend=alt.Legend(orient="top", symbolOpacity=1, symbolStrokeWidth=3),
    )
    x = alt.X("x:Q", title=checks.outcome, scale=alt.Scale(nice=False, zero=False), axis=alt.Axis(grid=False))
    y = alt.Y("density:Q", axis=None)
    background = alt.Chart(theme.data(pd.concat(faint))).mark_line(strokeWidth=0.6, opacity=0.35)
    data = alt.Chart(theme.data(_curve(observed, grid, bool(zeros)).assign(kind="observed"))).mark_line(strokeWidth=2.5)
    layers = background.encode(x=x, y=y, color=colour, detail="curve:N") + data.encode(x=x, y=y, color=colour)
    title = alt.TitleParams(
        "Would the model make such data?", subtitle=f"{len(some)} replications of the data{zeros}{_part(checks)}"
    )
    return theme.styled(layers.properties(width=width, height=220, title=title))


def _completed(checks: Checks | Replications) -> np.ndarray:
    return checks.observed if checks.completed is None else checks.completed


def _part(checks: Checks | Replications) -> str:
    """How many of how many rows, where not all were taken, and what became of censored ones."""
    taken = len(checks.observed)
    part = "" if taken == checks.total else f"; {taken:,} of {checks.total:,} rows, taken at random"
    return part if checks.completed is None else f"{part}; observed: censored rows drawn from their intervals"


def _curve(values: np.ndarray, grid: np.ndarray, without_zeros: bool) -> pd.DataFrame:
    import pandas as pd
    from scipy.stats import gaussian_kde

    values = values[values != 0] if without_zeros else values
    density = gaussian_kde(values)(grid) if len(values) > 1 and np.ptp(values) > 0 else np.zeros(len(grid))
    return pd.DataFrame({"x": grid, "density": density})
