"""Slice sampling of one number (Neal 2003, Annals of Statistics 31): steps out from a random interval, and shrinks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

_MOST = 100  # steps out to each side


def slice_draw(log_density: Callable[[float], float], now: float, width: float, rng: np.random.Generator) -> float:
    """One step of a chain, which leaves the density as it is.

    Parameters
    ----------
    now : where the chain is; its density is not zero.
    width : about the width of the density, which steps out are long.
    """
    level = log_density(now) - rng.standard_exponential()
    low = now - width * rng.random()
    high = low + width
    # The steps are shared out at random between the two sides, which makes the step reversible.
    left = math.floor(_MOST * rng.random())
    right = _MOST - 1 - left
    while left > 0 and log_density(low) > level:
        low, left = low - width, left - 1
    while right > 0 and log_density(high) > level:
        high, right = high + width, right - 1
    while True:
        found = low + rng.random() * (high - low)
        if log_density(found) > level or high - low < 1e-14 * max(1.0, abs(now)):
            return found
        low, high = (found, high) if found < now else (low, found)
