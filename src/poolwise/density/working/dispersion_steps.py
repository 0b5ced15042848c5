"""Steps of dispersions towards what fits the rows best, beside turns of working outcomes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from poolwise.density.working.dispersions import WIDEST, Dispersions, held

_STEP = 1e-3  # of differences of slopes
_FURTHEST = 1.0  # change of a log in one turn
LEAST = 0.05  # of the information on dispersions, that at least is left beside what linear predictors tell
# The same of steps: coefficients follow most of the way in one turn, and not all of it. Less where steps go on in one
# direction, down to what skewed categories leave, more where they turn back.
_CAREFUL, _ON, _BACK, _LEAST_CARE = 0.25, 0.5, 2.0, 0.01
_SAME_WAY = 0.8  # cosine
# Times as far as Newton's, at the most, within some sds, where the last two steps tell that variances follow too.
_FURTHER, _CLOSE = 4.0, 3.0


@dataclass(frozen=True, slots=True, eq=False)
class DispersionSteps:
    """Where steps have come to.

    Coefficients that are found again after a step follow it: a gap between thresholds that took its own step alone
    would be held back by the intercept, turn after turn.

    Attributes
    ----------
    dispersions : there.
    together : (k, k) precision of their logs where coefficients follow, by which steps are taken.
    last, newton : (k,) step, and the one of Newton's that it was.
    care : share of the information that is left for steps, at the least.
    back : whether the last step went back on the one before: by a curvature that was found elsewhere steps may do so
        for ever.
    """

    dispersions: Dispersions
    together: np.ndarray
    last: np.ndarray
    newton: np.ndarray
    care: float = _CAREFUL
    back: bool = False

    @classmethod
    def from_start(cls, dispersions: Dispersions) -> DispersionSteps:
        """Before the first one."""
        none = np.zeros_like(dispersions.centre)
        return cls(dispersions, dispersions.precision, none, none)

    def taken(
        self, scores_at: Callable[[np.ndarray], np.ndarray], squares: np.ndarray, *, anew: bool = True
    ) -> tuple[DispersionSteps, float]:
        """After one more of Newton's, and its length in standard deviations; without end where there are no slopes.

        Parameters
        ----------
        scores_at : logs (k,) to the slopes (p + k,) of the rows' expected log likelihood in p coefficients and in logs.
        squares : (p, p) curvatures in the coefficients that follow, of which there may be none.
        anew : whether the curvature is found anew, which takes most of the time.
        """
        now, p, k = self.dispersions, len(squares), len(self.last)
        if not k:
            return self, 0.0

        def scores(at: np.ndarray) -> np.ndarray:
            found = scores_at(at)
            return np.concatenate([found[:p], found[p:] + now.prior_slopes(at)])

        precision, together = now.precision, self.together
        if anew:
            curved = curvatures(scores, now.centre)
            if not np.isfinite(curved).all():
                return self, np.inf
            precision = held(curved[:, p:], WIDEST)
            told = curved[:, :p] @ np.linalg.pinv(squares, hermitian=True) @ curved[:, :p].T
            values, wide = shares_told(precision, told)
            together = (wide * np.maximum(1.0 - values, self.care)) @ wide.T
        newton = np.linalg.solve(together, scores(now.centre)[p:])
        if not np.isfinite(newton).all():
            return self, np.inf
        own, before = (float(math.sqrt(one @ together @ one)) for one in (newton, self.newton))
        way = float(newton @ together @ self.newton) / max(own * before, 1e-300)
        care = self.care * (_ON if way > _SAME_WAY else _BACK if way < 0 else 1.0)
        fell = self.newton - newton  # as the last step was made
        further = float(self.last @ together @ fell) / max(float(fell @ together @ fell), 1e-300)
        step = newton * (np.clip(further, 1.0, _FURTHER) if way > _SAME_WAY and own < _CLOSE else 1.0)
        step *= min(1.0, _FURTHEST / max(float(np.abs(step).max()), 1e-300))
        there = replace(now, centre=now.centre + step, precision=precision)
        care = float(np.clip(care, _LEAST_CARE, 1.0))
        taken = DispersionSteps(there, together, step, newton, care, way < 0)
        return taken, math.sqrt(step @ together @ step)


def curvatures(scores: Callable[[np.ndarray], np.ndarray], centre: np.ndarray) -> np.ndarray:
    """(k, n) how fast slopes (n,) fall with each of the logs (k,)."""
    steps = _STEP * np.eye(len(centre))
    with np.errstate(invalid="ignore"):  # slopes may have no end
        return np.array([scores(centre - step) - scores(centre + step) for step in steps]) / (2 * _STEP)


def probes_at(centre: np.ndarray) -> np.ndarray:
    """(1 + 2 k, k) logs at which a step from a centre (k,) asks for slopes."""
    steps = _STEP * np.eye(len(centre))
    return np.vstack([centre[None], centre - steps, centre + steps])


def shares_told(precision: np.ndarray, told: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k,) shares of the information on dispersions (k, k) that is told of otherwise (k, k), in directions W (k, k)
    with W W' all of it."""
    root = np.linalg.cholesky(precision)
    inverse = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(inverse @ told @ inverse.T)
    return values, root @ vectors
