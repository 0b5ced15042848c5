"""`fit.plot` and `pooling.plot`: names of charts, bound to what they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design import Rows
from poolwise.design.factors import Factor
from poolwise.evaluate.posterior_checks import Replications
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.output.plots import theme

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from poolwise.evaluate.smooth_terms import SmoothTerm
    from poolwise.inference.fitted_rows import Shown

_COLOURS = {Pooling.PARTIAL: theme.PARTIAL, Pooling.SEPARATE: theme.SEPARATE, Pooling.COMPLETE: theme.COMPLETE}


@dataclass(frozen=True, slots=True)
class FitPlots:
    """Charts of one fit. Each is an Altair chart: show it in a notebook, or `chart.save("name.png")`."""

    posterior: Posterior
    rows_of: Callable[[Factor, np.ndarray], Shown | None]
    replications: Callable[[], Replications]
    rows_by: Callable[[str | None], tuple[Rows, Any]]
    smooth_term: Callable[..., SmoothTerm]
    area_effects: Callable[[str], pd.DataFrame]

    def smooth(
        self, term: str | None = None, groups: list[object] | None = None
    ) -> alt.LayerChart | alt.HConcatChart | alt.FacetChart:
        """What a smooth term adds: a curve with its band over partial residuals, or a surface.

        Of a term that varies by group, `"(s(x) | g)"`, a curve for each of the groups, nine with most rows by default.
        """
        from poolwise.output.plots.smooth import smooth

        return smooth(self.smooth_term(term, groups=groups), self.posterior.model.design.response)

    def map(self, shapes: Any, *, by: str, key: str | None = None) -> alt.HConcatChart:
        """Effects of areas on a map: what their own rows say, what the model says, and how sure it is.

        Parameters
        ----------
        shapes : GeoJSON by its path or as a dict, or a GeoPandas frame.
        by : the column with the areas.
        key : the shapes' property with their names, `by` by default.
        """
        from poolwise.output.plots.area_map import area_map
        from poolwise.sources.shapes import features_of

        features = features_of(shapes, by if key is None else key)
        return area_map(self.area_effects(by), features, self.posterior.model.design.response)

    def ppc(self) -> alt.LayerChart:
        """Density of the outcome, observed and in replications by the model."""
        from poolwise.output.plots.ppc import ppc

        return ppc(self.replications())

    def survival(self, by: str | None = None) -> alt.LayerChart:
        """Survival of the rows by the model, on average over those that share a value of a column, beside the estimate
        of Kaplan and Meier.
        """
        from poolwise.evaluate.survival import curves
        from poolwise.output.plots.survival import survival

        rows, values = self.rows_by(by)
        return survival(curves(self.posterior, rows, values), self.posterior.model.design.response, by)

    def quantiles(self, by: str | None = None) -> alt.FacetChart:
        """Quantiles of response times of each choice, observed and in replications, by the values of a column."""
        from poolwise.evaluate.response_times import quantiles_of_times
        from poolwise.output.plots.quantiles import quantiles

        rows, values = self.rows_by(by)
        return quantiles(quantiles_of_times(self.posterior, rows, values), self.posterior.model.design.response, by)

    def trace(self, names: list[str] | None = None) -> alt.VConcatChart:
        """Marginal posteriors and chains of the population's parameters, or of those named."""
        from poolwise.output.plots.trace import trace

        return trace(self.posterior, names)

    def forest(
        self, effect: str | None = None, *, by: str | None = None, interval: float = 0.9
    ) -> alt.HConcatChart | alt.LayerChart:
        """Interval and mean of the coefficients of each group of a factor.

        Of studies with known errors, `y | se(s) ~ 1 + (1 | study)`: what each found and what it is shrunk to, with the
        average study as a diamond.
        """
        from poolwise.output.plots.forest import forest
        from poolwise.output.plots.studies import is_meta_analysis, studies

        factor = self.posterior.model.design.factor(by)
        if is_meta_analysis(self.posterior, factor):
            shown = self.rows_of(factor, np.arange(len(factor.levels)))
            if shown is not None:
                return studies(self.posterior, factor, shown.rows, interval=interval)
        return forest(self.posterior, factor, effect, interval=interval)

    def groups(
        self, groups: list[object], *, by: str | None = None, labels: dict[float, str] | None = None
    ) -> alt.ConcatChart:
        """Data and regression lines of chosen groups of a factor; the other factors at their population mean.

        Of categories without an order: the probability of each, with a tick for each row below.
        """
        return _lines([self.posterior], self.rows_of, self.posterior.model.design.factor(by), groups, labels)


@dataclass(frozen=True, slots=True)
class PoolingPlots:
    """Charts of a comparison."""

    separate: Posterior
    partial: Posterior
    rows_of: Callable[[Factor, np.ndarray], Shown | None]

    def lines(self, groups: list[object], *, labels: dict[float, str] | None = None) -> alt.ConcatChart:
        """Data of chosen groups with their separate and their partially pooled lines, on the outcome's scale."""
        factor = self.partial.model.design.factors[0]  # all of them are of one grouping column
        return _lines([self.separate, self.partial], self.rows_of, factor, groups, labels)

    def shrinkage(
        self, *, x: str | None = None, y: str | None = None, label: list[object] | None = None, outcome: bool = False
    ) -> alt.LayerChart:
        """An arrow for each group from its separate to its partially pooled coefficients, on the scale of the link.

        With `outcome=True`, from its separate to its partially pooled expected outcomes at two values of the predictor.
        """
        from poolwise.output.plots.shrinkage import shrinkage

        return shrinkage(self.separate, self.partial, self.rows_of, x=x, y=y, label=label, outcome=outcome)


def _lines(
    posteriors: list[Posterior],
    rows_of: Callable[[Factor, np.ndarray], Shown | None],
    factor: Factor,
    groups: list[object],
    labels: dict[float, str] | None,
) -> alt.ConcatChart:
    from poolwise.output.plots.category_lines import category_lines
    from poolwise.output.plots.lines import lines, rows_at_hand

    family = posteriors[0].model.family
    positions = posteriors[0].positions(factor, groups)
    rows = rows_at_hand(rows_of(factor, positions))
    if family.labels and not family.ordered:
        return category_lines({one.model.pooling.value: one for one in posteriors}, rows, factor, positions)
    shown = {one.model.pooling.value: (one, _COLOURS[one.model.pooling]) for one in posteriors}
    return lines(shown, rows, factor, positions, labels=labels)
