"""Independence Metropolis from an adapted mixture of Student-t distributions.

First the proposal is adapted: from the Laplace approximation at the mode, a few rounds of adaptive importance sampling
in which all past points are kept under the mixture of all past proposals (Cornuet, Marin, Mira and Robert 2012).
Then it is frozen, and chains run with several tries a step (Liu 2001, section 5.4.3; Craiu and Lemieux 2007):
of the tries one is chosen by weight and accepted with min(1, W / (W - w(chosen) + w(current))), W the sum of the tries'
weights. It is an ordinary Markov chain with the right stationary distribution whatever the proposal, and there is
nothing to tune. The better the proposal, the fewer tries are needed.
"""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.samplers.base import Certificate, LogDensity, Sample, SamplerSettings
from poolwise.samplers.mixture import StudentMixture, fit_mixture
from poolwise.samplers.mode import find_mode
from poolwise.samplers.warp import Warp, warp_for
from poolwise.samplers.weights import efficiency, log_mean, normalised, tail_shape

_GOOD, _ENOUGH, _LEAST = 0.9, 0.5, 0.05  # efficiencies: stop adapting, be content after a few rounds, fail below
_ROUNDS = 10
_SETTLE = 20  # steps before a chain's first kept draw
_REJECTIONS = 0.06  # share of steps that may stay where they are; sets the number of tries
_MOST_TRIES = 32


def sample_independence(density: LogDensity, settings: SamplerSettings) -> Sample:
    """Draw (chains, draws, d) points from a density of few dimensions."""
    adapt_seed, draw_seed = settings.seed.spawn(2)
    settings.progress("adapting the proposal", 0.0)
    proposal, warp, reached, rounds, spent = adapt(density, np.random.default_rng(adapt_seed))
    tries = int(np.clip(math.ceil(0.6 * math.sqrt(1 / reached - 1) / _REJECTIONS), 1, _MOST_TRIES))
    steps = _SETTLE + settings.draws
    rng = np.random.Generator(np.random.SFC64(draw_seed))
    settings.progress("sampling", 0.4)
    candidates, log_weights, _ = _weighted(density, warp, proposal, rng, settings.chains * steps * tries)
    uniforms = rng.random((settings.chains, steps, 2))
    chosen = np.empty((settings.chains, steps), dtype=np.int64)
    grid = log_weights.reshape(settings.chains, steps, tries)
    moves = _run_chains(np.exp(grid - log_weights.max()), uniforms, chosen)
    figures = {
        "acceptance": moves / (settings.chains * (steps - 1)),
        "efficiency": efficiency(log_weights),
        "k_hat": tail_shape(log_weights),
        "tries": float(tries),
        "rounds": float(rounds),
        "evaluations": float(spent + len(candidates)),
    }
    points, _ = warp.forward(candidates[chosen[:, _SETTLE:]].reshape(-1, density.dimension))
    shape = (settings.chains, settings.draws, density.dimension)
    return Sample(points.reshape(shape), _certify(figures, log_mean(log_weights)))


