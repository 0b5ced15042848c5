"""Draws for families that are sampled, by a normal model of working outcomes and its exact correction."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from poolwise.density.latent.density import first_guess
from poolwise.density.latent.stored_effects import DrawnOffsets
from poolwise.density.offsets import Offsets
from poolwise.density.working.corrected import CorrectedDensity
from poolwise.density.working.outcomes import WorkingModel, with_guess, working_model
from poolwise.density.working.remainders import RowRemainders
from poolwise.inference.posterior import Model
from poolwise.samplers import Certificate, SamplerSettings, child_seeds
from poolwise.samplers.independence import Near, sample_near
from poolwise.samplers.missed_modes import log_evidence_about, missed_modes
from poolwise.samplers.weights import efficiency
from poolwise.support.errors import SamplingError

# Rows that differ, with ten for each effect of the largest factor, below which NUTS takes a second or two.
LEAST, _EFFECT = 2_000, 10
# Pairs of draws of a level's effects: as many as take few flops, and as many as bring the variance of the logs of
# estimates down to what costs least for an effective draw; more where these do not do.
_CHEAP, _MOST_PAIRS, _VARIANCE = 1.2e5, 8, 0.35
_GRADIENTS = 10.0  # of NUTS, which takes ten times as many: an estimate that costs more is not worth it
_COMPARED, _SAME = 50, 0.9995  # points, and their efficiency from which a comparison of more points is worth while
# Share of draws that are in cells, and so have coefficients and effects, of their own; chains that stay have fewer.
_DISTINCT = 0.4
_AVERAGED = 64  # thetas over which a share is averaged
_WORDS = {
    True: "a normal model of working outcomes is close; importance weights make up for the rest",
    False: "a normal model of working outcomes is the same to within the Monte Carlo error",
}

Parts = tuple[np.ndarray, np.ndarray, tuple[Offsets, ...], dict[str, np.ndarray], Certificate]


def by_working_outcomes(model: Model, settings: SamplerSettings, threads: int) -> Parts | None:
    """theta, coefficients, effects, dispersions and certificate; None where this is no way for the model.

    It is one for many rows, observed exactly, with a regression of the mean, whose other parameters they all share; and
    where the certificate holds.
    """
    observations, priors = model.observations, model.priors
    if observations is None or not len(priors.ties.free):
        return None
    effects = max((len(factor.levels) * len(factor.effects) for factor in model.design.factors), default=0)
    if len(observations.y) + _EFFECT * effects < LEAST:
        return None
    if len(observations.terms) != 1 or len(observations.stepped):
        return None
    if observations.of_column.any() or observations.of_slot.any():  # regressions of other parameters
        return None
    settings.progress("looking for working outcomes", 0.0)
    guess = with_guess(observations, first_guess(observations, priors, model.family))
    try:
        found = working_model(observations, model.design, priors, model.family, model.link, guess, model.statistics)
    except (np.linalg.LinAlgError, ArithmeticError, SamplingError):
        return None
    if found is None:
        return None
    sampler_seed, witness_seed = child_seeds(settings.seed, 2)
    remainders = RowRemainders.of(found, observations, model.design, priors, model.family, model.link)
    plain = CorrectedDensity.of(found, remainders, model.design, priors, 1, threads)
    asked = replace(settings, seed=sampler_seed)
    pair = _drawn(replace(plain, defended=False), found, observations.cost, asked)
    if pair is None:
        return None
    corrected, drawn = pair
    if not drawn.sample.certificate.passed:
        return None
    sample, certificate = drawn.sample, replace(drawn.sample.certificate, reason=_WORDS[drawn.corrected])
    points = sample.points.reshape(-1, corrected.dimension)
    if corrected.distinct(points) < _DISTINCT * len(points):
        return None
    evidence = log_evidence_about(found.density, points)  # of the working model: the family's is another number
    if missed_modes(found.density, points, evidence, found.modes, np.random.default_rng(witness_seed)):
        return None
    shape = sample.points.shape[:2]
    whole = corrected.completed(points, chosen=drawn.corrected)
    theta = whole.theta.reshape(*shape, -1)
    full = found.density.full(points[:: max(1, len(points) // _AVERAGED)])
    normal = found.density.normal
    u = tuple(
        DrawnOffsets(effects.reshape(*shape, *effects.shape[1:]), normal.unexplained_of(f, full))
        for f, effects in enumerate(whole.u)
    )
    dispersions = {name: priors.layout.dispersion(theta, name) for name in priors.layout.dispersions}
    return theta, whole.beta.reshape(*shape, -1), u, dispersions, certificate


def _drawn(
    plain: CorrectedDensity, found: WorkingModel, gradient: float, settings: SamplerSettings
) -> tuple[CorrectedDensity, Near] | None:
    """Draws, and the density that they are of; with as many pairs as the spread of one pair's estimates asks for.

    Parameters
    ----------
    plain : by one pair, none of which is wide.
    gradient : flops of a gradient of the family's density.
    """
    apart = _apart(plain, found)
    if not np.isfinite(apart).all():
        return None
    if efficiency(apart) >= _SAME:
        drawn = sample_near(plain, found.density, found.modes, settings)
        if drawn is not None and not drawn.corrected:
            return plain, drawn
    cheap = int(_CHEAP // max(plain.remainders.cost, 1.0))
    fewest = int(np.clip(max(cheap, math.ceil(apart.var() / _VARIANCE)), 1, _MOST_PAIRS))
    for pairs in dict.fromkeys(min(times * fewest, _MOST_PAIRS) for times in (1, 2, 4)):
        corrected = replace(plain, pairs=pairs, defended=True, chosen={})
        if corrected.cost > _GRADIENTS * gradient:
            break
        drawn = sample_near(corrected, found.density, found.modes, settings)
        if drawn is not None:
            return corrected, drawn
        if found.density.normal.leaf < 0:  # pairs of what there is not
            break
    return None


def _apart(plain: CorrectedDensity, found: WorkingModel) -> np.ndarray:
    """Log densities of the family less those of the working model at some points near its mode.

    By draws none of which is wide: the density of both kinds varies by itself.
    """
    root = np.linalg.cholesky(found.modes[0].covariance)
    points = found.modes[0].point + np.random.default_rng(0).standard_normal((_COMPARED, len(root))) @ root.T
    return np.asarray(plain.log_density(points) - found.density.log_density(points))
