"""Many fits side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from poolwise.inference.infer import infer
from poolwise.inference.posterior import Model, Posterior
from poolwise.samplers import SamplerSettings, child_seeds
from poolwise.support.progress import Progress, silent
from poolwise.support.threads import map_slices

T = TypeVar("T")


def refit_all(
    models: Sequence[Model], settings: SamplerSettings, threads: int, step: str, progress: Progress = silent
) -> list[Posterior]:
    """Posteriors of several models, side by side on the threads, each with a seed of its own."""
    return refit_each(models, settings, threads, step, lambda _, posterior: posterior, progress)


def refit_each(
    models: Sequence[Model],
    settings: SamplerSettings,
    threads: int,
    step: str,
    then: Callable[[int, Posterior], T],
    progress: Progress = silent,
) -> list[T]:
    """What `then` makes of each posterior, on the thread that fitted it."""
    seeds = child_seeds(settings.seed, len(models))
    done: list[int] = []

    def one(k: int, _: slice) -> T:
        mine = SamplerSettings(settings.draws, settings.chains, seeds[k], settings.sampler)
        found = then(k, infer(models[k], mine, threads=1))
        done.append(k)
        progress(step, len(done) / len(models))
        return found

    return map_slices(one, len(models), 1, threads)
