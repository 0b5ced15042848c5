"""Draws of normal models with large crossed factors, by turns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from poolwise.density.crossed.draws import CrossedState, NoResidual, sweep, unexplained
from poolwise.density.crossed.equations import CrossedEquations, crossed_equations
from poolwise.density.latent.stored_effects import DrawnOffsets
from poolwise.density.offsets import Offsets
from poolwise.density.precision import without_residual
from poolwise.inference.posterior import Model
from poolwise.samplers import Certificate, SamplerSettings, child_seeds
from poolwise.samplers.convergence import ESS_PER_CHAIN, agreement, largest_rhat, rhat_and_ess
from poolwise.support.errors import DataError
from poolwise.support.threads import look

LARGE_ROOT = 600  # effects to be solved for together, from which taking turns is faster
_WARMUP = 200  # sweeps
_PILOT = 200  # further ones, from which it is told how many sweeps a draw is worth
_LONGEST = 20  # sweeps between two draws
_TRIES = 3
_KEPT = 1 << 28  # numbers of all draws
_MOST = 1 << 31  # the same where so many draws are asked for: 17 GB
_FEWEST = 250  # draws of a chain, that are taken even where they are more
_APART = 0.7  # sd of the logs of the standard deviations that chains begin with
_WATCHED = 500  # effects whose mixing tells how many sweeps a draw is worth
_REASON = "a dense root of {root:,} effects would take too long: effects are drawn factor by factor"

Parts = tuple[np.ndarray, np.ndarray, tuple[Offsets, ...], dict[str, np.ndarray], Certificate]


def by_turns(model: Model, settings: SamplerSettings, root: int, threads: int) -> Parts:
    """theta, coefficients, effects, dispersions and certificate of a model that `is_crossed`.

    Parameters
    ----------
    root : effects that would have to be solved for together.
    """
    design, priors = model.design, model.priors
    settings.progress("summing rows by pairs of levels", 0.0)
    equations = crossed_equations(model.statistics, design, priors, threads=threads)
    effects = equations.levels + len(equations.outcome)
    if settings.fewer:
        fitting = _KEPT // (settings.chains * effects)
        settings = replace(settings, draws=min(settings.draws, max(_FEWEST, fitting)))
    elif settings.chains * settings.draws * effects > _MOST:
        raise DataError(
            f"draws={settings.draws:,} of {effects:,} effects in chains={settings.chains} take "
            f"{settings.chains * settings.draws * effects * 8e-9:.0f} GB: take fewer, or leave draws= out."
        )
    try:
        kept, certificate = _sampled(equations, _start(equations, len(design.factors), settings), settings)
    except NoResidual as error:
        raise without_residual(design) from error
    reason = _REASON.format(root=root)
    theta, dense = kept[0], kept[1]
    of_large = {factor.place: draws for factor, draws in zip(equations.large, kept[2:], strict=True)}
    of_factors = of_large | {f: dense[..., place].copy() for f, place in equations.small}
    common = dense[..., : equations.common]
    found = tuple(
        DrawnOffsets(of_factors[f][..., None], unexplained(of_factors[f], np.exp(theta[..., f]), common))
        for f in range(len(design.factors))
    )
    return (
        theta,
        equations.basis.written(common),
        found,
        {"sigma": priors.layout.sigma(theta)},
        replace(certificate, reason=reason),
    )


def _sampled(
    equations: CrossedEquations, state: CrossedState, settings: SamplerSettings
) -> tuple[list[np.ndarray], Certificate]:
    """Draws as of `_drawn`, twice and four times as far apart where chains have not settled; and whether they have."""
    _apart_at_first(equations, state)
    for done in range(_WARMUP):
        _one(equations, state, settings, done, _WARMUP, "warming up")
    apart = _sweeps_of_a_draw(equations, state, settings)
    for attempt in range(_TRIES):
        kept = _drawn(equations, state, settings, apart)
        certificate = _certified(kept, apart)
        if certificate.passed or attempt == _TRIES - 1:
            break
        apart *= 2
    return kept, certificate


def _start(equations: CrossedEquations, factors: int, settings: SamplerSettings) -> CrossedState:
    """Chains that begin with different standard deviations, and no effects."""
    generators = [np.random.Generator(np.random.SFC64(seed)) for seed in child_seeds(settings.seed, settings.chains)]
    usual = 0.5 * np.log(max(equations.square, 1e-300) / max(equations.rows, 1.0) / (1 + factors))
    apart = np.stack([_APART * rng.standard_normal(factors + 1) for rng in generators], axis=1)
    effects = [np.zeros((len(one.weights), settings.chains)) for one in equations.large]
    dense = np.zeros((len(equations.outcome), settings.chains))
    return CrossedState(usual + apart[:-1], usual + apart[-1], dense, effects, generators)


def _apart_at_first(equations: CrossedEquations, state: CrossedState) -> None:
    """The first sweep, in which each chain begins with another factor: that one takes up what several could, so that
    chains are in different modes where there are several."""
    for c in range(len(state.generators)):
        own = slice(c, c + 1)
        alone = CrossedState(
            state.log_sds[:, own].copy(), state.log_sigma[own].copy(), state.dense[:, own].copy(),
            [effects[:, own].copy() for effects in state.effects], state.generators[own],
        )  # fmt: skip
        sweep(equations, alone, c % len(equations.large))
        state.log_sds[:, own], state.log_sigma[own], state.dense[:, own] = alone.log_sds, alone.log_sigma, alone.dense
        for effects, mine in zip(state.effects, alone.effects, strict=True):
            effects[:, own] = mine


def _one(
    equations: CrossedEquations, state: CrossedState, settings: SamplerSettings, done: int, of: int, what: str
) -> None:
    look()
    sweep(equations, state)
    settings.progress(f"{what}: {done + 1:,} of {of:,} sweeps", (done + 1) / of)


def _theta(state: CrossedState) -> np.ndarray:
    """(C, Q + 1)."""
    return np.vstack([state.log_sds, state.log_sigma]).T


def _sweeps_of_a_draw(equations: CrossedEquations, state: CrossedState, settings: SamplerSettings) -> int:
    """How many sweeps apart draws are nearly independent, by the slowest of the numbers that are watched."""
    watched = []
    step = max(1, equations.levels // _WATCHED)
    for done in range(_PILOT):
        _one(equations, state, settings, done, _PILOT, "measuring how draws depend on one another")
        some = [effects[::step].T for effects in state.effects]
        watched.append(np.concatenate([_theta(state), state.dense.T, *some], axis=1))
    _, ess = rhat_and_ess(np.stack(watched, axis=1))
    times = _PILOT * settings.chains / max(float(ess.min()), 1.0)
    return int(np.clip(np.ceil(times / 2.0), 1, _LONGEST))


def _drawn(equations: CrossedEquations, state: CrossedState, settings: SamplerSettings, apart: int) -> list[np.ndarray]:
    """Draws (chains, draws, ...) of theta, of the dense part and of the effects of each large factor."""
    chains, draws = settings.chains, settings.draws
    sizes = [len(state.log_sds) + 1, len(state.dense), *(len(effects) for effects in state.effects)]
    kept = [np.empty((chains, draws, size)) for size in sizes]
    for done in range(draws * apart):
        _one(equations, state, settings, done, draws * apart, "sampling")
        if (done + 1) % apart == 0:
            for out, now in zip(kept, (_theta(state).T, state.dense, *state.effects), strict=True):
                out[:, done // apart] = now.T
    return kept


def _certified(kept: list[np.ndarray], apart: int) -> Certificate:
    """Whether chains agree on all numbers: on theta by itself, which thousands of effects do not excuse."""
    chains, parts = len(kept[0]), [agreement(draws) for draws in kept if draws.shape[2]]
    worst, least = max(float(rhat.max()) for rhat, _ in parts), min(float(ess.min()) for _, ess in parts)
    agree = all(rhat.max() <= largest_rhat(len(rhat), chains, float(ess.min())) for rhat, ess in parts)
    passed = agree and least >= ESS_PER_CHAIN * chains
    advice = f"All chains agree on {sum(len(rhat) for rhat, _ in parts):,} numbers."
    if not passed:
        advice = (
            f"Chains did not settle: R-hat {worst:.3f}, worst effective sample size {least:.0f}. Take more draws, or "
            "leave out a factor that another one nearly determines."
        )
    return Certificate("gibbs", "", passed, advice, {"rhat": worst, "ess": least, "sweeps_of_a_draw": float(apart)})
