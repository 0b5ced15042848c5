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
    return [mode for mode in found if _is_missed(mode, draws, log_evidence)]


def _is_missed(mode: Mode, draws: np.ndarray, log_evidence: float) -> bool:
    reached = float(mode.distance(draws).min()) < 2.0 + math.sqrt(len(mode.point))
    return not reached and mode.log_mass > log_evidence + math.log(_SHARE)


def log_evidence_about(density: LogDensity, draws: np.ndarray) -> float:
    """Log of the integral, as if the density were normal: from the mean log density of some draws and their spread."""
    some = draws[:: max(1, len(draws) // 64)]
    values = density.log_density(some)
    d = draws.shape[1]
    volume = float(np.linalg.slogdet(np.cov(draws.T).reshape(d, d))[1])
    return float(values[np.isfinite(values)].mean()) + 0.5 * (volume + d * (1 + math.log(2 * math.pi)))
