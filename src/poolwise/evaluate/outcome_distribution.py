"""From draws of linear predictors to the distribution of the outcome in each row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from poolwise.density.latent.observations import known_parts
from poolwise.design import Rows
from poolwise.design.design import linear_predictor
from poolwise.evaluate.prediction_request import Quantity
from poolwise.families import Family, locations
from poolwise.inference.posterior import Model
from poolwise.support.errors import DataError

_TRIES = 50  # draws of a truncated outcome, before its distribution function is inverted
_HALVINGS = 90


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """The distribution of the outcome in n rows, for each of m draws.

    Attributes
    ----------
    family : of the outcome.
    linear : (m, n) linear predictors of the mean, offsets included.
    location : (m, n) means on the family's scale.
    parameters : (m, n) the family's other parameters on their scales, in its order.
    trials : (n,).
    counted : (n,) what multiplies log likelihoods; ones in families whose weights are precisions.
    limits : of censored and truncated outcomes, as those of `Rows`.
    """

    family: Family
    linear: np.ndarray
    location: np.ndarray
    parameters: tuple[np.ndarray, ...]
    trials: np.ndarray
    counted: np.ndarray
    limits: np.ndarray | None = None

    def mean(self) -> np.ndarray:
        """Expected outcomes (m, n), of one trial."""
        return self.family.expectation(self.family.scale.mean(self.location), self.parameters)

    def quantity(self, asked: Quantity | None) -> np.ndarray:
        """A quantity (m, n), the mean by default."""
        return self.mean() if asked is None else asked.value(self.location, *self.parameters)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """New outcomes (m, n), within their bounds where they are truncated.

        Raises
        ------
        DataError : where bounds are so far from what a row would be that no draw falls between them.
        """
        parameters = self.family.values(self.parameters)
        mean = self.family.scale.mean(self.location)
        drawn = self.family.draw(rng, self.trials, mean, *parameters)
        if self.limits is None or not np.isfinite(self.limits[2:]).any():
            return drawn
        lb, ub = (np.broadcast_to(each, drawn.shape) for each in self.limits[2:])
        trials = np.broadcast_to(self.trials, drawn.shape)
        every = [np.broadcast_to(each, drawn.shape) for each in (mean, *parameters)]
        for _ in range(_TRIES):
            outside = (drawn <= lb) | (drawn > ub)
            if not outside.any():
                return drawn
            drawn[outside] = self.family.draw(rng, trials[outside], *(each[outside] for each in every))
        outside = (drawn <= lb) | (drawn > ub)
        at = [np.broadcast_to(each, drawn.shape)[outside] for each in (self.location, *self.parameters)]
        drawn[outside] = self._inverted(rng.random(int(outside.sum())), lb[outside], ub[outside], every[0][outside], at)
        return drawn

    def _inverted(
        self, share: np.ndarray, lb: np.ndarray, ub: np.ndarray, near: np.ndarray, at: list[np.ndarray]
    ) -> np.ndarray:
        """Outcomes (k,) below which such shares of the probability between bounds lie, by halving.

        Raises
        ------
        DataError : where no probability lies there.
        """
        log_interval = self.family.log_interval
        assert log_interval is not None  # trunc() asks for it
        whole = log_interval(lb, ub, *at)
        if not np.isfinite(whole).all():
            raise DataError("The bounds of trunc() lie where the model makes no outcomes at all.")
        reach = np.maximum(1.0, np.abs(near))
        low, high = np.where(np.isfinite(lb), lb, near), np.where(np.isfinite(ub), ub, near)
        for _ in range(_HALVINGS):  # open ends: as far out as nearly all of the probability
            low = np.where(np.isneginf(lb) & (log_interval(lb, low, *at) - whole > -40.0), low - reach, low)
            high = np.where(np.isposinf(ub) & (log_interval(high, ub, *at) - whole > -40.0), high + reach, high)
            reach = 2.0 * reach
            if not (
                (np.isneginf(lb) & (log_interval(lb, low, *at) - whole > -40.0))
                | (np.isposinf(ub) & (log_interval(high, ub, *at) - whole > -40.0))
            ).any():
                break
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            below = np.exp(log_interval(lb, np.floor(middle) if self.family.whole else middle, *at) - whole) < share
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.ceil(high - 1e-9) if self.family.whole else high

    def log_density(self, y: np.ndarray) -> np.ndarray:
        """Log densities (m, n) of outcomes (n,); where they are censored, log probabilities."""
        found = self.family.log_density(y, self.trials, self.location, *self.parameters)
        if self.limits is None or self.family.log_interval is None:
            return self.counted * found
        lower, upper, lb, ub = self.limits
        censored = ~np.isnan(lower)
        ends = np.where(censored, lower, -np.inf), np.where(censored, upper, np.inf)
        found = np.where(censored, self.family.log_interval(*ends, self.location, *self.parameters), found)
        return self.counted * (found - self.family.log_interval(lb, ub, self.location, *self.parameters))


def outcomes(
    model: Model,
    rows: Rows,
    codes: np.ndarray,
    weights: Mapping[str, np.ndarray],
    dispersions: Mapping[str, np.ndarray],
    *,
    spread: bool = True,
) -> Outcomes:
    """The distribution of the outcome in rows.

    Parameters
    ----------
    codes : (n,) cell of each row among those of `weights` and `dispersions`.
    weights : for each linear predictor, of the columns [1, W] of each cell, (m, C or 1, 1 + K).
    dispersions : those that have no linear predictor, (m, C or 1).
    spread : whether other parameters than the mean are wanted; without them there are no densities and no new outcomes.
    """
    family, known = model.family, known_parts(model.design, rows, model.family)
    values = rows.values[:, :-1]
    linear = linear_predictor(values, codes, weights[""])
    if rows.offset is not None:
        linear = linear + known[0]
    parameters = []
    for k, name in enumerate(family.predictors[1:] if spread else (), start=1):
        if name in weights:
            parameters.append(linear_predictor(values, codes, weights[name]) + known[k])
        elif name not in dispersions:  # fixed
            parameters.append(np.broadcast_to(known[k], linear.shape))
        else:
            mine = dispersions[name]
            parameters.append(np.log(mine[:, codes] if mine.shape[1] > 1 else mine) + known[k])
    trials = np.ones(len(rows.codes)) if rows.trials is None else rows.trials
    counted = np.ones(len(rows.codes)) if family.precise else rows.precisions
    return Outcomes(family, linear, locations(model.link, linear), tuple(parameters), trials, counted, rows.limits)
