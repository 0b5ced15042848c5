"""Climbing a log density from many points at once, since an evaluation of many points costs hardly more than one."""

from __future__ import annotations

import numpy as np

from poolwise.samplers.interface import LogDensity
from poolwise.support.threads import look

_STRIDE = 2.0  # longest step in any coordinate: densities are in logarithms of spreads
_SHRINK, _SHORTEST = 0.25, 1e-7  # of a step that does not rise


def ascend(
    density: LogDensity, starts: np.ndarray, steps: int, gain: float, inverse: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Climb from points (k, d) by at most so many steps of BFGS each: points (k, d), and their log densities (k,).

    A point without density stays where it is, at -inf.

    Parameters
    ----------
    gain : rise that is worth no further step.
    inverse : (d, d) inverse curvature to begin with, where it is known about.
    """
    points = np.array(starts, dtype=float)
    k, d = points.shape
    values, slopes = density.values_and_gradients(points)
    inverses = np.tile(0.1 * np.eye(d) if inverse is None else inverse, (k, 1, 1))
    fresh, shrink = np.full(k, inverse is None), np.ones(k)
    alive = np.isfinite(values) & np.isfinite(slopes).all(axis=1)
    slopes[~alive] = 0.0
    for _ in range(steps):
        look()
        step = (inverses @ slopes[:, :, None])[:, :, 0]
        promised = (step * slopes).sum(axis=1)
        moving = np.flatnonzero(alive & (promised > np.where(fresh, gain / 100, gain)))
        if not len(moving):
            break
        step *= (np.minimum(1.0, _STRIDE / np.maximum(np.abs(step).max(axis=1), 1e-300)) * shrink)[:, None]
        there, there_slopes = density.values_and_gradients(points[moving] + step[moving])
        rise = 1e-4 * (step[moving] * slopes[moving]).sum(axis=1)
        good = (there > values[moving] + rise) & np.isfinite(there_slopes).all(axis=1)
        shrink[moving] = np.where(good, np.minimum(1.0, shrink[moving] / _SHRINK), shrink[moving] * _SHRINK)
        alive[moving] &= shrink[moving] > _SHORTEST
        i, slope = moving[good], there_slopes[good]
        inverses[i] = _updated(inverses[i], step[i], slopes[i] - slope, fresh[i])
        points[i] += step[i]
        values[i], slopes[i], fresh[i] = there[good], slope, False
    return points, values


def _updated(inverses: np.ndarray, moved: np.ndarray, change: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Inverse Hessians (m, d, d) of BFGS after steps (m, d) that changed slopes by so much.

    Those at which the density bends upwards stay as they are.
    """
    bent, size = (change * moved).sum(axis=1), np.square(change).sum(axis=1)
    sound = bent > 1e-10 * np.sqrt(size * np.square(moved).sum(axis=1))
    bent = np.where(sound, bent, 1.0)[:, None, None]
    eye = np.eye(moved.shape[1])
    scaled = bent / np.where(sound, size, 1.0)[:, None, None] * eye
    inverses = np.where((first & sound)[:, None, None], scaled, inverses)
    straight = eye - moved[:, :, None] * change[:, None, :] / bent
    updated = straight @ inverses @ straight.transpose(0, 2, 1) + moved[:, :, None] * moved[:, None, :] / bent
    return np.where(sound[:, None, None], updated, inverses)
