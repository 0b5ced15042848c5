"""The latent density as a record that samplers take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from poolwise.density.latent.bounds import bounds_of
from poolwise.density.latent.kernels import expand, value_and_gradient
from poolwise.density.latent.mode import Conditional, covariance, find_mode
from poolwise.density.latent.observations import Observations
from poolwise.density.latent.problem import Data, Mixing, Monotonic, Problem, Smooths, Spread, Tied
from poolwise.density.latent.stored_effects import DrawnOffsets
from poolwise.density.latent.whitening import coupled_places, whitened
from poolwise.density.priors import ModelPriors, log_median
from poolwise.density.theta import Prior
from poolwise.design.design import Design
from poolwise.design.structures import Structure
from poolwise.families import Family, Link
from poolwise.samplers.interface import NativeDensity
from poolwise.support.errors import SamplingError
from poolwise.support.threads import map_slices, steps

_AVERAGED = 64  # thetas over which a share is averaged
_TASK = 1 << 20  # numbers between two looks at whether to stop
_TOGETHER, _UNLIKE_TOGETHER = 12, 32  # coefficients of a structured term, and of one whose precisions differ
_NARROW, _WIDE = 1e-4, 1.0  # standard deviations of a log that curvature is believed to say


@dataclass(frozen=True, slots=True, eq=False)
class LatentDensity:
    """Log density of theta, coefficients and effects, in coordinates whitened at the mode; see `problem`.

    Attributes
    ----------
    problem, words, kept : for kernels: as a record, as words, and the arrays that the words point to.
    priors : of the model.
    to_written : (p, p) takes the coefficients of the problem to those as written.
    mode : the approximation that the coordinates were made from.
    covariance : inverse curvature over what is sampled of theta there.
    """

    problem: Problem
    words: np.ndarray
    kept: tuple[np.ndarray, ...]
    priors: ModelPriors
    to_written: np.ndarray
    mode: Conditional
    covariance: np.ndarray

    @property
    def dimension(self) -> int:
        """Length of a point: what is sampled of theta, coefficients, effects."""
        return len(self.priors.ties.free) + self.problem.mixing.centre.size + self.problem.spread.score.size

    def value_and_gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient (d + p + U,) at a point."""
        gradient = np.empty(point.size)
        return float(value_and_gradient(np.ascontiguousarray(point), self.words, gradient)), gradient

    @property
    def start(self) -> np.ndarray:
        """The mode as a point."""
        theta = self.mode.theta[self.priors.ties.free]
        return np.concatenate([theta, np.zeros(self.dimension - theta.size)])

    @property
    def spread(self) -> np.ndarray:
        """About the standard deviation of each coordinate under the posterior."""
        of_theta = np.sqrt(np.clip(np.diag(self.covariance), _NARROW**2, _WIDE**2))
        return np.concatenate([of_theta, np.ones(self.dimension - of_theta.size)])

    def native(self) -> NativeDensity:
        """The density as a C function."""
        from poolwise.density.latent.native import latent_callback

        return NativeDensity(latent_callback.address, self.words, self.kept)

    def offsets(self, theta: np.ndarray, u: np.ndarray) -> tuple[DrawnOffsets, ...]:
        """The effects of each factor as written, from draws of theta (chains, draws, d) and of all effects
        (chains, draws, U).
        """
        found, flat = [], theta.reshape(theta.shape[0] * theta.shape[1], theta.shape[2])
        some = flat[:: max(1, len(flat) // _AVERAGED)]
        factors = [covariance(self.problem, one) for one in some]
        to_zero = self.priors.layout.map_to_zero
        for start, groups, q, effect, at in self._of_groups:
            own = self.problem.spread.information[at : at + groups * q * q].reshape(groups, q, q)
            opened = np.zeros((groups, q))
            for factor in factors:
                mine = factor[effect : effect + q, effect : effect + q]
                inner = np.linalg.inv(np.eye(q) + mine.T @ own @ mine)
                written = to_zero[effect : effect + q, effect : effect + q] @ mine
                variance = np.einsum("ab,jbc,ac->ja", written, inner, written)
                opened += variance / np.square(written).sum(axis=1) / len(factors)
            values = u[..., start : start + groups * q].reshape(*u.shape[:2], groups, q)
            found.append(DrawnOffsets(values, opened))
        return tuple(found)

    def expanded(self, points: np.ndarray, threads: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """theta (m, d), coefficients (m, p) and effects (m, U), both as written, at points (m, d + p + U)."""
        p, size = self.problem.mixing.centre.size, self.problem.spread.score.size
        theta = np.empty((len(points), self.mode.theta.size))
        beta, u = np.empty((len(points), p)), np.empty((len(points), size))

        def some(_: int, part: slice) -> None:
            for few in steps(part, max(1, _TASK // self.dimension)):
                expand(points[few], self.words, theta[few], beta[few], u[few])

        map_slices(some, len(points), 256, threads)
        to_zero = self.priors.layout.map_to_zero
        if not np.array_equal(to_zero, np.eye(len(to_zero))):
            for start, groups, q, effect, _ in self._of_groups:
                mine, block = slice(start, start + groups * q), slice(effect, effect + q)
                u[:, mine] = (u[:, mine].reshape(-1, q) @ to_zero[block, block].T).reshape(len(points), -1)
        own = _sampled_coefficients(self.priors)
        written = np.empty((len(points), len(own)))
        written[:, ~self.priors.scaled] = beta @ self.to_written.T
        written[:, own] = u[:, size - int(own.sum()) :]
        simplexes = zip(self.priors.layout.simplexes, self.priors.simplexes.tolist(), strict=True)
        for (term, _), (first, count, _) in simplexes:
            shares = self.priors.layout.simplex(theta, term)
            mean = self.priors.coefficients[first + count - 1].location + written[:, [first + count - 1]]
            written[:, first : first + count] = mean * count * shares
        return theta, written, u[:, : size - int(own.sum())]

    @property
    def _of_groups(self) -> list[tuple[int, ...]]:
        """The factors of groups, in the order of the design: those of structured terms come after them."""
        smooth = len(self.problem.spread.score) - len(self.problem.smooths.precision)
        return [row for row in sorted(map(tuple, self.problem.spread.factors)) if row[0] < smooth]


def latent(
    observations: Observations, design: Design, priors: ModelPriors, family: Family, link: Link
) -> LatentDensity:
    """The latent density of observations, in coordinates that suit them.

    Raises
    ------
    SamplingError : where no finite density is found near the data.
    """
    raw = _raw(observations, design, priors, family, link)
    starts = _starts(priors, family)
    beta = first_guess(observations, priors, family)
    try:
        mode, spread = find_mode(raw, starts, beta)
    except (FloatingPointError, np.linalg.LinAlgError) as error:
        raise SamplingError("The posterior is not finite anywhere near the data: check the units of data.") from error
    problem = whitened(raw, mode)
    return LatentDensity(problem, *problem.words(), priors, observations.to_written, mode, spread)


def _raw(observations: Observations, design: Design, priors: ModelPriors, family: Family, link: Link) -> Problem:
    """The problem before anything is known of the mode."""
    p, layout, plain = len(observations.columns), priors.layout, ~priors.scaled
    parameters = family.predictors
    first = len(layout.effects) + layout.pairs
    shared = [first + layout.dispersions.index(name) if name in layout.dispersions else -1 for name in parameters]
    factors, start, effect, at = [], 0, 0, 0
    for factor in design.factors:
        groups, q = len(factor.levels), len(factor.effects)
        factors.append((start, groups, q, effect, at))
        start, effect, at = start + groups * q, effect + q, at + groups * q * q
    factors.sort(key=lambda row: row[1] * row[2])
    smooth = []
    for groups, q in (block for structure in design.structures for block in _blocks_of(structure)):
        smooth.append((start, groups, q, effect, at))
        start, effect, at = start + groups * q, effect + groups * q, at + groups * q * q
    grouped = bool(factors)
    factors = [*sorted(smooth, key=lambda row: row[1] * row[2]), *factors]
    follows = priors.all_follows
    prior = Prior(
        np.array(layout.starts, dtype=np.int64),
        priors.rows[np.ix_(plain, plain)] @ observations.to_written,
        priors.mean[plain],
        priors.width[plain] ** -2.0,
        follows[plain],
        np.zeros(p, dtype=np.int64),
        np.zeros((0, 3), dtype=np.int64),
        priors.scale_priors,
        priors.correlation_priors,
        priors.stated,
        priors.exponents,
        0.0,
    )
    data = Data(
        observations.y,
        observations.trials,
        observations.weights,
        observations.known,
        observations.columns,
        observations.of_column,
        observations.slot_values,
        observations.slot_places,
        observations.of_slot,
        np.array(shared, dtype=np.int64),
        np.array([link.code], dtype=np.int64),
        observations.terms,
    )
    where = np.array(factors, dtype=np.int64).reshape(-1, 5)
    places, leaf = coupled_places(p, where, grouped=grouped)
    nothing, none = np.zeros(start), np.zeros(0, dtype=np.int64)
    empty = np.zeros(start + 1, dtype=np.int64), none, np.zeros(0)
    spread = Spread(where, np.zeros(at), nothing, nothing, np.zeros(at), *empty, leaf)
    mixing = Mixing(np.zeros(p), places, np.eye(len(places)), bounds_of(observations, family))
    volume = float(np.linalg.slogdet(observations.to_written)[1]) if p else 0.0
    constant = observations.constant - 0.5 * math.log(2 * math.pi) * (p + start) + volume
    own = _sampled_coefficients(priors)
    smooths = Smooths(priors.width[own] ** -2.0, follows[own])
    first_share = layout.dimension - len(layout.smoothing) + priors.simplexes[:, 2]
    steps, last = priors.simplexes[:, 1].copy(), priors.simplexes[:, :2].sum(axis=1) - 1
    monotonic = Monotonic(
        observations.behind, observations.times, observations.stepped, steps, first_share, priors.mean[last]
    )
    return Problem(
        data,
        monotonic,
        spread,
        mixing,
        prior,
        smooths,
        Tied(priors.ties.places, priors.ties.follows, priors.ties.shifts),
        constant,
    )


def _sampled_coefficients(priors: ModelPriors) -> np.ndarray:
    """(p,) which coefficients of structured terms are sampled: of monotonic terms only the last, which stands for b."""
    found = priors.scaled.copy()
    for first, count, _ in priors.simplexes:
        found[first : first + count - 1] = False
    return found


def _blocks_of(structure: Structure) -> Iterator[tuple[int, int]]:
    """Groups and effects of a group of a structured term's coefficients, penalty by penalty.

    A few are whitened together, as one group. Of many each is a group, which costs less by far than the cube of their
    number; what rows share between them is mixed as it is at the mode.
    """
    for penalty in structure.penalties:
        if penalty.simplex:
            yield 1, 1
            continue
        count = len(penalty.widths)
        alike = all(np.ptp(each, axis=0).max() == 0 for each in (penalty.follows, penalty.widths))
        if count <= (_TOGETHER if alike else _UNLIKE_TOGETHER):
            yield 1, count
        elif alike:
            yield count, 1
        else:
            yield from [(1, 1)] * count


def _starts(priors: ModelPriors, family: Family) -> np.ndarray:
    """Thetas (k, d) to begin from: medians of the priors of scales, no correlation; and other spreads of effects.

    Where the prior of a parameter without units is another than the default, the median of that one is a start too.
    """
    layout = priors.layout
    scales = [log_median(prior) for prior in (*priors.sd, *priors.dispersions.values())]
    effects = len(layout.effects)
    of_effects = np.array(scales[:effects]) - np.log(np.diag(layout.map_to_zero))  # in units of the columns
    middle = np.array(
        [*of_effects, *[0.0] * layout.pairs, *scales[effects:], *[0.0] * len(layout.mixed), *layout.usual]
    )
    usual = {each.name: each.prior for each in family.parameters if each.prior is not None and not each.scaled}
    other, first = middle.copy(), effects + layout.pairs
    for k, (name, prior) in enumerate(priors.dispersions.items()):
        if name in usual and prior != usual[name]:
            other[first + k] = log_median(usual[name])
    starts = np.array([middle] if np.array_equal(middle, other) else [middle, other])
    if not effects:
        return starts
    spread = np.tile(starts, (3, 1))
    spread[:, :effects] += np.repeat(np.log([1.0, 0.1, 3.0]), len(starts))[:, None]
    return spread


def first_guess(observations: Observations, priors: ModelPriors, family: Family) -> np.ndarray:
    """Coefficients (p,) at the centre of their priors, where default priors have the intercept at the mean.

    Those of parameters that have a start of their own are such that linear predictors are near to that.
    """
    beta = np.linalg.solve(observations.to_written, priors.mean_of_beta[~priors.scaled])
    for r, parameter in enumerate(family.parameters, start=1):
        mine = observations.of_column == r
        if parameter.start is not None and mine.any():
            wanted = parameter.to_scale(parameter.start(observations.y)) - observations.known[r]
            beta[mine] = np.linalg.lstsq(observations.columns[mine].T, wanted)[0]
    return beta
