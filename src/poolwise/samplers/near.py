"""Draws from a density by way of one near it, which costs less."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from poolwise.samplers.independence import run
from poolwise.samplers.interface import LogDensity, Sample, SamplerSettings, child_seeds
from poolwise.samplers.mode import Mode
from poolwise.samplers.proposal import EXPENSIVE, adapt, effort_of, refined, weighted
from poolwise.samplers.tilted import Tilted
from poolwise.samplers.weights import efficiency, log_mean, tail_shape

# Points that tell whether densities are near, and from which efficiency on, but for a share of the points in tails; and
# for each dimension, that a proposal is fitted to where these tails are heavy.
_FIRST, _TELLING, _NEAR, _ASIDE, _MORE, _REFITS = 100, 400, 0.25, 0.05, 400, 3
_FINITE, _HEAVY = 0.5, 0.8  # k-hat below which weights have a variance; from which 400 points say that they have none
_AGAIN = 0.1  # efficiency from which the points of a run that is not certified make a better proposal
_STAY = 0.2  # of steps, where weights are estimates
_EVEN, _TILTS = 0.8, 3  # efficiency from which a density is near enough to adapt to; times that it is brought nearer
_SAME = 0.9998  # efficiency from which two densities are the same: means are off by less than 0.014 sds


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """A sample of a density by way of one near it.

    Attributes
    ----------
    sample : what was drawn.
    corrected : whether from the density itself; else from the one near it, from which nothing tells it apart.
    """

    sample: Sample
    corrected: bool


def sample_near(
    density: LogDensity,
    near: LogDensity,
    modes: list[Mode],
    settings: SamplerSettings,
    *,
    everywhere: bool = True,
    corrected: bool = True,
) -> Near | None:
    """Draw from a density by a proposal that is adapted to one near it, which costs less.

    Where weights between the two are equal to within `_SAME`, and the density costs much, draws are of the near one:
    by Cauchy and Schwarz no mean is off by more than sqrt(1 / efficiency - 1) of its standard deviation, less than the
    Monte Carlo error of all draws. None where some points tell that the two are too far apart. Where the certificate
    fails, the points of the run make a proposal that is near the density itself, for a second one.

    Parameters
    ----------
    modes : of the near one.
    everywhere : whether the density is right far from the near one too, so that proposals may be fitted to its tails.
    corrected : whether draws of the density itself are wanted where the near one will not do.
    """
    adapt_seed, draw_seed, second_seed, fit_seed = child_seeds(settings.seed, 4)
    settings.progress("adapting the proposal", 0.0)
    rng = np.random.default_rng(adapt_seed)
    adapted = adapt(near, rng, modes)
    for size in (_FIRST, _TELLING):
        settings.progress("comparing with the density itself", 0.1)
        points, log_weights, values = weighted(density, adapted.warp, adapted.proposal, rng, size)
        theta, log_jacobian = adapted.warp.forward(points)
        with np.errstate(invalid="ignore"):  # neither may be finite
            apart = values - log_jacobian - near.log_density(theta)
        few_aside = np.minimum(log_weights, np.quantile(log_weights, 1 - _ASIDE))
        if not np.isfinite(few_aside).any() or efficiency(few_aside) < _NEAR:
            return None
        if effort_of(density) is EXPENSIVE and np.isfinite(apart).all() and efficiency(apart) > _SAME:
            found = run(near, adapted, settings, draw_seed)[0]
            certificate = found.certificate
            evidence = log_mean(apart) + (certificate.log_evidence or 0.0)
            figures = certificate.figures | {"near": efficiency(apart)}
            said = replace(certificate, figures=figures, log_evidence=evidence)
            return Near(replace(found, certificate=said), False)
    if not corrected:
        return None
    settings.progress("sampling", 0.2)
    telling = replace(adapted, log_weights=log_weights, evaluations=_FIRST + _TELLING)
    for _ in range(_TILTS):
        tilted = Tilted.towards(near, theta, log_weights, apart) if efficiency(log_weights) < _EVEN else None
        if tilted is None:
            break
        nearer = adapt(tilted, rng, modes)
        points, log_weights, values = weighted(density, nearer.warp, nearer.proposal, rng, _TELLING)
        theta, log_jacobian = nearer.warp.forward(points)
        with np.errstate(invalid="ignore"):
            apart = values - log_jacobian - near.log_density(theta)
        if not efficiency(log_weights) >= efficiency(telling.log_weights):  # none where all weights are zero
            break
        telling = replace(nearer, log_weights=log_weights, evaluations=telling.evaluations + _TELLING)
    for _ in range(_REFITS if everywhere else 0):
        if not _heavy(telling.log_weights):
            break
        points, log_weights, _ = weighted(density, telling.warp, telling.proposal, rng, _MORE * (density.dimension + 1))
        telling = refined(density, telling, points, log_weights, rng, _TELLING)
    if _heavy(telling.log_weights):
        return None
    found, points, log_weights = run(density, telling, settings, draw_seed, _STAY)
    if not _steady(found) and found.certificate.figures["efficiency"] > _AGAIN:
        settings.progress("sampling once more, from a better proposal", 0.5)
        better = refined(density, telling, points, log_weights, np.random.default_rng(fit_seed), _TELLING)
        if np.isfinite(better.log_weights).any():
            found = run(density, better, settings, second_seed, _STAY)[0]
    return Near(replace(found, certificate=replace(found.certificate, passed=_steady(found))), True)


def _heavy(log_weights: np.ndarray) -> bool:
    """Whether weights of `_TELLING` points say that the proposal misses a tail."""
    return efficiency(log_weights) < _NEAR or tail_shape(log_weights) > _HEAVY


def _steady(found: Sample) -> bool:
    """Whether draws by estimated weights are certified: estimates have tails of their own, and with a k-hat below 0.5
    these have a variance, so that errors are what they seem."""
    figures = found.certificate.figures
    return found.certificate.passed and (figures["k_hat"] < _FINITE or figures["largest_weight"] < 10)
