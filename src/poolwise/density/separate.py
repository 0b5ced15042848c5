"""Regressions without pooling: one for each group, or one for all. Exact, and without a Markov chain.

With the coefficients integrated out one number is left per regression, s = log sigma. In coordinates where the data and
the prior of the coefficients are both diagonal its density costs p terms; it is integrated on a grid that covers all
but 1e-14 of it, and drawn from by inverting the distribution function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import Array3, Matrix, Vector
from poolwise.density.priors import ModelPriors
from poolwise.density.theta import log_scale_prior
from poolwise.density.working_coordinates import group_roots, shifted
from poolwise.design.design import Design
from poolwise.samplers.interface import child_seeds
from poolwise.statistics.products import CrossProducts
from poolwise.support.threads import map_slices

GRID = 768
_DROP = 32.0  # log density below its peak where the grid ends: exp(-32) = 1e-14
_LOG_2PI = math.log(2 * math.pi)
_SLICE = 16  # regressions a task; fixed, so that draws do not depend on the number of threads


@dataclass(frozen=True, slots=True, eq=False)
class SeparateRegressions:
    """J independent regressions in diagonal coordinates.

    With S^-1/2 R (beta - mean) = V a, a ~ N(0, I) a priori, the data are a_k + e_k ~ N(a_k, sigma^2 / information_k).

    Attributes
    ----------
    counts : (J,) rows.
    information : (J, p) X'X in the diagonal coordinates; zero where the group's data say nothing.
    estimate : (J, p) least-squares estimates in them, zero where there is no information.
    residual : (J,) residual sum of squares of the least-squares fit.
    without_residual : (J,) whether a group's outcomes lie exactly on its regression, with rows to spare.
    to_white : (J, p, p) from the diagonal coordinates to those in which the prior is standard normal, orthogonal.
    whiten : (p, p) from the latter to deviations of beta from its prior mean.
    mean : (p,) prior mean of beta.
    sigma_prior : (6,) coefficients of the prior of sigma.
    threads : how many threads the work is spread over.
    """

    counts: np.ndarray
    information: np.ndarray
    estimate: np.ndarray
    residual: np.ndarray
    without_residual: np.ndarray
    to_white: np.ndarray
    whiten: np.ndarray
    mean: np.ndarray
    sigma_prior: np.ndarray
    threads: int

    def draw(self, draws: int, seed: np.random.SeedSequence) -> tuple[np.ndarray, np.ndarray]:
        """Independent draws: coefficients (draws, J, p) and sigma (draws, J).

        Noise is turned into the diagonal coordinates and back, so that draws do not follow the signs and the order
        that a decomposition happens to give these.
        """
        groups, p = self.information.shape
        seeds = child_seeds(seed, math.ceil(groups / _SLICE))
        beta, sigma = np.empty((groups, p, draws)), np.empty((groups, draws))

        def work(i: int, part: slice) -> None:
            rng = np.random.Generator(np.random.SFC64(seeds[i]))
            size = part.stop - part.start
            noise, uniform = rng.standard_normal((size, p, draws)), rng.random((size, draws))
            _draw(*self._arrays(part), self.to_white[part], noise, uniform, beta[part], sigma[part])

        map_slices(work, groups, _SLICE, self.threads)
        return self.mean + beta.transpose(2, 0, 1) @ self.whiten.T, sigma.T

    def means(self) -> np.ndarray:
        """Posterior means of the coefficients, (J, p), by quadrature."""
        return self.mean + np.einsum("jpk,jk->jp", self.to_white, self._integrated()[0]) @ self.whiten.T

    def log_evidence(self) -> np.ndarray:
        """Log marginal likelihood of each regression, (J,)."""
        return self._integrated()[1]

    def _integrated(self) -> tuple[np.ndarray, np.ndarray]:
        """Posterior means in the diagonal coordinates (J, p), and log marginal likelihoods (J,)."""
        shrunk = np.empty_like(self.information)
        log_evidence = np.empty(len(self.counts))

        def work(_: int, part: slice) -> None:
            _average(*self._arrays(part), shrunk[part], log_evidence[part])

        map_slices(work, len(self.counts), _SLICE, self.threads)
        return shrunk, log_evidence

    def _arrays(self, part: slice) -> tuple[np.ndarray, ...]:
        return self.counts[part], self.information[part], self.estimate[part], self.residual[part], self.sigma_prior


def separate(statistics: CrossProducts, design: Design, priors: ModelPriors, *, threads: int) -> SeparateRegressions:
    """Diagonalise the regression on the common terms in each group of `statistics` by itself.

    Student-t priors of coefficients count as Normal here: `infer` sends such models elsewhere.
    """
    roots = group_roots(statistics)
    outcome = np.zeros(len(statistics.columns) + 1)
    outcome[0], outcome[-1] = statistics.origin[-1], 1.0
    columns = shifted(design.common_map, statistics.origin[:-1])
    residual = outcome.copy()
    residual[:-1] -= columns @ priors.mean_of_beta
    whiten = np.linalg.solve(priors.rows, np.diag(priors.width))  # beta - mean = whiten @ N(0, I)
    left, singular, right = np.linalg.svd(roots[:, :, :-1] @ (columns @ whiten), full_matrices=False)
    target = roots @ residual
    # At the level of rounding only: where a vague prior stands beside a narrow one, small values carry data.
    singular = np.where(singular > 1e-13 * np.maximum(singular[:, :1], 1e-300), singular, 0.0)
    projected = np.einsum("jrk,jr->jk", left, target)
    estimate = np.divide(projected, singular, out=np.zeros_like(projected), where=singular > 0)
    rest = target - np.einsum("jrk,jk->jr", left, projected * (singular > 0))
    squares = np.square(rest).sum(axis=1)
    spare = statistics.counts > (singular > 0).sum(axis=1)
    exact = spare & (squares <= 1e-24 * np.square(target).sum(axis=1))
    total = statistics.merged()
    smallest = 1e-12 * max(float(total.scatter[0, -1, -1]) / max(total.rows, 1), 1e-300)
    squares = np.where(exact, smallest * statistics.counts, squares)
    return SeparateRegressions(
        statistics.counts,
        np.square(singular),
        estimate,
        squares,
        exact,
        np.ascontiguousarray(right.transpose(0, 2, 1)),
        whiten,
        priors.mean_of_beta,
        np.array(priors.sigma.coefficients),
        threads,
    )


@kernel
def _log_density(s, count, information, estimate, residual, prior):
    """log p(y, log sigma = s) of one regression."""
    precision = math.exp(-2.0 * s)
    value = log_scale_prior(s, prior)[0] - count * (s + 0.5 * _LOG_2PI) - 0.5 * residual * precision
    for k in range(information.size):
        data = information[k] * precision
        value -= 0.5 * math.log1p(data) + 0.5 * estimate[k] * estimate[k] * data / (1.0 + data)
    return value


@kernel
def _grid(count, information, estimate, residual, prior, nodes, density):
    """Nodes in s from end to end of the posterior, and its density there relative to the peak; returns the log peak."""
    # A coarse scan first: the density may rise in steps where one predictor after the other begins to fit.
    size = residual
    for k in range(information.size):
        size += information[k] * estimate[k] * estimate[k]
    low = (0.5 * math.log(size / count) if size > 0.0 else 0.0) - 40.0
    best, peak = 0.0, -np.inf
    for i in range(161):
        s = low + 0.5 * i
        value = _log_density(s, count, information, estimate, residual, prior)
        if value > peak:
            best, peak = s, value
    left, right = best - 0.5, best + 0.5
    for _ in range(40):
        one, two = right - 0.618034 * (right - left), left + 0.618034 * (right - left)
        if _log_density(one, count, information, estimate, residual, prior) > _log_density(
            two, count, information, estimate, residual, prior
        ):
            right = two
        else:
            left = one
    mode = 0.5 * (left + right)
    peak = _log_density(mode, count, information, estimate, residual, prior)
    ends = np.empty(2)
    for side in range(2):
        sign = 2.0 * side - 1.0
        far = 0.05
        while (
            far < 700.0
            and _log_density(mode + sign * far, count, information, estimate, residual, prior) > peak - _DROP
        ):
            far *= 2.0
        near = 0.0
        for _ in range(20):
            middle = 0.5 * (near + far)
            if _log_density(mode + sign * middle, count, information, estimate, residual, prior) > peak - _DROP:
                near = middle
            else:
                far = middle
        ends[side] = mode + sign * far
    for i in range(nodes.size):
        nodes[i] = ends[0] + (ends[1] - ends[0]) * i / (nodes.size - 1)
        density[i] = math.exp(_log_density(nodes[i], count, information, estimate, residual, prior) - peak)
    return peak


@kernel
def _average(
    counts: Vector,
    information: Matrix,
    estimate: Matrix,
    residual: Vector,
    prior: Vector,
    shrunk: Matrix,
    log_evidence: Vector,
) -> None:
    """Posterior means in diagonal coordinates, and log evidence, by the trapezoidal rule.

    The integrand vanishes with all its derivatives at both ends, so the rule converges geometrically.
    """
    nodes, density = np.empty(GRID), np.empty(GRID)
    for j in range(counts.size):
        peak = _grid(counts[j], information[j], estimate[j], residual[j], prior, nodes, density)
        total = density.sum()
        log_evidence[j] = peak + math.log(total * (nodes[1] - nodes[0]))
        for k in range(information.shape[1]):
            mean = 0.0
            for i in range(GRID):
                data = information[j, k] * math.exp(-2.0 * nodes[i])
                mean += density[i] * data / (1.0 + data)
            shrunk[j, k] = estimate[j, k] * mean / total


@kernel
def _draw(
    counts: Vector,
    information: Matrix,
    estimate: Matrix,
    residual: Vector,
    prior: Vector,
    to_white: Array3,
    noise: Array3,
    uniform: Matrix,
    beta: Array3,
    sigma: Matrix,
) -> None:
    """Draws of sigma by inverting its distribution function, then of the whitened coefficients given sigma.

    With V = to_white: V (shrunk estimate + diag(spread) V' noise), the noise through the symmetric root of the
    covariance, which is unique.
    """
    p, draws = noise.shape[1], noise.shape[2]
    nodes, density, below = np.empty(GRID), np.empty(GRID), np.empty(GRID)
    guide = np.empty(GRID, dtype=np.int64)
    a = np.empty(draws)
    for j in range(counts.size):
        _grid(counts[j], information[j], estimate[j], residual[j], prior, nodes, density)
        step = nodes[1] - nodes[0]
        _distribution(density, step, below)
        _guide(below, guide)
        for d in range(draws):
            target = uniform[j, d]
            i = guide[int(target * GRID)]
            while below[i + 1] < target:
                i += 1
            sigma[j, d] = math.exp(nodes[i] + _invert(target, i, below, density, step))
        beta[j] = 0.0
        for k in range(p):
            for d in range(draws):
                data, turned = information[j, k] / (sigma[j, d] * sigma[j, d]), 0.0
                for c in range(p):
                    turned += to_white[j, c, k] * noise[j, c, d]
                a[d] = (estimate[j, k] * data) / (1.0 + data) + turned / math.sqrt(1.0 + data)
            for c in range(p):
                weight = to_white[j, c, k]
                out = beta[j, c]
                for d in range(draws):
                    out[d] += weight * a[d]


@kernel
def _distribution(density, step, below):
    """Distribution function at the nodes, by the fourth-order rule over four nodes; `density` is normalised too."""
    size = density.size
    below[0] = 0.0
    for i in range(size - 1):
        before = density[i - 1] if i > 0 else 0.0
        after = density[i + 2] if i + 2 < size else 0.0
        area = step * (13.0 * (density[i] + density[i + 1]) - before - after) / 24.0
        below[i + 1] = below[i] + max(area, 0.0)
    total = below[size - 1]
    for i in range(size):
        below[i] /= total
        density[i] /= total
    below[size - 1] = 1.0


@kernel
def _guide(below, guide):
    """For each of GRID equal steps of probability, the node to begin the search at."""
    i = 0
    for k in range(guide.size):
        while i + 2 < below.size and below[i + 1] < k / guide.size:
            i += 1
        guide[k] = i


@kernel
def _invert(target, i, below, density, step):
    """Place within cell i where the distribution function is `target`, the density being linear within the cell."""
    share = (target - below[i]) / (below[i + 1] - below[i])
    left, right = density[i], density[i + 1]
    # Solve left t + (right - left) t^2 / 2 = share (left + right) / 2 in the form that keeps its digits.
    area = share * (left + right)
    root = math.sqrt(left * left + (right - left) * area)
    return step * area / (left + root) if left + root > 0.0 else 0.0
