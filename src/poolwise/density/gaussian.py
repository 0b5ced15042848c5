"""The log density of a Gaussian model, by the algebra that fits its grouping factors."""

from __future__ import annotations

from typing import TypeAlias

from poolwise.density.blocks.build import block
from poolwise.density.blocks.density import BlockedDensity
from poolwise.density.collapsed import CollapsedDensity, collapse
from poolwise.density.priors import ModelPriors
from poolwise.design.design import Design
from poolwise.statistics.products import CrossProducts

GaussianDensity: TypeAlias = CollapsedDensity | BlockedDensity


def gaussian(statistics: CrossProducts, design: Design, priors: ModelPriors, *, threads: int) -> GaussianDensity:
    """One factor at the most: group by group, in vector registers. Several, or coupled levels: by sparse blocks."""
    coupled = any(factor.coupling is not None for factor in design.factors)
    build = block if len(design.factors) > 1 or coupled else collapse
    return build(statistics, design, priors, threads=threads)
