"""The proposal of independence Metropolis: adapted to a density, and then frozen.

From the Laplace approximation at the mode, a few rounds of adaptive importance sampling in which all past points are
kept under the mixture of all past proposals (Cornuet, Marin, Mira and Robert 2012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poolwise.samplers.interface import LogDensity
from poolwise.samplers.mixture import StudentMixture, fit_mixture
from poolwise.samplers.mode import Mode, find_modes
from poolwise.samplers.surrogate import Surrogate, fit_surrogate
from poolwise.samplers.warp import Warp, warp_for
from poolwise.samplers.weights import efficiency, normalised

LEAST = 0.2  # efficiency below which draws are not certified
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Effort:
    """How evaluations are rationed.

    Attributes
    ----------
    first : evaluations of the first round of adaptation, for each dimension and one more; twice as many in others.
    good : efficiency from which adaptation stops.
    enough, rounds : efficiency with which it is content after so many rounds.
    stay : share of a chain's steps that may stay where they are, which sets the bound on the weights.
    surrogate : whether a polynomial is fitted to what was evaluated.
    """

    first: int
    good: float
    enough: float
    rounds: int
    stay: float
    surrogate: bool


_CHEAP = Effort(100, 0.93, 0.5, 4, 0.002, False)
_MODERATE = Effort(50, 0.85, 0.5, 5, 0.02, False)  # an evaluation costs more than what else is done for a draw
_COSTLY = Effort(60, 1.0, 0.5, 2, 0.05, True)  # fewer draws are taken where none are asked for
EXPENSIVE = Effort(60, 0.5, 0.5, 1, 0.05, True)  # it costs more than the search for a polynomial


def effort_of(density: LogDensity) -> Effort:
    """By what an evaluation costs."""
    if density.cost < 3e4:
        return _CHEAP
    if density.cost < 1e6:
        return _MODERATE
    return _COSTLY if density.cost < 1e7 else EXPENSIVE


@dataclass(frozen=True, slots=True, eq=False)
class Adapted:
    """A frozen proposal.

    Attributes
    ----------
    proposal, warp : the mixture or what was made of it, and the coordinates it lives in.
    log_weights : (m,) of fresh points drawn from it, or of those that a polynomial was fitted to.
    rounds, evaluations : what the adaptation took.
    """

    proposal: StudentMixture | Surrogate
    warp: Warp
    log_weights: np.ndarray
    rounds: int
    evaluations: int


def weighted(
    density: LogDensity, warp: Warp, proposal: StudentMixture | Surrogate, rng: np.random.Generator, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points from the proposal (size, d), their log weights and log densities, all in warped coordinates."""
    points = proposal.sample(rng, size)
    theta, log_jacobian = warp.forward(points)
    with np.errstate(invalid="ignore"):
        values = density.log_density(theta) + log_jacobian
    values = np.where(np.isnan(values), -np.inf, values)  # no density, as where a standard deviation has no log
    return points, values - proposal.log_density(points), values


def adapt(
    density: LogDensity, rng: np.random.Generator, modes: list[Mode] | None = None, *, hopeless: float = 0.0
) -> Adapted:
    """Fit the proposal to the density, from modes that are looked for where none are given.

    Two rounds that leave the efficiency below `hopeless` are the last.
    """
    modes = find_modes(density, rng) if modes is None else modes
    d, effort = density.dimension, effort_of(density)
    warp = warp_for(modes[0].point, np.sqrt(np.diag(modes[0].covariance)), density.log_scales)
    proposal = _laplace(modes, warp).with_defence(0.1, 2.0, 3.0)
    best, reached, spent, done = (proposal, np.empty(0)), 0.0, 0, 0
    points, values, proposals, sizes = np.empty((0, d)), np.empty(0), [], []
    for done in range(1, _ROUNDS + 1):
        size = (effort.first if done == 1 else 2 * effort.first) * (d + 1)
        fresh, log_weights, density_there = weighted(density, warp, proposal, rng, size)
        spent += size
        now = efficiency(log_weights)
        if now > reached:
            best, reached = (proposal, log_weights), now
        points, values = np.vstack([points, fresh]), np.append(values, density_there)
        # Where a surrogate follows, it goes further from half the way, for nothing.
        if reached > effort.good or (done >= effort.rounds and reached > effort.enough):
            break
        if done >= 2 and reached < hopeless:
            break
        proposals.append(proposal)
        sizes.append(size)
        # Deterministic-mixture weights: every point as if drawn from all proposals so far.
        shares = np.log(np.array(sizes) / spent)
        together = [each.log_density(points) + share for each, share in zip(proposals, shares, strict=True)]
        weights = normalised(values - np.logaddexp.reduce(together))
        # A few huge weights of an early proposal would fit a mixture to themselves (Ionides 2008 truncates likewise).
        weights = np.minimum(weights, 1 / math.sqrt(len(weights)))
        weights /= weights.sum()
        start = _spread_start(points, weights, min(1 + done, 5), rng)
        proposal = fit_mixture(points, weights, start, 6).with_defence(0.03, 2.0, 3.0)
    if effort.surrogate and reached > LEAST:
        surrogate = fit_surrogate(best[0], points, values, rng)
        if surrogate is not None:
            middle = values > values.max() - d  # where most draws will be: that is what a bound must suit
            return Adapted(surrogate, warp, (values - surrogate.log_density(points))[middle], done, spent)
    return Adapted(best[0], warp, best[1], done, spent)


