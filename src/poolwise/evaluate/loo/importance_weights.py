"""From densities given theta to a density: an average over theta, by importance weights where theta saw too much."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from poolwise.density.ties import Ties
from poolwise.samplers import Certificate
from poolwise.samplers.weights import tail_shape

_NOISY = 0.03  # standard error of a log density
TOLD = 0.3  # the same, below which an average over draws is not that of a few of them in a tail
_EVEN = 0.98  # Kish efficiency from which there is no tail to smooth
FINITE = 0.5  # Pareto k-hat below which weights have a variance, so that least squares make sense


def average(log_density: np.ndarray) -> np.ndarray:
    """log of the mean of densities given draws of theta that have not seen the unit, (m, n) to (n,)."""
    return np.asarray(logsumexp(log_density, axis=0) - np.log(len(log_density)))


def rough(log_density: np.ndarray) -> np.ndarray:
    """Log densities (n,) when left out, of draws (m, n) that have seen all: without smoothing, so only for corrections
    of which the mean error is known."""
    return np.asarray(np.log(len(log_density)) - logsumexp(-log_density, axis=0))


def noise(log_density: np.ndarray) -> float:
    """Standard error of what `average` finds at independent draws, summed over units, (m, n): about one for a unit of
    which one draw has nearly all, and without end where none has any."""
    most = log_density.max(axis=0)
    if not np.isfinite(most).all():
        return np.inf
    relative = np.exp(log_density - most)
    return float((relative / relative.mean(axis=0)).sum(axis=1).std() / np.sqrt(len(relative)))


def after_refit(log_density: np.ndarray, all_rows: Certificate, rest: Certificate) -> tuple[float, float]:
    """log p(unit | rest) from draws (m,) given the rest, and its standard error; or, where their average is noisy, the
    ratio of evidences.

    A unit that a fit of the rest finds all but impossible is predicted by the far tail of theta: no average over draws
    finds that, but log p(all) - log p(rest) has an error of the order of a hundredth whatever the unit.
    """
    error = noise(log_density[:, None])
    if error > _NOISY and all_rows.log_evidence is not None and rest.log_evidence is not None:
        each = [one.figures.get("evidence_error", 0.0) for one in (all_rows, rest)]
        return all_rows.log_evidence - rest.log_evidence, float(np.linalg.norm(each))
    return float(average(log_density[:, None])[0]), error


def with_refits(error: float, refitted: np.ndarray) -> float:
    """Standard error of a sum of units that were weighed, whose error is known, and of others that were left out by
    refitting, with an error each."""
    return float(np.hypot(error, np.linalg.norm(refitted)))


def left_out(log_density: np.ndarray, variates: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same for draws that have seen it: log densities (n,), weights of the draws (m, n), and Pareto k-hat (n,).

    p(theta | the rest) is proportional to p(theta | all) / p(unit | the rest, theta), so draws are weighed by the
    reciprocal of the density, smoothed unless they are nearly even (Vehtari, Simpson, Gelman, Yao and Gabry 2024). With
    control variates (m, v) the mean of the reciprocals is taken by least squares wherever these have a variance.
    """
    log_weights = -log_density - logsumexp(-log_density, axis=0)
    uneven = np.flatnonzero(np.exp(logsumexp(2 * log_weights, axis=0)) * len(log_weights) > 1 / _EVEN)
    shapes = np.array([tail_shape(-column) for column in log_density.T])
    uneven = uneven[np.isfinite(shapes[uneven])]  # others have no tail, or none that could be smoothed
    if len(uneven):
        from arviz_stats.base import array_stats

        # A tail of which a quarter is equal, as where a zero is all but certain in most draws, has no such fit.
        with np.errstate(divide="ignore", invalid="ignore"):
            smoothed, fitted = array_stats.psislw(np.ascontiguousarray(log_density[:, uneven].T), axis=-1)
        failed = np.isnan(fitted) | np.isnan(smoothed).any(axis=-1)
        shapes[uneven] = np.where(failed, np.inf, fitted)
        kept, smoothed = uneven[~failed], smoothed[~failed].T
        log_weights[:, kept] = smoothed - logsumexp(smoothed, axis=0)
    found = logsumexp(log_weights + log_density, axis=0)
    if variates is not None:
        centre = log_density.mean(axis=0)
        explained = np.column_stack([np.ones(len(variates)), variates])
        mean = np.linalg.lstsq(explained, np.exp(centre - log_density), rcond=None)[0][0]
        tame = (shapes < FINITE) & (mean > 0)
        found = np.where(tame, centre - np.log(np.where(tame, mean, 1.0)), found)
    return found, np.exp(log_weights), shapes


def untrusted(log_density: np.ndarray, limit: float) -> np.ndarray:
    """Positions of the units whose weights of the draws (m, n) have a Pareto k-hat above a limit."""
    log_weights = -log_density - logsumexp(-log_density, axis=0)
    uneven = np.flatnonzero(np.exp(logsumexp(2 * log_weights, axis=0)) * len(log_weights) > 1 / _EVEN)
    shapes = np.array([tail_shape(column) for column in log_weights[:, uneven].T])
    return uneven[shapes > limit]


def monte_carlo_error(
    weights: np.ndarray, shapes: np.ndarray, weighed: np.ndarray, variates: np.ndarray | None = None
) -> float:
    """Standard error of the sum of what `left_out` finds for the units `weighed` (n,), of independent draws.

    A draw moves the log of a mean of reciprocals by its weight, less that of an even one. Units share their draws, so
    that their errors add up draw by draw; control variates explain a part.
    """
    tame = weighed & (shapes < FINITE) if variates is not None else np.zeros_like(weighed)
    rest = weights[:, weighed & ~tame].sum(axis=1)
    away = rest - rest.mean()
    if variates is not None:
        explained = np.column_stack([np.ones(len(variates)), variates])
        mine = weights[:, tame].sum(axis=1)
        away = away + mine - explained @ np.linalg.lstsq(explained, mine, rcond=None)[0]
    return float(np.sqrt(np.square(away).sum()))


def control_variates(ties: Ties, theta: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Functions of theta whose posterior means are zero, (m, s + s (s + 1) / 2), s numbers of theta being sampled.

    For a polynomial P, Laplacian(P) + grad(P) . grad(log p) integrates to zero against p (zero-variance Monte Carlo:
    Mira, Solgi and Imparato 2013). All P of degree one and two are taken; theta and the gradients are (m, d). What of
    theta follows other numbers has no density of its own: gradients are those in what is sampled.
    """
    theta, gradients = theta[:, ties.free], ties.slopes(theta, gradients)
    size = theta.shape[1]
    scale = theta.std(axis=0)
    centred, slopes = (theta - theta.mean(axis=0)) / np.where(scale > 0, scale, 1.0), gradients * scale
    columns = [slopes[:, i] for i in range(size)]
    for i in range(size):
        for j in range(i, size):
            columns.append(2.0 * (i == j) + centred[:, i] * slopes[:, j] + centred[:, j] * slopes[:, i])
    return np.column_stack(columns)
