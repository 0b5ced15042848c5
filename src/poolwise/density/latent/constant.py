"""What a family's kernel leaves out of log densities, as it depends on no parameter."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from poolwise.density.centring import settled
from poolwise.design.combinations import first_of, places_of, value_codes
from poolwise.families import Family, Parameter
from poolwise.families.callback import call_rows

_WHOLE = 2.0**53
_DIGITS = 40  # binary digits of sums over rows that are the same in any order of millions
_LEAST = 1e-300


class KernelRows(Protocol):
    """Rows that the kernel takes, which may stand for others: (n,) each."""

    @property
    def y(self) -> np.ndarray:
        """Outcomes."""

    @property
    def trials(self) -> np.ndarray:
        """Trials."""

    @property
    def weights(self) -> np.ndarray:
        """What multiplies log likelihoods."""


def constant_of(family: Family, y: np.ndarray, trials: np.ndarray, weights: np.ndarray, rows: KernelRows) -> float:
    """The difference between all terms of outcomes (n,) and those of the kernel, the same at any parameters.

    Parameters
    ----------
    rows : what the kernel takes in their place.
    """
    if not len(y):
        return 0.0
    place = places_of([value_codes(y), value_codes(trials)])
    if not counts(weights):
        order = np.lexsort((weights, place))
        y, trials, weights, place = (each[order] for each in (y, trials, weights, place))
    first = first_of(place)
    y, trials, weights = y[first], trials[first], np.bincount(place, weights)
    point = np.array(_near_outcomes(family, y, trials, weights))
    whole = math.fsum(weights * family.log_density(y, trials, *np.repeat(point[:, None], len(y), axis=1)))
    at = np.repeat(point[:, None], len(rows.y), axis=1)
    address = family.callback.address
    own = float(call_rows(address, rows.y, rows.trials, rows.weights, at, np.empty_like(at), np.empty_like(at)))
    # Trajectories follow the last digits of a density, which the order of rows must play no part in.
    return float(settled(whole - own, max(abs(whole), abs(own), 1.0), _DIGITS))


def _near_outcomes(family: Family, y: np.ndarray, trials: np.ndarray, weights: np.ndarray) -> list[float]:
    """A location and other parameters, on their scales, at which outcomes are usual: far from there the terms that both
    have in common are so large that those they differ in have no digits."""
    shares = y / np.maximum(trials, 1.0)
    try:
        mean, sd = _moments(shares, weights) if family.summary is None else family.summary(shares, weights)
        location = family.moments(family.link(None), mean, max(sd, _LEAST))[0]
    except ZeroDivisionError:  # zeros alone, or ends of shares, say nothing of the location
        location, sd = 0.0, 0.0
    return [location, *(_usual(each, y, sd) for each in family.parameters)]


def _moments(y: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    size = max(float(np.abs(y).max()), _LEAST)  # whose square may be no number
    mean = float(np.average(y / size, weights=weights))
    return size * mean, size * float(np.sqrt(np.average(np.square(y / size - mean), weights=weights)))


def _usual(parameter: Parameter, y: np.ndarray, sd: float) -> float:
    """A value on its scale that a parameter may have for outcomes of some standard deviation; the only one of those
    that are no variables, as a number of categories."""
    if parameter.start is not None:
        return parameter.to_scale(parameter.start(y))
    if isinstance(parameter.fixed, float):
        return parameter.to_scale(parameter.fixed)
    return parameter.to_scale(sd) if parameter.scaled and sd else 0.1


def counts(*values: np.ndarray) -> bool:
    """Whether all are whole numbers, whose sums have the same digits in any order of the rows."""
    return all(np.array_equal(each, np.round(each)) and np.abs(each).sum() < _WHOLE for each in values)
