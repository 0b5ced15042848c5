"""Ordered categories by odds of neighbours (Agresti 2010): log P(Y = k + 1) / P(Y = k) = disc (location - t_k).

Thresholds need no order; the first is at zero, each other one is shifted from it, by an amount that may depend on
predictors: effects of categories' own.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from poolwise.compiled import exact_kernel, kernel, vector
from poolwise.families.callback import rows_callback, values_callback, views, views_of_draws
from poolwise.families.categories import (
    DISC,
    any_position,
    category_draws,
    expected_position,
    latent_scale,
    probabilities,
)
from poolwise.families.family import Family, Parameter
from poolwise.families.links import REAL

_SCALE = latent_scale("logit")


@kernel
def rows(y, weights, predictors, slopes, information):
    """y the position of a category; predictors are the location, the log of disc, the shifts of further thresholds."""
    total, steps = 0.0, predictors.shape[0] - 1
    for i in range(y.size):
        disc, w, place = math.exp(predictors[1, i]), weights[i], int(y[i])
        # Log odds to the first category, and the largest of them.
        score, highest, reached = 0.0, 0.0, 0.0
        for k in range(steps):
            score += disc * (predictors[0, i] - (predictors[1 + k, i] if k > 0 else 0.0))
            highest = max(highest, score)
            if k + 1 == place:
                reached = score
        whole, mean, square, scores = math.exp(-highest), 0.0, 0.0, 0.0
        score = 0.0
        for k in range(steps):
            score += disc * (predictors[0, i] - (predictors[1 + k, i] if k > 0 else 0.0))
            share = math.exp(score - highest)
            whole += share
            mean += (k + 1) * share
            square += (k + 1) * (k + 1) * share
            scores += score * share
            slopes[min(1 + k, steps), i] = share  # for now: of the category after each threshold
        mean, square, scores = mean / whole, square / whole, scores / whole
        total += w * (reached - highest - math.log(whole))
        beyond = 0.0
        for k in range(steps - 1, 0, -1):
            beyond += slopes[1 + k, i] / whole
            slopes[1 + k, i] = -w * disc * ((1.0 if place > k else 0.0) - beyond)
            information[1 + k, i] = w * disc * disc * beyond * (1.0 - beyond)
        slopes[0, i] = w * disc * (place - mean)
        information[0, i] = w * disc * disc * max(square - mean * mean, 0.0)
        slopes[1, i] = w * (reached - scores)
        information[1, i] = slopes[1, i] * slopes[1, i] / w
    return total


@exact_kernel
def values(y, weights, predictors, totals):
    """The same of many draws, without derivatives."""
    n, draws = y.size, totals.size
    steps = predictors.shape[0] // max(n, 1) - 1
    scores, highest, whole = np.empty((steps, draws)), np.empty(draws), np.empty(draws)
    for i in range(n):
        place, w = int(y[i]), weights[i]
        for k in range(draws):
            highest[k] = 0.0
        for c in range(steps):
            for k in range(draws):
                shift = predictors[(1 + c) * n + i, k] if c > 0 else 0.0
                step = vector.exp(predictors[n + i, k]) * (predictors[i, k] - shift)
                scores[c, k] = step + (scores[c - 1, k] if c > 0 else 0.0)
                highest[k] = max(highest[k], scores[c, k])
        for k in range(draws):
            whole[k] = vector.exp(-highest[k])
        for c in range(steps):
            for k in range(draws):
                whole[k] += vector.exp(scores[c, k] - highest[k])
        for k in range(draws):
            reached = scores[place - 1, k] if place > 0 else 0.0
            totals[k] += w * (reached - highest[k] - vector.log(whole[k]))
    return 0.0


@values_callback
def _values(n, parameters, draws, y, trials, weights, predictors, totals):
    y, _, weights, at, totals = views_of_draws(n, parameters, draws, y, trials, weights, predictors, totals)
    return values(y, weights, at, totals)


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    y, _, weights, at, slope, known = views(n, parameters, y, trials, weights, predictors, slopes, information)
    return rows(y, weights, at, slope, known)


@cache
def acat(labels: tuple[str, ...], link: str = "logit") -> Family:
    """The family of ordered categories with these labels."""
    count = len(labels)

    def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
        """Log probability of the category at each position."""
        from scipy.special import logsumexp

        steps = [np.exp(parameters[0]) * (location - (parameters[k] if k else 0.0)) for k in range(count - 1)]
        scores = np.cumsum([np.zeros(np.shape(location)), *steps], axis=0)
        shape = np.broadcast_shapes(np.shape(y), scores.shape[1:])
        mine = np.choose(np.broadcast_to(y, shape).astype(int), [np.broadcast_to(each, shape) for each in scores])
        return np.asarray(mine - logsumexp(scores, axis=0))

    shifts = tuple(Parameter(f"shift{k}", scale=REAL, typical=0.0) for k in range(2, count))
    return Family(
        "acat",
        _SCALE,
        (DISC, *shifts),
        _callback,
        log_density,
        category_draws(log_density, count, 1),
        any_position,
        expected_position(log_density, count, 1),
        centre=lambda mean, sd: (0.0, 1.0),
        of_labels=acat,
        labels=labels,
        quantities=probabilities(log_density, labels),
        ordered=True,
        odds="the higher of two neighbouring {}",
        cuts=lambda location, *shifts: np.stack([np.zeros(np.shape(location)), *shifts]) - location,
        thresholds=tuple(each.name for each in shifts),
        likelihood=_values,
    )


ACAT = acat(("1", "2", "3"))
