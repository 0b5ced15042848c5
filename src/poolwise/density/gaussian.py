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


def gaussian(
    statistics: CrossProducts,
    design: Design,
    priors: ModelPriors,
    *,
    threads: int,
    like: GaussianDensity | None = None,
) -> GaussianDensity:
    """One factor at the most: group by group, in vector registers. Several, or coupled levels: by sparse blocks.

    A density of the same design, `like`, may give its order of elimination.
    """
    if len(design.factors) > 1 or any(factor.coupling is not None for factor in design.factors):
        before = like if isinstance(like, BlockedDensity) else None
        return block(statistics, design, priors, threads=threads, like=before)
    return collapse(statistics, design, priors, threads=threads)
