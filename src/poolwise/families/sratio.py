"""Ordered categories by stopping ratios: one stops at a category, or goes on to the next (Tutz 1990).

P(Y = k | Y >= k) = F(disc (t_k - location)). Thresholds need no order; the first is at zero, each other one is shifted
from it, by an amount that may depend on predictors: effects of categories' own.
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
    category_draws,
    expected_position,
    latent_scale,
    log_between,
    probabilities,
)
from poolwise.families.family import Family, Parameter
from poolwise.families.links import REAL

_SCALE = latent_scale(*KINDS)


@kernel
def rows(kind, y, weights, predictors, slopes, information):
    """y the position of a category; predictors are the location, the log of disc, the shifts of further thresholds."""
    total, stops = 0.0, predictors.shape[0] - 1
    for i in range(y.size):
        disc, w, place = math.exp(predictors[1, i]), weights[i], int(y[i])
        for r in range(predictors.shape[0]):
            slopes[r, i] = 0.0
            information[r, i] = 0.0
        for k in range(min(place + 1, stops)):
            shift = predictors[1 + k, i] if k > 0 else 0.0
            x = disc * (shift - predictors[0, i])
            if k == place:
                value, slope, bend = below(kind, x)
            else:
                value, slope, bend = above(kind, x)
            total += w * value
            slopes[0, i] -= w * disc * slope
            slopes[1, i] += w * x * slope
            information[0, i] += w * disc * disc * bend
            if k > 0:
                slopes[1 + k, i] = w * disc * slope
                information[1 + k, i] = w * disc * disc * bend
        information[1, i] = slopes[1, i] * slopes[1, i] / w
    return total


@kernel
def _by_kind(kind, n, parameters, y, trials, weights, predictors, slopes, information):
    y, _, weights, at, slope, known = views(n, parameters, y, trials, weights, predictors, slopes, information)
    return rows(kind, y, weights, at, slope, known)


@exact_kernel
def values(kind, y, weights, predictors, totals):
    """The same of many draws, without derivatives."""
    n, draws = y.size, totals.size
    stops = predictors.shape[0] // max(n, 1) - 1
    for i in range(n):
        place, w = int(y[i]), weights[i]
        for c in range(min(place + 1, stops)):
            for k in range(draws):
                shift = predictors[(1 + c) * n + i, k] if c > 0 else 0.0
                x = vector.exp(predictors[n + i, k]) * (shift - predictors[i, k])
                if kind == LOGIT:
                    x = -x if c == place else x
                    totals[k] -= w * (max(x, 0.0) + vector.log1p(vector.exp(-abs(x))))
                elif c == place:
                    totals[k] += w * below(kind, x)[0]
                else:
                    totals[k] += w * above(kind, x)[0]
    return 0.0


@kernel
def _values_by(kind, n, parameters, draws, y, trials, weights, predictors, totals):
    y, _, weights, at, totals = views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals)
    return values(kind, y, weights, at, totals)


@values_callback
def _logit_values(n, parameters, draws, y, trials, weights, predictors, totals):
    return _values_by(LOGIT, n, parameters, draws, y, trials, weights, predictors, totals)


@values_callback
def _probit_values(n, parameters, draws, y, trials, weights, predictors, totals):
    return _values_by(PROBIT, n, parameters, draws, y, trials, weights, predictors, totals)


@values_callback
def _cloglog_values(n, parameters, draws, y, trials, weights, predictors, totals):
    return _values_by(CLOGLOG, n, parameters, draws, y, trials, weights, predictors, totals)


@rows_callback
def _logit(n, parameters, y, trials, weights, predictors, slopes, information):
    return _by_kind(LOGIT, n, parameters, y, trials, weights, predictors, slopes, information)


@rows_callback
def _probit(n, parameters, y, trials, weights, predictors, slopes, information):
    return _by_kind(PROBIT, n, parameters, y, trials, weights, predictors, slopes, information)


@rows_callback
def _cloglog(n, parameters, y, trials, weights, predictors, slopes, information):
    return _by_kind(CLOGLOG, n, parameters, y, trials, weights, predictors, slopes, information)


_CALLBACKS = {"logit": _logit, "probit": _probit, "cloglog": _cloglog}
_VALUES = {"logit": _logit_values, "probit": _probit_values, "cloglog": _cloglog_values}


@cache
def sratio(labels: tuple[str, ...], link: str = "logit") -> Family:
    """The family of ordered categories with these labels, by a link."""
    count, kind = len(labels), KINDS[link]

    def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
        """Log probability of the category at each position."""
        total = np.zeros(np.broadcast_shapes(np.shape(y), np.shape(location)))
        for k in range(count - 1):
            x = np.exp(parameters[0]) * ((parameters[k] if k else 0.0) - location)
            stopped, went_on = log_between(kind, np.array(-np.inf), x), log_between(kind, x, np.array(np.inf))
            total = total + np.where(y == k, stopped, np.where(y > k, went_on, 0.0))
        return np.asarray(total)

    shifts = tuple(Parameter(f"shift{k}", scale=REAL, typical=0.0) for k in range(2, count))
    return Family(
        "sratio",
        _SCALE,
        (DISC, *shifts),
        _CALLBACKS[link],
        log_density,
        category_draws(log_density, count, 1),
        any_position,
        expected_position(log_density, count, 1),
        centre=lambda mean, sd: (math.log((mean + 0.5) / 1.5), 1.0),
        of_labels=sratio,
        labels=labels,
        quantities=probabilities(log_density, labels),
        ordered=True,
        odds="going on to a higher {}",
        cuts=lambda location, *shifts: np.stack([np.zeros(np.shape(location)), *shifts]) - location,
        thresholds=tuple(each.name for each in shifts),
        likelihood=_VALUES[link],
    )


SRATIO = sratio(("1", "2", "3"))
