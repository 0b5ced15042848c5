"""Draws of a family's posterior by a normal model that is near it, and the remainders that make up for the rest."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from poolwise.density.latent.stored_effects import DrawnOffsets
from poolwise.density.offsets import Offsets
from poolwise.density.polynomial.of_rows import thetas_of
from poolwise.density.working.corrected import Completed, CorrectedDensity
from poolwise.density.working.outcomes import WorkingModel
from poolwise.density.working.remainders import Remainders
from poolwise.inference.posterior import Model
from poolwise.samplers import Certificate, SamplerSettings, child_seeds
from poolwise.samplers.missed_modes import log_evidence_about, missed_modes
from poolwise.samplers.near import Near, sample_near
from poolwise.samplers.weights import efficiency, resampled, tail_shape

# Pairs of draws of a level's effects: as many as take few flops, and as many as bring the variance of the logs of
# estimates down to what costs least for an effective draw; more where these do not do.
_CHEAP, _MOST_PAIRS, _VARIANCE = 1.2e5, 8, 0.35
_GRADIENTS = 20.0  # of NUTS, which takes as many times more of them: an estimate that costs more is not worth it
_POSSIBLE = 0.6  # of those points, that the family's density is above zero at: a shift may be as large as no outcome
_COMPARED, _SAME = 50, 0.9995  # points, and their efficiency from which a comparison of more points is worth while
# Share of draws that are in cells, and so have coefficients and effects, of their own; chains that stay have fewer.
_DISTINCT = 0.4
_DIGITS = 1e11  # of a log density, beyond which those that tell draws apart are lost
# Draws that remainders are compared with exact ones at, and how many of them are those of the most unusual remainders:
# approximations fail there first, and where they do for one draw in 500, evenly spread ones mostly miss it.
_CHECKED, _UNUSUAL = 128, 32
# Efficiency of the weights that make up for what remainders leave out, and k-hat below which these have a variance.
_WEIGHED, _FINITE = 0.95, 0.5
_BEYOND = 0.02  # levels of a draw that may lie beyond where remainders are known
_AVERAGED = 64  # thetas over which a share is averaged
_WORDS = {
    True: "a normal model of working outcomes is close; importance weights make up for the rest",
    False: "a normal model of working outcomes is the same to within the Monte Carlo error",
}

Parts = tuple[np.ndarray, np.ndarray, tuple[Offsets, ...], dict[str, np.ndarray], Certificate]
Exactly = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def near_normal(
    model: Model,
    found: WorkingModel,
    remainders: Remainders,
    gradient: float,
    settings: SamplerSettings,
    threads: int,
    exactly: Exactly | None = None,
    *,
    every: bool = True,
) -> Parts | None:
    """theta, coefficients, effects, dispersions and certificate; None where the certificate does not hold.

    Parameters
    ----------
    gradient : flops of a gradient of the family's density.
    exactly : what remainders as `Remainders.ratios` takes their arguments are summed over all rows, (m,), where these
        are approximations.
    every : whether that may be asked for every draw.
    """
    sampler_seed, witness_seed, weighing_seed = child_seeds(settings.seed, 3)
    plain = CorrectedDensity.of(found, remainders, model.design, model.priors, 1, threads)
    if exactly is not None and not _reaches(plain, found):
        return None
    own = replace(settings, seed=sampler_seed)
    pair = _drawn(replace(plain, defended=False), found, gradient, own, everywhere=exactly is None)
    if pair is None:
        return None
    corrected, drawn = pair
    sample, certificate = drawn.sample, replace(drawn.sample.certificate, reason=_WORDS[drawn.corrected])
    points = sample.points.reshape(-1, corrected.dimension)
    if not certificate.passed or corrected.distinct(points) < _DISTINCT * len(points):
        return None
    whole = corrected.completed(points, chosen=drawn.corrected)
    if exactly is not None:
        settings.progress("comparing with the rows", 0.9)
        checked = _checked(corrected, points, whole, certificate, exactly, weighing_seed, every=every)
        if checked is None:
            return None
        certificate, kept = checked
        if kept is not None:
            points, whole = points[kept], whole.take(kept)
    evidence = log_evidence_about(found.density, points)  # of the working model: the family's is another number
    if missed_modes(found.density, points, evidence, found.modes, np.random.default_rng(witness_seed)):
        return None
    shape = sample.points.shape[:2]
    theta = whole.theta.reshape(*shape, -1)
    full = found.density.full(points[:: max(1, len(points) // _AVERAGED)])
    open_shares = found.density.normal.unexplained_by(range(len(whole.u)), full) if whole.u else []
    u = tuple(
        DrawnOffsets(effects.reshape(*shape, *effects.shape[1:]), share)
        for effects, share in zip(whole.u, open_shares, strict=True)
    )
    layout = model.priors.layout
    dispersions = {name: layout.dispersion(theta, name) for name in layout.dispersions}
    return theta, whole.beta.reshape(*shape, -1), u, dispersions, certificate


def _drawn(
    plain: CorrectedDensity, found: WorkingModel, gradient: float, settings: SamplerSettings, *, everywhere: bool
) -> tuple[CorrectedDensity, Near] | None:
    """Draws, and the density that they are of; with as many pairs as the spread of one pair's estimates asks for.

    Parameters
    ----------
    plain : by one pair, none of which is wide.
    gradient : flops of a gradient of the family's density.
    everywhere : whether remainders are those of rows however far away.
    """
    apart, values, noise = _apart(plain, found)
    known = apart[np.isfinite(apart)]
    if not (len(known) >= _POSSIBLE * len(apart) and np.abs(values).max() < _DIGITS and np.ptp(known)):
        return None
    if efficiency(apart) >= _SAME:
        # By single draws: in pairs odd terms cancel, by which effects of a small group are skewed.
        single = replace(plain, mirrored=False)
        drawn = sample_near(single, found.density, found.modes, settings, corrected=False)
        if drawn is not None:
            return single, drawn
    cheap = int(_CHEAP // plain.cost_of_pairs)
    fewest = int(np.clip(max(cheap, math.ceil(min(noise / _VARIANCE, _MOST_PAIRS))), 1, _MOST_PAIRS))
    for pairs in dict.fromkeys(min(times * fewest, _MOST_PAIRS) for times in (1, 2, 4)):
        corrected = replace(plain, pairs=pairs, defended=True, chosen={})
        if corrected.cost > _GRADIENTS * gradient:
            break
        drawn = sample_near(corrected, found.density, found.modes, settings, everywhere=everywhere)
        if drawn is not None:
            return corrected, drawn
        if found.density.normal.leaf < 0:  # pairs of what there is not
            break
    return None


def _reaches(plain: CorrectedDensity, found: WorkingModel) -> bool:
    """Whether remainders are known wherever the working model draws effects, of unlikely thetas too.

    Beyond there is no density, and no draw would ever tell.
    """
    points = thetas_of(found.density, found.modes[0], _CHECKED, 1)
    ratios = plain.remainders.ratios(*plain.drawn_at(points, chosen=False))
    return bool(np.isneginf(ratios).sum() <= _BEYOND * len(points))


def _checked(
    corrected: CorrectedDensity,
    points: np.ndarray,
    whole: Completed,
    certificate: Certificate,
    exactly: Exactly,
    seed: np.random.SeedSequence,
    *,
    every: bool,
) -> tuple[Certificate, np.ndarray | None] | None:
    """The certificate, with what remainders leave out, and positions of the draws that make up for it, or None for all
    as they are; nothing where some draws tell them from exact ones.

    As in `sample_near`: where weights between the two are so equal, no mean is off by what Monte Carlo error is. Where
    few draws leave that open, all are weighed, and drawn again by these weights.
    """

    def given(some: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return corrected.given_to_remainders(points[some], whole.take(some))

    def approximate(some: np.ndarray) -> np.ndarray:
        return corrected.remainders.ratios(*given(some)).sum(axis=1)

    def left_out(some: np.ndarray) -> np.ndarray:
        return exactly(*given(some)) - approximate(some)

    starts = range(_CHECKED, len(points), _CHECKED)
    remainders = [approximate(part) for part in np.split(np.arange(len(points)), starts)]
    some, shares = looked_at(np.concatenate(remainders))
    found = left_out(some)
    alike = _alike(found, shares) if np.isfinite(found).all() else 0.0
    if _SAME > alike >= _WEIGHED and every:
        _, distinct, place = np.unique(points, axis=0, return_index=True, return_inverse=True)
        parts = [left_out(distinct[start : start + _CHECKED]) for start in range(0, len(distinct), _CHECKED)]
        found, shares = np.concatenate(parts)[place.ravel()], np.full(len(points), 1.0 / len(points))
        alike = efficiency(found) if np.isfinite(found).all() else 0.0
        if _SAME > alike >= _WEIGHED and tail_shape(found) < _FINITE:
            return _noted(certificate, found, shares, alike), resampled(found, np.random.default_rng(seed))
    return (_noted(certificate, found, shares, 1.0), None) if alike >= _SAME else None


def looked_at(remainders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of draws that are compared with the rows, and the share of all draws that each stands for.

    `remainders` (m,) are those of all draws: the most unusual stand for themselves, the others are spread evenly.
    """
    size = len(remainders)
    if size <= _CHECKED:
        return np.arange(size), np.full(size, 1.0 / size)
    order = np.argsort(-np.abs(remainders - np.median(remainders)), kind="stable")
    unusual, rest = order[:_UNUSUAL], np.sort(order[_UNUSUAL:])
    spread = rest[np.linspace(0, len(rest) - 1, _CHECKED - _UNUSUAL).astype(int)]
    shares = np.r_[np.full(len(unusual), 1.0), np.full(len(spread), len(rest) / len(spread))] / size
    return np.concatenate([unusual, spread]), shares


