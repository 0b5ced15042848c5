"""Leaving out rows and groups of sampled families without pooling: only the group that they are of is fitted again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from poolwise.density.latent.density import latent
from poolwise.density.latent.observations import Observations, observe
from poolwise.design import Rows
from poolwise.evaluate.loo import importance_weights as weighing
from poolwise.evaluate.loo.conditional_outcomes import conditional
from poolwise.evaluate.loo.elpd import LeaveOut
from poolwise.evaluate.loo.observed import of_groups
from poolwise.evaluate.parallel_refits import refit_each
from poolwise.inference.posterior import Model, Posterior
from poolwise.samplers import SamplerSettings, child_seeds
from poolwise.samplers.bridge import bridge
from poolwise.samplers.hamiltonian import sample_whitened
from poolwise.support.progress import Progress
from poolwise.support.threads import map_slices

_REFIT_DRAWS = 500
_EVIDENCE_DRAWS, _FRESH = 500, 2_000  # of each of four chains; from the normal distribution around them


def parts(rows: Rows, fold_of: np.ndarray) -> list[np.ndarray]:
    """Positions of the rows of each group that are in one fold together."""
    order = np.lexsort((fold_of, rows.codes))
    new = np.flatnonzero(np.diff(rows.codes[order]) | np.diff(fold_of[order])) + 1
    return np.split(order, new)


def refit_without(
    posterior: Posterior,
    rows: Rows,
    sets: Sequence[np.ndarray],
    settings: SamplerSettings,
    threads: int,
    step: str,
    score: Callable[[np.ndarray, Posterior, Rows], None],
) -> None:
    """Fit the other rows of a group for each of some sets of its rows, and score these.

    Parameters
    ----------
    sets : positions of rows that are left out together, each of one group.
    score : (positions, fit of the others, these rows as those of a fit without groups).
    """
    members = _members(rows, len(posterior.model.by_group))
    models = [_without(posterior.model, rows, np.setdiff1d(members[rows.codes[out[0]]], out)) for out in sets]

    def scored(k: int, refit: Posterior) -> None:
        score(sets[k], refit, _one_group(rows.take(sets[k])))

    refit_each(models, settings, threads, step, scored, settings.progress)


def rows_by_refitting(
    posterior: Posterior, rows: Rows, chosen: np.ndarray, threads: int, progress: Progress
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log predictive densities, expected outcomes, and standard errors of the first, of some rows, each from a fit of
    the others of its group."""
    seed = np.random.SeedSequence(posterior.seed, spawn_key=(35,))
    settings = SamplerSettings(_REFIT_DRAWS, posterior.chains, seed, progress=progress)
    elpd, mean, errors = np.empty((3, len(rows.codes)))

    def score(out: np.ndarray, refit: Posterior, mine: Rows) -> None:
        found = conditional(refit, mine, np.arange(refit.chains * refit.draws))
        density = found.log_density(mine.response)
        elpd[out], mean[out] = weighing.average(density), found.mean().mean(axis=0)
        errors[out] = weighing.noise(density)

    sets = [np.array([i]) for i in chosen]
    refit_without(posterior, rows, sets, settings, threads, "refitting without rows of heavy weight", score)
    return elpd[chosen], mean[chosen], errors[chosen]


def leave_groups_out(posterior: Posterior, rows: Rows, *, threads: int, progress: Progress) -> LeaveOut:
    """log p(rows of g) of every group g: without pooling no other group tells of it, so that its prior predicts.

    By bridge sampling (Meng and Wong 1996), in coordinates in which the posterior is about standard normal.
    """
    started = time.perf_counter()
    model, factor = posterior.model, posterior.model.design.factors[0]
    groups = len(factor.levels)
    seeds, done = child_seeds(np.random.SeedSequence(posterior.seed, spawn_key=(36,)), groups), [0]

    def one(j: int, _: slice) -> float:
        found = _log_evidence(model.alone(model.by_group[j]), model.by_group[j], posterior.chains, seeds[j])
        done[0] += 1
        return found

    elpd = np.array(
        map_slices(
            one, groups, 1, threads, meanwhile=lambda: progress(f"leaving out each {factor.name}", done[0] / groups)
        )
    )
    return LeaveOut(
        model.design.formula.text, factor.name, "by its prior, by bridge sampling", factor.levels,
        of_groups(rows, model.family, rows.codes, groups), elpd, np.full(groups, np.nan), np.ones(groups, dtype=bool),
        None, None, groups, 0.0, 0.0, math.nan, time.perf_counter() - started,
    )  # fmt: skip


def _log_evidence(model: Model, observations: Observations, chains: int, seed: np.random.SeedSequence) -> float:
    density = latent(observations, model.design, model.priors, model.family, model.link)
    if not density.dimension:
        return density.value_and_gradient(np.zeros(0))[0]
    sampling, bridging = child_seeds(seed, 2)
    settings = SamplerSettings(_EVIDENCE_DRAWS, chains, sampling)
    points = sample_whitened(density.native(), density.start, density.spread, settings, 1).points
    # The normal distribution is of one half of the draws, the ratio of the other: both halves have all chains.
    flat = points.transpose(1, 0, 2).reshape(-1, density.dimension)

    def values(at: np.ndarray) -> np.ndarray:
        return np.array([density.value_and_gradient(point)[0] for point in at])

    return bridge(flat, values(flat), values, np.random.default_rng(bridging), _FRESH)[0]


def _members(rows: Rows, groups: int) -> list[np.ndarray]:
    """Positions of the rows of each group."""
    order = np.argsort(rows.codes, kind="stable")
    ends = np.searchsorted(rows.codes[order], np.arange(groups + 1))
    return [order[start:end] for start, end in zip(ends[:-1], ends[1:], strict=True)]


def _one_group(rows: Rows) -> Rows:
    """Rows of one group as those of a fit without groups."""
    return replace(rows, codes=np.zeros_like(rows.codes))


def _without(model: Model, rows: Rows, kept: np.ndarray) -> Model:
    """The regression of some rows of a group; where there are none, that of no row has the prior as its posterior."""
    total = (model.statistics if model.family.precise else model.statistics.counted()).merged()
    alone = replace(model.design, factors=())
    return model.alone(observe(alone, _one_group(rows.take(kept)), model.family, model.priors, total))
