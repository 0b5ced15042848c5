"""Categories without an order: the log odds of each to the first one have a linear predictor (McFadden 1974)."""

from __future__ import annotations

import math
import re
from functools import cache

import numpy as np

from poolwise.compiled import kernel
from poolwise.families.callback import rows_callback, views
from poolwise.families.categories import (
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
    """y the position of a category; predictors are log odds, of which the first stays at zero."""
    total, count = 0.0, predictors.shape[0]
    for i in range(y.size):
        w, place, highest, whole = weights[i], int(y[i]), predictors[0, i], 0.0
        for k in range(1, count):
            highest = max(highest, predictors[k, i])
        for k in range(count):
            slopes[k, i] = math.exp(predictors[k, i] - highest)
            whole += slopes[k, i]
        total += w * (predictors[place, i] - highest - math.log(whole))
        for k in range(count):
            share = slopes[k, i] / whole
            slopes[k, i] = w * ((1.0 if k == place else 0.0) - share)
            information[k, i] = w * share * (1.0 - share)
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    y, _, weights, at, slope, known = views(n, parameters, y, trials, weights, predictors, slopes, information)
    return rows(y, weights, at, slope, known)


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray, *odds: np.ndarray) -> np.ndarray:
    """Log probability of the category at each position."""
    from scipy.special import logsumexp

    shape = np.broadcast_shapes(np.shape(y), np.shape(location), *map(np.shape, odds))
    scores = [np.broadcast_to(each, shape) for each in (location, *odds)]
    mine = np.choose(np.broadcast_to(y, shape).astype(int), scores)
    return np.asarray(mine - logsumexp(scores, axis=0))


@cache
def categorical(labels: tuple[str, ...], link: str = "logit") -> Family:
    """The family of categories with these labels; the first is the one that others are compared with."""
    count = len(labels)
    names = [re.sub(r"\W", "_", f"mu{label}") for label in labels[1:]]
    if len(set(names)) < len(names):
        names = [f"mu{k}" for k in range(2, count + 1)]
    return Family(
        "categorical",
        _SCALE,
        tuple(Parameter(name, scale=REAL, typical=0.0) for name in names),
        _callback,
        log_density,
        category_draws(log_density, count, 0),
        any_position,
        expected_position(log_density, count, 0),
        centre=lambda mean, sd: (0.0, 1.0),
        of_labels=categorical,
        labels=labels,
        quantities=probabilities(log_density, labels),
        repeated=True,
    )


CATEGORICAL = categorical(("1", "2", "3"))
