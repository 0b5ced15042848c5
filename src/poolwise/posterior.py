"""The result as a frozen record: labelled draws and everything that later questions need."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.density.offsets import GroupOffsets
from poolwise.density.priors import ModelPriors
from poolwise.design import Design, Encoding
from poolwise.design.design import column_weights
from poolwise.errors import DataError, PoolwiseWarning, suggest
from poolwise.priors import Prior
from poolwise.samplers.base import Certificate
from poolwise.statistics import CrossProducts, SufficientStatistics

if TYPE_CHECKING:
    import xarray as xr


class Pooling(Enum):
    """How much the groups share."""

    COMPLETE = "complete pooling"
    SEPARATE = "no pooling"
    PARTIAL = "partial pooling"


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """All that a Gaussian posterior depends on.

    Attributes
    ----------
    data : statistics of the rows, with the design and the encoding behind them.
    priors : resolved for the design.
    given : the priors that were asked for, by term; the others are defaults scaled to the data.
    pooling : how much the groups share.
    """

    data: SufficientStatistics
    priors: ModelPriors
    given: Mapping[str, Prior]
    pooling: Pooling

    @property
    def design(self) -> Design:
        """What the columns, coefficients and groups are."""
        return self.data.design

    @property
    def encoding(self) -> Encoding:
        """How raw rows become columns."""
        return self.data.encoding

    @property
    def statistics(self) -> CrossProducts:
        """The data, reduced."""
        return self.data.products

    def on(self, statistics: CrossProducts) -> Model:
        """The same model, priors included, for other rows."""
        return replace(self, data=replace(self.data, products=statistics))


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """Draws of one named quantity: `values` is (chains, draws, *sizes of dims)."""

    dims: tuple[str, ...]
    values: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """Draws from the posterior of a model.

    Attributes
    ----------
    model : what was fitted.
    theta : (chains, draws, d) unconstrained draws of a Markov chain, or None where draws are direct.
    beta : (chains, draws, p) common coefficients; (chains, draws, J, p) without pooling.
    u : offsets of the groups, drawn when asked for, or None.
    sigma : (chains, draws) residual standard deviation; (chains, draws, J) without pooling.
    certificate : how far to trust the draws.
    seed : the entropy that reproduces them.
    seconds : wall time of reducing, sampling and drawing.
    """

    model: Model
    theta: np.ndarray | None
    beta: np.ndarray
    u: GroupOffsets | None
    sigma: np.ndarray
    certificate: Certificate
    seed: int
    seconds: float

    @property
    def chains(self) -> int:
        """Number of chains."""
        return self.sigma.shape[0]

    @property
    def draws(self) -> int:
        """Draws in each chain."""
        return self.sigma.shape[1]

    def coefficients(self, groups: np.ndarray | None = None) -> tuple[tuple[str, ...], np.ndarray]:
        """Names and draws of the coefficients of the groups at some positions, (chains, draws, len(groups), q).

        A group's coefficients are the common part plus its offset. All groups by default.
        """
        if self.model.pooling is Pooling.SEPARATE:
            return self.model.design.coefficients, self.beta if groups is None else self.beta[:, :, groups]
        if self.u is None:
            raise DataError("This fit pools all rows completely: it has no groups whose coefficients could be shown.")
        return self.model.design.effects, self.u.draws(groups) + self.common_part()[:, :, None, :]

    def positions(self, groups: Iterable[object]) -> np.ndarray:
        """Positions of groups by their labels, or by the text of these.

        Raises
        ------
        DataError : when there is no such group, with names near it.
        """
        if isinstance(groups, str) or not isinstance(groups, Iterable):
            raise DataError(f"groups must be a list of labels, not {groups!r}.")
        import pandas as pd

        levels = self.model.statistics.levels
        groups = list(groups)
        if not groups:
            raise DataError("The list of groups is empty.")
        if self.model.design.group is None:
            raise DataError("This fit pools all rows completely: it has no groups.")
        found = pd.Index(levels).get_indexer(groups)
        for i, group in enumerate(groups):
            if found[i] < 0:
                found[i] = pd.Index(levels.astype(str)).get_indexer([str(group)])[0]
            if found[i] < 0:
                raise DataError(
                    f"There is no group '{group}' in {self.model.design.group}. {suggest(str(group), map(str, levels))}"
                )
        return found

    def common_part(self) -> np.ndarray:
        """(chains, draws, q) what all groups share of each effect: its common coefficient, or zero."""
        positions = self.model.design.effect_positions()
        common = np.zeros((*self.beta.shape[:-1], len(positions)))
        common[..., positions >= 0] = self.beta[..., positions[positions >= 0]]
        return common

    def variables(self, *, groups: bool = True) -> dict[str, Variable]:
        """All quantities by name: `beta[coefficient]`, `sd_county[effect]`, `coef_county[county, effect]`, ..."""
        # Without `groups`, quantities of single groups are left out: there may be millions of them.
        design, group = self.model.design, self.model.design.group
        if self.model.pooling is Pooling.SEPARATE:
            return {
                f"coef_{group}": Variable((str(group), "coefficient"), self.beta),
                f"sigma_{group}": Variable((str(group),), self.sigma),
            }
        found = {"beta": Variable(("coefficient",), self.beta), "sigma": Variable((), self.sigma)}
        if self.u is not None and self.theta is not None:
            layout = self.model.priors.layout
            found[f"sd_{group}"] = Variable(("effect",), layout.sd(self.theta))
            if design.correlated and len(design.effects) > 1:
                found[f"cor_{group}"] = Variable(("effect", "effect_"), layout.correlation(self.theta))
            if not groups:
                return found
            offsets = self.u.draws()
            found[f"coef_{group}"] = Variable((str(group), "effect"), offsets + self.common_part()[:, :, None, :])
            found[f"u_{group}"] = Variable((str(group), "effect"), offsets)
        return found

    def coordinates(self) -> dict[str, Any]:
        """Labels of every dimension that `variables` uses."""
        design = self.model.design
        coords: dict[str, Any] = {"coefficient": list(design.coefficients)}
        if design.group is not None:
            coords[design.group] = self.model.statistics.levels
        if self.u is not None:
            coords |= {"effect": list(design.effects), "effect_": list(design.effects)}
        return coords

    def dataset(self) -> xr.Dataset:
        """The draws as an xarray Dataset with dimensions `chain`, `draw` and the labelled ones."""
        import xarray as xr

        few = self.u is None or self.u.fits_in_memory
        if self.u is not None and not few:
            warnings.warn(
                f"Draws of {self.u.groups:,} groups are left out here: they would not fit in memory. "
                "fit.group_draws([...]) makes those of chosen groups, fit.group_coefficients() summarises all.",
                PoolwiseWarning,
                stacklevel=3,
            )
        variables = self.variables(groups=few)
        used = {dim for variable in variables.values() for dim in variable.dims}
        return xr.Dataset(
            {name: (("chain", "draw", *variable.dims), variable.values) for name, variable in variables.items()},
            coords={name: labels for name, labels in self.coordinates().items() if name in used}
            | {"chain": np.arange(self.chains), "draw": np.arange(self.draws)},
            attrs={"created_by": "poolwise", "formula": self.model.design.formula.text},
        )

    def mean_weights(self) -> np.ndarray:
        """Posterior mean of the weights of the columns [1, W], (J or 1, 1 + K)."""
        if self.model.pooling is Pooling.SEPARATE:
            return self.beta.mean(axis=(0, 1)) @ self.model.design.common_map.T
        u = None if self.u is None else self.u.mean()
        return column_weights(self.model.design, self.beta.mean(axis=(0, 1)), u)
