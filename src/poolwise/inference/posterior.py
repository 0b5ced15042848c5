"""The result as a frozen record: labelled draws and everything that later questions need."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.density.latent.observations import Observations
from poolwise.density.latent.stored_effects import DrawnOffsets
from poolwise.density.offsets import Offsets
from poolwise.density.priors import ModelPriors
from poolwise.density.working.regression import Regression
from poolwise.design import Design, Encoding
from poolwise.design.design import column_weights
from poolwise.design.factors import Factor
from poolwise.families import GAUSSIAN, IDENTITY, Family, Link, family_of, is_listed, with_errors
from poolwise.inference.map_variance import map_variances
from poolwise.priors import Prior
from poolwise.samplers.interface import Certificate
from poolwise.statistics import CrossProducts, Statistics
from poolwise.support.errors import DataError, PoolwiseWarning, suggest
from poolwise.support.naming import free_name

if TYPE_CHECKING:
    import xarray as xr


class Pooling(Enum):
    """How much the groups share."""

    COMPLETE = "complete pooling"
    SEPARATE = "no pooling"
    PARTIAL = "partial pooling"


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """All that a posterior depends on.

    Attributes
    ----------
    data : statistics of the rows, with the design and the encoding behind them.
    priors : resolved for the design.
    given : the priors that were asked for, by term; the others are defaults scaled to the data.
    pooling : how much the groups share.
    family, link : of the outcome.
    observations : the rows, where coefficients are sampled and not integrated out.
    by_group : the rows of each group, (J,), where coefficients are sampled for each group by itself.
    """

    data: Statistics
    priors: ModelPriors
    given: Mapping[str, Prior]
    pooling: Pooling
    family: Family = GAUSSIAN
    link: Link = IDENTITY
    observations: Observations | None = None
    by_group: tuple[Observations, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied with family and link by their names: they hold compiled code, and there is one of each."""
        rest = (self.data, self.priors, dict(self.given), self.pooling)
        return _model, (
            *rest,
            _named(self.family),
            self.family.labels,
            self.link.name,
            self.observations,
            self.by_group,
        )

    @property
    def sampled(self) -> bool:
        """Whether coefficients are sampled with the variances, and not integrated out in closed form."""
        return not self.encoding.linear

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

    def regression(self, observations: Observations) -> Regression:
        """Of some of its rows."""
        return Regression(observations, self.design, self.priors, self.family, self.link, self.statistics)

    def alone(self, observations: Observations) -> Model:
        """The regression of one group by itself, of a model without pooling, with its priors."""
        design, encoding = replace(self.design, factors=()), replace(self.encoding, keys=(), cells=())
        data = replace(self.data, design=design, encoding=encoding, products=self.statistics.merged())
        own = replace(observations, codes=np.zeros_like(observations.codes))
        return replace(self, data=data, pooling=Pooling.COMPLETE, observations=own, by_group=())


def _named(family: Family) -> str | Family:
    return family.name if is_listed(family) else family


