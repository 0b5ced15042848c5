"""Independence Metropolis from an adapted mixture of Student-t distributions.

First the proposal is adapted: from the Laplace approximation at the mode, a few rounds of adaptive importance sampling
in which all past points are kept under the mixture of all past proposals (Cornuet, Marin, Mira and Robert 2012).
Then it is frozen, and chains run by accept-reject Metropolis (Tierney 1994, section 2.3.4; Chib and Greenberg 1995):
proposals are thinned to the density min(target, bound x proposal), as in rejection sampling, and a Metropolis step
makes up for the few places where the bound does not hold. It is an ordinary Markov chain with the right stationary
distribution whatever the proposal and the bound, and there is nothing to tune. The better the proposal, the fewer
evaluations a draw costs; the draws are nearly independent in any case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poolwise.compiled import kernel
from poolwise.samplers.base import Certificate, LogDensity, Sample, SamplerSettings, child_seeds
from poolwise.samplers.mixture import StudentMixture, fit_mixture
from poolwise.samplers.mode import Mode, find_modes
from poolwise.samplers.surrogate import Surrogate, fit_surrogate
from poolwise.samplers.warp import Warp, warp_for
from poolwise.samplers.weights import efficiency, log_mean, normalised, tail_shape

_GOOD, _ENOUGH, _LEAST = 0.93, 0.5, 0.2  # efficiencies: stop adapting, be content after a few rounds, fail below
_ROUNDS = 10
# Efficiency below which another sampler will be faster: after two rounds of adaptation, after all, and of the draws.
_HOPELESS, _WORTH, _KEPT = 0.3, 0.6, 0.5
_SETTLE = 20  # steps before a chain's first kept draw
# Share of steps that may stay where they are; sets the bound. The second where an evaluation costs more than a
# repeated draw is worth.
_STAY, _STAY_DEAR, _DEAR = 0.002, 0.05, 1e7
_MOST_PROPOSALS = 50.0  # for one draw
_BATCH = 1 << 17  # proposals at a time, so that Ctrl-C is heard soon


def sample_independence(density: LogDensity, settings: SamplerSettings) -> Sample:
    """Draw (chains, draws, d) points from a density of few dimensions.

    Where the certificate fails, what the run has seen makes a better proposal, and a second run is the last word.
    """
    adapt_seed, draw_seed, second_seed = child_seeds(settings.seed, 3)
    settings.progress("adapting the proposal", 0.0)
    adapted = adapt(density, np.random.default_rng(adapt_seed))
    settings.progress("sampling", 0.4)
    found, points, log_weights = _run(density, adapted, settings, draw_seed)
    if found.certificate.passed or not np.isfinite(log_weights).any():
        return found
    settings.progress("sampling once more, from a better proposal", 0.7)
    better = _refined(adapted, points, log_weights, np.random.default_rng(second_seed))
    return _run(density, better, settings, second_seed)[0]


def sample_if_certified(density: LogDensity, mode: Mode, settings: SamplerSettings) -> Sample | None:
    """The same from a mode that is known, as long as it looks worth while; None where the certificate fails."""
    adapt_seed, draw_seed = child_seeds(settings.seed, 2)
    settings.progress("adapting the proposal", 0.0)
    adapted = adapt(density, np.random.default_rng(adapt_seed), [mode], hopeless=_HOPELESS)
    if not len(adapted.log_weights) or efficiency(adapted.log_weights) < _WORTH:
        return None
    settings.progress("sampling", 0.4)
    found = _run(density, adapted, settings, draw_seed)[0]
    figures = found.certificate.figures
    return found if found.certificate.passed and figures["efficiency"] >= _KEPT else None


def _run(
    density: LogDensity, adapted: Adapted, settings: SamplerSettings, seed: np.random.SeedSequence
) -> tuple[Sample, np.ndarray, np.ndarray]:
    """Chains from a frozen proposal; and all points that were proposed (m, d), with their log weights (m,)."""
    needed = settings.chains * (_SETTLE + settings.draws)
    log_bound, kept = choose_bound(adapted.log_weights, _STAY if density.cost < _DEAR else _STAY_DEAR)
    rng = np.random.Generator(np.random.SFC64(seed))
    spare = 1.05 if density.cost < _DEAR else 1.0
    batches: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    while (have := sum(int(passed.sum()) for *_, passed in batches)) < needed:
        size = min(int(spare * (needed - have) / kept) + 8, _BATCH)
        proposed, log_weights = _weighted(density, adapted.warp, adapted.proposal, rng, size)[:2]
        batches.append((proposed, log_weights, np.log(rng.random(size)) < log_weights - log_bound))
    points, log_weights, passed = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    candidates, excess = points[passed][:needed], log_weights[passed][:needed] - log_bound
    chosen = np.empty((settings.chains, _SETTLE + settings.draws), dtype=np.int64)
    moves = _run_chains(np.maximum(excess, 0.0).reshape(chosen.shape), np.log(rng.random(chosen.shape)), chosen)
    figures = {
        "acceptance": moves / (settings.chains * (chosen.shape[1] - 1)),
        "efficiency": efficiency(log_weights),
        "k_hat": tail_shape(log_weights),
        "largest_weight": math.exp(float(log_weights.max()) - log_mean(log_weights)),
        "rounds": float(adapted.rounds),
        "evaluations": float(adapted.evaluations + len(log_weights)),
    }
    drawn, _ = adapted.warp.forward(candidates[chosen[:, _SETTLE:]].reshape(-1, density.dimension))
    shape = (settings.chains, settings.draws, density.dimension)
    return Sample(drawn.reshape(shape), _certify(figures, log_mean(log_weights))), points, log_weights


def _refined(adapted: Adapted, points: np.ndarray, log_weights: np.ndarray, rng: np.random.Generator) -> Adapted:
    """A proposal fitted to the points of a run, which are many more than adaptation had."""
    weights = np.minimum(normalised(log_weights), 1 / math.sqrt(len(log_weights)))
    weights /= weights.sum()
    proposal = fit_mixture(points, weights, _spread_start(points, weights, 8, rng), 12).with_defence(0.1, 2.0, 3.0)
    values = log_weights + adapted.proposal.log_density(points)
    # Resampled in proportion to how much more likely they are now: as if they came from the new proposal.
    ratio = normalised(proposal.log_density(points) - adapted.proposal.log_density(points))
    some = rng.choice(len(points), size=len(points), p=ratio)
    spent = adapted.evaluations + len(points)
    return Adapted(proposal, adapted.warp, (values - proposal.log_density(points))[some], adapted.rounds + 1, spent)


def choose_bound(log_weights: np.ndarray, stay: float = _STAY) -> tuple[float, float]:
    """Log of the bound on the weights, and the share of proposals that pass under it.

    The bound is the least one under which a stationary chain stays in place in at most a share `stay` of its steps,
    that is E[(w - bound)+] <= stay E[w], unless a draw would cost more than `_MOST_PROPOSALS` proposals.
    """
    top = float(log_weights.max())
    weights = np.sort(np.exp(log_weights - top))[::-1]
    total = weights.sum()
    above = np.cumsum(weights) - weights * np.arange(1, len(weights) + 1)  # sum of (w - w_k)+ over the k largest
    bound = weights[np.searchsorted(above, stay * total, side="right") - 1]
    bound = min(bound, _MOST_PROPOSALS * total / len(weights))
    return top + math.log(bound), float(np.minimum(weights / bound, 1.0).mean())


@dataclass(frozen=True, slots=True, eq=False)
class Adapted:
    """A frozen proposal.

    Attributes
    ----------
    proposal, warp : the mixture or what was made of it, and the coordinates it lives in.
    log_weights : (m,) of fresh points drawn from it.
    rounds, evaluations : what the adaptation took.
    """

    proposal: StudentMixture | Surrogate
    warp: Warp
    log_weights: np.ndarray
    rounds: int
    evaluations: int


def _weighted(
    density: LogDensity, warp: Warp, proposal: StudentMixture | Surrogate, rng: np.random.Generator, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points from the proposal (size, d), their log weights and log densities, all in warped coordinates."""
    points = proposal.sample(rng, size)
    theta, log_jacobian = warp.forward(points)
    values = density.log_density(theta) + log_jacobian
    return points, values - proposal.log_density(points), values


