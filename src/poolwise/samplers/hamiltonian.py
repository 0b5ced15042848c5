"""Chains of the No-U-Turn sampler on densities whose coordinates are whitened already, side by side on threads."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np

from poolwise.samplers.convergence import ESS_PER_CHAIN, RHAT, TAIL_ESS_PER_CHAIN, certify_chains, diverging
from poolwise.samplers.interface import Certificate, NativeDensity, Sample, SamplerSettings, child_seeds
from poolwise.samplers.trajectory import ACCEPTED, DEPTH, DIVERGED, ENERGY, LEAVES, VALUE, advance, density_at
from poolwise.support.errors import SamplingError
from poolwise.support.threads import look, map_slices, stop_flag

_WINDOWS = np.array([30, 100, 200, 250])  # adaptation of scales begins; windows end; the last is for the step alone
_WARMUP = int(_WINDOWS[-1])
_LOOK = 0.1  # seconds between two looks at whether to stop, about
_TRIES = 50
_LONGEST = 4  # times the draws asked for, at most, where chains have not settled
_PLENTY = 1_200  # effective draws of the slowest number, which are enough where none are asked for
_DOUBT = 2  # factor of the error of effective sample sizes
_SHORT = 200  # draws below which chains cannot be expected to settle, and are left as they are
_CAREFUL = 0.99  # target acceptance where many trajectories diverge
_PATIENCE = 3e10  # flops of a run, up to which it is repeated with this
_ROOM = 1 << 25  # numbers of all draws, at most, where chains go on


@dataclass(eq=False)
class _Watch:
    """What chains tell while they run."""

    settings: SamplerSettings
    draws: int  # of each chain, that are planned
    started: float = field(default_factory=time.perf_counter)
    done: dict[int, int] = field(default_factory=dict)
    divergences: dict[int, int] = field(default_factory=dict)

    def say(self) -> None:
        """Chains, draws, divergences, time left."""
        each, chains = _WARMUP + self.draws, self.settings.chains
        share = sum(self.done.values()) / (each * chains)
        finished = sum(count >= each for count in self.done.values())
        kept = sum(max(0, count - _WARMUP) for count in self.done.values())
        left = (time.perf_counter() - self.started) * (1 - share) / share if share else 0.0
        self.settings.progress(
            f"sampling: {finished} of {chains} chains, {kept:,} of {chains * self.draws:,} draws, "
            f"{sum(self.divergences.values())} divergences, {left:.0f} s left",
            share,
        )


def sample_carefully(
    density: NativeDensity,
    start: np.ndarray,
    spread: np.ndarray,
    settings: SamplerSettings,
    threads: int,
    cost: float,
) -> Sample:
    """As `sample_whitened`; where too many trajectories diverge, once more by shorter steps, if these take no minutes.

    A spread between a few groups has a long tail, and is known the less the smaller it is: steps that suit most of a
    posterior are too long in a part of it (Betancourt 2017).

    Parameters
    ----------
    cost : flops of a gradient.
    """
    drawn = sample_whitened(density, start, spread, settings, threads)
    figures = drawn.certificate.figures
    transitions = settings.chains * (settings.draws + _WARMUP)
    diverged = diverging(drawn.certificate, settings.chains * settings.draws)
    if drawn.certificate.passed or not diverged or figures["leaves"] * transitions * cost > _PATIENCE:
        return drawn
    again = sample_whitened(density, start, spread, settings, threads, _CAREFUL)
    if again.certificate.figures["divergences"] >= figures["divergences"]:
        return drawn
    told = {**again.certificate.figures, "target_acceptance": _CAREFUL}
    return replace(again, certificate=replace(again.certificate, figures=told))


def sample_whitened(
    density: NativeDensity,
    start: np.ndarray,
    spread: np.ndarray,
    settings: SamplerSettings,
    threads: int,
    acceptance: float = 0.8,
) -> Sample:
    """Draw (chains, draws, d) points, after 250 steps of adaptation for each chain.

    Chains that nearly agree go on, to two and then four times the draws, and every second or fourth draw is returned.
    Where `settings.fewer`, they end after a quarter or half of the draws if these are worth 1,200 independent ones.

    Parameters
    ----------
    start : (d,) mode, or several (k, d) at which chains begin in turn.
    spread : (d,) about the standard deviation of each coordinate.
    acceptance : that steps are to have: the larger, the shorter they are, and the fewer trajectories diverge.

    Raises
    ------
    SamplingError : where the density is not finite around `start`.
    """
    draws = settings.draws
    first = max(draws // 4, min(draws, _SHORT)) if settings.fewer else draws
    watch = _Watch(settings, first)
    seeds, starts = child_seeds(settings.seed, settings.chains), np.atleast_2d(start)
    chains = [_Chain(i, density, spread, seeds[i], watch, acceptance) for i in range(settings.chains)]

    def begin(i: int, _: slice) -> None:
        chains[i].begin(starts[i % len(starts)], first)

    def go_on(more: int) -> None:
        watch.draws += more
        map_slices(lambda i, _: chains[i].go_on(more), len(chains), 1, threads, meanwhile=watch.say)

    map_slices(begin, len(chains), 1, threads, meanwhile=watch.say)
    certificate = _certify(chains, 1)
    while watch.draws < draws and not (certificate.passed and certificate.figures["ess"] >= _PLENTY):
        go_on(min(watch.draws, draws - watch.draws))
        certificate = _certify(chains, 1)
    if watch.draws < draws:
        enough = (
            f"{certificate.advice} {watch.draws} draws of each are worth {certificate.figures['ess']:,.0f} or more."
        )
        return Sample(_thinned(chains, 1), replace(certificate, advice=enough))
    while _may_settle(certificate, watch, chains):
        go_on(watch.draws)
        certificate = _certify(chains, watch.draws // draws)
    times = watch.draws // draws
    if times > 1:
        words = f"{certificate.advice} Chains are {times} times as long as asked for, and every {times}th draw is kept."
        figures = {**certificate.figures, "times_longer": float(times)}
        certificate = replace(certificate, advice=words.replace("2th", "2nd"), figures=figures)
    return Sample(_thinned(chains, times), certificate)


def _certify(chains: list[_Chain], times: int) -> Certificate:
    """Of the draws that are returned, one of so many."""
    told = np.array([chain.told() for chain in chains])
    leaves, divergences = float(told[..., LEAVES].mean()), int(told[..., DIVERGED].sum())
    certificate = certify_chains(_thinned(chains, times), divergences, {"leaves": leaves}, times=times)
    return replace(certificate, of_draws=_named(told[:, times - 1 :: times]))


def _named(told: np.ndarray) -> dict[str, np.ndarray]:
    """What transitions say (chains, draws, 6) by ArviZ's names; log density and energy are known up to a constant."""
    return {
        "lp": told[..., VALUE],
        "energy": told[..., ENERGY],
        "acceptance_rate": told[..., ACCEPTED] / told[..., LEAVES],
        "n_steps": told[..., LEAVES].astype(int),
        "tree_depth": told[..., DEPTH].astype(int),
        "diverging": told[..., DIVERGED] > 0,
    }


