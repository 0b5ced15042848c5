"""Checks of a sample that do not share the sampler's view: climbs that may find a mode without draws.

A certificate from weights or chains looks where the sampler looked. So after sampling short climbs begin at a few draws
and at points scattered over the density's box. Where one ends at a mode that no draw is near, and which holds a share
of the integral worth speaking of, the sample is not the posterior.
"""

from __future__ import annotations

import math

import numpy as np

from poolwise.samplers.ascent import ascend
from poolwise.samplers.interface import LogDensity
from poolwise.samplers.mode import Mode, distinct_modes, scattered

_CLIMBS, _BUDGET = 4, 2e6  # at most, and flops of an evaluation times climbs: a tenth of what sampling takes
_STEPS, _STEPS_ON = 12, 60  # of a climb; of one that looks as if it led elsewhere
_RISE, _ARRIVED = 0.2, 2.0  # rise below which a climb has arrived, and standard deviations from where it has then
_SHARE = 0.005  # of the integral
_HALVINGS, _FALL = 40, 2.0  # of a mode's standard deviations, and of the log density within one


def missed_modes(
    density: LogDensity, draws: np.ndarray, log_evidence: float, modes: list[Mode], rng: np.random.Generator
) -> list[Mode]:
    """Modes that hold a share of the integral and have no draws near them.

    Parameters
    ----------
    draws : (n, d).
    log_evidence : log of the integral of the density, about.
    modes : those that are known, which are judged as well.
    """
    count = int(np.clip(_BUDGET // density.cost, 1, _CLIMBS))
    near, far = -(-count // 2), count // 2
    chosen = draws[rng.integers(0, len(draws), near)]
    chosen[0] = draws[int(np.argmax(modes[0].distance(draws)))]
    starts = np.vstack([chosen, scattered(*density.box(), far, rng)]) if far else chosen
    ends, values = ascend(density, starts, _STEPS, _RISE, modes[0].covariance)
    likely = values > modes[0].value - 10 - density.dimension
    away = np.min([mode.distance(ends) for mode in modes], axis=0) > _ARRIVED
    found = modes
    if np.any(likely & away):
        found = distinct_modes(density, *ascend(density, ends[likely & away], _STEPS_ON, _RISE), modes)
    least = log_evidence + math.log(_SHARE)
    missed = [mode for mode in found if mode.log_mass > least and not _is_reached(mode, draws)]
    return [mode for mode in missed if _log_mass(density, mode) > least]


def _is_reached(mode: Mode, draws: np.ndarray) -> bool:
    return float(mode.distance(draws).min()) < 2.0 + math.sqrt(len(mode.point))


def _log_mass(density: LogDensity, mode: Mode) -> float:
    """Log of the integral around a mode by Laplace's approximation, no wider than the density is seen to be.

    Curvature is measured by steps; of a peak that is narrower than these it is too small, and the mass too large by
    orders. Along each principal axis a standard deviation is halved until the density falls by no more than a normal
    one does within two.
    """
    variances, axes = np.linalg.eigh(mode.covariance)
    along = (np.sqrt(variances) * axes).T  # (d, d)
    halved, falling = 0, along
    for _ in range(_HALVINGS):
        values = density.log_density(np.vstack([mode.point + falling, mode.point - falling]))
        falling = 0.5 * falling[values.reshape(2, -1).max(axis=0) <= mode.value - _FALL]
        if not len(falling):
            break
        halved += len(falling)
    return mode.log_mass - math.log(2.0) * halved


def log_evidence_about(density: LogDensity, draws: np.ndarray) -> float:
    """Log of the integral, as if the density were normal: from the mean log density of some draws and their spread."""
    some = draws[:: max(1, len(draws) // 64)]
    values = density.log_density(some)
    d = draws.shape[1]
    volume = float(np.linalg.slogdet(np.cov(draws.T).reshape(d, d))[1])
    return float(values[np.isfinite(values)].mean()) + 0.5 * (volume + d * (1 + math.log(2 * math.pi)))
