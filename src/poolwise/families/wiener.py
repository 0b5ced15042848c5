"""Choices and response times of the drift diffusion model (Ratcliff 1978); the location is the drift.

The outcome is one signed number: y > 0 is a response at the upper boundary after y, y < 0 one at the lower boundary
after -y. The time is a non-decision time plus the time at which a Brownian motion with drift leaves (0, a), whose
density is in `first_passage.py`. A share p of trials are contaminants, with either response and any time up to the
longest (Ratcliff and Tuerlinckx 2002; Wiecki, Sofer and Frank 2013): the density

    (1 - p) f(|y| - ndt) + p / (2 longest)

has all derivatives everywhere, since those of f vanish where |y| - ndt does, and no trial forbids a non-decision time.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from poolwise.compiled import kernel, vector
from poolwise.compiled.types import Matrix, Vector
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import signed_times
from poolwise.families.family import Family, Parameter
from poolwise.families.first_passage import log_first_passage
from poolwise.families.first_passage_draws import first_passages
from poolwise.families.first_passage_information import information as passage_information
from poolwise.families.first_passage_moments import boundary_probabilities, mean_time_to
from poolwise.families.first_passage_moments import mean_time as decision_time
from poolwise.families.links import LOGIT, REAL

_LOG_TWO = math.log(2.0)
_NOTHING = -700.0  # log odds of a trial being one of the process, below which all of them are contaminants
_TOLD = 0.6  # about the share of the information on p that is left where it is not known which trials are contaminants
_LEAST = 1e-300  # shares of the interval are kept above


@kernel
def _shares(logit):
    """p, 1 - p and their logs."""
    e = vector.exp(-abs(logit))
    near, far, tail = 1.0 / (1.0 + e), e / (1.0 + e), vector.log1p(e)
    p, rest = (near, far) if logit >= 0.0 else (far, near)
    return p, rest, min(logit, 0.0) - tail, -max(logit, 0.0) - tail


@kernel
def _starts(logit):
    """w and 1 - w."""
    e = vector.exp(-abs(logit))
    near, far = 1.0 / (1.0 + e), max(e / (1.0 + e), _LEAST)
    return (near, far) if logit >= 0.0 else (far, near)


@kernel
def _trial(y, v, a, log_a, ndt, w, rest, log_process, log_contaminant):
    """One trial; the last two are the log of 1 - p, and the log density of contaminants, p included.

    Returns
    -------
    The log density; its derivatives in the drift, log a, log ndt and the logit of w; the probabilities, given the
    outcome, that it is one of the process and that it is a contaminant.
    """
    t = abs(y) - ndt
    if not t > 0.0:
        return log_contaminant, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0
    side = 1.0 if y > 0.0 else -1.0
    z, other = (rest, w) if y > 0.0 else (w, rest)
    value, of_drift, of_a, of_t, of_z = log_first_passage(t, side * v, a, log_a, z, other)
    value += log_process
    odds = value - log_contaminant
    if not odds > _NOTHING:
        return log_contaminant, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0
    e = vector.exp(-abs(odds))
    near, far = 1.0 / (1.0 + e), e / (1.0 + e)
    process, contaminant = (near, far) if odds >= 0.0 else (far, near)
    total = max(value, log_contaminant) + vector.log1p(e)
    signed = process * side
    return total, signed * of_drift, process * of_a, -process * ndt * of_t, -signed * of_z, process, contaminant


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y with drift v, log a, log ndt, logit w, logit p and the log of the longest time.

    The longest time is known: nothing is said on it.
    """
    total, last = 0.0, math.nan
    p, process, log_p, log_process = 0.0, 1.0, -math.inf, 0.0
    for i in range(y.size):
        if predictors[4, i] != last:  # exponentials once, where all rows share the contaminants
            last = predictors[4, i]
            p, process, log_p, log_process = _shares(last)
        weight, v, log_a = weights[i], predictors[0, i], predictors[1, i]
        a, ndt = vector.exp(log_a), vector.exp(predictors[2, i])
        w, rest = _starts(predictors[3, i])
        log_contaminant = log_p - _LOG_TWO - predictors[5, i]
        value, of_v, of_a, of_ndt, of_w, own, other = _trial(
            y[i], v, a, log_a, ndt, w, rest, log_process, log_contaminant
        )
        total += weight * value
        slopes[0, i], slopes[1, i], slopes[2, i] = weight * of_v, weight * of_a, weight * of_ndt
        slopes[3, i], slopes[4, i], slopes[5, i] = weight * of_w, weight * (process * other - p * own), 0.0
        on_v, on_a, on_shift, on_w = passage_information(v, a, w, rest)
        known = weight * process
        information[0, i], information[1, i] = known * on_v, known * on_a
        information[2, i], information[3, i] = known * min(ndt * ndt * on_shift, 1e300), known * on_w
        information[4, i], information[5, i] = _TOLD * known * p, 0.0
    return total