def _laplace(modes: list[Mode], warp: Warp) -> StudentMixture:
    """One component for each mode, in warped coordinates, weighted by the root of its Laplace mass."""
    masses = np.array([mode.value + 0.5 * np.linalg.slogdet(mode.covariance)[1] for mode in modes])
    # The root keeps a mode in play whose mass is underestimated; a tenth at the least.
    weights = np.maximum(np.exp(0.5 * (masses - masses.max())), 0.1)
    places = [warp.inverse(mode.point) for mode in modes]
    factors = [
        1.1 * np.linalg.cholesky(mode.covariance * np.outer(slope, slope))
        for mode, (_, slope) in zip(modes, places, strict=True)
    ]
    centres = np.array([centre for centre, _ in places])
    return StudentMixture(weights / weights.sum(), centres, np.array(factors), np.full(len(modes), 6.0))


def _spread_start(points: np.ndarray, weights: np.ndarray, components: int, rng: np.random.Generator) -> StudentMixture:
    """A mixture to start EM from: centres far apart within the weighted points, all with the same shape."""
    d = points.shape[1]
    mean = weights @ points
    covariance = np.cov(points.T, aweights=weights, bias=True).reshape(d, d) + 1e-9 * np.eye(d)
    factor = np.linalg.cholesky(covariance)
    white = np.linalg.solve(factor, (points - mean).T).T
    centres = [int(rng.choice(len(points), p=weights))]
    nearest = np.full(len(points), np.inf)
    for _ in range(components - 1):
        nearest = np.minimum(nearest, ((white - white[centres[-1]]) ** 2).sum(axis=1))
        pull = weights * np.minimum(nearest, 9.0)
        if not pull.sum() > 0:  # all the weight is on the centres chosen so far
            break
        centres.append(int(rng.choice(len(points), p=pull / pull.sum())))
    shrunk = factor * 0.7
    return StudentMixture(
        np.full(len(centres), 1 / len(centres)),
        points[centres],
        np.repeat(shrunk[None], len(centres), 0),
        np.full(len(centres), 15.0),
    )


def refined(
    density: LogDensity,
    adapted: Adapted,
    points: np.ndarray,
    log_weights: np.ndarray,
    rng: np.random.Generator,
    size: int | None = None,
) -> Adapted:
    """A proposal fitted to the points of a run, which are many more than adaptation had.

    Its weights are those of `size` new points, by default as many as a round of adaptation has: old ones, drawn again
    as if they were its own, repeat the few that it thinks much more of.
    """
    weights = np.minimum(normalised(log_weights), 1 / math.sqrt(len(log_weights)))
    weights /= weights.sum()
    proposal = fit_mixture(points, weights, _spread_start(points, weights, 8, rng), 12).with_defence(0.1, 2.0, 3.0)
    effort = effort_of(density)
    size = (1 if effort.surrogate else 2) * effort.first * (density.dimension + 1) if size is None else size
    fresh = weighted(density, adapted.warp, proposal, rng, size)[1]
    spent = adapted.evaluations + len(points) + size
    return Adapted(proposal, adapted.warp, fresh, adapted.rounds + 1, spent)
