"""Which spreads and correlations the data leave open, in plain words, where others say "singular fit"."""

from __future__ import annotations

import numpy as np

from poolwise.density.gaussian import GaussianDensity
from poolwise.density.theta import log_prior
from poolwise.inference.posterior import Posterior

_SUPPORT = 2.0  # log likelihoods that differ by less than this are both supported (Edwards 1972)
_POINTS, _FEWER_POINTS, _EXPENSIVE = 128, 16, 1e7
_NOTHING = -25.0  # log of how much less than usual stands for a spread of zero
_WIDE = 1.5  # length of a correlation's 90% interval from which its sign is open


def undecided(posterior: Posterior, density: GaussianDensity) -> list[str]:
    """One sentence for each spread that might as well be zero, and for each correlation that might be anything.

    A spread might be zero where some draw, with the spread set to nothing, keeps a likelihood (coefficients integrated
    out) within exp(2) of the highest one found: a support interval, in which priors of the spreads play no part.
    """
    if posterior.theta is None or not posterior.u:
        return []
    layout = posterior.model.priors.layout
    to_zero = layout.map_to_zero
    points = posterior.theta.reshape(-1, posterior.theta.shape[-1])
    count = _POINTS if density.cost < _EXPENSIVE else _FEWER_POINTS
    spread_out = points[:: max(1, len(points) // count)][:count]
    best = _log_likelihood(density, spread_out).max()
    said = []
    for k, (factor, effect) in enumerate(layout.effects):
        if k in layout.tied:
            continue
        smallest = points[np.argsort(points[:, k])[:: max(1, len(points) // (8 * count))][:count]]
        without = smallest.copy()
        without[:, k] = points[:, k].mean() + _NOTHING
        if max(best, _log_likelihood(density, smallest).max()) - _log_likelihood(density, without).max() < _SUPPORT:
            of = "" if effect == "Intercept" else f" of the effect of '{effect}'"
            at = " at the mean of every predictor" if np.count_nonzero(to_zero[k]) > 1 else ""
            high = to_zero[k, k] * np.exp(np.quantile(points[:, k], 0.95))
            said.append(f"The data cannot tell a between-{factor} sd{of}{at} of 0 from {high:.2g}.")
    return said + _open_correlations(posterior, points)


def _open_correlations(posterior: Posterior, points: np.ndarray) -> list[str]:
    said = []
    for factor in posterior.model.design.factors:
        matrices = posterior.model.priors.layout.correlation(points, factor.name)
        for i in range(len(factor.effects)):
            for j in range(int(factor.starts[i]), i):
                low, high = np.quantile(matrices[..., i, j], [0.05, 0.95])
                if high - low > _WIDE:
                    said.append(
                        f"The data hardly say how '{factor.effects[i]}' and '{factor.effects[j]}' go together between "
                        f"groups of {factor.name}: correlations from {low:.2f} to {high:.2f} fit."
                    )
    return said


def _log_likelihood(density: GaussianDensity, points: np.ndarray) -> np.ndarray:
    """log p(y | theta), (m, d) to (m,)."""
    unused = np.empty(points.shape[1])
    priors = [log_prior(np.ascontiguousarray(point), density.prior, unused) for point in points]
    return density.log_density(points) - np.array(priors)
