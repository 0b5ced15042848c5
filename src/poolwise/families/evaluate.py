"""A family's kernels on arrays, for code that is not compiled."""

from __future__ import annotations

import numpy as np

from poolwise.families.callback import call_rows
from poolwise.families.family import Family
from poolwise.families.links import Link, to_location


def slopes_and_information(
    family: Family,
    link: Link,
    y: np.ndarray,
    trials: np.ndarray,
    weights: np.ndarray,
    predictors: np.ndarray,
    limits: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of the log likelihood of rows (n,) in each linear predictor, and expected information on each; both
    (parameters, n).

    Parameters
    ----------
    predictors : (parameters, n) that of the mean, and the other parameters on their scales.
    limits : (4, n) of censored and truncated outcomes, as those of `Rows`.
    """
    at, chain = np.ascontiguousarray(predictors, dtype=float).copy(), np.ones(predictors.shape)
    to_location(link.code, at[0], chain[0])
    slope, information = np.zeros(at.shape), np.zeros(at.shape)

    def add(address: int, which: np.ndarray, *outcomes: np.ndarray) -> None:
        there = np.ascontiguousarray(at[:, which])
        slopes, known = np.empty_like(there), np.empty_like(there)
        call_rows(address, *(np.ascontiguousarray(each, dtype=float) for each in outcomes), there, slopes, known)
        slope[:, which] += slopes * chain[:, which]
        information[:, which] += known * chain[:, which] ** 2

    exact = np.arange(len(y)) if limits is None else np.flatnonzero(np.isnan(limits[0]))
    add(family.callback.address, exact, y[exact], trials[exact], weights[exact])
    if limits is not None and family.interval is not None:
        lower, upper, lb, ub = limits
        hidden, cut = np.flatnonzero(~np.isnan(lower)), np.flatnonzero(np.isfinite(lb) | np.isfinite(ub))
        add(family.interval.address, hidden, lower[hidden], upper[hidden], weights[hidden])
        add(family.interval.address, cut, lb[cut], ub[cut], -weights[cut])
        information = np.maximum(information, 0.0)
    return slope, information
