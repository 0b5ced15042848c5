"""Each row given all others: Gaussian and closed for each theta, averaged over theta; no refits.

Given theta, a row with residual r and Var(eta | y, theta) = v has leverage h = v w / sigma^2; left out, its outcome is
Normal with residual r / (1 - h) and variance sigma^2 / (w (1 - h)) (Cook and Weisberg 1982, section 2.2).
Derivation: `docs/explanation/leave-out.md`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from poolwise.density.collapsed import CollapsedDensity
from poolwise.density.gaussian import GaussianDensity, gaussian
from poolwise.design import Rows
from poolwise.evaluate.loo import importance_weights as weighing
from poolwise.evaluate.loo.elpd import GOOD_K, LeaveOut
from poolwise.evaluate.loo.marginal_likelihood import row_ratios
from poolwise.evaluate.loo.observed import of_rows
from poolwise.inference.infer import infer
from poolwise.inference.posterior import Posterior
from poolwise.samplers import SamplerSettings, child_seeds
from poolwise.statistics.reduce import reduce_rows
from poolwise.support.progress import Progress, silent

MOST = 4_000  # rows; of more, a random part is done exactly
_THETAS, _LEAST, _WORK = 1_000, 128, 1e11  # thetas, at least and by the flops that they cost
_LOG_2PI = np.log(2 * np.pi)
_REFIT_DRAWS = 250

Batches = Callable[[], Iterator[Rows]]


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Rows that are left out exactly, and what an approximation says of all.

    Attributes
    ----------
    positions : (n,) among all rows.
    rows : encoded.
    approximate : (n,) log predictive densities at one theta.
    overall : mean of the approximation over all rows.
    """

    positions: np.ndarray
    rows: Rows
    approximate: np.ndarray
    overall: float


def leave_rows_out(posterior: Posterior, batches: Batches, *, threads: int, progress: Progress = silent) -> LeaveOut:
    """log p(y_i | all other rows) of every row, or of a random part of many."""
    started = time.perf_counter()
    total = posterior.model.statistics.rows
    if posterior.theta is None:
        chosen = _choose(batches, total, lambda rows: np.zeros(len(rows.codes)))
        ratios = row_ratios(posterior.model, chosen.rows, threads)
        elpd, residual, lpd, error = ratios.elpd, ratios.residual, ratios.lpd, math.nan
        shapes, refitted = np.full(len(elpd), np.nan), np.zeros(len(elpd), dtype=bool)
        method = "ratios of marginal likelihoods, integrated on a grid"
    else:
        density = gaussian(posterior.model.statistics, posterior.model.design, posterior.model.priors, threads=threads)
        theta = spread_out(posterior.theta, density.cost)
        centre = theta.mean(axis=0, keepdims=True)
        chosen = _choose(batches, total, lambda rows: _densities(density, centre, rows)[0][0])
        elpd, shapes, refitted, residual, lpd, error = _weighed(
            posterior, density, theta, chosen.rows, threads, progress
        )
        method = f"closed for each theta, averaged over {len(theta):,} by importance weights"
    exact = elpd - chosen.approximate
    return LeaveOut(
        posterior.model.design.formula.text,
        "row",
        method,
        chosen.positions + 1,
        of_rows(chosen.rows, posterior.model.family),
        elpd,
        shapes,
        refitted,
        residual,
        lpd,
        total,
        chosen.overall - float(chosen.approximate.mean()),
        float(exact.std(ddof=1)) if len(elpd) < total else 0.0,
        error * total / len(elpd),
        time.perf_counter() - started,
    )


def rmsd_left_out(posterior: Posterior, rows: Rows, *, threads: int) -> tuple[float, int]:
    """RMSD of rows from their predictive means when left out, as in `leave_rows_out` without its densities; and of how
    many rows the weights cannot be trusted."""
    if posterior.theta is None:
        residual, heavy = row_ratios(posterior.model, rows, threads).residual, 0
    else:
        density = gaussian(posterior.model.statistics, posterior.model.design, posterior.model.priors, threads=threads)
        outside, residuals, _ = _densities(density, spread_out(posterior.theta, density.cost), rows)
        weights = np.exp(outside.min(axis=0) - outside)
        residual = (weights * residuals).sum(axis=0) / weights.sum(axis=0)
        heavy = len(weighing.untrusted(outside, GOOD_K))
    return float(np.sqrt(np.average(np.square(residual), weights=rows.precisions))), heavy