def adapt(
    density: LogDensity, rng: np.random.Generator, modes: list[Mode] | None = None, *, hopeless: float = 0.0
) -> Adapted:
    """Fit the proposal to the density, from modes that are looked for where none are given.

    Two rounds that leave the efficiency below `hopeless` are the last.
    """
    modes = find_modes(density, rng) if modes is None else modes
    d, first = density.dimension, 100 if density.cost < _DEAR else 60
    warp = warp_for(modes[0].point, np.sqrt(np.diag(modes[0].covariance)), density.log_scales)
    proposal = _laplace(modes, warp).with_defence(0.1, 2.0, 3.0)
    best, reached, spent, done = (proposal, np.empty(0)), 0.0, 0, 0
    points, values, proposals, sizes = np.empty((0, d)), np.empty(0), [], []
    for done in range(1, _ROUNDS + 1):
        size = (first if done == 1 else 2 * first) * (d + 1)
        fresh, log_weights, density_there = _weighted(density, warp, proposal, rng, size)
        spent += size
        now = efficiency(log_weights)
        if now > reached:
            best, reached = (proposal, log_weights), now
        points, values = np.vstack([points, fresh]), np.append(values, density_there)
        if reached > _GOOD or (done >= 4 and reached > _ENOUGH):
            break
        if done >= 2 and reached < hopeless:
            break
        if density.cost >= _DEAR and reached > _ENOUGH:  # from here a surrogate goes further, for nothing
            break
        proposals.append(proposal)
        sizes.append(size)
        # Deterministic-mixture weights: every point as if drawn from all proposals so far.
        shares = np.log(np.array(sizes) / spent)
        together = [each.log_density(points) + share for each, share in zip(proposals, shares, strict=True)]
        weights = normalised(values - np.logaddexp.reduce(together))
        # A few huge weights of an early proposal would fit a mixture to themselves (Ionides 2008 truncates likewise).
        weights = np.minimum(weights, 1 / math.sqrt(len(weights)))
        weights /= weights.sum()
        start = _spread_start(points, weights, min(1 + done, 5), rng)
        proposal = fit_mixture(points, weights, start, 6).with_defence(0.03, 2.0, 3.0)
    if density.cost >= _DEAR and reached > _LEAST:
        surrogate = fit_surrogate(best[0], points, values, rng)
        if surrogate is not None:
            middle = values > values.max() - d  # where most draws will be: that is what a bound must suit
            return Adapted(surrogate, warp, (values - surrogate.log_density(points))[middle], done, spent)
    return Adapted(best[0], warp, best[1], done, spent)


