"""Independence Metropolis from an adapted mixture of Student-t distributions.

First the proposal is adapted (`proposal.py`). Then it is frozen, and chains run by accept-reject Metropolis (Tierney
1994, section 2.3.4; Chib and Greenberg 1995): proposals are thinned to the density min(target, bound x proposal), as in
rejection sampling, and a Metropolis step makes up for the few places where the bound does not hold. It is an ordinary
Markov chain with the right stationary distribution whatever the proposal and the bound, and there is nothing to tune.
The better the proposal, the fewer evaluations a draw costs; the draws are nearly independent in any case.
"""

from __future__ import annotations

import math
import time

import numpy as np

from poolwise.samplers.accept_reject import choose_bound, run_chains
from poolwise.samplers.bridge import bridge
from poolwise.samplers.convergence import ESS_PER_CHAIN, bulk_and_tail_ess
from poolwise.samplers.interface import Certificate, LogDensity, Sample, SamplerSettings, child_seeds
from poolwise.samplers.mode import Mode
from poolwise.samplers.proposal import LEAST, Adapted, adapt, effort_of, refined, weighted
from poolwise.samplers.warp import Warp
from poolwise.samplers.weights import efficiency, log_mean, normalised, tail_ess, tail_shape

# Efficiency below which another sampler will be faster: after two rounds of adaptation, after all, and of the draws.
_HOPELESS, _WORTH, _KEPT = 0.3, 0.6, 0.5
# Nearly independent draws: the worst effective sample size of thousands of scalars is above 1,000. More where chains
# stay more, by powers of the weights' efficiency, with which that holds for nearly all models there too.
_PLENTY, _MORE = 2_000, 2.0
_EXACT, _ESTIMATED = 0.5, 1.5
_SLOW = 1e5  # flops of an evaluation from which 4,000 draws take a second
_FEW = 1000  # draws, fewer than which the verdict says how well they tell means
_BRIDGED = 10  # draws for each dimension, from which a bridge from them can be computed
_TAIL = 0.1  # of the draws, as which means and tails must be known where there are few
_SETTLE = 20  # steps before a chain's first kept draw
_MOST_PROPOSALS = 50.0  # for one draw
_AGAIN = 2  # runs from better proposals
_BATCH, _BATCH_FLOPS = 1 << 17, 8e9  # proposals at a time, at the most, so that progress is seen


def sample_independence(density: LogDensity, settings: SamplerSettings, modes: list[Mode] | None = None) -> Sample:
    """Draw (chains, draws, d) points from a density of few dimensions, from modes that are looked for if not given.

    Where the certificate fails, what the run has seen makes a better proposal for a fresh one, twice at the most.
    """
    adapt_seed, first_seed, *later = child_seeds(settings.seed, 2 + 2 * _AGAIN)
    settings.progress("adapting the proposal", 0.0)
    adapted = adapt(density, np.random.default_rng(adapt_seed), modes)
    settings.progress("sampling", 0.4)
    found, points, log_weights = run(density, adapted, settings, first_seed)
    for draw_seed, fit_seed in zip(later[:_AGAIN], later[_AGAIN:], strict=True):
        if found.certificate.passed or not np.isfinite(log_weights).any():
            break
        settings.progress("sampling once more, from a better proposal", 0.7)
        adapted = refined(density, adapted, points, log_weights, np.random.default_rng(fit_seed))
        if not np.isfinite(adapted.log_weights).any():
            break
        found, points, log_weights = run(density, adapted, settings, draw_seed)
    return found


def sample_if_certified(density: LogDensity, modes: list[Mode], settings: SamplerSettings) -> Sample | None:
    """The same as long as it looks worth while; None where the certificate fails."""
    adapt_seed, draw_seed = child_seeds(settings.seed, 2)
    settings.progress("adapting the proposal", 0.0)
    adapted = adapt(density, np.random.default_rng(adapt_seed), modes, hopeless=_HOPELESS)
    if not len(adapted.log_weights) or efficiency(adapted.log_weights) < _WORTH:
        return None
    settings.progress("sampling", 0.4)
    found = run(density, adapted, settings, draw_seed)[0]
    figures = found.certificate.figures
    return found if found.certificate.passed and figures["efficiency"] >= _KEPT else None


