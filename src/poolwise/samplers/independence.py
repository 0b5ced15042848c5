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
import time
from dataclasses import dataclass, replace

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import IntMatrix, Matrix
from poolwise.samplers.bridge import bridge
from poolwise.samplers.convergence import ESS_PER_CHAIN, bulk_and_tail_ess
from poolwise.samplers.interface import Certificate, LogDensity, Sample, SamplerSettings, child_seeds
from poolwise.samplers.mixture import StudentMixture, fit_mixture
from poolwise.samplers.mode import Mode, find_modes
from poolwise.samplers.surrogate import Surrogate, fit_surrogate
from poolwise.samplers.warp import Warp, warp_for
from poolwise.samplers.weights import efficiency, log_mean, normalised, tail_ess, tail_shape

_LEAST = 0.2  # efficiency below which draws are not certified
_ROUNDS = 10
# Efficiency below which another sampler will be faster: after two rounds of adaptation, after all, and of the draws.
_HOPELESS, _WORTH, _KEPT = 0.3, 0.6, 0.5
# Points that tell whether densities are near, and from which efficiency on, but for a share of the points in tails; and
# for each dimension, that a proposal is fitted to where these tails are heavy.
_FIRST, _TELLING, _NEAR, _ASIDE, _MORE, _REFITS = 100, 400, 0.25, 0.05, 400, 3
_FINITE, _HEAVY = 0.5, 0.8  # k-hat below which weights have a variance; from which 400 points say that they have none
_AGAIN = 0.1  # efficiency from which the points of a run that is not certified make a better proposal
_STAY = 0.2  # of steps, where weights are estimates
_SAME = 0.9998  # efficiency from which two densities are the same: means are off by less than 0.014 sds
# Nearly independent draws: the worst effective sample size of thousands of scalars is above 1,000; twice as many where
# weights are estimates, whose chains stay more.
_PLENTY = 2_000
_SLOW = 1e5  # flops of an evaluation from which 4,000 draws take a second
_TAIL = 0.1  # of the draws, as which means and tails must be known where there are few
_SETTLE = 20  # steps before a chain's first kept draw
_MOST_PROPOSALS = 50.0  # for one draw
_BATCH, _BATCH_FLOPS = 1 << 17, 8e9  # proposals at a time, at the most, so that progress is seen


@dataclass(frozen=True, slots=True)
class _Effort:
    """How evaluations are rationed.

    Attributes
    ----------
    first : evaluations of the first round of adaptation, for each dimension and one more; twice as many in others.
    good : efficiency from which adaptation stops.
    enough, rounds : efficiency with which it is content after so many rounds.
    stay : share of a chain's steps that may stay where they are, which sets the bound on the weights.
    surrogate : whether a polynomial is fitted to what was evaluated.
    """

    first: int
    good: float
    enough: float
    rounds: int
    stay: float
    surrogate: bool


_CHEAP = _Effort(100, 0.93, 0.5, 4, 0.002, False)
_MODERATE = _Effort(50, 0.75, 0.5, 3, 0.05, False)  # an evaluation costs more than what else is done for a draw
_COSTLY = _Effort(60, 1.0, 0.5, 2, 0.05, True)  # fewer draws are taken where none are asked for
_DEAR = _Effort(60, 0.5, 0.5, 1, 0.05, True)  # it costs more than the search for a polynomial


def _effort(density: LogDensity) -> _Effort:
    if density.cost < 3e4:
        return _CHEAP
    if density.cost < 1e6:
        return _MODERATE
    return _COSTLY if density.cost < 1e7 else _DEAR


def sample_independence(density: LogDensity, settings: SamplerSettings, modes: list[Mode] | None = None) -> Sample:
    """Draw (chains, draws, d) points from a density of few dimensions, from modes that are looked for if not given.

    Where the certificate fails, what the run has seen makes a better proposal, and a second run is the last word.
    """
    adapt_seed, draw_seed, second_seed = child_seeds(settings.seed, 3)
    settings.progress("adapting the proposal", 0.0)
    adapted = adapt(density, np.random.default_rng(adapt_seed), modes)
    settings.progress("sampling", 0.4)
    found, points, log_weights = _run(density, adapted, settings, draw_seed)
    if found.certificate.passed or not np.isfinite(log_weights).any():
        return found
    settings.progress("sampling once more, from a better proposal", 0.7)
    better = _refined(adapted, points, log_weights, np.random.default_rng(second_seed))
    return _run(density, better, settings, second_seed)[0]