@kernel
def log_densities(y: Vector, predictors: Matrix, found: Vector) -> None:
    """Write the log density of each row; predictors (6, n) as in `rows`."""
    for i in range(y.size):
        _, _, log_p, log_process = _shares(predictors[4, i])
        w, rest = _starts(predictors[3, i])
        log_a = predictors[1, i]
        a, ndt = vector.exp(log_a), vector.exp(predictors[2, i])
        log_contaminant = log_p - _LOG_TWO - predictors[5, i]
        found[i] = _trial(y[i], predictors[0, i], a, log_a, ndt, w, rest, log_process, log_contaminant)[0]


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


def log_density(
    y: np.ndarray,
    trials: np.ndarray,
    location: np.ndarray,
    log_a: np.ndarray,
    log_ndt: np.ndarray,
    logit_w: np.ndarray,
    logit_p: np.ndarray,
    log_longest: np.ndarray,
) -> np.ndarray:
    """Log densities, by the kernel."""
    every = np.broadcast_arrays(y, trials, location, log_a, log_ndt, logit_w, logit_p, log_longest)
    predictors = np.array([each.ravel() for each in every[2:]], dtype=float)
    found = np.empty(every[0].size)
    log_densities(np.array(every[0].ravel(), dtype=float), predictors, found)
    return found.reshape(every[0].shape)


def draw(
    rng: np.random.Generator,
    trials: np.ndarray,
    mean: np.ndarray,
    a: np.ndarray,
    ndt: np.ndarray,
    w: np.ndarray,
    p: np.ndarray,
    longest: np.ndarray,
) -> np.ndarray:
    """New signed times."""
    shape = np.broadcast_shapes(*(np.shape(each) for each in (mean, a, ndt, w, p, longest)))
    v, a, ndt, w, p, longest = (
        np.array(np.broadcast_to(each, shape), dtype=float).ravel() for each in (mean, a, ndt, w, p, longest)
    )
    times, upper = first_passages(rng, v, a, w)
    contaminant = rng.random(v.size) < p
    times = np.where(contaminant, (1.0 - rng.random(v.size)) * longest, ndt + times)
    upper = np.where(contaminant, rng.random(v.size) < 0.5, upper)
    return np.where(upper, times, -times).reshape(shape)


def expected(
    mean: np.ndarray, a: np.ndarray, ndt: np.ndarray, w: np.ndarray, p: np.ndarray, longest: np.ndarray
) -> np.ndarray:
    """Mean signed time; that of contaminants is zero."""
    upper, lower = boundary_probabilities(mean, a, w)
    signed = upper * (ndt + mean_time_to(mean, a, 1.0 - w)) - lower * (ndt + mean_time_to(mean, a, w))
    return np.asarray((1.0 - p) * signed)


def upper_share(location: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
    """Probability of a response at the upper boundary, from parameters on their scales."""
    a, _, w, p, _ = _values(parameters)
    return np.asarray((1.0 - p) * boundary_probabilities(location, a, w)[0] + 0.5 * p)


def mean_time(location: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
    """Mean response time whatever the response, from parameters on their scales."""
    a, ndt, w, p, longest = _values(parameters)
    return np.asarray((1.0 - p) * (ndt + decision_time(location, a, w)) + 0.5 * p * longest)


def _values(parameters: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    log_a, log_ndt, logit_w, logit_p, log_longest = parameters
    return np.exp(log_a), np.exp(log_ndt), LOGIT.mean(logit_w), LOGIT.mean(logit_p), np.exp(log_longest)


def centre(mean: float, sd: float) -> tuple[float, float]:
    """Of drifts: zero, and one over the root of a usual time, so that the unit of time does not matter."""
    return 0.0, (mean * mean + sd * sd) ** -0.25


def _usual_boundary(y: np.ndarray) -> float:
    return 1.5 * math.sqrt(float(np.median(np.abs(y))))


def _usual_ndt(y: np.ndarray) -> float:
    return 0.5 * float(np.abs(y).min())


def _longest(y: np.ndarray) -> float:
    return float(np.abs(y).max())


_SCALE = replace(REAL, links={"identity": REAL.links["identity"]})  # a drift may have either sign
WIENER = Family(
    "wiener",
    _SCALE,
    (
        Parameter("bs", typical=1.5, usual=_usual_boundary),
        Parameter("ndt", typical=0.2, usual=_usual_ndt, most=_longest),
        Parameter("bias", typical=0.5, scale=LOGIT),
        Parameter("p_outlier", typical=0.05, scale=LOGIT, fixed=0.05, vanishes=True),
        Parameter("longest", typical=5.0, usual=_longest, fixed=_longest),
    ),
    _callback,
    log_density,
    draw,
    signed_times,
    expected,
    centre=centre,
    signed=True,
    location="drift of {}",
    quantities={"upper": upper_share, "time": mean_time},
)
