"""Logs of the dispersions that all rows share, beside a working model: about normal around what fits the rows best."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from poolwise.density.priors import ModelPriors, log_median
from poolwise.families import Family
from poolwise.priors import ScalePrior

WIDEST = 1.0  # standard deviation of a log, where the curvature says none


@dataclass(frozen=True, slots=True, eq=False)
class Dispersions:
    """k logs of dispersions.

    Attributes
    ----------
    parameters : (k,) which of the family's linear predictors each is.
    priors : of the dispersions.
    centre, precision : (k,) and (k, k) of the normal that is near their posterior given linear predictors.
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
        return cls(places, own, np.array([log_median(prior) for prior in own]), np.eye(len(own)) / WIDEST**2)

    @classmethod
    def at_starts(cls, family: Family, priors: ModelPriors, y: np.ndarray) -> Dispersions:
        """At their own starts for outcomes (n,), where they have any; else at the medians."""
        found = cls.at_medians(family, priors)
        centre = found.centre.copy()
        for k, r in enumerate(found.parameters.tolist()):
            parameter = family.parameters[r - 1]
            if parameter.start is not None:
                centre[k] = parameter.to_scale(parameter.start(y))
        return replace(found, centre=centre)

    def of_parameters(self, logs: np.ndarray, parameters: int) -> np.ndarray:
        """(parameters, m) what logs (m, k) add to each linear predictor."""
        found = np.zeros((parameters, len(logs)))
        found[self.parameters] = logs.T
        return found

    def log_prior(self, logs: np.ndarray) -> np.ndarray:
        """(m,) log densities of logs (m, k) under the priors."""
        each = [prior.log_density_of_log(column) for prior, column in zip(self.priors, logs.T, strict=True)]
        return np.asarray(sum(each, np.zeros(len(logs))))

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
