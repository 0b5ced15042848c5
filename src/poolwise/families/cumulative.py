"""Ordered categories by thresholds on a latent scale (McCullagh 1980).

P(Y <= k) = F(disc (t_k - location)), F the distribution behind the link. The first threshold is at zero, so that the
intercept is minus the threshold that others report; each further one lies a gap above the one before.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from poolwise.compiled import exact_kernel, kernel, vector
from poolwise.families.callback import rows_callback, values_callback, views, views_of_draws
from poolwise.families.categories import (
    CLOGLOG,
    DISC,
    KINDS,
    LOGIT,
    PROBIT,
    above,
    any_position,
    below,
    between,
    category_draws,
    expected_position,
    latent_scale,
    log_between,
    probabilities,
)
from poolwise.families.family import Family, Parameter
from poolwise.families.links import REAL
from poolwise.priors import HalfStudentT

_SCALE = latent_scale(*KINDS)
_WIDTH = HalfStudentT(3.0, 2.5)
_NOTHING = 1e-307  # probability, whose logarithm is about the last one


@kernel
def rows(kind, categories, gaps, y, weights, predictors, slopes, information):
    """y the position of a category; predictors are the location and the logs of disc and of the gaps.

    A single gap serves all thresholds. The information is the observed one, on disc and gaps the square of the slope.
    """
    total = 0.0
    for r in range(1, predictors.shape[0]):  # `information` has exponentials first: mostly those of the row before
        for i in range(y.size):
            same = i > 0 and predictors[r, i] == predictors[r, i - 1]
            information[r, i] = information[r, i - 1] if same else math.exp(predictors[r, i])
    for i in range(y.size):
        disc, w, place = information[1, i], weights[i], int(y[i])
        lower = 0.0  # the threshold below the category
        for k in range(place - 1):
            lower += information[2 + min(k, gaps - 1), i]
        low, gap, up, down = disc * (lower - predictors[0, i]), 0.0, 0.0, 0.0
        if place == 0:
            value, up, bend = below(kind, low)
        elif place == categories - 1:
            value, down, bend = above(kind, low)
        else:
            gap = disc * information[1 + min(place, gaps), i]
            value, up, down, bend = between(kind, low, gap)
        total += w * value
        slopes[0, i] = -w * disc * (up + down)
        information[0, i] = w * disc * disc * bend
        slopes[1, i] = w * (up * (low + gap) + down * low)
        for r in range(2, predictors.shape[0]):
            slopes[r, i] = 0.0
        for k in range(1, place):  # gaps below the category move both of its ends
            r = 1 + min(k, gaps)
            slopes[r, i] += w * (up + down) * disc * information[r, i]
        if gap > 0.0:
            slopes[1 + min(place, gaps), i] += w * up * gap
        for r in range(1, predictors.shape[0]):
            information[r, i] = slopes[r, i] * slopes[r, i] / w
    return total


@kernel
def _flexible(kind, n, parameters, y, trials, weights, predictors, slopes, information):
    y, _, weights, at, slope, known = views(n, parameters, y, trials, weights, predictors, slopes, information)
    return rows(kind, parameters, parameters - 2, y, weights, at, slope, known)


@kernel
def _equidistant(kind, n, parameters, y, trials, weights, predictors, slopes, information):
    y, _, weights, at, slope, known = views(n, parameters, y, trials, weights, predictors, slopes, information)
    return rows(kind, int(at[3, 0]), 1, y, weights, at, slope, known)


@exact_kernel
def values(kind, categories, gaps, y, weights, predictors, totals):
    """The same of many draws, without derivatives.

    Behind the logit F(b) - F(a) = F(b) (1 - F(a)) (1 - exp(a - b)), where 1 - exp(a - b) is mostly the same for all
    rows.
    """
    n, draws = y.size, totals.size
    parameters = predictors.shape[0] // max(n, 1)
    disc, at = np.empty(draws), np.empty((categories - 1, draws))
    width, within = np.empty((categories - 1, draws)), np.empty((categories - 1, draws))
    for i in range(n):
        others = 1 if i == 0 else 0
        for r in range(1, parameters):
            for k in range(draws):
                others += predictors[r * n + i, k] != predictors[r * n + max(i - 1, 0), k]
        if others:
            for k in range(draws):
                disc[k], at[0, k], within[0, k] = vector.exp(predictors[n + i, k]), 0.0, 0.0
            for c in range(1, categories - 1):
                logs = predictors[(1 + min(c, gaps)) * n + i]
                for k in range(draws):
                    width[c, k] = disc[k] * vector.exp(logs[k])
                    at[c, k] = at[c - 1, k] + width[c, k]
                    within[c, k] = vector.log(max(-vector.expm1(-width[c, k]), _NOTHING)) if kind == LOGIT else 0.0
        place, w = int(y[i]), weights[i]
        if kind != LOGIT:
            for k in range(draws):
                low = at[max(place - 1, 0), k] - disc[k] * predictors[i, k]
                if place == 0:
                    totals[k] += w * below(kind, low)[0]
                elif place == categories - 1:
                    totals[k] += w * above(kind, low)[0]
                else:
                    totals[k] += w * between(kind, low, width[place, k])[0]
            continue
        if 0 < place < categories - 1:
            for k in range(draws):
                low, high = at[place - 1, k] - disc[k] * predictors[i, k], at[place, k] - disc[k] * predictors[i, k]
                both = (1.0 + vector.exp(-abs(low))) * (1.0 + vector.exp(-abs(high)))
                totals[k] += w * (within[place, k] - max(low, 0.0) - max(-high, 0.0) - vector.log(both))
            continue
        side, end = (1.0, 0) if place == 0 else (-1.0, categories - 2)
        for k in range(draws):
            inwards = side * (at[end, k] - disc[k] * predictors[i, k])
            totals[k] -= w * (max(-inwards, 0.0) + vector.log1p(vector.exp(-abs(inwards))))
    return 0.0


@kernel
def _flexible_values(kind, n, parameters, draws, y, trials, weights, predictors, totals):
    y, _, weights, at, totals = views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals)
    return values(kind, parameters, parameters - 2, y, weights, at, totals)


@values_callback
def _logit_values(n, parameters, draws, y, trials, weights, predictors, totals):
    return _flexible_values(LOGIT, n, parameters, draws, y, trials, weights, predictors, totals)


@values_callback
def _probit_values(n, parameters, draws, y, trials, weights, predictors, totals):
    return _flexible_values(PROBIT, n, parameters, draws, y, trials, weights, predictors, totals)


@values_callback
def _cloglog_values(n, parameters, draws, y, trials, weights, predictors, totals):
    return _flexible_values(CLOGLOG, n, parameters, draws, y, trials, weights, predictors, totals)


@rows_callback
def _logit(n, parameters, y, trials, weights, predictors, slopes, information):
    return _flexible(LOGIT, n, parameters, y, trials, weights, predictors, slopes, information)


@rows_callback
def _probit(n, parameters, y, trials, weights, predictors, slopes, information):
    return _flexible(PROBIT, n, parameters, y, trials, weights, predictors, slopes, information)


@rows_callback
def _cloglog(n, parameters, y, trials, weights, predictors, slopes, information):
    return _flexible(CLOGLOG, n, parameters, y, trials, weights, predictors, slopes, information)


@rows_callback
def _logit_equidistant(n, parameters, y, trials, weights, predictors, slopes, information):
    return _equidistant(LOGIT, n, parameters, y, trials, weights, predictors, slopes, information)


@rows_callback
def _probit_equidistant(n, parameters, y, trials, weights, predictors, slopes, information):
    return _equidistant(PROBIT, n, parameters, y, trials, weights, predictors, slopes, information)


@rows_callback
def _cloglog_equidistant(n, parameters, y, trials, weights, predictors, slopes, information):
    return _equidistant(CLOGLOG, n, parameters, y, trials, weights, predictors, slopes, information)


_FLEXIBLE = {"logit": _logit, "probit": _probit, "cloglog": _cloglog}
_VALUES = {"logit": _logit_values, "probit": _probit_values, "cloglog": _cloglog_values}
_EQUIDISTANT = {"logit": _logit_equidistant, "probit": _probit_equidistant, "cloglog": _cloglog_equidistant}


def thresholds(count: int, location: np.ndarray, *gaps: np.ndarray) -> np.ndarray:
    """(K - 1, ...) thresholds minus the location, from the logs of the gaps, or of the one that serves all."""
    steps = [np.exp(gaps[min(k, len(gaps) - 1)]) for k in range(count - 2)]
    at = np.cumsum([np.zeros(np.shape(location)), *(step + np.zeros(np.shape(location)) for step in steps)], axis=0)
    return np.asarray(at - location)


def _log_density(kind: int, count: int, y: np.ndarray, location: np.ndarray, *logs: np.ndarray) -> np.ndarray:
    """Log probability of the category at each position."""
    at = np.exp(logs[0]) * thresholds(count, location, *logs[1:])
    shape = np.broadcast_shapes(np.shape(y), at.shape[1:])
    ends = [np.full(shape, -np.inf), *(np.broadcast_to(each, shape) for each in at), np.full(shape, np.inf)]
    low, high = (np.choose(np.broadcast_to(y, shape).astype(int), ends[first:][:count]) for first in (0, 1))
    return log_between(kind, low, high)


def _made(name: str, labels: tuple[str, ...], link: str, *, flexible: bool) -> Family:
    count, kind = len(labels), KINDS[link]

    def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
        return _log_density(kind, count, y, location, *(parameters if flexible else parameters[:2]))

    if flexible:
        more = tuple(Parameter(f"gap{k}", _WIDTH) for k in range(2, count))
        callbacks, logs = _FLEXIBLE, count - 1
    else:
        more = (Parameter("gap", _WIDTH), Parameter("categories", scale=REAL, fixed=float(count)))
        callbacks, logs = _EQUIDISTANT, 2
    return Family(
        name,
        _SCALE,
        (DISC, *more),
        callbacks[link],
        log_density,
        category_draws(log_density, count, logs),
        any_position,
        expected_position(log_density, count, logs),
        # Thresholds that lie one apart around the mean position.
        centre=lambda mean, sd: (mean - 0.5, 1.0),
        of_labels=cumulative if flexible else cumulative_equidistant,
        labels=labels,
        quantities=probabilities(log_density, labels),
        ordered=True,
        odds="a higher {}",
        cuts=lambda location, *gaps: thresholds(count, location, *gaps),
        latent=True,
        likelihood=_VALUES[link] if flexible else None,
    )


@cache
def cumulative(labels: tuple[str, ...], link: str = "logit") -> Family:
    """The family of ordered categories with these labels, by a link."""
    return _made("cumulative", labels, link, flexible=True)


@cache
def cumulative_equidistant(labels: tuple[str, ...], link: str = "logit") -> Family:
    """The same with thresholds that lie equally far apart."""
    return _made("cumulative_equidistant", labels, link, flexible=False)


CUMULATIVE = cumulative(("1", "2", "3"))
CUMULATIVE_EQUIDISTANT = cumulative_equidistant(("1", "2", "3"))