def _laplace(modes: list[Mode], warp: Warp) -> StudentMixture:
    """One component for each mode, in warped coordinates, weighted by the root of its Laplace mass."""
    masses = np.array([mode.value + 0.5 * np.linalg.slogdet(mode.covariance)[1] for mode in modes])
    # The root keeps a mode in play whose mass is underestimated; a tenth at the least.
    weights = np.maximum(np.exp(0.5 * (masses - masses.max())), 0.1)
    places = [warp.inverse(mode.point) for mode in modes]
    factors = [
        1.1 * np.linalg.cholesky(mode.covariance * np.outer(slope, slope))
        for mode, (_, slope) in zip(modes, places, strict=True)
    ]
    centres = np.array([centre for centre, _ in places])
    return StudentMixture(weights / weights.sum(), centres, np.array(factors), np.full(len(modes), 6.0))


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
        np.full(len(centres), 15.0),
    )


@kernel
def _run_chains(log_excess, log_uniforms, chosen):
    """Metropolis on candidates that have passed the bound, log_excess = max(log w - log bound, 0), (chains, steps).

    A state within the bound always gives way; one beyond it gives way in proportion. Returns the number of moves.
    """
    moves = 0
    for chain in range(log_excess.shape[0]):
        current = 0
        chosen[chain, 0] = chain * log_excess.shape[1]
        for step in range(1, log_excess.shape[1]):
            if log_uniforms[chain, step] < log_excess[chain, step] - log_excess[chain, current]:
                current = step
                moves += 1
            chosen[chain, step] = chain * log_excess.shape[1] + current
    return moves


def _certify(figures: dict[str, float], log_evidence: float) -> Certificate:
    # k-hat knows no scale: among nearly equal weights it may say anything. It counts where some weight is large, as it
    # must be under a heavy tail: of m weights with k = 0.7 the largest is about m^0.7 times their mean.
    light = figures["k_hat"] < 0.7 or figures["largest_weight"] < 10
    passed = figures["efficiency"] >= _LEAST and light and figures["acceptance"] > 0.5
    reason = "few parameters remain once the coefficients are integrated out"
    if passed:
        advice = "The proposal fits the posterior; draws are nearly independent."
    else:
        advice = (
            f"The adapted proposal fits the posterior of the variances badly (efficiency {figures['efficiency']:.2f}, "
            f"k-hat {figures['k_hat']:.2f}). Try sampler='nuts', fewer correlated effects, or tighter priors."
        )
    return Certificate("independence", reason, passed, advice, figures, log_evidence)
