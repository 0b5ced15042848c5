"""Chains of the No-U-Turn sampler on densities whose coordinates are whitened already, side by side on threads."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from poolwise.samplers.convergence import certify_chains
from poolwise.samplers.interface import NativeDensity, Sample, SamplerSettings, child_seeds
from poolwise.samplers.trajectory import advance, density_at
from poolwise.support.errors import SamplingError
from poolwise.support.threads import look, map_slices, stop_flag

_WINDOWS = np.array([30, 100, 200, 250])  # adaptation of scales begins; windows end; the last is for the step alone
_LOOK = 0.1  # seconds between two looks at whether to stop, about
_TRIES = 50


@dataclass(eq=False)
class _Watch:
    """What chains tell while they run."""

    settings: SamplerSettings
    started: float = field(default_factory=time.perf_counter)
    done: dict[int, int] = field(default_factory=dict)
    divergences: dict[int, int] = field(default_factory=dict)

    def say(self) -> None:
        """Chains, draws, divergences, time left."""
        each = int(_WINDOWS[-1]) + self.settings.draws
        share = sum(self.done.values()) / (each * self.settings.chains)
        finished = sum(count >= each for count in self.done.values())
        kept = sum(max(0, count - int(_WINDOWS[-1])) for count in self.done.values())
        left = (time.perf_counter() - self.started) * (1 - share) / share if share else 0.0
        self.settings.progress(
            f"sampling: {finished} of {self.settings.chains} chains, {kept:,} of "
            f"{self.settings.chains * self.settings.draws:,} draws, {sum(self.divergences.values())} divergences, "
            f"{left:.0f} s left",
            share,
        )


def sample_whitened(
    density: NativeDensity, start: np.ndarray, spread: np.ndarray, settings: SamplerSettings, threads: int
) -> Sample:
    """Draw (chains, draws, d) points, after 250 steps of adaptation for each chain.

    Parameters
    ----------
    start : (d,) mode, or several (k, d) at which chains begin in turn.
    spread : (d,) about the standard deviation of each coordinate.

    Raises
    ------
    SamplingError : where the density is not finite around `start`.
    """
    watch = _Watch(settings)
    seeds, starts = child_seeds(settings.seed, settings.chains), np.atleast_2d(start)

    def one(i: int, _: slice) -> tuple[np.ndarray, np.ndarray]:
        return _chain(i, density, starts[i % len(starts)], spread, seeds[i], watch)

    drawn = map_slices(one, settings.chains, 1, threads, meanwhile=watch.say)
    points = np.array([kept for kept, _ in drawn])
    counts = np.array([count for _, count in drawn])
    return Sample(points, certify_chains(points, int(counts[:, 0].sum()), {"leaves": float(counts[:, 1].mean())}))


def _chain(
    i: int, density: NativeDensity, start: np.ndarray, spread: np.ndarray, seed: np.random.SeedSequence, watch: _Watch
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.Generator(np.random.SFC64(seed))
    gradient, spot = np.empty_like(start), np.empty(1)
    for shrink in range(_TRIES):  # starts overdispersed a little, nearer to the mode where that is nowhere
        point = start + 0.8**shrink * spread * rng.standard_normal(start.size)
        value = density_at(density.address, density.words, point, gradient, spot)
        if np.isfinite(value):
            break
    else:
        raise SamplingError("The posterior is not finite anywhere near its mode: check the units of data and priors.")
    step = np.log(start.size**-0.25)
    state = np.array([value, step, step, 0.0, 0.0, 0.0, step])
    scale, moments, counts = spread.copy(), np.zeros((2, start.size)), np.zeros(2)
    draws = watch.settings.draws
    kept, steps = np.empty((draws, start.size)), int(_WINDOWS[-1]) + draws
    last, each, stop = 0, _LOOK, stop_flag()
    while last < steps:
        look()
        began = time.perf_counter()
        first, last = last, min(last + max(1, int(_LOOK / each)), steps)
        advance(
            rng, density.address, density.words, point, gradient, state, scale, moments, kept, counts, first, last,
            _WINDOWS, stop,
        )  # fmt: skip
        watch.done[i], watch.divergences[i] = last, int(counts[0])
        each = max((time.perf_counter() - began) / (last - first), 1e-6)
    counts[1] /= draws
    return kept, counts
