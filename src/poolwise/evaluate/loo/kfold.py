"""Cross-validation by refitting, several refits side by side: folds of rows, or one group after the other."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from poolwise.density.gaussian import gaussian
from poolwise.design import Rows
from poolwise.evaluate.loo import importance_weights as weighing
from poolwise.evaluate.loo.elpd import LeaveOut
from poolwise.evaluate.loo.groups import Parting
from poolwise.evaluate.loo.marginal_likelihood import group_log_densities, row_ratios
from poolwise.evaluate.loo.observed import of_cells, of_rows
from poolwise.evaluate.loo.rows import Batches, gaussian_log_density
from poolwise.evaluate.parallel_refits import refit_all, refit_each
from poolwise.inference.posterior import Model, Pooling, Posterior
from poolwise.samplers import SamplerSettings
from poolwise.statistics import CrossProducts
from poolwise.statistics.reduce import Reducer

_VALUES = 4_000_000  # rows x thetas at a time


@dataclass(frozen=True, slots=True, eq=False)
class Folds:
    """Random folds of nearly equal size: which rows are in which depends on the seed and on their order only."""

    count: int
    seed: int

    def of(self, batches: Iterator[Rows]) -> Iterator[tuple[Rows, np.ndarray]]:
        """Batches with the fold (n,) of each of their rows."""
        rng = self._stream()
        for rows in batches:
            yield rows, rng.permutation(len(rows.codes)) % self.count

    def parts(self, units: int) -> np.ndarray:
        """The fold of each of some units."""
        return np.asarray(self._stream().permutation(units) % self.count)

    def _stream(self) -> np.random.Generator:
        # Of its own: the folds must not depend on how many draws the fits take.
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(97,)))

    def statistics(self, model: Model, batches: Iterator[Rows]) -> list[CrossProducts]:
        """Statistics of each fold, with the cells of the model."""
        whole = model.statistics
        reducers = [Reducer(whole.columns, whole.cells, whole.origin) for _ in range(self.count)]
        for rows, fold_of in self.of(batches):
            for k, reducer in enumerate(reducers):
                mine = fold_of == k
                weights = None if rows.weights is None else rows.weights[mine]
                reducer.add(rows.values[mine], rows.codes[mine], weights)
        return [reducer.statistics() for reducer in reducers]


def leave_folds_out(
    posterior: Posterior, batches: Batches, folds: Folds, settings: SamplerSettings, *, threads: int
) -> LeaveOut:
    """log p(y_i | rows of the other folds) of every row."""
    started = time.perf_counter()
    model = posterior.model
    parts = folds.statistics(model, batches())
    models = [model.on(reduce(add, (other for i, other in enumerate(parts) if i != k))) for k in range(folds.count)]
    refits = refit_all(models, settings, threads, f"{folds.count}-fold cross-validation", settings.progress)
    elpd, residual, seen = [], [], []
    for rows, fold_of in folds.of(batches()):
        mine, rest = np.empty(len(fold_of)), np.empty(len(fold_of))
        for k, refit in enumerate(refits):
            inside = np.flatnonzero(fold_of == k)
            mine[inside], rest[inside] = _predicted(refit, rows, inside, threads)
        elpd.append(mine)
        residual.append(rest)
        seen.append(of_rows(rows, model.family))
    found = np.concatenate(elpd)
    total, observed = len(found), {name: np.concatenate([each[name] for each in seen]) for name in seen[0]}
    return LeaveOut(
        model.design.formula.text, "row", f"{folds.count}-fold cross-validation by refitting", np.arange(1, total + 1),
        observed, found, np.full(total, np.nan), np.ones(total, dtype=bool), np.concatenate(residual),
        None, total, 0.0, 0.0, math.nan, time.perf_counter() - started,
    )  # fmt: skip


def _predicted(refit: Posterior, rows: Rows, inside: np.ndarray, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Log predictive densities and residuals of some rows by a fit that has not seen them."""
    mine = rows.take(inside)
    model = refit.model
    if refit.theta is None:
        ratios = row_ratios(model, mine, threads, seen=False)
        return ratios.elpd, ratios.residual
    theta = refit.theta.reshape(-1, refit.theta.shape[-1])
    density = gaussian(model.statistics, model.design, model.priors, threads=threads)
    elpd, residual = np.empty(len(inside)), np.empty(len(inside))
    step = max(1, _VALUES // len(theta))
    for part in (slice(start, start + step) for start in range(0, len(inside), step)):
        rest, variance = density.row_moments(theta, mine.values[part], mine.codes[part])
        spread = variance + np.exp(2 * density.layout.log_sigma(theta))[:, None] / mine.precisions[part]
        elpd[part] = weighing.average(gaussian_log_density(rest, spread))
        residual[part] = rest.mean(axis=0)
    return elpd, residual


def leave_groups_out_by_refitting(
    posterior: Posterior, parted: Parting, settings: SamplerSettings, *, threads: int
) -> LeaveOut:
    """log p(rows of g | rows of all other groups) of every group g, each from a fit of the rest."""
    started = time.perf_counter()
    model, groups, error = posterior.model, len(parted.levels), math.nan
    if posterior.theta is None:
        regression = parted.cell_of if model.pooling is Pooling.SEPARATE else np.zeros_like(parted.cell_of)
        elpd = group_log_densities(model, parted.statistics, np.column_stack([regression, parted.group_of]), threads)
    else:
        models = [parted.without(model, group) for group in range(groups)]
        whole = gaussian(model.statistics, model.design, model.priors, threads=1)

        def log_ratio(_: int, refit: Posterior) -> tuple[float, float]:
            theta = np.asarray(refit.theta).reshape(-1, whole.dimension)
            rest = gaussian(refit.model.statistics, refit.model.design, refit.model.priors, threads=1)
            ratio = whole.log_density(theta) - rest.log_density(theta)
            return weighing.after_refit(ratio, posterior.certificate, refit.certificate)

        step = f"leaving out each {parted.name}"
        elpd, errors = np.array(refit_each(models, settings, threads, step, log_ratio, settings.progress)).T
        error = weighing.with_refits(0.0, errors)
    return LeaveOut(
        model.design.formula.text, parted.name, "by refitting without each", parted.levels,
        of_cells(model, parted.statistics, parted.group_of, groups), elpd, np.full(groups, np.nan),
        np.ones(groups, dtype=bool), None, None, groups, 0.0, 0.0, error,
        time.perf_counter() - started,
    )  # fmt: skip