def run(
    density: LogDensity,
    adapted: Adapted,
    settings: SamplerSettings,
    seed: np.random.SeedSequence,
    stay: float | None = None,
) -> tuple[Sample, np.ndarray, np.ndarray]:
    """Chains from a frozen proposal; and all points that were proposed (m, d), with their log weights (m,).

    `stay` is the share of steps that may stay where they are, of weights that are estimates; without it weights are
    exact, and it is what suits the cost of an evaluation.
    """
    effort = effort_of(density)
    length = settings.draws
    if settings.fewer and density.cost >= _SLOW:
        power = _EXACT if stay is None else _ESTIMATED
        more = min(_MORE, efficiency(adapted.log_weights) ** -power)
        length = min(length, math.ceil(_PLENTY * more / settings.chains))
    needed = settings.chains * (_SETTLE + length)
    stay = effort.stay if stay is None else stay
    log_bound, kept = choose_bound(adapted.log_weights, stay, _MOST_PROPOSALS)
    rng = np.random.Generator(np.random.SFC64(seed))
    spare = 1.0 if effort.surrogate else 1.05
    batches: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    have = tried = 0
    most, began = int(max(64, min(_BATCH, _BATCH_FLOPS // density.cost))), time.monotonic()
    while have < needed and tried < _MOST_PROPOSALS * needed:
        size = min(int(spare * (needed - have) / kept) + 8, most)
        proposed, log_weights = weighted(density, adapted.warp, adapted.proposal, rng, size)[:2]
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
    moves = run_chains(np.maximum(excess, 0.0).reshape(chosen.shape), np.log(rng.random(chosen.shape)), chosen)
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
    least = min(ESS_PER_CHAIN * settings.chains, _TAIL * len(kept_draws))
    few = len(kept_draws) < _FEW
    bridged = len(kept_draws) >= _BRIDGED * density.dimension
    certificate = _certify(figures, log_mean(log_weights), least, few=few, bridged=bridged)
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


def _certify(figures: dict[str, float], log_evidence: float, least: float, *, few: bool, bridged: bool) -> Certificate:
    """The verdict.

    Parameters
    ----------
    least : effective sample size that is needed.
    few, bridged : whether few draws were asked for; and whether there are enough for the second estimate of the
        evidence.
    """
    # k-hat knows no scale: among nearly equal weights it may say anything. It counts where some weight is large, as it
    # must be under a heavy tail: of m weights with k = 0.7 the largest is about m^0.7 times their mean.
    light = figures["k_hat"] < 0.7 or figures["largest_weight"] < 10
    # Of two estimates of the evidence that share no points, in their standard errors; NaN is no agreement.
    agree = not bridged or figures["evidence_gap"] <= 5 * figures["evidence_error"] + 0.05
    fits = figures["efficiency"] >= LEAST and light and figures["acceptance"] > 0.5
    known = min(figures["tail_ess"], figures["chain_ess"])
    tails = known >= least
    passed = fits and tails and agree
    reason = "few parameters remain once the coefficients are integrated out"
    if passed:
        advice = "The proposal fits the posterior; draws are nearly independent."
        if few:
            digits = figures["chain_ess"] ** -0.5
            advice = (
                "The proposal fits the posterior; draws are nearly independent, but few: means are known to "
                f"{digits:.2g} of a standard deviation."
            )
    elif fits and not tails:
        advice = (
            f"A tail of the posterior of the variances rests on few draws (effective sample size {known:.0f}). Try "
            "sampler='nuts', or tighter priors of the standard deviations."
        )
    elif fits and math.isnan(figures["evidence_gap"]):
        advice = (
            "A second estimate of the evidence could not be computed from the draws: nothing tells whether part of the "
            "posterior was missed. Try sampler='nuts'."
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
