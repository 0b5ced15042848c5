"""Each row given all others: Gaussian and closed for each theta, averaged over theta; no refits.

Given theta, a row with residual r and Var(eta | y, theta) = v has leverage h = v w / sigma^2; left out, its outcome is
Normal with residual r / (1 - h) and variance sigma^2 / (w (1 - h)) (Cook and Weisberg 1982, section 2.2).
Derivation: `docs/explanation/leave-out.md`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from poolwise.density.gaussian import GaussianDensity, gaussian
from poolwise.design import Rows
from poolwise.infer import infer
from poolwise.judge.leave_out import weighing
from poolwise.judge.leave_out.evidence import row_ratios
from poolwise.judge.leave_out.record import GOOD_K, LeaveOut
from poolwise.posterior import Posterior
from poolwise.progress import Progress, silent
from poolwise.samplers import SamplerSettings, child_seeds
from poolwise.statistics.reduce import reduce_rows

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
    values, codes, weights, offset : of these rows; see `poolwise.design.Rows`.
    approximate : (n,) log predictive densities at one theta.
    overall : mean of the approximation over all rows.
    total : number of all rows.
    """

    positions: np.ndarray
    values: np.ndarray
    codes: np.ndarray
    weights: np.ndarray
    offset: np.ndarray
    approximate: np.ndarray
    overall: float
    total: int


def leave_rows_out(posterior: Posterior, batches: Batches, *, threads: int, progress: Progress = silent) -> LeaveOut:
    """log p(y_i | all other rows) of every row, or of a random part of many."""
    started = time.perf_counter()
    total = posterior.model.statistics.rows
    if posterior.theta is None:
        chosen = _choose(batches, total, posterior.seed, lambda rows: np.zeros(len(rows.codes)))
        ratios = row_ratios(posterior.model, chosen.values, chosen.codes, chosen.weights, threads)
        nothing = np.full(len(chosen.codes), np.nan)
        parts = (ratios.elpd, nothing, np.isfinite(nothing), ratios.residual, ratios.lpd)
        method = "ratios of marginal likelihoods, integrated on a grid"
    else:
        density = gaussian(posterior.model.statistics, posterior.model.design, posterior.model.priors, threads=threads)
        theta = spread_out(posterior.theta, density.cost)
        centre = theta.mean(axis=0, keepdims=True)
        chosen = _choose(
            batches,
            total,
            posterior.seed,
            lambda rows: _densities(density, centre, rows.values, rows.codes, _ones(rows.weights, rows))[0][0],
        )
        parts = _weighed(posterior, density, theta, chosen, threads, progress)
        method = f"closed for each theta, averaged over {len(theta):,} by importance weights"
    elpd, shapes, refitted, residual, lpd = parts
    exact = elpd - chosen.approximate
    return LeaveOut(
        posterior.model.design.formula.text,
        "row",
        method,
        chosen.positions + 1,
        chosen.values[:, -1] + chosen.offset,
        elpd,
        shapes,
        refitted,
        residual,
        lpd,
        total,
        chosen.overall - float(chosen.approximate.mean()),
        float(exact.std(ddof=1)) if len(elpd) < total else 0.0,
        time.perf_counter() - started,
    )


def spread_out(theta: np.ndarray, cost: float, most: int = _THETAS) -> np.ndarray:
    """Thetas (m, d) spread evenly over the draws of all chains: as many as the work allows."""
    flat = theta.reshape(-1, theta.shape[-1])
    count = int(min(len(flat), most, max(_LEAST, _WORK / cost)))
    return np.ascontiguousarray(flat[np.linspace(0, len(flat) - 1, count).astype(int)])


def _choose(batches: Batches, total: int, seed: int, approximate: Callable[[Rows], np.ndarray]) -> Chosen:
    """All rows, or `MOST` of them at random, from one pass over the batches."""
    positions = np.arange(total)
    if total > MOST:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(31,)))
        positions = np.sort(rng.choice(total, MOST, replace=False))
    parts: list[tuple[np.ndarray, ...]] = []
    before, overall = 0, 0.0
    for rows in batches():
        low, high = np.searchsorted(positions, [before, before + len(rows.codes)])
        mine = positions[low:high] - before
        before += len(rows.codes)
        known = approximate(rows) if total > MOST else np.zeros(len(rows.codes))
        overall += float(known.sum())
        offset = np.zeros(len(rows.codes)) if rows.offset is None else rows.offset
        parts.append((rows.values[mine], rows.codes[mine], _ones(rows.weights, rows)[mine], offset[mine], known[mine]))
    values, codes, weights, offsets, known = (np.concatenate([part[k] for part in parts]) for k in range(5))
    return Chosen(positions, values, codes, weights, offsets, known, overall / total, total)


def gaussian_log_density(residual: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """log N(residual; 0, variance)."""
    return -0.5 * (_LOG_2PI + np.log(variance) + residual**2 / variance)


def _ones(weights: np.ndarray | None, rows: Rows) -> np.ndarray:
    return np.ones(len(rows.codes)) if weights is None else weights


def _densities(
    density: GaussianDensity, theta: np.ndarray, values: np.ndarray, codes: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left out, for each theta: log densities and residuals; and log densities in sample; all (m, n)."""
    residual, variance = density.row_moments(theta, values, codes)
    noise = np.exp(2 * density.layout.log_sigma(theta))[:, None] / weights
    rest = 1.0 - variance / noise
    outside = gaussian_log_density(residual / rest, noise / rest)
    inside = gaussian_log_density(residual, noise + variance)
    return outside, residual / rest, inside


def _weighed(
    posterior: Posterior,
    density: GaussianDensity,
    theta: np.ndarray,
    chosen: Chosen,
    threads: int,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    progress("leaving rows out", 0.0)
    outside, residuals, inside = _densities(density, theta, chosen.values, chosen.codes, chosen.weights)
    elpd, weights, shapes = weighing.left_out(outside)
    residual = np.einsum("mn,mn->n", weights, residuals)
    bad = np.flatnonzero(shapes > GOOD_K)
    statistics = posterior.model.statistics
    seeds = child_seeds(np.random.SeedSequence(posterior.seed, spawn_key=(32,)), len(bad))
    for k, (i, seed) in enumerate(zip(bad, seeds, strict=True)):
        progress("refitting without rows of heavy weight", k / len(bad))
        one = slice(i, i + 1)
        own = reduce_rows(
            chosen.values[one], chosen.codes[one], statistics.columns, statistics.cells, weights=chosen.weights[one]
        )
        settings = SamplerSettings(_REFIT_DRAWS, posterior.chains, seed)
        again = infer(posterior.model.on(statistics - own), settings, threads=threads)
        points = spread_out(np.asarray(again.theta), density.cost)
        parts = _densities(density, points, chosen.values[one], chosen.codes[one], chosen.weights[one])
        elpd[i] = weighing.after_refit(parts[0][:, 0], posterior.certificate, again.certificate)
        residual[i] = parts[1].mean()
    return elpd, shapes, shapes > GOOD_K, residual, weighing.average(inside)
