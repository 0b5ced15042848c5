"""Each group given all others: log p(y_g | the rest), its rows together, predicted as rows of a group never seen.

For each theta it is a ratio of two marginal likelihoods, both closed; no refits. Groups of the one factor of a model
are left out inside a kernel; any other set of rows by evaluating the density of the rest.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from poolwise.density.blocks.density import BlockedDensity
from poolwise.density.collapsed import CollapsedDensity
from poolwise.density.gaussian import GaussianDensity, gaussian
from poolwise.design.encoding import codes_of
from poolwise.design.factors import levels_of
from poolwise.design.required_columns import needed_columns
from poolwise.design.structures.coupled_terms import as_factors
from poolwise.evaluate.loo import importance_weights as weighing
from poolwise.evaluate.loo.cells_left_out import CellsLeftOut
from poolwise.evaluate.loo.elpd import LeaveOut
from poolwise.evaluate.loo.marginal_likelihood import group_log_densities
from poolwise.evaluate.loo.observed import of_cells
from poolwise.evaluate.loo.rows import some_positions, spread_out
from poolwise.formula import parse
from poolwise.inference.infer import infer
from poolwise.inference.posterior import Model, Pooling, Posterior
from poolwise.samplers import SamplerSettings, child_seeds
from poolwise.sources import CellTable, Source
from poolwise.statistics import CrossProducts, Statistics
from poolwise.statistics.routes import reduce_source
from poolwise.support.errors import DataError, suggest
from poolwise.support.progress import Progress, silent

_THETAS = 2_000
_CHEAP = 1e7  # flops of an evaluation, above which gradients are not asked for
_REFIT_DRAWS = 1_000  # the density of a whole group depends on theta more than that of a row


@dataclass(frozen=True, slots=True, eq=False)
class Parting:
    """Groups to leave out, as sets of cells.

    Attributes
    ----------
    name : of the grouping column or factor.
    levels : (G,) labels.
    statistics : by cells that are at least as fine as the model's and as the groups.
    group_of, cell_of : (C,) group of each of these cells, and its cell in the model.
    """

    name: str
    levels: np.ndarray
    statistics: CrossProducts
    group_of: np.ndarray
    cell_of: np.ndarray

    def without(self, model: Model, group: int) -> Model:
        """The model of all other rows; its cells stay, some of them empty."""
        keep = np.flatnonzero(self.group_of != group)
        return model.on(self.statistics.take(keep).coarser(self.cell_of[keep], model.statistics.cells))


def parting(model: Model, by: str, source: Source | None, threads: int) -> Parting:
    """The groups of a factor or grouping column of the model; for any other column the rows are read once more."""
    if not isinstance(by, str):
        raise DataError(f"by must be the name of a grouping column, not {by!r}.")
    statistics = model.statistics
    everything = np.arange(len(statistics.counts))
    for factor in model.design.factors:
        if factor.name == by and factor.coupling is not None:
            by = factor.keys[0]  # levels without rows are none to be left out
        elif factor.name == by:
            return Parting(by, factor.levels, statistics, factor.codes, everything)
    if by in model.encoding.keys:
        levels, codes = levels_of((by,), model.encoding.keys, model.encoding.cells)
        return Parting(by, levels, statistics, codes, everything)
    found = finer_statistics(model, source, by, threads)
    if found.products.columns != statistics.columns or found.rows != statistics.rows:
        raise DataError(
            f"With '{by}' the data have {found.rows:,} complete rows, but {statistics.rows:,} were fitted: '{by}' is "
            "missing in some, or the data have changed since."
        )
    levels, codes = levels_of((by,), found.encoding.keys, found.encoding.cells)
    keys = [found.encoding.cells[found.encoding.keys.index(name)] for name in model.encoding.keys]
    cell_of = codes_of(model.encoding.cells, keys) if keys else np.zeros(len(codes), dtype=np.int64)
    return Parting(by, levels, found.products, codes, cell_of)


def finer_statistics(model: Model, source: Source | None, by: str, threads: int) -> Statistics:
    """The rows of a fit once more, reduced by one grouping column more."""
    if source is None or isinstance(source, CellTable):
        known = [factor.name for factor in model.design.factors]
        raise DataError(
            f"'{by}' is no grouping factor of this fit, and its rows are not at hand to be grouped by it. "
            f"{suggest(by, known)}"
        )
    quoted = by if ":" in by or by.isidentifier() else f"`{by}`"
    formula = model.design.formula
    parsed = parse(f"{formula.text} + (1 | {quoted})", formula.functions, tables=formula.tables)
    needed = needed_columns(as_factors(parsed), model.encoding.weights)
    return reduce_source(needed, source, None, "drop", threads, silent)[0]


def leave_groups_out(posterior: Posterior, parted: Parting, *, threads: int, progress: Progress = silent) -> LeaveOut:
    """log p(rows of g | rows of all other groups) of every group g."""
    started = time.perf_counter()
    model, groups = posterior.model, len(parted.levels)
    shapes, refitted, chosen = np.full(groups, np.nan), np.zeros(groups, dtype=bool), np.arange(groups)
    known, error = np.zeros(groups), math.nan
    if posterior.theta is None:
        regression = parted.cell_of if model.pooling is Pooling.SEPARATE else np.zeros_like(parted.cell_of)
        pairs = np.column_stack([regression, parted.group_of])
        elpd = group_log_densities(model, parted.statistics, pairs, threads)
        method = "ratios of marginal likelihoods, integrated on a grid"
    else:
        if groups < 2:
            raise DataError(f"'{parted.name}' has one group only: nothing would be left to learn from.")
        conditional = _conditional(posterior, parted, threads)
        chosen = some_positions(groups, conditional.most)
        shapes, refitted = shapes[chosen], refitted[chosen]
        theta = spread_out(posterior.theta, conditional.cost, _THETAS)
        ties = model.priors.ties
        variates = weighing.control_variates(ties, theta, conditional.gradients(theta)) if conditional.cheap else None
        elpd, weights, shapes = weighing.left_out(conditional.of_groups(theta, chosen, progress), variates)
        error = weighing.monte_carlo_error(weights, shapes, shapes <= weighing.FINITE, variates)
        known = conditional.at_one(theta.mean(axis=0, keepdims=True)) if len(chosen) < groups else np.zeros(groups)
        bad = np.flatnonzero(shapes > weighing.FINITE)
        seeds = child_seeds(np.random.SeedSequence(posterior.seed, spawn_key=(33,)), len(bad))
        errors = np.zeros(len(bad))
        for k, (i, seed) in enumerate(zip(bad, seeds, strict=True)):
            progress("refitting without groups of heavy weight", k / len(bad))
            group = chosen[i : i + 1]
            settings = SamplerSettings(_REFIT_DRAWS, posterior.chains, seed)
            again = infer(parted.without(model, int(group[0])), settings, threads=threads)
            points = spread_out(np.asarray(again.theta), conditional.cost, _THETAS)
            ratio = conditional.of_groups(points, group, silent)[:, 0]
            elpd[i], errors[k] = weighing.after_refit(ratio, posterior.certificate, again.certificate)
        error = weighing.with_refits(error, errors)
        refitted = shapes > weighing.FINITE
        method = f"closed for each theta, averaged over {len(theta):,} by importance weights"
    spread = float((elpd - known[chosen]).std(ddof=1)) if len(chosen) < groups else 0.0
    correction = float(known.mean() - known[chosen].mean())
    observed = of_cells(model, parted.statistics, parted.group_of, groups)
    return LeaveOut(
        model.design.formula.text, parted.name, method, parted.levels[chosen],
        {name: of[chosen] for name, of in observed.items()}, elpd, shapes, refitted, None, None, groups, correction,
        spread, error * groups / len(chosen), time.perf_counter() - started,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _InKernel:
    """Groups of the model's one factor."""

    density: CollapsedDensity
    statistics: CrossProducts

    cheap = True
    most = 4_000  # groups; of more, a random part is left out

    @property
    def cost(self) -> float:
        return 4 * self.density.cost

    def gradients(self, theta: np.ndarray) -> np.ndarray:
        return self.density.values_and_gradients(theta)[1]

    def of_groups(self, theta: np.ndarray, groups: np.ndarray, progress: Progress) -> np.ndarray:
        progress("leaving groups out", 0.0)
        return self.density.groups_left_out(theta, self.statistics, groups)

    def at_one(self, theta: np.ndarray) -> np.ndarray:
        """An approximation for all groups: their densities at one theta."""
        return self.density.groups_left_out(theta, self.statistics)[0]


