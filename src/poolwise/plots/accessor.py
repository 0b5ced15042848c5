"""`fit.plot` and `pooling.plot`: names of charts, bound to what they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poolwise.plots import theme
from poolwise.posterior import Pooling

if TYPE_CHECKING:
    import altair as alt

    from poolwise.fitting import Fit
    from poolwise.pooling import PoolingComparison

_COLOURS = {Pooling.PARTIAL: theme.PARTIAL, Pooling.SEPARATE: theme.SEPARATE, Pooling.COMPLETE: theme.COMPLETE}


@dataclass(frozen=True, slots=True)
class FitPlots:
    """Charts of one fit. Each is an Altair chart: show it in a notebook, or `chart.save("name.png")`."""

    fit: Fit

    def trace(self, names: list[str] | None = None) -> alt.VConcatChart:
        """Marginal posteriors and chains of the population's parameters, or of those named."""
        from poolwise.plots.trace import trace

        return trace(self.fit.result, names)

    def forest(self, effect: str | None = None, *, interval: float = 0.9) -> alt.HConcatChart:
        """Interval and mean of each group's coefficients."""
        from poolwise.plots.forest import forest

        return forest(self.fit.result, effect, interval=interval)

    def groups(self, groups: list[object], *, labels: dict[float, str] | None = None) -> alt.ConcatChart:
        """Data and regression lines of chosen groups."""
        from poolwise.plots.lines import lines

        result = self.fit.result
        shown = {result.model.pooling.value: (result, _COLOURS[result.model.pooling])}
        return lines(shown, self.fit._needed_rows(), groups, labels=labels)


@dataclass(frozen=True, slots=True)
class PoolingPlots:
    """Charts of a comparison."""

    comparison: PoolingComparison

    def lines(self, groups: list[object], *, labels: dict[float, str] | None = None) -> alt.ConcatChart:
        """Data of chosen groups with their separate and their partially pooled lines."""
        from poolwise.plots.lines import lines

        fits = (self.comparison.separate, self.comparison.partial)
        shown = {one.result.model.pooling.value: (one.result, _COLOURS[one.result.model.pooling]) for one in fits}
        return lines(shown, self.comparison.partial._needed_rows(), groups, labels=labels)

    def shrinkage(self, *, x: str | None = None, y: str | None = None, label: list[str] | None = None) -> alt.LayerChart:
        """An arrow for each group from its separate to its partially pooled coefficients."""
        from poolwise.plots.shrinkage import shrinkage

        return shrinkage(self.comparison.separate.result, self.comparison.partial.result, x=x, y=y, label=label)
