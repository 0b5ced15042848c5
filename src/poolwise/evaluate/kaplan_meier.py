"""The product-limit estimate of survival from right-censored times (Kaplan and Meier 1958)."""

from __future__ import annotations

import numpy as np

from poolwise.support.errors import DataError


def kaplan_meier(
    time: np.ndarray, status: np.ndarray, level: float = 0.95, counts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Estimate the probability of surviving each time at which an event was observed.

    The limits are pointwise: Greenwood's (1926) variance on the scale of log(-log survival) (Kalbfleisch and Prentice
    2002, 1.4), so that they lie between 0 and 1. Events are counted before censorings at the same time.

    Parameters
    ----------
    time : times of events or of censoring, (n,).
    status : whether the event was observed, (n,); else the time is right-censored.
    level : coverage of the limits.
    counts : how many rows each stands for, (n,); None for one each.

    Returns
    -------
    times : distinct times of events, ascending.
    survival : probability of surviving beyond each.
    lower, upper : limits of these; NaN where no one survives.

    Raises
    ------
    DataError : for times that are missing or infinite, and for a status that is neither 0 nor 1.
    """
    from scipy.special import ndtri

    time, status = np.asarray(time, dtype=float).ravel(), np.asarray(status, dtype=float).ravel()
    if time.shape != status.shape:
        raise DataError(f"There are {time.size} times but {status.size} statuses: each time needs one.")
    if not np.isfinite(time).all():
        raise DataError("Times must be finite numbers: leave out rows without a time.")
    if not np.isin(status, (0.0, 1.0)).all():
        raise DataError("A status must be 1 where the event was observed, and 0 where the time is censored.")
    many = np.ones(time.size) if counts is None else np.asarray(counts, dtype=float).ravel()
    times, place = np.unique(time[status == 1.0], return_inverse=True)
    events, order = np.bincount(place, many[status == 1.0], len(times)), np.argsort(time, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(many[order])])
    at_risk = before[-1] - before[np.searchsorted(time[order], times, side="left")]
    survival = np.cumprod((at_risk - events) / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.cumsum(events / (at_risk * (at_risk - events)))) / -np.log(survival)
        margin = np.exp(ndtri(0.5 + 0.5 * level) * error)
        lower, upper = survival**margin, survival ** (1.0 / margin)
    known = survival > 0.0
    return times, survival, np.where(known, lower, np.nan), np.where(known, upper, np.nan)