def _thinned(chains: list[_Chain], times: int) -> np.ndarray:
    return np.array([chain.draws()[times - 1 :: times] for chain in chains])


def _may_settle(certificate: Certificate, watch: _Watch, chains: list[_Chain]) -> bool:
    """Whether longer chains would pass, if effective sizes and 1 / (R-hat - 1) grow as the number of draws does.

    Both are estimates that are wrong by a factor of two where chains are far from settled: half of what is needed will
    do.
    """
    asked, draws, figures = watch.settings.draws, watch.draws, certificate.figures
    times = _LONGEST * asked / draws
    if certificate.passed or asked < _SHORT or times < 2 or 2 * draws * len(chains) * chains[0].spread.size > _ROOM:
        return False
    likely = _DOUBT * times
    least = min(figures["ess"] / ESS_PER_CHAIN, figures["tail_ess"] / TAIL_ESS_PER_CHAIN)
    settle = figures["rhat"] - 1 <= likely * (RHAT - 1) and likely * least >= len(chains)
    return settle and not diverging(certificate, draws * len(chains))


class _Chain:
    """One chain: where it is, and what it has drawn."""

    def __init__(
        self,
        number: int,
        density: NativeDensity,
        spread: np.ndarray,
        seed: np.random.SeedSequence,
        watch: _Watch,
        acceptance: float,
    ) -> None:
        self.number, self.density, self.spread, self.watch = number, density, spread, watch
        self.acceptance = acceptance
        self._rng = np.random.Generator(np.random.SFC64(seed))
        self._drawn: list[np.ndarray] = []
        self._told: list[np.ndarray] = []

    def draws(self) -> np.ndarray:
        """(draws, d)."""
        return self._drawn[0] if len(self._drawn) == 1 else np.concatenate(self._drawn)

    def told(self) -> np.ndarray:
        """(draws, 6) what transitions say of each draw."""
        return np.concatenate(self._told)

    def begin(self, start: np.ndarray, draws: int) -> None:
        """Adapt, and draw."""
        gradient, spot = np.empty_like(start), np.empty(1)
        for shrink in range(_TRIES):  # starts overdispersed a little, nearer to the mode where that is nowhere
            point = start + 0.8**shrink * self.spread * self._rng.standard_normal(start.size)
            value = density_at(self.density.address, self.density.words, point, gradient, spot)
            if np.isfinite(value):
                break
        else:
            raise SamplingError(
                "The posterior is not finite anywhere near its mode: check the units of data and priors."
            )
        step = np.log(start.size**-0.25)
        self._point, self._gradient = point, gradient
        self._state = np.array([value, step, step, 0.0, 0.0, 0.0, step, self.acceptance])
        self._scale, self._moments = self.spread.copy(), np.zeros((2, start.size))
        self._advance(0, draws)

    def go_on(self, draws: int) -> None:
        """Draw more."""
        self._advance(_WARMUP, draws)

    def _advance(self, last: int, draws: int) -> None:
        kept, told, steps = np.empty((draws, self._point.size)), np.zeros((draws, VALUE + 1)), _WARMUP + draws
        density, each, stop = self.density, _LOOK, stop_flag()
        before = self.watch.done.get(self.number, 0) - last
        while last < steps:
            look()
            began = time.perf_counter()
            first, last = last, min(last + max(1, int(_LOOK / each)), steps)
            advance(
                self._rng, density.address, density.words, self._point, self._gradient, self._state, self._scale,
                self._moments, kept, told, first, last, _WINDOWS, stop,
            )  # fmt: skip
            self.watch.done[self.number] = before + last
            self.watch.divergences[self.number] = int(sum(part[:, DIVERGED].sum() for part in (*self._told, told)))
            each = max((time.perf_counter() - began) / (last - first), 1e-6)
        self._drawn.append(kept)
        self._told.append(told)
