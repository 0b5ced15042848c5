"""Whether the chains of a sampler agree."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from poolwise.samplers.base import Certificate

_RHAT, _ESS_PER_CHAIN = 1.01, 100
_NOTHING: Mapping[str, float] = MappingProxyType({})


def certify_chains(points: np.ndarray, divergences: int, figures: Mapping[str, float] = _NOTHING) -> Certificate:
    """A certificate from R-hat, effective sample sizes and divergences of points (chains, draws, d)."""
    from arviz_stats.base import array_stats

    columns = np.moveaxis(points, 2, 0)
    if len(points) == 1:  # R-hat needs chains: the halves of the only one
        half = points.shape[1] // 2
        columns = np.moveaxis(points[0, : 2 * half].reshape(2, half, -1), 2, 0)
    rhat = float(np.max(array_stats.rhat(columns, chain_axis=1, draw_axis=2)))
    ess = float(np.min(array_stats.ess(columns, chain_axis=1, draw_axis=2)))
    share = divergences / (points.shape[0] * points.shape[1])
    passed = share <= 0.001 and rhat <= _RHAT and ess >= _ESS_PER_CHAIN * len(points)
    advice = "All chains agree."
    if not passed:
        advice = (
            f"NUTS did not settle: R-hat {rhat:.3f}, worst effective sample size {ess:.0f}, {divergences} divergences. "
            "Take more draws, tighter priors of the standard deviations, or fewer correlated effects."
        )
    return Certificate(
        "nuts", "", passed, advice, {"rhat": rhat, "ess": ess, "divergences": float(divergences), **figures}
    )
