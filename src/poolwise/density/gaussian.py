"""The log density of a Gaussian model, by the algebra that fits its grouping factors."""

from __future__ import annotations

from poolwise.density.collapsed import CollapsedDensity, collapse
from poolwise.density.priors import ModelPriors
from poolwise.design.design import Design
from poolwise.statistics.products import CrossProducts


def gaussian(statistics: CrossProducts, design: Design, priors: ModelPriors, *, threads: int) -> CollapsedDensity:
    """One factor at the most: group by group. Several: by sparse blocks."""
    return collapse(statistics, design, priors, threads=threads)
