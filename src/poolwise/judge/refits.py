"""Many fits side by side."""

from __future__ import annotations

from collections.abc import Sequence

from poolwise.infer import infer
from poolwise.posterior import Model, Posterior
from poolwise.progress import Progress, silent
from poolwise.samplers import SamplerSettings, child_seeds
from poolwise.threads import map_slices


def refit_all(
    models: Sequence[Model], settings: SamplerSettings, threads: int, step: str, progress: Progress = silent
) -> list[Posterior]:
    """Posteriors of several models, side by side on the threads, each with a seed of its own."""
    seeds = child_seeds(settings.seed, len(models))
    done: list[int] = []

    def one(k: int, _: slice) -> Posterior:
        mine = SamplerSettings(settings.draws, settings.chains, seeds[k], settings.sampler)
        found = infer(models[k], mine, threads=1)
        done.append(k)
        progress(step, len(done) / len(models))
        return found

    return map_slices(one, len(models), 1, threads)
