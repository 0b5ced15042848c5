"""Working outcomes: the normal likelihood that is closest to a family's where the posterior has its rows.

If the linear predictor of a row is about Normal(m, v) under the posterior, the quadratic that is closest to its log
likelihood in mean square there has the mean slope g and the mean curvature -h over that distribution: it is the
Hermite expansion up to its second term, and what is left is orthogonal to every quadratic. So a row is worth an outcome
m + g / h with precision h. As m and v follow from the normal model of these outcomes, they are found in turns; with
v = 0 these are the turns of iteratively reweighted least squares. Dispersions that all rows share take a step of
Newton's in each turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from poolwise.density.gaussian import gaussian
from poolwise.density.latent.observations import Observations
from poolwise.density.priors import ModelPriors
from poolwise.density.working.bent_dispersions import with_bends
from poolwise.density.working.density import WorkingDensity, with_sigma
from poolwise.density.working.dispersion_steps import DispersionSteps
from poolwise.density.working.dispersions import Dispersions
from poolwise.density.working.expected import ExpectedLikelihood
from poolwise.design.design import Design, Rows
from poolwise.families import Family, Link
from poolwise.samplers.mode import Mode, distinct_modes, find_modes
from poolwise.statistics.products import CrossProducts
from poolwise.statistics.reduce import reduce_rows
from poolwise.support.threads import look

_TURNS = 20
_FIRST = 20  # steps that dispersions take before the first turn
_CURVED, _HALVINGS = 8.0, 12  # times as curved, or as flat, that a row may get in a turn
_SETTLED = 0.05  # change, in sds, of another turn that is not worth its cost
_FEW = 200_000  # rows that the first turns look at, one by one as often as dispersions ask for
_ENOUGH = 0.5  # of these: other rows move it by more
_NEAR = 1.0  # the same, below which turns need no care
_ROOM = 1e-3  # of the units of linear predictors, added to those sds
_NOTHING = 1e-300  # information
_GOLDEN = np.uint32(2654435769)  # 2^32 by the golden ratio


@dataclass(frozen=True, slots=True, eq=False)
class WorkingOutcomes:
    """Working outcomes of rows.

    Attributes
    ----------
    values, precisions : (n,).
    moves : (k, n) what they are for a unit more of the log of each dispersion less what they are; none where they are
        taken to be the same.
    """

    values: np.ndarray
    precisions: np.ndarray
    moves: np.ndarray = field(default_factory=partial(np.empty, (0, 0)))

    def take(self, positions: np.ndarray) -> WorkingOutcomes:
        """Those of some rows."""
        moves = np.take(self.moves, positions, axis=1) if len(self.moves) else self.moves
        return WorkingOutcomes(self.values[positions], self.precisions[positions], moves)

    def moves_by(self, units: np.ndarray) -> np.ndarray:
        """(k, n) how far they move for units (k,) of the dispersions."""
        moves = self.moves if len(self.moves) else np.zeros((len(units), len(self.values)))
        return np.asarray(units[:, None] * moves)


@dataclass(frozen=True, slots=True, eq=False)
class WorkingModel:
    """A normal model of working outcomes.

    Attributes
    ----------
    outcomes : of the rows.
    density : of theta.
    modes : of that.
    settled : whether another turn would hardly have moved it.
    """

    outcomes: WorkingOutcomes
    density: WorkingDensity
    modes: list[Mode]
    settled: bool

    @property
    def straight(self) -> WorkingModel:
        """The same with none of the dispersions bent."""
        dispersions = replace(self.density.dispersions, bends={})
        return replace(self, density=replace(self.density, dispersions=dispersions))


def working_model(
    observations: Observations,
    design: Design,
    priors: ModelPriors,
    family: Family,
    link: Link,
    guess: np.ndarray,
    total: CrossProducts,
    threads: int,
) -> WorkingModel | None:
    """The normal model of the working outcomes; None where the turns do not settle, or a curvature has no sign.

    Of very many rows one in some is looked at first: the turns of all rows begin where those of few ended.

    Parameters
    ----------
    guess : (n,) linear predictors to begin from.
    total : statistics of the rows, for their columns and cells.
    """
    found = _in_turns(observations, design, priors, family, link, guess, total, threads)
    if found is None:
        return None
    return WorkingModel(
        found.outcomes, found.density, find_modes(found.density, np.random.default_rng(0)), found.settled
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Turned:
    """Where turns ended, with the mode before the last one."""

    outcomes: WorkingOutcomes
    density: WorkingDensity
    mode: Mode
    settled: bool


def _in_turns(
    observations: Observations,
    design: Design,
    priors: ModelPriors,
    family: Family,
    link: Link,
    guess: np.ndarray,
    total: CrossProducts,
    threads: int,
    *,
    first: bool = False,
) -> _Turned | None:
    mean, variance, modes = guess, np.zeros(len(guess)), list[Mode]()
    dispersions = Dispersions.at_starts(family, priors, observations.y)
    columns, careful, known, settled, density = observations.columns, True, False, False, None
    looks = 1 + 2 * len(dispersions.centre)  # of a turn that finds the curvature in dispersions anew
    if (every := looks * len(guess) // _FEW) > 1:
        some = scattered(len(guess), every)
        few = in_order(observations, some)
        found = _in_turns(few, design, priors, family, link, guess[some], total, threads, first=True)
        if found is not None and found.settled:
            mean, modes, density = _mean_by(found, observations), [found.mode], found.density
            dispersions, careful, known = found.density.dispersions, False, True
    likelihood = ExpectedLikelihood(observations.outcome_rows, link, dispersions, threads)
    turned = np.inf
    # A share of zeros or a slant waits for the first groups: without any, another parameter may take its place.
    if not (known or any(family.parameters[r - 1].prior is None for r in dispersions.parameters)):
        likelihood, turned = _fitted(likelihood, mean, variance)
    steps = DispersionSteps.from_start(likelihood.dispersions)
    outcomes = _outcomes(mean, *likelihood.projected(mean, variance, careful=careful))
    before = np.full(3, np.inf)
    for turn in range(_TURNS):
        look()
        if outcomes is None:
            return None
        rows = normal_rows(outcomes, observations)
        density = _density(rows, likelihood.dispersions, design, priors, total, density)
        if density is None:
            return None
        modes = modes_from(density, modes)
        toward, variance = density.row_moments(modes[0].point, rows)
        toward += observations.known[0]
        with np.errstate(all="ignore"):  # what is not finite is looked for below
            moved = np.abs(toward - mean) / (np.sqrt(variance) + _ROOM * likelihood.units(mean))
            together = _moved_together(observations, outcomes.precisions, toward - mean)
        if not (np.isfinite(moved).all() and np.isfinite(together)):
            return None
        anew = turned > _NEAR
        following = columns[: len(columns) if anew else 0]
        scores = partial(likelihood.scores, toward, variance, following)
        steps, turned = steps.taken(scores, following * outcomes.precisions @ following.T, anew=anew)
        likelihood = replace(likelihood, dispersions=steps.dispersions)
        was, careful = careful, careful and max(moved.max(), together) > _NEAR
        mean, outcomes = _moved(likelihood, outcomes, mean, toward, variance, careful=careful)
        went = np.array([moved.max(), together, turned])
        with np.errstate(invalid="ignore", over="ignore"):  # dispersions may have gone without end, twice
            ahead = went * np.minimum(1.0, went / np.maximum(before - went, _NOTHING))  # if turns get no slower
        enough = _ENOUGH if first else _SETTLED
        settled, before = turn > 0 and (first or not was) and ahead.max() < enough, went
        if settled:
            break
    if outcomes is None:
        return None
    dispersions = with_bends(likelihood.dispersions, family, partial(likelihood.scores, mean, variance, columns[:0]))
    density = _density(normal_rows(outcomes, observations), dispersions, design, priors, total, density)
    return None if density is None else _Turned(outcomes, density, modes[0], settled)


def scattered(rows: int, every: int) -> np.ndarray:
    """One row in some, by multiples of the golden ratio: a fixed step could meet the same predictors in every cell."""
    with np.errstate(over="ignore"):
        place = np.arange(rows, dtype=np.uint32) * _GOLDEN
    return np.flatnonzero(place < 2**32 // every)


def _mean_by(few: _Turned, observations: Observations) -> np.ndarray:
    """(n,) linear predictors of rows by the working model of some of them."""
    nothing = WorkingOutcomes(np.zeros(len(observations.y)), np.ones(len(observations.y)))
    found, _ = few.density.row_moments(few.mode.point, normal_rows(nothing, observations))
    return np.asarray(observations.known[0] + found)


def _fitted(likelihood: ExpectedLikelihood, mean: np.ndarray, variance: np.ndarray) -> tuple[ExpectedLikelihood, float]:
    """With dispersions that suit linear predictors of some means and variances (n,), after some steps towards them; and
    the length of the last one."""
    steps, length = DispersionSteps.from_start(likelihood.dispersions), 0.0
    scores = partial(likelihood.scores, mean, variance, np.empty((0, len(mean))))
    for _ in range(_FIRST):
        steps, length = steps.taken(scores, np.empty((0, 0)))
        if length < _SETTLED or not np.isfinite(length):
            break
    return replace(likelihood, dispersions=steps.dispersions), length


def _moved(
    likelihood: ExpectedLikelihood,
    outcomes: WorkingOutcomes,
    mean: np.ndarray,
    found: np.ndarray,
    variance: np.ndarray,
    *,
    careful: bool,
) -> tuple[np.ndarray, WorkingOutcomes | None]:
    """Linear predictors from `mean` towards those that were found (n,), and their working outcomes.

    A row goes no further than to where its curvature is some times what it was, or that part of it: a large count seen
    from a small mean would else be taken for one of many millions, from where each turn comes back by one.
    """
    found = found.copy()
    slope, curvature = likelihood.projected(found, variance, careful=careful)
    for _ in range(_HALVINGS):
        with np.errstate(invalid="ignore"):
            times = curvature / outcomes.precisions
            good = np.isfinite(slope) & (times <= _CURVED) & (times >= 1.0 / _CURVED)
        if not len(rows := np.flatnonzero(~good)):
            break
        found[rows] = 0.5 * (found[rows] + mean[rows])
        slope[rows], curvature[rows] = likelihood.projected(found[rows], variance[rows], rows, careful=careful)
    return found, _outcomes(found, slope, curvature)


def _moved_together(observations: Observations, precisions: np.ndarray, moved: np.ndarray) -> float:
    """The most that a coefficient or an effect moves with the linear predictors of all its rows (n,), in the standard
    deviation that these leave it: little for each of a million rows is much for what they share."""
    weighted, most = precisions * moved, 0.0
    for column in observations.columns:
        score, own = np.sum(column * weighted), np.sum(np.square(column) * precisions)
        most = max(most, float(abs(score) / np.sqrt(own + _NOTHING)))
    for column, place in zip(observations.slot_values, observations.slot_places, strict=True):
        score, own = np.bincount(place, column * weighted), np.bincount(place, np.square(column) * precisions)
        most = max(most, float(np.max(np.abs(score) / np.sqrt(own + _NOTHING), initial=0)))
    return most


def modes_from(density: WorkingDensity, before: list[Mode]) -> list[Mode]:
    """Modes of a density near those of the turn before, or near its own starts."""
    points = before[0].point[None] if before else density.starts()
    if found := distinct_modes(density, points, density.log_density(points), []):
        return found
    return find_modes(density, np.random.default_rng(0))


def _outcomes(mean: np.ndarray, slope: np.ndarray, curvature: np.ndarray) -> WorkingOutcomes | None:
    """Working outcomes of slopes and curvatures; None where these are none."""
    if not (np.isfinite(slope).all() and np.isfinite(curvature).all() and (curvature > 0).all()):
        return None
    with np.errstate(all="ignore"):
        return WorkingOutcomes(mean + slope / curvature, curvature)


def normal_rows(outcomes: WorkingOutcomes, observations: Observations) -> Rows:
    """Rows of the normal model, whose known parts are taken away from the outcomes."""
    values = np.column_stack([observations.wide, outcomes.values - observations.known[0]])
    return Rows(np.ascontiguousarray(values), observations.codes, 0, outcomes.precisions)


def _density(
    rows: Rows,
    dispersions: Dispersions,
    design: Design,
    priors: ModelPriors,
    total: CrossProducts,
    before: WorkingDensity | None,
) -> WorkingDensity | None:
    if not np.isfinite(rows.values).all():
        return None
    products = reduce_rows(rows.values, rows.codes, total.columns, total.cells, weights=rows.weights, threads=1)
    return density_of(products, design, priors, dispersions, before)


def density_of(
    products: CrossProducts,
    design: Design,
    priors: ModelPriors,
    dispersions: Dispersions,
    before: WorkingDensity | None = None,
) -> WorkingDensity | None:
    """The density by statistics of working outcomes, less known parts of linear predictors; None where it costs too
    much. One of the same design that was made before saves some of the work."""
    like = None if before is None else before.normal
    found = gaussian(products, design, with_sigma(priors), threads=1, like=like)
    made = WorkingDensity(found, priors.layout, priors.ties, dispersions)
    return made if made.cost < WorkingDensity.MOST else None


def with_guess(observations: Observations, beta: np.ndarray) -> np.ndarray:
    """(n,) linear predictors at coefficients (p,) of the observations, without effects."""
    return np.asarray(observations.known[0] + observations.columns.T @ beta)


def in_order(observations: Observations, order: np.ndarray) -> Observations:
    """Some rows, in an order."""
    return replace(
        observations,
        y=np.ascontiguousarray(observations.y[order]),
        trials=np.ascontiguousarray(observations.trials[order]),
        weights=np.ascontiguousarray(observations.weights[order]),
        known=np.take(observations.known, order, axis=1),
        columns=np.take(observations.columns, order, axis=1),
        slot_values=np.take(observations.slot_values, order, axis=1),
        slot_places=np.take(observations.slot_places, order, axis=1),
        wide=observations.wide[order],
        codes=observations.codes[order],
    )