def _weighted(
    density: LogDensity, warp: Warp, proposal: StudentMixture, rng: np.random.Generator, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points from the proposal (size, d), their log weights and log densities, all in warped coordinates."""
    points = proposal.sample(rng, size)
    theta, log_jacobian = warp.forward(points)
    values = density.log_density(theta) + log_jacobian
    return points, values - proposal.log_density(points), values


def adapt(density: LogDensity, rng: np.random.Generator) -> tuple[StudentMixture, Warp, float, int, int]:
    """Fit the proposal. Returns it, its coordinates, its measured efficiency, the rounds and the evaluations spent."""
    mode, covariance = find_mode(density)
    d = density.dimension
    warp = warp_for(mode, np.sqrt(np.diag(covariance)), density.log_scales)
    centre, slope = warp.inverse(mode)
    factor = 1.1 * np.linalg.cholesky(covariance * np.outer(slope, slope))
    proposal = StudentMixture(np.ones(1), centre[None], factor[None], np.full(1, 6.0)).with_defence(0.1, 2.0, 3.0)
    best, reached, size, done = proposal, 0.0, 200 * (d + 1), 0
    points, values, proposals = np.empty((0, d)), np.empty(0), []
    for done in range(1, _ROUNDS + 1):
        fresh, log_weights, density_there = _weighted(density, warp, proposal, rng, size)
        now = efficiency(log_weights)
        if now > reached:
            best, reached = proposal, now
        if reached > _GOOD or (done >= 4 and reached > _ENOUGH):
            break
        points, values = np.vstack([points, fresh]), np.append(values, density_there)
        proposals.append(proposal)
        # Deterministic-mixture weights: every point as if drawn from all proposals so far.
        together = np.logaddexp.reduce([each.log_density(points) for each in proposals]) - math.log(len(proposals))
        weights = normalised(values - together)
        # A few huge weights of an early proposal would fit a mixture to themselves (Ionides 2008 truncates likewise).
        weights = np.minimum(weights, 1 / math.sqrt(len(weights)))
        weights /= weights.sum()
        start = _spread_start(points, weights, min(1 + done, 5), rng)
        proposal = fit_mixture(points, weights, start, 6).with_defence(0.05, 2.0, 3.0)
    return best, warp, reached, done, done * size


def _spread_start(points: np.ndarray, weights: np.ndarray, components: int, rng: np.random.Generator) -> StudentMixture:
    """A mixture to start EM from: centres far apart within the weighted points, all with the same shape."""
    d = points.shape[1]
    mean = weights @ points
    covariance = np.cov(points.T, aweights=weights, bias=True).reshape(d, d) + 1e-9 * np.eye(d)
    factor = np.linalg.cholesky(covariance)
    white = np.linalg.solve(factor, (points - mean).T).T
    centres = [int(rng.choice(len(points), p=weights))]
    nearest = np.full(len(points), np.inf)
    for _ in range(components - 1):
        nearest = np.minimum(nearest, ((white - white[centres[-1]]) ** 2).sum(axis=1))
        pull = weights * np.minimum(nearest, 9.0)
        if not pull.sum() > 0:  # all the weight is on the centres chosen so far
            break
        centres.append(int(rng.choice(len(points), p=pull / pull.sum())))
    shrunk = factor * 0.7
    return StudentMixture(
        np.full(len(centres), 1 / len(centres)),
        points[centres],
        np.repeat(shrunk[None], len(centres), 0),
        np.full(len(centres), 8.0),
    )


@kernel
def _run_chains(weights, uniforms, chosen):
    """Multiple-try independence Metropolis on weights (chains, steps, tries); returns the number of moves."""
    chains, steps, tries = weights.shape
    moves = 0
    for chain in range(chains):
        current, current_weight = -1, 0.0
        for step in range(steps):
            total = 0.0
            for k in range(tries):
                total += weights[chain, step, k]
            target, pick = uniforms[chain, step, 0] * total, 0
            below = weights[chain, step, 0]
            while below < target and pick < tries - 1:
                pick += 1
                below += weights[chain, step, pick]
            weight = weights[chain, step, pick]
            if current < 0 or uniforms[chain, step, 1] * (total - weight + current_weight) < total:
                moves += current >= 0
                current, current_weight = (chain * steps + step) * tries + pick, weight
            chosen[chain, step] = current
    return moves


def _certify(figures: dict[str, float], log_evidence: float) -> Certificate:
    passed = figures["efficiency"] >= _LEAST and figures["k_hat"] < 0.7 and figures["acceptance"] > 0.5
    reason = "few parameters remain once the coefficients are integrated out"
    if passed:
        advice = "The proposal fits the posterior; draws are nearly independent."
    else:
        advice = (
            f"The adapted proposal fits the posterior of the variances badly (efficiency {figures['efficiency']:.2f}, "
            f"k-hat {figures['k_hat']:.2f}). Try sampler='nuts', fewer correlated effects, or tighter priors."
        )
    return Certificate("independence", reason, passed, advice, figures, log_evidence)
