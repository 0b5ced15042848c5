"""Sampling of a latent density."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from poolwise.density.latent.density import LatentDensity
from poolwise.samplers.base import Sample, SamplerSettings
from poolwise.samplers.hamiltonian import sample_whitened


def sample_latent(density: LatentDensity, settings: SamplerSettings, threads: int) -> Sample:
    """Draw (chains, draws, d + p + U) points."""
    spread = np.ones(density.dimension)
    spread[: density.mode.theta.size] = 0.3
    found = sample_whitened(density.native(), density.start, spread, settings, threads)
    return replace(found, certificate=replace(found.certificate, reason="coefficients are sampled"))
