"""Leaving out rows and groups of families that are sampled: integrated over the group's effects, weighed by PSIS."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from poolwise.density.latent.observations import observe, observe_groups
from poolwise.design import Rows
from poolwise.evaluate.deviations import deviations, measured
from poolwise.evaluate.loo import importance_weights as weighing
from poolwise.evaluate.loo import sampled_regressions as separate
from poolwise.evaluate.loo.conditional_outcomes import conditional
from poolwise.evaluate.loo.effect_centres import adder
from poolwise.evaluate.loo.elpd import GOOD_K, LeaveOut
from poolwise.evaluate.loo.group_integrals import Integrated, integrate
from poolwise.evaluate.loo.integrated_effects import Effects, effects_by, finest, hardly_moved, is_of
from poolwise.evaluate.loo.kfold import Folds
from poolwise.evaluate.loo.observed import of_groups, of_rows
from poolwise.evaluate.loo.part_of_rows import integrated_part, outside_means
from poolwise.evaluate.loo.rows import MOST, some_positions
from poolwise.evaluate.parallel_refits import refit_each
from poolwise.families import Family
from poolwise.inference.infer import infer
from poolwise.inference.posterior import Model, Pooling, Posterior
from poolwise.samplers import SamplerSettings, child_seeds
from poolwise.support.errors import DataError
from poolwise.support.progress import Progress, silent

if TYPE_CHECKING:
    import pandas as pd

_REFITS, _REFIT_DRAWS = 20, 500  # units at most that are left out by refitting
_EVEN = 0.5  # efficiency of the weights of every row, from which they need no integrals
_WHOLE, _ROUGH = 50_000, 32  # rows that are looked at together; draws that tell of more what each is worth, roughly
_AVERAGED = 1_000  # draws over which the densities of units that were not seen are averaged


def with_rows(model: Model, rows: Rows) -> Model:
    """The model, priors included, of a part of the rows."""
    total = (model.statistics if model.family.precise else model.statistics.counted()).merged()
    if model.pooling is Pooling.SEPARATE:
        return replace(model, by_group=observe_groups(model.design, rows, model.family, model.priors, total))
    return replace(model, observations=observe(model.design, rows, model.family, model.priors, total))


class Groups(NamedTuple):
    """Groups of rows by a factor or another column: its name, their labels (G,), and the group (n,) of each row."""

    by: str
    levels: np.ndarray
    codes: np.ndarray


def groups_of(posterior: Posterior, rows: Rows, by: str, frame: Callable[[], pd.DataFrame]) -> Groups:
    """The groups of the rows of a fit; `frame` reads the column where the model does not have it."""
    for factor in posterior.model.design.factors:
        if is_of(factor, by):
            return Groups(by, factor.levels, factor.codes[rows.codes])
    labels = frame()[by].dropna().to_numpy()
    if len(labels) != len(rows.codes):
        raise DataError(f"'{by}' is missing in some of the rows that were fitted, or the data have changed since.")
    return Groups(by, *np.unique(labels, return_inverse=True))


def leave_rows_out(posterior: Posterior, rows: Rows, *, threads: int, progress: Progress = silent) -> LeaveOut:
    """log p(y_i | all other rows) of every row, or of a random part of many."""
    started = time.perf_counter()
    apart = posterior.model.pooling is Pooling.SEPARATE
    times = rows.multiplicities
    total = int(times.sum())
    copies = some_positions(total, MOST)
    chosen = np.searchsorted(np.cumsum(times), copies, side="right")
    effects, found, rough = _of_chosen(posterior, rows, chosen, progress)
    elpd, weights, shapes = weighing.left_out(found.outside)
    mean = np.einsum("mn,mn->n", weights, found.means)
    refitted, weighed = np.zeros(len(chosen), dtype=bool), np.ones(len(chosen), dtype=bool)
    bad = np.flatnonzero(shapes > (weighing.FINITE if apart else GOOD_K))  # one group is fitted again in no time
    errors = np.zeros(len(bad))
    if apart:
        elpd[bad], mean[bad], errors = separate.rows_by_refitting(posterior, rows, chosen[bad], threads, progress)
        refitted[bad], weighed[bad] = errors < weighing.TOLD, False
    rests = [partial(_with_one_less, rows, int(chosen[i])) for i in bad]
    for i, again in [] if apart else _refits(posterior, rests, threads, progress):
        density, expected = _of_a_row(again, rows, effects, int(chosen[bad[i]]))
        elpd[bad[i]], errors[i] = weighing.average(density)[0], weighing.noise(density)
        mean[bad[i]] = expected.mean()
        refitted[bad[i]], weighed[bad[i]] = errors[i] < weighing.TOLD, False
    error = weighing.with_refits(weighing.monte_carlo_error(weights, shapes, weighed), errors)
    how = "given all effects" if effects is None else f"integrated over the effects of {effects.name}"
    residual = deviations(posterior.model.family, rows.take(chosen), mean)
    return LeaveOut(
        posterior.model.design.formula.text, "row", f"{how}, {len(found.outside):,} draws weighed", copies + 1,
        of_rows(rows.take(chosen), posterior.model.family), elpd, shapes, refitted, residual,
        weighing.average(found.inside), total, float(np.average(rough, weights=times) - rough[chosen].mean()),
        float((elpd - rough[chosen]).std(ddof=1)) if len(chosen) < total else 0.0, error * total / len(chosen),
        time.perf_counter() - started,
    )  # fmt: skip


def _of_chosen(
    posterior: Posterior, rows: Rows, chosen: np.ndarray, progress: Progress
) -> tuple[Effects | None, Integrated, np.ndarray]:
    """Effects that are integrated out, densities of the rows at some positions, and a rough one (n,) of each row."""
    if len(rows.codes) <= _WHOLE:
        effects, found = _integrated(posterior, rows, progress)
        return effects, found.take(chosen), weighing.rough(found.outside)
    effects, found = integrated_part(posterior, rows, chosen, progress)
    count = posterior.chains * posterior.draws
    draws, rough = np.linspace(0, count - 1, min(count, _ROUGH)).astype(int), np.empty(len(rows.codes))
    for start in range(0, len(rough), _WHOLE):
        some = np.arange(start, min(start + _WHOLE, len(rough)))
        mine = rows.take(some)
        rough[some] = weighing.rough(conditional(posterior, mine, draws).log_density(mine.response))
    return effects, found, rough


def _with_one_less(rows: Rows, position: int) -> Rows:
    """The rows without that at a position, of which there may be several."""
    rest = rows.multiplicities.copy()
    rest[position] -= 1
    kept = np.flatnonzero(rest > 0)
    return rows.take(kept) if rows.counts is None else replace(rows, counts=rest).take(kept)


def _of_a_row(again: Posterior, rows: Rows, effects: Effects | None, position: int) -> tuple[np.ndarray, np.ndarray]:
    """Log densities (m, 1) and expected outcomes (m, 1) of a row for the draws of a fit that has not seen it."""
    if effects is None:
        some = conditional(again, rows.take(np.array([position])), _spread(again))
        return some.log_density(rows.response[[position]]), some.mean()
    codes = effects.codes(rows)
    mine = np.flatnonzero(codes == codes[position])
    found, place = integrate(again, rows.take(mine), effects, silent), mine == position
    return found.outside[:, place], found.means[:, place]


def _integrated(posterior: Posterior, rows: Rows, progress: Progress) -> tuple[Effects | None, Integrated]:
    """Densities of rows, and the effects that are integrated out: none where groups are large, and no row moves the
    draws by much."""
    effects = finest(posterior)
    if effects is not None and hardly_moved(effects, rows):
        found = integrate(posterior, rows, None, progress)
        weights = np.exp(found.outside.min(axis=0) - found.outside)
        even = np.square(weights.sum(axis=0)) / np.square(weights).sum(axis=0) / len(weights)
        if even.min(initial=1.0) > _EVEN:
            return None, found
    return effects, integrate(posterior, rows, effects, progress)


def rmsd_left_out(posterior: Posterior, rows: Rows, progress: Progress = silent) -> tuple[float, float, int]:
    """RMSD of outcomes from their expectations, in sample and when left out, without refits; NaN where outcomes have no
    distances. And of how many rows the weights cannot be trusted."""
    family = posterior.model.family
    if not measured(family, rows):
        return math.nan, math.nan, 0
    found = _integrated(posterior, rows, progress)[1]
    inside = conditional(posterior, rows, _spread(posterior)).mean().mean(axis=0)
    return (
        _rms(family, rows, inside),
        _rms(family, rows, outside_means(found)),
        len(weighing.untrusted(found.outside, GOOD_K)),
    )


def _rms(family: Family, rows: Rows, expected: np.ndarray) -> float:
    away = deviations(family, rows, expected)
    return math.nan if away is None else float(np.sqrt(np.average(np.square(away), weights=rows.precisions)))


def leave_groups_out(
    posterior: Posterior,
    rows: Rows,
    groups: Groups,
    *,
    threads: int,
    progress: Progress = silent,
) -> LeaveOut:
    """log p(rows of g | rows of all other groups) of every group g."""
    started = time.perf_counter()
    by, levels, codes = groups
    effects = effects_by(posterior, by)
    if posterior.model.pooling is Pooling.SEPARATE and posterior.model.design.factors[0].name == by:
        return separate.leave_groups_out(posterior, rows, threads=threads, progress=progress)
    if len(levels) < 2:
        raise DataError(f"'{by}' has one group only: nothing would be left to learn from.")
    elpd, weights, shapes = weighing.left_out(_of_groups(posterior, rows, effects, codes, len(levels), progress))
    refitted, weighed = np.zeros(len(levels), dtype=bool), np.ones(len(levels), dtype=bool)
    bad = np.flatnonzero(shapes > weighing.FINITE)
    errors = np.zeros(len(bad))
    sets = [np.flatnonzero(codes == g) for g in bad]
    rests = [partial(rows.take, np.flatnonzero(codes != g)) for g in bad]
    for i, again in _refits(posterior, rests, threads, progress):
        density = _of_groups(again, rows.take(sets[i]), effects, np.zeros(len(sets[i]), dtype=np.int64), 1, silent)
        elpd[bad[i]], errors[i] = weighing.average(density)[0], weighing.noise(density)
        refitted[bad[i]], weighed[bad[i]] = errors[i] < weighing.TOLD, False
    error = weighing.with_refits(weighing.monte_carlo_error(weights, shapes, weighed), errors)
    how = "given all effects" if effects is None else "integrated over the group's effects"
    return LeaveOut(
        posterior.model.design.formula.text, by, f"{how}, draws weighed", levels,
        of_groups(rows, posterior.model.family, codes, len(levels)), elpd, shapes, refitted, None, None, len(levels),
        0.0, 0.0, error, time.perf_counter() - started,
    )  # fmt: skip


def leave_folds_out(
    posterior: Posterior,
    rows: Rows,
    folds: Folds,
    settings: SamplerSettings,
    *,
    units: Groups | None = None,
    threads: int,
) -> LeaveOut:
    """log p(rows of a unit | rows of the other folds) of every unit; without `units` each row is one."""
    started = time.perf_counter()
    y = rows.response
    if units is None:
        units = Groups("row", np.arange(1, len(y) + 1), np.arange(len(y)))
    total, codes = len(units.levels), units.codes
    fold_of = folds.parts(total)[codes]
    step = f"{folds.count}-fold cross-validation"
    elpd, mean, errors = np.empty(total), np.empty(len(y)), list[float]()

    def score(mine: np.ndarray, refit: Posterior, scored: Rows) -> None:
        found = conditional(refit, scored, _spread(refit))
        present, place = np.unique(codes[mine], return_inverse=True)
        density = found.log_density(y[mine]) @ adder(place, len(present))
        elpd[present] = weighing.average(density)
        errors.append(weighing.noise(density))
        mean[mine] = found.mean().mean(axis=0)

    if posterior.model.pooling is Pooling.SEPARATE:
        sets = separate.parts(rows, fold_of)
        separate.refit_without(posterior, rows, sets, settings, threads, step, score)
    else:
        sets = [np.flatnonzero(fold_of == k) for k in range(folds.count)]
        models = [with_rows(posterior.model, rows.take(np.flatnonzero(fold_of != k))) for k in range(folds.count)]

        def score_fold(k: int, refit: Posterior) -> None:
            score(sets[k], refit, rows.take(sets[k]))

        refit_each(models, settings, threads, step, score_fold, settings.progress)
    observed = of_groups(rows, posterior.model.family, codes, total)
    return LeaveOut(
        posterior.model.design.formula.text, "row", f"{folds.count}-fold cross-validation by refitting",
        units.levels, observed, elpd, np.full(total, np.nan), np.ones(total, dtype=bool),
        deviations(posterior.model.family, rows, mean), None, total,
        0.0, 0.0, weighing.with_refits(0.0, np.sort(errors)), time.perf_counter() - started,
    )  # fmt: skip


def leave_groups_out_by_refitting(
    posterior: Posterior,
    rows: Rows,
    groups: Groups,
    settings: SamplerSettings,
    *,
    threads: int,
) -> LeaveOut:
    """log p(rows of g | rows of all other groups) of every group g, each from a fit of the rest."""
    started = time.perf_counter()
    by, levels, codes = groups
    effects = effects_by(posterior, by)
    models = [with_rows(posterior.model, rows.take(np.flatnonzero(codes != g))) for g in range(len(levels))]

    def score(g: int, refit: Posterior) -> tuple[float, float]:
        mine = rows.take(np.flatnonzero(codes == g))
        density = _of_groups(refit, mine, effects, np.zeros(len(mine.codes), dtype=np.int64), 1, silent)
        return float(weighing.average(density)[0]), weighing.noise(density)

    found = refit_each(models, settings, threads, f"leaving out each {by}", score, settings.progress)
    elpd, errors = np.array(found).T
    return LeaveOut(
        posterior.model.design.formula.text, by, "by refitting without each", levels,
        of_groups(rows, posterior.model.family, codes, len(levels)), elpd, np.full(len(levels), np.nan),
        np.ones(len(levels), dtype=bool), None, None, len(levels), 0.0, 0.0,
        weighing.with_refits(0.0, errors), time.perf_counter() - started,
    )  # fmt: skip


def _of_groups(
    posterior: Posterior, rows: Rows, effects: Effects | None, codes: np.ndarray, size: int, progress: Progress
) -> np.ndarray:
    """Log densities (m, size) of the rows of each group, its own effects integrated out where there are any."""
    if effects is None:
        found = conditional(posterior, rows, _spread(posterior)).log_density(rows.response) * rows.multiplicities
        return np.stack([found[:, codes == g].sum(axis=1) for g in range(size)], axis=1)
    densities = integrate(posterior, rows, effects, progress).groups
    levels = np.unique(effects.codes(rows))  # in the order of labels, as `codes` are
    return densities[:, levels]


def _refits(
    posterior: Posterior, rests: Sequence[Callable[[], Rows]], threads: int, progress: Progress
) -> list[tuple[int, Posterior]]:
    """Fits of what is left of the rows without each of some units, where these are not too many."""
    if len(rests) > _REFITS:
        return []
    seeds, found = child_seeds(np.random.SeedSequence(posterior.seed, spawn_key=(34,)), len(rests)), []
    for k, rest in enumerate(rests):
        progress("refitting without units of heavy weight", k / len(rests))
        settings = SamplerSettings(_REFIT_DRAWS, posterior.chains, seeds[k])
        found.append((k, infer(with_rows(posterior.model, rest()), settings, threads=threads)))
    return found


def _spread(posterior: Posterior) -> np.ndarray:
    """Positions of draws spread over the chains."""
    count = posterior.chains * posterior.draws
    return np.linspace(0, count - 1, min(count, _AVERAGED)).astype(int)
