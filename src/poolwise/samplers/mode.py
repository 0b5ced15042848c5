"""The mode of a density and its curvature there."""

from __future__ import annotations

import numpy as np

from poolwise.samplers.base import LogDensity


def find_mode(density: LogDensity) -> tuple[np.ndarray, np.ndarray]:
    """Climb to the mode by BFGS; return it (d,) and a positive definite covariance (d, d), the inverse curvature.

    A direction in which the density is flat or bends upwards (a variance that the data cannot tell from zero has a
    long tail in its logarithm) is given a standard deviation of 2 in the density's own, logarithmic units.
    """
    from scipy.optimize import minimize

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = density.value_and_gradient(point)
        return (-value, -gradient) if np.isfinite(value) else (1e300, np.zeros_like(point))

    found = minimize(objective, density.start(), jac=True, method="BFGS", options={"gtol": 1e-3, "maxiter": 200})
    mode = np.asarray(found.x)
    return mode, _inverse_curvature(density, mode)


def _inverse_curvature(density: LogDensity, mode: np.ndarray, step: float = 1e-3) -> np.ndarray:
    d = len(mode)
    hessian = np.empty((d, d))
    for k in range(d):
        offset = np.zeros(d)
        offset[k] = step
        up, down = density.value_and_gradient(mode + offset)[1], density.value_and_gradient(mode - offset)[1]
        hessian[k] = (down - up) / (2 * step)
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    values = np.maximum(np.where(np.isfinite(values), values, 0.0), 0.25)
    return (vectors / values) @ vectors.T