def _alike(left_out: np.ndarray, shares: np.ndarray) -> float:
    """Kish's efficiency of all draws, from the logs of weights of some that stand for a share of them each."""
    weights = np.exp(left_out - left_out.max())
    return float(np.square(shares @ weights) / (shares @ np.square(weights)))


def _noted(certificate: Certificate, left_out: np.ndarray, shares: np.ndarray, alike: float) -> Certificate:
    """The certificate of draws whose weights (m,), that stand for some shares of all, are that much alike."""
    centre = float(shares @ left_out)
    figures = certificate.figures | {"left_out": float(np.sqrt(shares @ np.square(left_out - centre)))}
    figures["efficiency"] *= alike
    evidence = certificate.log_evidence
    more = centre + float(np.log(shares @ np.exp(left_out - centre)))
    return replace(certificate, figures=figures, log_evidence=None if evidence is None else evidence + more)


def _apart(plain: CorrectedDensity, found: WorkingModel) -> tuple[np.ndarray, np.ndarray, float]:
    """Log densities of the family less those of the working model at some points near its mode; these; and the variance
    of the noise in the former, which is others in the next cells.

    By draws none of which is wide: the density of both kinds varies by itself.
    """
    root = np.linalg.cholesky(found.modes[0].covariance)
    points = found.modes[0].point + np.random.default_rng(0).standard_normal((_COMPARED, len(root))) @ root.T
    both = np.concatenate([points, points + 1.0 / plain.cells])
    values = found.density.log_density(both)
    apart, beside = np.split(plain.log_density(both) - values, 2)
    known = np.isfinite(apart) & np.isfinite(beside)
    noise = 0.5 * float(np.square(apart[known] - beside[known]).mean()) if known.any() else math.inf
    return apart, values[: len(points)], noise
