"""A regression that is sampled, with the rows that it is of."""

from __future__ import annotations

from dataclasses import dataclass

from poolwise.density.latent.observations import Observations
from poolwise.density.priors import ModelPriors
from poolwise.design.design import Design
from poolwise.families import Family, Link
from poolwise.statistics.products import CrossProducts


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """What working outcomes are found of.

    Attributes
    ----------
    observations : the rows.
    design, priors, family, link : of their mean; all rows share the other parameters.
    statistics : of the rows, for their columns and cells.
    """

    observations: Observations
    design: Design
    priors: ModelPriors
    family: Family
    link: Link
    statistics: CrossProducts