def sample_if_certified(density: LogDensity, modes: list[Mode], settings: SamplerSettings) -> Sample | None:
    """The same as long as it looks worth while; None where the certificate fails."""
    adapt_seed, draw_seed = child_seeds(settings.seed, 2)
    settings.progress("adapting the proposal", 0.0)
    adapted = adapt(density, np.random.default_rng(adapt_seed), modes, hopeless=_HOPELESS)
    if not len(adapted.log_weights) or efficiency(adapted.log_weights) < _WORTH:
        return None
    settings.progress("sampling", 0.4)
    found = _run(density, adapted, settings, draw_seed)[0]
    figures = found.certificate.figures
    return found if found.certificate.passed and figures["efficiency"] >= _KEPT else None


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """A sample of a density by way of one near it.

    Attributes
    ----------
    sample : what was drawn.
    corrected : whether from the density itself; else from the one near it, from which nothing tells it apart.
    """

    sample: Sample
    corrected: bool


def sample_near(
    density: LogDensity, near: LogDensity, modes: list[Mode], settings: SamplerSettings, *, everywhere: bool = True
) -> Near | None:
    """Draw from a density by a proposal that is adapted to one near it, which costs less.

    Where weights between the two are equal to within `_SAME`, and the density costs much, draws are of the near one:
    by Cauchy and Schwarz no mean is off by more than sqrt(1 / efficiency - 1) of its standard deviation, less than the
    Monte Carlo error of all draws. None where some points tell that the two are too far apart. Where the certificate
    fails, the points of the run make a proposal that is near the density itself, for a second one.

    Parameters
    ----------
    modes : of the near one.
    everywhere : whether the density is right far from the near one too, so that proposals may be fitted to its tails.
    """
    adapt_seed, draw_seed, second_seed = child_seeds(settings.seed, 3)
    settings.progress("adapting the proposal", 0.0)
    rng = np.random.default_rng(adapt_seed)
    adapted = adapt(near, rng, modes)
    for size in (_FIRST, _TELLING):
        settings.progress("comparing with the density itself", 0.1)
        points, log_weights, values = _weighted(density, adapted.warp, adapted.proposal, rng, size)
        theta, log_jacobian = adapted.warp.forward(points)
        with np.errstate(invalid="ignore"):  # neither may be finite
            apart = values - log_jacobian - near.log_density(theta)
        few_aside = np.minimum(log_weights, np.quantile(log_weights, 1 - _ASIDE))
        if not np.isfinite(few_aside).any() or efficiency(few_aside) < _NEAR:
            return None
        if _effort(density) is _DEAR and np.isfinite(apart).all() and efficiency(apart) > _SAME:
            found = _run(near, adapted, settings, draw_seed)[0]
            certificate = found.certificate
            evidence = log_mean(apart) + (certificate.log_evidence or 0.0)
            figures = certificate.figures | {"near": efficiency(apart)}
            said = replace(certificate, figures=figures, log_evidence=evidence)
            return Near(replace(found, certificate=said), False)
    settings.progress("sampling", 0.2)
    telling = replace(adapted, log_weights=log_weights, evaluations=_FIRST + _TELLING)
    for _ in range(_REFITS if everywhere else 0):
        if not _heavy(telling.log_weights):
            break
        points, log_weights, _ = _weighted(
            density, adapted.warp, telling.proposal, rng, _MORE * (density.dimension + 1)
        )
        better = _refined(telling, points, log_weights, rng)
        log_weights = _weighted(density, adapted.warp, better.proposal, rng, _TELLING)[1]
        telling = replace(better, log_weights=log_weights, evaluations=better.evaluations + _TELLING)
    if _heavy(telling.log_weights):
        return None
    found, points, log_weights = _run(density, telling, settings, draw_seed, _STAY)
    if not _steady(found) and found.certificate.figures["efficiency"] > _AGAIN:
        settings.progress("sampling once more, from a better proposal", 0.5)
        better = _refined(telling, points, log_weights, np.random.default_rng(second_seed))
        found = _run(density, better, settings, second_seed, _STAY)[0]
    return Near(replace(found, certificate=replace(found.certificate, passed=_steady(found))), True)


