"""Few outcomes in the place of many that have equal predictors, with the same likelihood at any parameters.

In an exponential family the log likelihood of such rows depends on their outcomes by means of some functions alone
(Pitman 1936): of y and log y for the gamma, of log y and log(1 - y) for the beta distribution. Two outcomes, of half
the weight each, that have these means stand for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_ROUNDING = 1e-9  # of a squared distance, beyond which there are no outcomes that have some means
_KEPT = 1e-7  # of a mean that outcomes must have: beside its standard error, of 10^8 rows too, next to nothing
_DIGITS = 1e-7  # least squared distance of which rounding leaves enough
_STEPS = 2.0**30  # of a unit, to which outcomes are rounded: trajectories follow the last digits of a density


@dataclass(frozen=True, slots=True, eq=False)
class Summed:
    """How a family's outcomes are summed up; z are outcomes in units of their own.

    Attributes
    ----------
    family : its name.
    count : how many outcomes stand for those of many rows.
    kept : which of the means these outcomes have as well, by position: what the likelihood depends on.
    found : means (n,) of z, of z^2 and of each further function to these outcomes, (count, n) in units of z, and the
        square of half their distance, (n,), beside which rounding counts as one beside 10^15.
    further : (z, log) to functions of z, whose means are needed beside those of z and z^2; of an array, or of a column
        of a query, with the logarithm of either.
    standard : mean and sd of the outcomes to the zero and the unit of z.
    settled : outcomes (count, n) of some weights (n,) without the digits that follow the order in which rows were
        summed up.
    ends : between which outcomes lie.
    apart : values that are no part of the above, such as the zeros of a hurdle: rows that have one are all alike.
    """

    family: str
    count: int
    kept: tuple[int, ...]
    found: Callable[..., tuple[np.ndarray, np.ndarray]]
    further: Callable[[Any, Callable[[Any], Any]], tuple[Any, ...]] = lambda z, log: ()
    standard: Callable[[float, float], tuple[float, float]] = lambda mean, sd: (0.0, mean)
    settled: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda y, weights: np.exp(on_grid(np.log(y)))
    ends: tuple[float, float] = (0.0, np.inf)
    apart: tuple[float, ...] = ()

    def kinds(self, y: np.ndarray) -> np.ndarray:
        """(n,) zero, or which of the values apart each outcome is, from one on."""
        found = np.zeros(len(y), dtype=np.int64)
        for k, value in enumerate(self.apart, start=1):
            found[y == value] = k
        return found

    def units(self, y: np.ndarray, weights: np.ndarray) -> Units:
        """The zero and the unit of z for some outcomes (n,), of which those apart play no part."""
        own = self.kinds(y) == 0
        if not weights[own].any():
            return Units(0.0, 1.0)
        mean = float(np.average(y[own], weights=weights[own]))
        sd = float(np.sqrt(np.average(np.square(y[own] - mean), weights=weights[own])))
        return Units(*self.standard(mean, sd if sd > 0 else 1.0))

    def means(self, y: np.ndarray, weights: np.ndarray, place: np.ndarray, units: Units) -> np.ndarray:
        """(k, cells) weighted means of all functions over the outcomes (n,) of each cell `place` (n,)."""
        z = (y - units.zero) / units.unit
        total = np.bincount(place, weights)
        with np.errstate(divide="ignore", invalid="ignore"):  # of values apart, and of cells without weight
            functions = self._functions(z)
            return np.array([np.bincount(place, weights * each) for each in functions]) / total

    def outcomes(self, means: np.ndarray, units: Units, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outcomes (count, cells) of some means (k, cells), NaN where none have them, for cells of some kinds (cells,);
        and their `found` distance, NaN for values apart."""
        with np.errstate(all="ignore"):
            z, square = self.found(*means)
            y = units.zero + units.unit * z
            # Digits of what lies at an end, as of a share next to one, are lost in the outcomes themselves.
            again = self._functions((y - units.zero) / units.unit).mean(axis=1)
            off = np.abs(again - means)[list(self.kept)] > _KEPT * (1.0 + np.abs(means[list(self.kept)]))
            y[:, ~(square >= -_ROUNDING) | off.any(axis=0)] = np.nan
        for k, value in enumerate(self.apart, start=1):
            y[:, kinds == k] = value
        return y, np.where(kinds == 0, square, np.nan)

    def _functions(self, z: np.ndarray) -> np.ndarray:
        """(k, ...) values of all functions."""
        return np.array([z, z * z, *self.further(z, np.log)])


@dataclass(frozen=True, slots=True)
class Units:
    """The zero and the unit of standardised outcomes."""

    zero: float
    unit: float


def on_grid(values: np.ndarray, unit: float = 1.0) -> np.ndarray:
    """Values rounded to a fixed part of about a unit."""
    step = 2.0 ** np.floor(np.log2(unit)) / _STEPS
    return np.asarray(np.round(values / step) * step)


def has_digits(square: np.ndarray, weights: np.ndarray, *, shared: bool = True) -> bool:
    """Whether outcomes keep enough digits of how they spread: on the average over cells (n,) of some weights where all
    have a spread in common, else in each of more than one row."""
    known = np.isfinite(square)
    if not shared:
        return bool((square[known & (weights > 1)] > _DIGITS).all())
    return bool(np.average(square[known], weights=weights[known]) > _DIGITS) if known.any() else True


def laid_out(outcomes: np.ndarray, weights: np.ndarray, single: np.ndarray) -> tuple[np.ndarray, ...]:
    """Outcomes (m, n) of cells of some weights (n,) one after the other: the cell of each, itself, and its share of the
    weight. There is one of cells with a `single` row (n,), and of those whose outcomes are all alike."""
    count, cells = outcomes.shape
    single = single | (outcomes == outcomes[0]).all(axis=0)
    cell, of = np.repeat(np.arange(cells), count), np.tile(np.arange(count), cells)
    kept = (of == 0) | ~single[cell]
    cell, of = cell[kept], of[kept]
    y = np.where(single[cell], outcomes.mean(axis=0)[cell], outcomes[of, cell])
    return cell, y, weights[cell] / np.where(single[cell], 1, count)


def about(middle: np.ndarray, square: np.ndarray) -> np.ndarray:
    """(2, n) the two numbers whose middle and squared half distance are known."""
    away = np.sqrt(np.maximum(square, 0.0))
    return np.array([middle - away, middle + away])


def with_product(middle: np.ndarray, square: np.ndarray, log_product: np.ndarray) -> np.ndarray:
    """(2, n) the same of two positive numbers, from the log of their product: the smaller has all its digits."""
    larger = middle + np.sqrt(np.maximum(square, 0.0))
    return np.array([np.exp(log_product - np.log(larger)), larger])
