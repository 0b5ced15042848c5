"""What every sampler takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from poolwise.support.progress import Progress, silent


@runtime_checkable
class LogDensity(Protocol):
    """An unnormalised log density over unconstrained vectors."""

    @property
    def dimension(self) -> int:
        """Length d of a point."""

    @property
    def log_scales(self) -> np.ndarray:
        """Positions of the coordinates that are logs of standard deviations which may be close to zero."""

    @property
    def cost(self) -> float:
        """Flops of an evaluation, about: what searches and adaptations are rationed by."""

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Values at points (m, d), shape (m,); -inf where there is no density."""

    def value_and_gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient (d,) at one point (d,)."""

    def values_and_gradients(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same at points (m, d) together: values (m,) and gradients (m, d)."""

    def starts(self) -> np.ndarray:
        """Points (k, d) of finite density to begin from, found in ways that do not share a failure."""

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Ends (d,) and (d,) of a box in which modes are looked for."""

    def native(self) -> NativeDensity | None:
        """The density as a C function, None where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class NativeDensity:
    """A density as a C function `int64 f(uint64 d, double *point, double *gradient, double *value, void *words)`.

    Attributes
    ----------
    address : of the function; it answers zero where value and gradient are finite.
    words : (w,) int64 that the function finds its data by.
    kept : whatever must stay alive while the function may be called.
    """

    address: int
    words: np.ndarray
    kept: object


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """How many draws, and from which seed.

    Attributes
    ----------
    draws, chains : kept draws of each chain, and the number of chains.
    seed : root of all randomness.
    sampler : "auto", "independence" or "nuts".
    progress : told of long steps.
    fewer : whether a sampler may draw less where draws are expensive and nearly independent.
    """

    draws: int = 1000
    chains: int = 4
    seed: np.random.SeedSequence = field(default_factory=np.random.SeedSequence)
    sampler: str = "auto"
    progress: Progress = silent
    fewer: bool = False

    @property
    def entropy(self) -> int:
        """The number that reproduces `seed`."""
        if not isinstance(self.seed.entropy, int):
            raise TypeError("a sampler's seed must come from one whole number")
        return self.seed.entropy


def child_seeds(seed: np.random.SeedSequence, count: int) -> list[np.random.SeedSequence]:
    """Independent children of a seed. Unlike `seed.spawn`, asking twice gives the same ones: settings stay settings."""
    return [np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, i)) for i in range(count)]


@dataclass(frozen=True, slots=True)
class Certificate:
    """How far the draws can be trusted.

    Attributes
    ----------
    sampler : which one drew.
    reason : why it was chosen, in words.
    passed : whether its checks hold.
    advice : one sentence: what was found and, if it failed, what to try.
    figures : the measured quantities behind the verdict, by name.
    log_evidence : log of the integral of the density, None where the sampler does not estimate it.
    of_draws : what the sampler knows of each draw, (chains, draws), by ArviZ's names of sample statistics.
    """

    sampler: str
    reason: str
    passed: bool
    advice: str
    figures: dict[str, float]
    log_evidence: float | None = None
    of_draws: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)


MORE_IS_BETTER = frozenset(("acceptance", "chain_ess", "efficiency", "ess", "near", "tail_ess"))  # among figures


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Draws of a sampler.

    Attributes
    ----------
    points : (chains, draws, d).
    certificate : how far to trust them.
    """

    points: np.ndarray
    certificate: Certificate
