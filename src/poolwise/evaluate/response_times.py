"""Quantiles of response times by choice, observed and replicated: where a drift diffusion model fails, they show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design import Rows
from poolwise.evaluate.posterior_checks import replicate
from poolwise.evaluate.shown_groups import shown_groups
from poolwise.inference.posterior import Posterior
from poolwise.support.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)  # as in Ratcliff and McKoon 2008
_DRAWS = 200
_FEWEST = 5  # trials of a choice; quantiles of fewer say nothing


def quantiles_of_times(posterior: Posterior, rows: Rows, values: Any) -> pd.DataFrame:
    """A line for each value, choice and quantile: the time `observed`, `replicated` on average with its 90% interval,
    and the same of the choice's share.

    Raises
    ------
    DataError : for a family without choices, and for too many values.
    """
    import pandas as pd

    if not posterior.model.family.signed:
        raise DataError("Quantiles of response times are for family='wiener'.")
    levels, codes = shown_groups(values)
    replicated = replicate(posterior, rows, _DRAWS, posterior.seed)
    lines = []
    for k, level in enumerate(levels):
        mine, made = rows.response[codes == k], replicated[:, codes == k]
        for choice, side in (("upper", 1.0), ("lower", -1.0)):
            times = side * mine[side * mine > 0]
            if len(times) < _FEWEST:
                continue
            shares = (side * made > 0).mean(axis=1)
            drawn = np.array([_quantiles(side * row[side * row > 0]) for row in made])
            seen = _quantiles(times)
            low, high = np.nanquantile(drawn, [0.05, 0.95], axis=0)
            for j, share in enumerate(SHARES):
                lines.append(
                    {
                        "group": level,
                        "choice": f"{choice} boundary",
                        "quantile": share,
                        "observed": float(seen[j]),
                        "replicated": float(np.nanmean(drawn[:, j])),
                        "low": float(low[j]),
                        "high": float(high[j]),
                        "share_observed": len(times) / len(mine),
                        "share_replicated": float(shares.mean()),
                    }
                )
    return pd.DataFrame(lines)


def _quantiles(times: np.ndarray) -> np.ndarray:
    return np.quantile(times, SHARES) if len(times) else np.full(len(SHARES), np.nan)