@dataclass(frozen=True, slots=True, eq=False)
class _ByDensities:
    """Any groups: the density of all rows less that of the rest, evaluated."""

    model: Model
    parted: Parting
    threads: int
    cost: float

    most = 1_000

    @property
    def cheap(self) -> bool:
        return self.cost < _CHEAP * len(self.parted.levels)

    def gradients(self, theta: np.ndarray) -> np.ndarray:
        whole = self._density(self.model)
        return np.array([whole.value_and_gradient(point)[1] for point in theta])

    def of_groups(self, theta: np.ndarray, groups: np.ndarray, progress: Progress) -> np.ndarray:
        whole = self._log_density(self.model, theta)
        found = []
        for k, group in enumerate(groups):
            progress("leaving groups out", k / len(groups))
            found.append(whole - self._log_density(self.parted.without(self.model, int(group)), theta))
        return np.column_stack(found)

    def at_one(self, theta: np.ndarray) -> np.ndarray:
        """There is no cheap approximation."""
        return np.zeros(len(self.parted.levels))

    def _log_density(self, model: Model, theta: np.ndarray) -> np.ndarray:
        return self._density(model).log_density(theta)

    def _density(self, model: Model) -> GaussianDensity:
        return gaussian(model.statistics, model.design, model.priors, threads=self.threads)


def _conditional(posterior: Posterior, parted: Parting, threads: int) -> _InKernel | CellsLeftOut | _ByDensities:
    model = posterior.model
    density = gaussian(model.statistics, model.design, model.priors, threads=threads)
    if isinstance(density, CollapsedDensity) and [factor.name for factor in model.design.factors] == [parted.name]:
        return _InKernel(density, model.statistics)
    of_model = np.array_equal(parted.cell_of, np.arange(len(model.statistics.counts)))
    if isinstance(density, BlockedDensity) and of_model and len(parted.group_of) == len(parted.levels):
        return CellsLeftOut(density, model.statistics, np.argsort(parted.group_of))
    return _ByDensities(model, parted, threads, density.cost * len(parted.levels))