def spread_out(theta: np.ndarray, cost: float, most: int = _THETAS) -> np.ndarray:
    """Thetas (m, d) spread evenly over the draws of all chains: as many as the work allows."""
    flat = theta.reshape(-1, theta.shape[-1])
    count = int(min(len(flat), most, max(_LEAST, _WORK / cost)))
    return np.ascontiguousarray(flat[np.linspace(0, len(flat) - 1, count).astype(int)])


def gaussian_log_density(residual: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """log N(residual; 0, variance)."""
    return -0.5 * (_LOG_2PI + np.log(variance) + residual**2 / variance)


def some_positions(total: int, most: int) -> np.ndarray:
    """All positions, or `most` of them at random, in ascending order: for a total always the same ones.

    So fits of the same rows are compared on the same part of them, whatever their seeds.
    """
    if total <= most:
        return np.arange(total)
    rng = np.random.default_rng(np.random.SeedSequence(total, spawn_key=(31,)))
    return np.sort(rng.choice(total, most, replace=False))


def _choose(batches: Batches, total: int, approximate: Callable[[Rows], np.ndarray]) -> Chosen:
    """All rows, or `MOST` of them at random, from one pass over the batches."""
    positions = some_positions(total, MOST)
    parts: list[Rows] = []
    known: list[np.ndarray] = []
    before, overall = 0, 0.0
    for rows in batches():
        low, high = np.searchsorted(positions, [before, before + len(rows.codes)])
        mine = positions[low:high] - before
        before += len(rows.codes)
        approximation = approximate(rows) if total > MOST else np.zeros(len(rows.codes))
        overall += float(approximation.sum())
        parts.append(rows.take(mine))
        known.append(approximation[mine])
    return Chosen(positions, Rows.joined(parts), np.concatenate(known), overall / total)


def _densities(density: GaussianDensity, theta: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left out, for each theta: log densities and residuals; and log densities in sample; all (m, n)."""
    residual, variance = density.row_moments(theta, rows.values, rows.codes)
    noise = np.exp(2 * density.layout.log_sigma(theta))[:, None] / rows.precisions
    rest = 1.0 - variance / noise
    outside = gaussian_log_density(residual / rest, noise / rest)
    return outside, residual / rest, gaussian_log_density(residual, noise + variance)


def _weighed(
    posterior: Posterior, density: GaussianDensity, theta: np.ndarray, rows: Rows, threads: int, progress: Progress
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    progress("leaving rows out", 0.0)
    outside, residuals, inside = _densities(density, theta, rows)
    variates = None
    if isinstance(density, CollapsedDensity):
        variates = weighing.control_variates(posterior.model.priors.ties, theta, density.values_and_gradients(theta)[1])
    elpd, weights, shapes = weighing.left_out(outside, variates)
    error = weighing.monte_carlo_error(weights, shapes, shapes <= GOOD_K, variates)
    residual = np.einsum("mn,mn->n", weights, residuals)
    bad = np.flatnonzero(shapes > GOOD_K)
    statistics = posterior.model.statistics
    seeds, errors = child_seeds(np.random.SeedSequence(posterior.seed, spawn_key=(32,)), len(bad)), np.zeros(len(bad))
    for k, (i, seed) in enumerate(zip(bad, seeds, strict=True)):
        progress("refitting without rows of heavy weight", k / len(bad))
        one = rows.take(np.array([i]))
        own = reduce_rows(one.values, one.codes, statistics.columns, statistics.cells, weights=one.weights)
        settings = SamplerSettings(_REFIT_DRAWS, posterior.chains, seed)
        again = infer(posterior.model.on(statistics - own), settings, threads=threads)
        points = spread_out(np.asarray(again.theta), density.cost)
        unseen, away, _ = _densities(density, points, one)
        elpd[i], errors[k] = weighing.after_refit(unseen[:, 0], posterior.certificate, again.certificate)
        residual[i] = away.mean()
    error = weighing.with_refits(error, errors)
    return elpd, shapes, shapes > GOOD_K, residual, weighing.average(inside), error
