"""A family's kernel on arrays, for code that is not compiled."""

from __future__ import annotations

import numpy as np

from poolwise.families.callback import call_rows
from poolwise.families.family import Family
from poolwise.families.links import Link, to_location


def slope_and_information(
    family: Family,
    link: Link,
    y: np.ndarray,
    trials: np.ndarray,
    weights: np.ndarray,
    predictors: np.ndarray,
    of: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of the log likelihood of rows (n,) in a linear predictor, and expected information on it.

    Parameters
    ----------
    predictors : (parameters, n) that of the mean, and the other parameters on their scales.
    of : which of them; that of the mean by default.
    """
    at, chain = np.ascontiguousarray(predictors, dtype=float).copy(), np.ones(predictors.shape[1])
    to_location(link.code, at[0], chain)
    slopes, information = np.empty_like(at), np.empty_like(at)
    rows = (np.ascontiguousarray(each, dtype=float) for each in (y, trials, weights))
    call_rows(family.callback.address, *rows, at, slopes, information)
    return (slopes[of], information[of]) if of else (slopes[0] * chain, information[0] * chain**2)
