"""Pick the sampler: independence where its certificate holds, else NUTS; then check for modes without draws."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from poolwise.samplers.independence import sample_independence
from poolwise.samplers.interface import LogDensity, Sample, SamplerSettings, child_seeds
from poolwise.samplers.missed_modes import log_evidence_about, missed_modes
from poolwise.samplers.mode import Mode, find_modes

_MOST = 12  # dimensions: in more of them NUTS is faster than any mixture


def sample(density: LogDensity, settings: SamplerSettings, threads: int | None = None) -> Sample:
    """Draw from `density` by the sampler that `settings.sampler` names; "auto" decides by dimension and certificate.

    A mode that the draws have missed is given to the sampler, which then draws again.
    """
    mode_seed, draw_seed, witness_seed, second_seed = child_seeds(settings.seed, 4)
    settings.progress("looking for modes", 0.0)
    modes, rng = find_modes(density, np.random.default_rng(mode_seed)), np.random.default_rng(witness_seed)
    for seed in (draw_seed, second_seed):
        found = _drawn(density, replace(settings, seed=seed), modes, threads)
        draws = found.points.reshape(-1, density.dimension)
        evidence = found.certificate.log_evidence
        about = log_evidence_about(density, draws) if evidence is None else evidence
        settings.progress("looking for modes that were missed", 0.95)
        missed = missed_modes(density, draws, about, modes, rng)
        if not missed:
            return found
        known = {id(mode) for mode in modes}
        modes = sorted([*modes, *(mode for mode in missed if id(mode) not in known)], key=lambda mode: -mode.value)
    share = min(1.0, math.exp(min(0.0, missed[0].log_mass - about)))
    advice = (
        f"A climb found a mode that no draw is near, and that may hold {share:.0%} of the posterior: the draws are not "
        "all of it. Priors that contradict the data do this; give narrower ones, or try another seed and "
        "sampler='nuts'."
    )
    certificate = replace(found.certificate, passed=False, advice=advice, log_evidence=None)
    return replace(found, certificate=certificate)


def _drawn(density: LogDensity, settings: SamplerSettings, modes: list[Mode], threads: int | None) -> Sample:
    if settings.sampler == "nuts":
        return _nuts(density, settings, modes, threads, "asked for")
    if settings.sampler == "auto" and density.dimension > _MOST:
        return _nuts(density, settings, modes, threads, f"{density.dimension} parameters are too many for a mixture")
    result = sample_independence(density, settings, modes)
    if settings.sampler == "independence" or result.certificate.passed:
        return result
    figures = result.certificate.figures
    found = f"efficiency {figures['efficiency']:.2f}, k-hat {figures['k_hat']:.2f}"
    return _nuts(density, settings, modes, threads, f"the independence sampler was not certified: {found}")


def _nuts(density: LogDensity, settings: SamplerSettings, modes: list[Mode], threads: int | None, why: str) -> Sample:
    from poolwise.samplers.nuts import sample_nuts  # its kernels are compiled when they are imported

    result = sample_nuts(density, settings, modes, threads)
    return replace(result, certificate=replace(result.certificate, reason=why))
