"""Coefficients under a bound, as that of a shift that all outcomes lie above, in coordinates that have none.

Chains would run across the bound, where the density is zero. The linear predictor p = c beta of a parameter that all
rows share, p below its bound B, is therefore sampled as the b on the whole line with

    p = B - log(1 + exp(B - c b)),

which is about c b far below the bound: exp(p) is exp(B) times a logistic function.
"""

from __future__ import annotations

import numpy as np

from poolwise.compiled import kernel
from poolwise.compiled.types import Matrix
from poolwise.density.latent.observations import Observations
from poolwise.families import Family
from poolwise.families.scalars import softplus


@kernel
def below(bounds: Matrix, k: int, b: float) -> tuple[float, float, float, float]:
    """Coefficient k at its coordinate b; its derivative there; the log of that, and the derivative of the log."""
    bound, c = bounds[0, k], bounds[1, k]
    if bound == np.inf:
        return b, 1.0, 0.0, 0.0
    grown, share = softplus(bound - c * b)
    lost, rest = softplus(c * b - bound)
    return (bound - grown) / c, share, -lost, -c * rest


def bounds_of(observations: Observations, family: Family) -> np.ndarray:
    """(2, p) the bound of a coefficient's linear predictor, infinite without, and its column c.

    There is one where the parameter has a bound, and nothing but an intercept in its formula.
    """
    bounds = np.vstack([np.full(len(observations.of_column), np.inf), np.ones(len(observations.of_column))])
    for r, parameter in enumerate(family.parameters, start=1):
        mine = np.flatnonzero(observations.of_column == r)
        if parameter.bound is None or len(mine) != 1 or (observations.of_slot == r).any():
            continue
        column = observations.columns[mine[0]]
        if column[0] > 0 and np.all(column == column[0]):
            bounds[:, mine[0]] = parameter.to_scale(parameter.bound(observations.y)), column[0]
    return bounds


def without_bounds(bounds: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The coordinates b (p,) of coefficients (p,) below their bounds, and the derivatives of these in b."""
    b, slope = beta.copy(), np.ones(beta.size)
    for k in np.flatnonzero(bounds[0] < np.inf):
        bound, c = bounds[:, k]
        room = bound - c * beta[k]
        b[k], slope[k] = (bound - np.log(np.expm1(room))) / c, -np.expm1(-room)
    return b, slope
