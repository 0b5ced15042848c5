"""Angles: directions, times of a day or a year (Mardia and Jupp 2000)."""

from __future__ import annotations

import math

import numpy as np

from poolwise.compiled import kernel
from poolwise.families.callback import rows_callback, views
from poolwise.families.checks import angles
from poolwise.families.family import Family, Parameter
from poolwise.families.links import CIRCLE
from poolwise.families.scalars import log_bessel
from poolwise.priors import HalfCauchy

_WIDEST = math.pi / math.sqrt(3.0)  # standard deviation of an angle of which nothing is known


@kernel
def rows(y, trials, weights, predictors, slopes, information):
    """y with mean direction x and log concentration s: kappa (cos(y - x) - 1) - log I0(kappa) + kappa.

    With A = I1(kappa) / I0(kappa) the information is kappa A on x and kappa^2 dA / dkappa on s.
    """
    total, last, kappa, constant, spread, bent = 0.0, math.nan, 1.0, 0.0, 0.0, 0.0
    for i in range(y.size):
        if predictors[1, i] != last:  # Bessel functions once, where all rows share the concentration
            last = predictors[1, i]
            kappa = math.exp(last)
            constant, spread, bent = log_bessel(kappa)
        w, away = weights[i], y[i] - predictors[0, i]
        half = math.sin(0.5 * away)
        fallen = 2.0 * kappa * half * half
        total -= w * (fallen + constant)
        slopes[0, i] = w * kappa * math.sin(away)
        slopes[1, i] = w * (spread - fallen)
        information[0, i] = w * (kappa - spread)
        information[1, i] = w * max(bent, 0.0)
    return total


@rows_callback
def _callback(n, parameters, y, trials, weights, predictors, slopes, information):
    return rows(*views(n, parameters, y, trials, weights, predictors, slopes, information))


def log_density(y: np.ndarray, trials: np.ndarray, location: np.ndarray, log_kappa: np.ndarray) -> np.ndarray:
    """Log densities."""
    from scipy.special import i0e

    kappa = np.exp(log_kappa)
    return np.asarray(-2.0 * kappa * np.square(np.sin(0.5 * (y - location))) - np.log(2.0 * math.pi * i0e(kappa)))


def draw(rng: np.random.Generator, trials: np.ndarray, mean: np.ndarray, kappa: np.ndarray) -> np.ndarray:
    """New angles, from -pi to pi."""
    turned = mean - 2.0 * math.pi * np.round(mean / (2.0 * math.pi))
    return np.clip(rng.vonmises(turned, kappa), -math.pi, math.pi)


def summary(y: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Mean direction, and sqrt(-2 log R) of the mean resultant length R (Mardia and Jupp 2000, 2.3.11)."""
    cosine, sine = float(np.average(np.cos(y), weights=weights)), float(np.average(np.sin(y), weights=weights))
    length = min(math.hypot(cosine, sine), 1.0)
    sd = math.sqrt(-2.0 * math.log(length)) if length > 0.0 else _WIDEST
    return math.atan2(sine, cosine), min(sd, _WIDEST)


VON_MISES = Family(
    "von_mises",
    CIRCLE,
    (Parameter("kappa", HalfCauchy(5.0), typical=5.0),),
    _callback,
    log_density,
    draw,
    angles,
    summary=summary,
    location="mean direction of {}",
)
