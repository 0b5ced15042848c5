"""What the rows of a group say of its effects in a family that is sampled, by a normal approximation.

The likelihood of a group's effects u is taken to be normal, with the expected information I of its rows at the
posterior mean as its precision. Its maximum is one step of Fisher scoring away, u + I^-1 s with s the score there
(McCullagh and Nelder 1989, section 2.5); what remains open of u given covariance M M' is M (1 + M' I M)^-1 M'.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.design import Rows
from poolwise.design.factors import Factor
from poolwise.evaluate.loo.conditional_outcomes import conditional
from poolwise.evaluate.outcome_distribution import Outcomes
from poolwise.families import locations
from poolwise.families.evaluate import slopes_and_information
from poolwise.inference.posterior import Posterior
from poolwise.support.digits import apart
from poolwise.support.threads import steps

_DRAWS, _THETAS = 4_000, 64  # over which linear predictors, and shares, are averaged
_TOGETHER = 4_000_000  # rows x draws at a time


@dataclass(frozen=True, slots=True, repr=False)
class Parts:
    """A number by what it is made of.

    Attributes
    ----------
    own : by the group's own rows alone; None where they cannot tell it.
    pool : by the population of groups.
    fit : by the fit, which weighs both.
    """

    own: float | None
    pool: float
    fit: float

    def __str__(self) -> str:
        known = [self.pool, self.fit] if self.own is None else [self.own, self.pool, self.fit]
        *own, pool, fit = apart(known)
        return "".join(f"{one} by own data, " for one in own) + f"{pool} by the pool, {fit} together"


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What a group's rows say.

    Attributes
    ----------
    information : (q, q) on its effects.
    roots : (m, q, q) M of some draws of theta.
    parts : of each of its coefficients.
    scale : name of the link on whose scale these are.
    outcome : of the mean outcome of its rows.
    """

    information: np.ndarray
    roots: np.ndarray
    parts: tuple[Parts, ...]
    scale: str
    outcome: Parts

    def own_shares(self, times: float) -> np.ndarray:
        """(q,) share of each effect's variance that so many times as many rows explain."""
        turned = np.swapaxes(self.roots, -1, -2)
        inner = np.linalg.inv(np.eye(self.roots.shape[-1]) + times * (turned @ self.information @ self.roots))
        left = np.einsum("mab,mbc,mac->ma", self.roots, inner, self.roots)
        return np.asarray(1.0 - (left / np.square(self.roots).sum(axis=-1)).mean(axis=0))


def evidence_of(posterior: Posterior, factor: Factor, group: int, rows: Rows) -> Evidence:
    """What the rows of the group at a position say of its effects, at the posterior mean of everything."""
    model = posterior.model
    mine = rows.take(np.flatnonzero(factor.codes[rows.codes] == group))
    at = _mean_predictors(posterior, mine)
    trials = np.ones(len(mine.codes)) if mine.trials is None else mine.trials
    counted = np.ones(len(mine.codes)) if model.family.precise else mine.precisions
    place = model.family.predictors.index(factor.predictor)
    found = slopes_and_information(model.family, model.link, mine.response, trials, counted, at, mine.limits)
    score, each = (of_parameters[place] for of_parameters in found)
    z = factor.group_map[0] + mine.values[:, :-1] @ factor.group_map[1:]
    information = z.T @ (each[:, None] * z)
    effects = np.asarray(posterior.offsets(factor).draws(np.array([group]))).mean(axis=(0, 1))[0]
    common = posterior.common_part(factor).mean(axis=(0, 1))
    told = np.diag(information) > 1e-10 * max(float(np.diag(information).max(initial=0.0)), 1e-300)
    theta = np.asarray(posterior.theta).reshape(-1, model.priors.layout.dimension)
    some = theta[:: max(1, len(theta) // _THETAS)]
    roots, own = model.priors.layout.root(some, factor.name), effects.copy()
    if told.any():
        mine_alone = information[np.ix_(told, told)]
        own[told] += np.linalg.lstsq(mine_alone, z[:, told].T @ score, rcond=1e-8)[0]
        if (np.sign(effects) * (own - effects) < 0)[told].any():
            # At the mean of skewed draws the rows and the pool do not balance; where that turns their order around, own
            # data are what the pool would have to be weighed with to make up the fit.
            pull = np.linalg.solve(np.mean(roots @ roots.transpose(0, 2, 1), axis=0), effects)
            own[told] = effects[told] + np.linalg.lstsq(mine_alone, pull[told], rcond=1e-8)[0]

    def mean_outcome(moved: np.ndarray) -> float:
        """Mean of the rows' expected outcomes with other effects of the group."""
        shifted = at.copy()
        shifted[place] += z @ (moved - effects)
        location, others = locations(model.link, shifted[:1]), tuple(shifted[1:, None])
        one = Outcomes(model.family, shifted[:1], location, others, trials, counted, mine.limits)
        return float(np.average(one.mean()[0], weights=mine.precisions * trials))

    parts = tuple(
        Parts(float(common[k] + own[k]) if told[k] else None, float(common[k]), float(common[k] + effects[k]))
        for k in range(len(effects))
    )
    by_rows = mean_outcome(own) if told.any() else None
    outcome = Parts(by_rows, mean_outcome(np.zeros(len(effects))), mean_outcome(effects))
    return Evidence(information, roots, parts, _scale(posterior, place), outcome)


def _mean_predictors(posterior: Posterior, rows: Rows) -> np.ndarray:
    """Posterior means of the linear predictors of all parameters, (parameters, n)."""
    count = posterior.chains * posterior.draws
    chosen = np.linspace(0, count - 1, min(count, _DRAWS)).astype(int)
    found = np.empty((len(posterior.model.family.predictors), len(rows.codes)))
    for part in steps(slice(0, len(rows.codes)), max(1, _TOGETHER // len(chosen))):
        some = conditional(posterior, rows.take(np.arange(part.start, part.stop)), chosen)
        found[:, part] = [each.mean(axis=0) for each in (some.linear, *some.parameters)]
    return found


def _scale(posterior: Posterior, place: int) -> str:
    """Name of the link of a linear predictor."""
    family = posterior.model.family
    return family.parameters[place - 1].scale.link(None, family.name).name if place else posterior.model.link.name
