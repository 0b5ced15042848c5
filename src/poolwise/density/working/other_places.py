"""Other places of a group, that a likelihood which is not log-concave may pull it to and chains may never see.

A Student-t likelihood leaves aside what it takes for outliers. A group whose rows lie in two clusters may be at either;
one that is far from all others is there, and the spread between groups is large, or its rows are outliers. At some
quantiles of each group's residuals turns of the EM algorithm begin; what mass there is where they end is found by
Laplace's method, beside that of where the draws are. All is given but the group's intercept and the spread between
groups, which is integrated out under a flat prior: with effects of the other groups whose squares sum to S, an effect u
has a density in proportion to (S + u^2)^(-(J - 1) / 2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from poolwise.density.latent.observations import Observations
from poolwise.density.priors import ModelPriors
from poolwise.density.working.concavity import looks_concave
from poolwise.density.working.dispersions import Dispersions
from poolwise.density.working.expected import ExpectedLikelihood
from poolwise.design.design import Design, column_weights, linear_predictor
from poolwise.families import Family, Link

_QUANTILES = (0.0, 0.2, 0.5, 0.8, 1.0)  # of residuals, from which turns begin
_TURNS, _ENDED = 15, 1e-3  # and the step, in standard deviations, that is the last one of a group
_APART = 4.0  # standard deviations of an effect, from which a place is another one
_TELLING = 1e-3  # share of the mass, from which it is told: by this method it may be several times as large
_FEWEST, _ERRORS = 30, 4.0  # of a part of the rows
_AVERAGED = 100  # draws of a chain that moments are taken from: all of many groups would not fit in memory twice
_LEAST = 1e-300


@dataclass(frozen=True, slots=True)
class OtherPlace:
    """A level whose effect may be elsewhere.

    Attributes
    ----------
    factor, level : names.
    share : of the mass that is there, about.
    """

    factor: str
    level: str
    share: float


def other_places(
    observations: Observations,
    design: Design,
    priors: ModelPriors,
    family: Family,
    link: Link,
    logs: np.ndarray,
    beta: np.ndarray,
    u: list[np.ndarray],
    *,
    whole: bool = True,
) -> list[OtherPlace]:
    """Levels with another place, those of the largest share first.

    Parameters
    ----------
    logs, beta : (k,) of dispersions, and (p,) as written: posterior means.
    u : (chains, draws, J, q) of each factor.
    whole : whether the rows are all; of a part, levels with thirty or more are looked at, and shares are the largest
        that four standard errors of what these rows say of all allow.
    """
    if family.concave or link.code or len(observations.terms) != 1 or len(observations.stepped):
        return []
    if observations.of_column.any() or observations.of_slot.any():
        return []
    if int(observations.terms[0, 2]) != family.callback.address:  # all of them are intervals
        return []
    weights = column_weights(design, beta, [draws.mean(axis=(0, 1)) for draws in u])
    eta = observations.known[0] + linear_predictor(observations.wide, observations.codes, weights)
    dispersions = replace(Dispersions.at_medians(family, priors), centre=logs)
    likelihood = ExpectedLikelihood(observations.outcome_rows, link, dispersions)
    if family.concave is None and looks_concave(likelihood, logs):
        return []
    found = []
    for factor, draws in zip(design.factors, u, strict=True):
        if factor.of_mean and factor.coupling is None and "Intercept" in factor.effects:  # levels are independent
            step = max(1, draws.shape[1] // _AVERAGED)
            mine = draws[:, ::step, :, factor.effects.index("Intercept")]
            # From the middle of all groups, which a far one pulls the intercept away from.
            mine = mine - np.median(mine, axis=2, keepdims=True)
            moments = mine.mean(axis=(0, 1)), mine.std(axis=(0, 1))
            level = factor.codes[observations.codes]
            counts = np.bincount(level, minlength=len(factor.levels))
            for j, share in _shares(likelihood, family, eta, level, *moments, 0.0 if whole else _ERRORS):
                if whole or counts[j] >= _FEWEST:
                    found.append(OtherPlace(factor.name, str(factor.levels[j]), share))
    return sorted(found, key=lambda one: -one.share)


def _shares(
    likelihood: ExpectedLikelihood,
    family: Family,
    eta: np.ndarray,
    level: np.ndarray,
    u: np.ndarray,
    sd: np.ndarray,
    errors: float,
) -> list[tuple[int, float]]:
    """Levels, and the share of the mass that is elsewhere.

    Parameters
    ----------
    eta, level : (n,) linear predictors and levels of rows.
    u, sd : (J,) means and standard deviations of effects.
    errors : standard errors of the difference of two sums of log likelihoods that are added to it.
    """
    rows, squares, none = likelihood.rows, np.square(u) + np.square(sd), np.zeros(len(eta))
    others, groups = np.maximum(squares.sum() - squares, _LEAST), len(u)
    known = (
        likelihood.rows.known[1:]
        + likelihood.dispersions.of_parameters(likelihood.dispersions.centre[None], len(rows.known))[1:]
    )

    def turned(
        away: np.ndarray, of: np.ndarray | slice = slice(None), *, careful: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Slopes and curvatures (J,) of the log density of effects that are moved by some numbers (J,), those of the
        levels of some rows."""
        at = u + away
        slope, curvature = likelihood.projected(eta[of] + away[level[of]], none[of], of, careful=careful)
        prior = max(groups - 1, 1) / (others + np.square(at))
        slopes = np.bincount(level[of], slope, groups) - prior * at
        return slopes, np.bincount(level[of], curvature, groups) + prior

    def logs_at(away: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log likelihoods of rows (n,) and log densities of effects (J,) there."""
        logs = rows.weights * family.log_density(rows.y, rows.trials, eta + away[level], *known)
        prior = 0.5 * max(groups - 1, 1) * np.log(others + np.square(u + away))
        return logs, np.bincount(level, logs, groups) - prior

    def mass(away: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where turns that begin there end, and the log of the mass about it, (J,) each."""
        going = np.ones(groups, dtype=bool)
        for _ in range(_TURNS):
            slopes, curvatures = turned(away, np.flatnonzero(going[level]), careful=True)
            away = np.where(going, away + slopes / curvatures, away)
            going &= ~(np.abs(slopes) < _ENDED * np.sqrt(curvatures))
            if not going[level].any():
                break
        return away, logs_at(away)[1] - 0.5 * np.log(turned(away, careful=False)[1])

    def allowed(away: np.ndarray) -> np.ndarray:
        """What a part of the rows may be off by in the log of the mass there, (J,); nothing where turns have not ended,
        as they have where the density falls on either side."""
        logs, value = logs_at(away)
        ended = np.max([logs_at(away + side * sd)[1] for side in (-1.0, 1.0)], axis=0) < value
        squares = np.bincount(level, np.square(logs - logs_at(here)[0]), groups)
        return np.where(ended, errors * np.sqrt(squares), 0.0)

    here, own = mass(np.zeros(groups))
    sd = np.maximum(sd, turned(here, careful=False)[1] ** -0.5)  # a part of the rows knows less than all
    residual = rows.y - eta
    order = np.lexsort((residual, level))
    counts = np.bincount(level, minlength=groups)
    first = np.cumsum(counts) - counts
    begins = [-u]  # where all other groups are
    for quantile in _QUANTILES:
        at = np.minimum(first + np.round(quantile * np.maximum(counts - 1, 0)).astype(np.int64), len(order) - 1)
        begins.append(np.where(counts > 0, residual[order[at]], 0.0))
    elsewhere = np.full(groups, -np.inf)
    for begin in begins:
        away, log_mass = mass(begin)
        if errors:
            log_mass = log_mass + allowed(away)
        far = (np.abs(away - here) > _APART * sd) & np.isfinite(log_mass)
        elsewhere = np.where(far, np.maximum(elsewhere, log_mass), elsewhere)
    share = expit(elsewhere - own)
    return [(int(j), float(share[j])) for j in np.flatnonzero(share > _TELLING)]
