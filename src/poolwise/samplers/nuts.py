"""The No-U-Turn sampler on densities of few dimensions, in coordinates that are whitened at the mode."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from poolwise.samplers.bridge import bridge
from poolwise.samplers.hamiltonian import sample_carefully
from poolwise.samplers.interface import LogDensity, Sample, SamplerSettings
from poolwise.samplers.linear_map import in_linear_coordinates
from poolwise.samplers.mode import Mode, find_modes
from poolwise.support.threads import default_threads

_SOME = 1000  # draws that the evidence is estimated from
_GRADIENT = 3.0  # values that a gradient costs, about
_SURE = 0.1  # standard error of the log evidence, up to which it is told


def sample_nuts(
    density: LogDensity, settings: SamplerSettings, modes: list[Mode] | None = None, threads: int | None = None
) -> Sample:
    """Draw (chains, draws, d) points; chains begin at different modes where there are several.

    So R-hat sees what one of the modes by itself would miss.
    """
    if modes is None:
        settings.progress("looking for the mode", 0.0)
        modes = find_modes(density, np.random.default_rng(settings.seed))
    centre, root = modes[0].point, np.linalg.cholesky(modes[0].covariance)
    starts = np.linalg.solve(root, (np.array([mode.point for mode in modes]) - centre).T).T
    moved = in_linear_coordinates(density, centre, root)
    spread = np.ones(density.dimension)
    settings = replace(settings, fewer=False)
    threads = default_threads() if threads is None else threads
    drawn = sample_carefully(moved, starts, spread, settings, threads, _GRADIENT * density.cost)
    points = centre + drawn.points @ root.T
    evidence, error = _evidence(density, points.reshape(-1, density.dimension), settings)
    figures = {**drawn.certificate.figures, "evidence_error": error}
    known = evidence if error < _SURE and drawn.certificate.passed else None
    return Sample(points, replace(drawn.certificate, figures=figures, log_evidence=known))


def _evidence(density: LogDensity, draws: np.ndarray, settings: SamplerSettings) -> tuple[float, float]:
    """Log of the integral by bridge sampling from some of the draws, and its standard error."""
    some = draws[:: max(1, len(draws) // _SOME)]
    rng = np.random.default_rng(settings.seed)
    return bridge(some, density.log_density(some), density.log_density, rng, len(some) // 2)
