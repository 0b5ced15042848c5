"""Logs of the dispersions that all rows share, beside a working model: about normal around what fits the rows best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from poolwise.density.priors import ModelPriors, log_median
from poolwise.density.working.bends import Bend
from poolwise.families import Family
from poolwise.priors import ScalePrior

WIDEST = 1.0  # standard deviation of a log, where the curvature says none
WIDEST_BENT = 10.0  # the same where priors are beside the normal as they are
_STEP = 1e-3  # of differences of log densities of priors


@dataclass(frozen=True, slots=True, eq=False)
class Dispersions:
    """k logs of dispersions.

    Attributes
    ----------
    parameters : (k,) which of the family's linear predictors each is.
    priors : of the dispersions.
    centre, precision : (k,) and (k, k) of the normal that is near their posterior given linear predictors.
    bends : by place, of those in whose log or logit log likelihoods are not quadratic: priors are beside these as they
        are.
    """

    parameters: np.ndarray
    priors: tuple[ScalePrior, ...]
    centre: np.ndarray
    precision: np.ndarray
    bends: Mapping[int, Bend] = field(default_factory=dict)

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

    def prior_slopes(self, at: np.ndarray) -> np.ndarray:
        """(k,) derivatives of `log_prior` at one point (k,)."""
        steps = _STEP * np.eye(len(at))
        up, down = np.split(self.log_prior(at + np.vstack([steps, -steps])), 2)
        return np.asarray((up - down) / (2 * _STEP))

    def away(self, logs: np.ndarray) -> np.ndarray:
        """(m, k) how far from the centre logs (m, k) are, in what log likelihoods are quadratic in."""
        found = logs - self.centre
        for k, bend in self.bends.items():
            found[:, k] = bend.away(logs[:, k], self.centre[k])
        return np.asarray(found)

    def log_density(self, logs: np.ndarray) -> np.ndarray:
        """(m,) log densities of logs (m, k) under the normal; with bends under what is that near the centre, and is
        not normalised."""
        away = self.away(logs)
        volume = float(np.linalg.slogdet(self.precision)[1]) - len(self.centre) * math.log(2 * math.pi)
        normal = 0.5 * volume - 0.5 * np.einsum("mi,ij,mj->m", away, self.precision, away)
        return np.asarray(normal + self.beyond(logs) if self.bends else normal)

    def beyond(self, logs: np.ndarray) -> np.ndarray:
        """(m,) what log priors have at logs (m, k), where there are bends, beyond their quadratics: these are part of
        the normal."""
        found, away = np.zeros(len(logs)), self.away(logs)
        for k in self.bends:
            at, slope, curvature = self._prior_at_centre(k)
            found += self.priors[k].log_density_of_log(logs[:, k]) - at
            found -= slope * away[:, k] + 0.5 * curvature * np.square(away[:, k])
        return found

    def _prior_at_centre(self, k: int) -> tuple[float, float, float]:
        """Log density of a prior at the centre, its slope, and its curvature in what bends it."""
        below, at, above = self.priors[k].log_density_of_log(self.centre[k] + _STEP * np.array([-1.0, 0.0, 1.0]))
        slope = (above - below) / (2 * _STEP)
        return at, slope, (above - 2 * at + below) / _STEP**2 - slope * self.bends[k].bend(self.centre[k])

    def falling(self, precision: np.ndarray) -> np.ndarray:
        """A precision (k, k), or the next one by which no log likelihood, that is the normal's log density less the
        quadratics of priors, rises faster and faster."""
        if not self.bends:
            return precision
        own = np.zeros(len(precision))
        own[list(self.bends)] = [self._prior_at_centre(k)[2] for k in self.bends]
        values, vectors = np.linalg.eigh(precision + np.diag(own))
        return held((vectors * np.maximum(values, 0.0)) @ vectors.T - np.diag(own), WIDEST_BENT)

    def slopes(self, logs: np.ndarray) -> np.ndarray:
        """(m, k) derivatives of `log_density`."""
        found = -(self.away(logs) @ self.precision)
        for k, bend in self.bends.items():
            step = _STEP * np.eye(len(self.centre))[k]
            found[:, k] *= bend.slope(logs[:, k]) / bend.slope(self.centre[k])
            found[:, k] += (self.beyond(logs + step) - self.beyond(logs - step)) / (2 * _STEP)
        return np.asarray(found)

    @property
    def sd(self) -> np.ndarray:
        """(k,) standard deviations."""
        return np.asarray(np.sqrt(np.diag(np.linalg.inv(self.precision))))


def held(curved: np.ndarray, widest: float) -> np.ndarray:
    """(k, k) precision by curvatures (k, k), by which no standard deviation is wider."""
    values, vectors = np.linalg.eigh((curved + curved.T) / 2)
    return np.asarray((vectors * np.maximum(np.abs(values), widest**-2)) @ vectors.T)