def _heavy(log_weights: np.ndarray) -> bool:
    """Whether weights of `_TELLING` points say that the proposal misses a tail."""
    return efficiency(log_weights) < _NEAR or tail_shape(log_weights) > _HEAVY


def _steady(found: Sample) -> bool:
    """Whether draws by estimated weights are certified: estimates have tails of their own, and with a k-hat below 0.5
    these have a variance, so that errors are what they seem."""
    figures = found.certificate.figures
    return found.certificate.passed and (figures["k_hat"] < _FINITE or figures["largest_weight"] < 10)


def _run(
    density: LogDensity,
    adapted: Adapted,
    settings: SamplerSettings,
    seed: np.random.SeedSequence,
    stay: float | None = None,
) -> tuple[Sample, np.ndarray, np.ndarray]:
    """Chains from a frozen proposal; and all points that were proposed (m, d), with their log weights (m,).

    `stay` is the share of steps that may stay where they are, by default what suits the cost of an evaluation.
    """
    effort = _effort(density)
    length = (
        settings.draws
        if not settings.fewer or density.cost < _SLOW
        else min(settings.draws, -(-_PLENTY * (1 if stay is None else 2) // settings.chains))
    )
    needed = settings.chains * (_SETTLE + length)
    log_bound, kept = choose_bound(adapted.log_weights, effort.stay if stay is None else stay)
    rng = np.random.Generator(np.random.SFC64(seed))
    spare = 1.0 if effort.surrogate else 1.05
    batches: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    have = tried = 0
    most, began = int(max(64, min(_BATCH, _BATCH_FLOPS // density.cost))), time.monotonic()
    while have < needed and tried < _MOST_PROPOSALS * needed:
        size = min(int(spare * (needed - have) / kept) + 8, most)
        proposed, log_weights = _weighted(density, adapted.warp, adapted.proposal, rng, size)[:2]
        batches.append((proposed, log_weights, np.log(rng.random(size)) < log_weights - log_bound))
        have, tried = have + int(batches[-1][2].sum()), tried + size
        share = min(1.0, have / needed)
        left = (time.monotonic() - began) * (1 - share) / max(share, 1e-9)
        settings.progress(f"sampling: {left:.0f} s left", 0.4 + 0.5 * share)
    points, log_weights, passed = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    if have < needed:  # hopeless, and the certificate will say so
        passed = rng.choice(len(points), size=needed, p=normalised(log_weights))
    candidates, excess = points[passed][:needed], log_weights[passed][:needed] - log_bound
    chosen = np.empty((settings.chains, _SETTLE + length), dtype=np.int64)
    moves = _run_chains(np.maximum(excess, 0.0).reshape(chosen.shape), np.log(rng.random(chosen.shape)), chosen)
    figures = {
        "acceptance": moves / (settings.chains * (chosen.shape[1] - 1)),
        "efficiency": efficiency(log_weights),
        "tail_ess": tail_ess(points, log_weights),
        "k_hat": tail_shape(log_weights),
        "largest_weight": math.exp(float(log_weights.max()) - log_mean(log_weights)),
        "rounds": float(adapted.rounds),
        "evaluations": float(adapted.evaluations + len(log_weights)),
    }
    kept_draws = chosen[:, _SETTLE:].ravel()
    of_draws = candidates[kept_draws], (excess + log_bound + adapted.proposal.log_density(candidates))[kept_draws]
    figures |= _second_route(density, adapted.warp, *of_draws, log_weights, rng)
    drawn, _ = adapted.warp.forward(of_draws[0])
    shape = (settings.chains, length, density.dimension)
    figures["chain_ess"] = bulk_and_tail_ess(drawn.reshape(shape))
    needed_tail = min(ESS_PER_CHAIN * settings.chains, _TAIL * len(kept_draws))
    certificate = _certify(figures, log_mean(log_weights), needed_tail)
    return Sample(drawn.reshape(shape), certificate), points, log_weights


def _second_route(
    density: LogDensity,
    warp: Warp,
    draws: np.ndarray,
    values: np.ndarray,
    log_weights: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, float]:
    """How far the evidence from weights lies from that of a bridge between the draws and a normal around them."""

    def warped(points: np.ndarray) -> np.ndarray:
        theta, log_jacobian = warp.forward(points)
        return density.log_density(theta) + log_jacobian

    count = int(np.clip(len(log_weights) // 20, 50, 250))
    other, error = bridge(draws, values, warped, rng, count)
    own = math.sqrt((1 / efficiency(log_weights) - 1) / len(log_weights))
    return {"evidence_gap": abs(other - log_mean(log_weights)), "evidence_error": math.hypot(error, own)}


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


def choose_bound(log_weights: np.ndarray, stay: float) -> tuple[float, float]:
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
    d, effort = density.dimension, _effort(density)
    warp = warp_for(modes[0].point, np.sqrt(np.diag(modes[0].covariance)), density.log_scales)
    proposal = _laplace(modes, warp).with_defence(0.1, 2.0, 3.0)
    best, reached, spent, done = (proposal, np.empty(0)), 0.0, 0, 0
    points, values, proposals, sizes = np.empty((0, d)), np.empty(0), [], []
    for done in range(1, _ROUNDS + 1):
        size = (effort.first if done == 1 else 2 * effort.first) * (d + 1)
        fresh, log_weights, density_there = _weighted(density, warp, proposal, rng, size)
        spent += size
        now = efficiency(log_weights)
        if now > reached:
            best, reached = (proposal, log_weights), now
        points, values = np.vstack([points, fresh]), np.append(values, density_there)
        # Where a surrogate follows, it goes further from half the way, for nothing.
        if reached > effort.good or (done >= effort.rounds and reached > effort.enough):
            break
        if done >= 2 and reached < hopeless:
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
    if effort.surrogate and reached > _LEAST:
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
def _run_chains(log_excess: Matrix, log_uniforms: Matrix, chosen: IntMatrix) -> int:
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


def _certify(figures: dict[str, float], log_evidence: float, needed_tail: float) -> Certificate:
    # k-hat knows no scale: among nearly equal weights it may say anything. It counts where some weight is large, as it
    # must be under a heavy tail: of m weights with k = 0.7 the largest is about m^0.7 times their mean.
    light = figures["k_hat"] < 0.7 or figures["largest_weight"] < 10
    # Of two estimates of the evidence that share no points, in their standard errors; NaN is no agreement.
    agree = figures["evidence_gap"] <= 5 * figures["evidence_error"] + 0.05 or not math.isfinite(
        figures["evidence_error"]
    )
    fits = figures["efficiency"] >= _LEAST and light and figures["acceptance"] > 0.5
    known = min(figures["tail_ess"], figures["chain_ess"])
    tails = known >= needed_tail
    passed = fits and tails and agree
    reason = "few parameters remain once the coefficients are integrated out"
    if passed:
        advice = "The proposal fits the posterior; draws are nearly independent."
    elif fits and not tails:
        advice = (
            f"A tail of the posterior of the variances rests on few draws (effective sample size {known:.0f}). Try "
            "sampler='nuts', or tighter priors of the standard deviations."
        )
    elif fits:
        advice = (
            f"Two estimates of the evidence differ by {figures['evidence_gap']:.2f}, where their error is "
            f"{figures['evidence_error']:.2f}: part of the posterior was missed. Try sampler='nuts'."
        )
    else:
        advice = (
            f"The adapted proposal fits the posterior of the variances badly (efficiency {figures['efficiency']:.2f}, "
            f"k-hat {figures['k_hat']:.2f}). Try sampler='nuts', fewer correlated effects, or tighter priors."
        )
    return Certificate("independence", reason, passed, advice, figures, log_evidence)