def _model(
    data: Statistics,
    priors: ModelPriors,
    given: Mapping[str, Prior],
    pooling: Pooling,
    family: str | Family,
    labels: tuple[str, ...],
    link: str,
    observations: Observations | None,
    by_group: tuple[Observations, ...],
) -> Model:
    found = family_of(family, labels, link)
    if data.design.formula.residual:
        found = with_errors(found)
    return Model(data, priors, given, pooling, found, found.link(link), observations, by_group)


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
    u : for each grouping factor of the design, offsets of its groups, drawn when asked for.
    dispersions : the family's positive parameters that all rows share, by name, (chains, draws), or (chains, draws, J)
        without pooling; in a normal model sigma, the residual standard deviation.
    certificate : how far to trust the draws.
    seed : the entropy that reproduces them.
    seconds : wall time of reducing, sampling and drawing.
    sampler : the one that was asked for.
    """

    model: Model
    theta: np.ndarray | None
    beta: np.ndarray
    u: tuple[Offsets, ...]
    dispersions: Mapping[str, np.ndarray]
    certificate: Certificate
    seed: int
    seconds: float
    sampler: str = "auto"

    @property
    def chains(self) -> int:
        """Number of chains."""
        return self.beta.shape[0]

    @property
    def draws(self) -> int:
        """Draws in each chain."""
        return self.beta.shape[1]

    @property
    def sigma(self) -> np.ndarray:
        """(chains, draws) residual standard deviation of a normal model; (chains, draws, J) without pooling."""
        return self.dispersions["sigma"]

    @property
    def by_turns(self) -> bool:
        """Whether effects of a normal model were drawn by turns, and so not from a density of theta."""
        return not self.model.sampled and any(isinstance(each, DrawnOffsets) for each in self.u)

    def offsets(self, factor: Factor) -> Offsets:
        """The offsets of the groups of a factor."""
        return self.u[[one.name for one in self.model.design.factors].index(factor.name)]

    def coefficients(self, factor: Factor, groups: np.ndarray | None = None) -> tuple[tuple[str, ...], np.ndarray]:
        """Names and draws of the coefficients of a factor's groups at some positions, (chains, draws, groups, q).

        A group's coefficients are the common part plus its offset. All groups by default.
        """
        if self.model.pooling is Pooling.SEPARATE:
            return self.model.design.coefficients, self.beta if groups is None else self.beta[:, :, groups]
        return factor.effects, self.offsets(factor).draws(groups) + self.common_part(factor)[:, :, None, :]

    def positions(self, factor: Factor, groups: Iterable[object]) -> np.ndarray:
        """Positions of a factor's groups by their labels, or by the text of these.

        Raises
        ------
        DataError : when there is no such group, with names near it.
        """
        if isinstance(groups, str) or not isinstance(groups, Iterable):
            raise DataError(f"groups must be a list of labels, not {groups!r}.")
        import pandas as pd

        groups = list(groups)
        if not groups:
            raise DataError("The list of groups is empty.")
        levels = factor.levels
        found = pd.Index(levels).get_indexer(groups)
        for i, group in enumerate(groups):
            if found[i] < 0:
                found[i] = pd.Index(levels.astype(str)).get_indexer([str(group)])[0]
            if found[i] < 0:
                raise DataError(
                    f"There is no group '{group}' in {factor.name}. {suggest(str(group), map(str, levels))}"
                )
        return found

    def common_part(self, factor: Factor) -> np.ndarray:
        """(chains, draws, q) what all groups share of each effect: its common coefficient, or zero."""
        positions = self.model.design.common_positions(factor)
        common = np.zeros((*self.beta.shape[:-1], len(positions)))
        common[..., positions >= 0] = self.beta[..., positions[positions >= 0]]
        return common

    def variables(self, *, groups: bool = True) -> dict[str, Variable]:
        """All quantities by name: `beta[coefficient]`, `sd_county[effect]`, `coef_county[county, effect]`, ..."""
        # Without `groups`, quantities of single groups are left out: there may be millions of them.
        factors = self.model.design.factors
        if self.model.pooling is Pooling.SEPARATE:
            name, groups_dim = factors[0].name, self.dimension(factors[0])
            own = {f"{of}_{name}": Variable((groups_dim,), values) for of, values in self.dispersions.items()}
            return {f"coef_{name}": Variable((groups_dim, "coefficient"), self.beta), **own}
        found = {"beta": Variable(("coefficient",), self.beta)}
        found |= {name: Variable((), values) for name, values in self.dispersions.items()}
        if self.theta is not None:
            layout = self.model.priors.layout
            smooth = [name for name in layout.smoothing if name not in layout.shares]
            found |= {name: Variable((), layout.smoothing_parameter(self.theta, name)) for name in smooth}
            found |= {
                name: Variable((), of_map) for name, of_map in map_variances(self.model.design, layout, self.theta)
            }
        found |= self._of_monotonic()
        if (cuts := self._thresholds()) is not None:
            found["threshold"] = Variable(("between",), cuts)
        for factor, offsets in zip(factors, self.u, strict=bool(self.u)):
            found |= self._of_factor(factor, offsets, groups=groups)
        return found

    def _of_monotonic(self) -> dict[str, Variable]:
        """The coefficient of each monotonic term, the mean of its steps, and their shares where there are several."""
        found = {}
        for structure in self.model.design.structures:
            if not structure.simplex:
                continue
            found[structure.name] = Variable((), self.beta[..., list(structure.places)].mean(axis=-1))
            if len(structure.simplex) > 1 and self.theta is not None:
                shares = self.model.priors.layout.simplex(self.theta, structure.name)
                found[f"simplex_{structure.name}"] = Variable((f"step_{structure.name}",), shares)
        return found

    def _thresholds(self) -> np.ndarray | None:
        """(chains, draws, K - 1) thresholds of ordered categories where all predictors are zero; None where there are
        none, or where they depend on predictors."""
        family, design = self.model.family, self.model.design
        if family.cuts is None:
            return None
        found = []
        for name in ("", *(each.name for each in family.parameters if each.fixed is None)):
            mine = [k for k, of in enumerate(design.predictors) if of == name]
            plain = f"{name}_Intercept" if name else "Intercept"
            if name in self.dispersions:
                found.append(np.log(self.dispersions[name]))
            elif [design.coefficients[k] for k in mine] == [plain] or (not name and plain in design.coefficients):
                found.append(self.beta[..., design.coefficients.index(plain)])
            else:
                return None
        return np.moveaxis(family.cuts(*found), 0, -1)

    def _of_factor(self, factor: Factor, offsets: Offsets, *, groups: bool) -> dict[str, Variable]:
        effect, name, layout = self.model.design.effect_dimension(factor), factor.name, self.model.priors.layout
        if self.theta is None:
            return {}
        sd = layout.sd(self.theta, name)
        found = {f"sd_{name}": Variable((), sd[..., 0]) if factor.is_term else Variable((effect,), sd)}
        if factor.correlated:
            found[f"cor_{name}"] = Variable((effect, f"{effect}_"), layout.correlation(self.theta, name))
        if groups:
            drawn, groups_dim = offsets.draws(), self.dimension(factor)
            found[f"coef_{name}"] = Variable((groups_dim, effect), drawn + self.common_part(factor)[:, :, None, :])
            found[f"u_{name}"] = Variable((groups_dim, effect), drawn)
        return found

    def dimension(self, factor: Factor) -> str:
        """Name of the dimension of a factor's groups: its own, unless that is one of the names of draws."""
        design = self.model.design
        effects = [design.effect_dimension(one) for one in design.factors]
        kinds = [
            f"{kind}_{one.name}" for one in design.factors for kind in ("sd", "cor", "coef", "u", *self.dispersions)
        ]
        ours = ("threshold", "between") if self.model.family.cuts else ()
        taken = ("chain", "draw", "observation", "coefficient", "beta", *ours, *self.dispersions)
        return free_name(factor.name, (*taken, *effects, *(f"{effect}_" for effect in effects), *kinds))

    def coordinates(self) -> dict[str, Any]:
        """Labels of every dimension that `variables` uses."""
        coords: dict[str, Any] = {"coefficient": list(self.model.design.coefficients)}
        coords |= {f"step_{one.name}": list(one.simplex) for one in self.model.design.structures if one.simplex}
        if labels := self.model.family.labels:
            coords["between"] = [f"{one}|{other}" for one, other in zip(labels, labels[1:], strict=False)]
        for factor in self.model.design.factors:
            effect = self.model.design.effect_dimension(factor)
            coords |= {
                self.dimension(factor): factor.levels,
                effect: list(factor.effects),
                f"{effect}_": list(factor.effects),
            }
        return coords

    def dataset(self) -> xr.Dataset:
        """The draws as an xarray Dataset with dimensions `chain`, `draw` and the labelled ones."""
        import xarray as xr

        few = all(offsets.fits_in_memory for offsets in self.u)
        if not few:
            warnings.warn(
                f"Draws of {max(offsets.groups for offsets in self.u):,} groups are left out here: they would not fit "
                "in memory. fit.group_draws([...]) makes those of chosen groups, fit.group_coefficients() summarises "
                "all.",
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
        """Posterior mean of the weights of the columns [1, W], (cells or 1, 1 + K)."""
        if self.model.pooling is Pooling.SEPARATE:
            return self.beta.mean(axis=(0, 1)) @ self.model.design.common_map.T
        return column_weights(self.model.design, self.beta.mean(axis=(0, 1)), [offsets.mean() for offsets in self.u])
