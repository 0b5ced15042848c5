"""Logs of the dispersions that all rows share, beside a working model: about normal around what fits the rows best."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from poolwise.density.priors import ModelPriors, log_median
from poolwise.families import Family
from poolwise.priors import ScalePrior

_STEP = 1e-3  # of differences of slopes
_FURTHEST = 1.0  # change of a log in one turn
_WIDEST = 1.0  # standard deviation of a log, where the curvature says none


@dataclass(frozen=True, slots=True, eq=False)
class Dispersions:
    """k logs of dispersions.

    Attributes
    ----------
    parameters : (k,) which of the family's linear predictors each is.
    priors : of the dispersions.
    centre, precision : (k,) and (k, k) of the normal that is near their posterior.
    """

    parameters: np.ndarray
    priors: tuple[ScalePrior, ...]
    centre: np.ndarray
    precision: np.ndarray

    @classmethod
    def at_medians(cls, family: Family, priors: ModelPriors) -> Dispersions:
        """At the medians of their priors."""
        layout = priors.layout
        own = tuple(priors.dispersions[name] for name in layout.dispersions)
        places = np.array([family.predictors.index(name) for name in layout.dispersions], dtype=np.int64)
        return cls(places, own, np.array([log_median(prior) for prior in own]), np.eye(len(own)) / _WIDEST**2)

    def of_parameters(self, logs: np.ndarray, parameters: int) -> np.ndarray:
        """(parameters, m) what logs (m, k) add to each linear predictor."""
        found = np.zeros((parameters, len(logs)))
        found[self.parameters] = logs.T
        return found

    def log_prior(self, logs: np.ndarray) -> np.ndarray:
        """(m,) log densities of logs (m, k) under the priors."""
        with np.errstate(over="ignore"):
            each = [prior.log_density(np.exp(column)) for prior, column in zip(self.priors, logs.T, strict=True)]
        return np.asarray(sum(each, np.zeros(len(logs))) + logs.sum(axis=1))

    def log_density(self, logs: np.ndarray) -> np.ndarray:
        """(m,) log densities of logs (m, k) under the normal."""
        away = logs - self.centre
        volume = float(np.linalg.slogdet(self.precision)[1]) - len(self.centre) * math.log(2 * math.pi)
        return np.asarray(0.5 * volume - 0.5 * np.einsum("mi,ij,mj->m", away, self.precision, away))

    def slopes(self, logs: np.ndarray) -> np.ndarray:
        """(m, k) derivatives of `log_density`."""
        return np.asarray((self.centre - logs) @ self.precision)

    @property
    def sd(self) -> np.ndarray:
        """(k,) standard deviations."""
        return np.asarray(np.sqrt(np.diag(np.linalg.inv(self.precision))))

    @property
    def probes(self) -> np.ndarray:
        """(1 + 2 k, k) logs at which `moved` asks for slopes."""
        steps = _STEP * np.eye(len(self.centre))
        return np.vstack([self.centre[None], self.centre - steps, self.centre + steps])

    def moved(self, slopes_at: Callable[[np.ndarray], np.ndarray], *, anew: bool = True) -> tuple[Dispersions, float]:
        """One of Newton's steps towards the mode, and its length in standard deviations.

        Parameters
        ----------
        slopes_at : logs (k,) to the slopes (k,) of the rows' expected log likelihood.
        anew : whether the curvature is found anew, which takes most of the time.
        """
        k = len(self.centre)
        if not k:
            return self, 0.0

        def slopes(at: np.ndarray) -> np.ndarray:
            ends = at + _STEP * np.vstack([np.eye(k), -np.eye(k)])
            up, down = np.split(self.log_prior(ends), 2)
            return slopes_at(at) + (up - down) / (2 * _STEP)

        here, precision = slopes(self.centre), self.precision
        if anew:
            curved = np.array([(slopes(self.centre - step) - slopes(self.centre + step)) for step in _STEP * np.eye(k)])
            values, vectors = np.linalg.eigh((curved + curved.T) / (4 * _STEP))
            precision = (vectors * np.maximum(np.abs(values), _WIDEST**-2)) @ vectors.T
        step = np.linalg.solve(precision, here)
        step *= min(1.0, _FURTHEST / max(float(np.abs(step).max()), 1e-300))
        return Dispersions(self.parameters, self.priors, self.centre + step, precision), float(
            math.sqrt(step @ precision @ step)
        )
