"""Climbing a log density from many points at once, since an evaluation of many points costs hardly more than one."""

from __future__ import annotations

import numpy as np

from poolwise.samplers.base import LogDensity
from poolwise.threads import look

_GAIN = 1e-3  # rise that is worth no further step
_STRIDE = 2.0  # longest step in any coordinate: densities are in logarithms of spreads
_SHRINK, _SHORTEST = 0.25, 1e-7  # of a step that does not rise


def ascend(density: LogDensity, starts: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Climb from points (k, d) by at most so many steps of BFGS each: points (k, d), and their log densities (k,).

    A point without density stays where it is, at -inf.
    """
    points = np.array(starts, dtype=float)
    k, d = points.shape
    values, slopes = density.values_and_gradients(points)
    inverse = np.tile(0.1 * np.eye(d), (k, 1, 1))
    fresh, shrink = np.ones(k, dtype=bool), np.ones(k)
    alive = np.isfinite(values) & np.isfinite(slopes).all(axis=1)
    for _ in range(steps):
        look()
        step = np.einsum("kij,kj->ki", inverse, np.where(alive[:, None], slopes, 0.0))
        promised = (step * slopes).sum(axis=1)
        moving = np.flatnonzero(alive & (promised > np.where(fresh, _GAIN / 100, _GAIN)))
        if not len(moving):
            break
        step *= (np.minimum(1.0, _STRIDE / np.maximum(np.abs(step).max(axis=1), 1e-300)) * shrink)[:, None]
        there, there_slopes = density.values_and_gradients(points[moving] + step[moving])
        rise = 1e-4 * (step[moving] * slopes[moving]).sum(axis=1)
        good = (there > values[moving] + rise) & np.isfinite(there_slopes).all(axis=1)
        shrink[moving] = np.where(good, np.minimum(1.0, shrink[moving] / _SHRINK), shrink[moving] * _SHRINK)
        alive[moving] &= shrink[moving] > _SHORTEST
        for i, value, slope in zip(moving[good], there[good], there_slopes[good], strict=True):
            inverse[i] = _updated(inverse[i], step[i], slopes[i] - slope, first=bool(fresh[i]))
            points[i] += step[i]
            values[i], slopes[i], fresh[i] = value, slope, False
    return points, values


def _updated(inverse: np.ndarray, moved: np.ndarray, change: np.ndarray, *, first: bool) -> np.ndarray:
    """The inverse Hessian of BFGS after a step that changed the slope by so much; unchanged where it bends upwards."""
    bent = float(change @ moved)
    if not bent > 1e-10 * float(np.linalg.norm(change) * np.linalg.norm(moved)):
        return inverse
    d = len(moved)
    if first:
        inverse = bent / float(change @ change) * np.eye(d)
    straight = np.eye(d) - np.outer(moved, change) / bent
    return straight @ inverse @ straight.T + np.outer(moved, moved) / bent
