"""Turns in which working outcomes, the normal model of them and dispersions are found, each by the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from poolwise.density.latent.observations import Observations
from poolwise.density.working.bent_dispersions import with_bends
from poolwise.density.working.density import WorkingDensity
from poolwise.density.working.dispersion_steps import DispersionSteps
from poolwise.density.working.dispersions import Dispersions
from poolwise.density.working.expected import ExpectedLikelihood
from poolwise.density.working.outcomes import (
    WorkingModel,
    WorkingOutcomes,
    density_of,
    in_order,
    normal_rows,
)
from poolwise.density.working.regression import Regression
from poolwise.design.design import Rows
from poolwise.samplers.mode import Mode, distinct_modes, find_modes
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


def working_model(regression: Regression, guess: np.ndarray, threads: int) -> WorkingModel | None:
    """The normal model of the working outcomes; None where a curvature has no sign.

    Of very many rows one in some is looked at first: the turns of all rows begin where those of few ended.

    Parameters
    ----------
    guess : (n,) linear predictors to begin from.
    """
    found = _Turns(regression, threads).ended(guess)
    if found is None:
        return None
    density = found.density
    scores = partial(found.likelihood.scores, found.mean, found.variance, regression.observations.columns[:0])
    density = replace(density, dispersions=with_bends(density.dispersions, regression.family, scores))
    return WorkingModel(found.outcomes, density, find_modes(density, np.random.default_rng(0)), found.settled)


@dataclass(frozen=True, slots=True, eq=False)
class _Turned:
    """Where turns ended: linear predictors, and their variances before the last one (n,); working outcomes, the
    likelihood with its dispersions, the density, and its mode before the last one."""

    mean: np.ndarray
    variance: np.ndarray
    outcomes: WorkingOutcomes
    likelihood: ExpectedLikelihood
    density: WorkingDensity
    mode: Mode
    settled: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Turns:
    """Turns of some rows; `first` where those of all follow."""

    regression: Regression
    threads: int
    first: bool = False

    def of_few(self, guess: np.ndarray, looks: int) -> _Turned | None:
        """Turns of one row in some, if rows are very many: so many looks at each take a turn; None where they did not
        settle."""
        every = looks * len(guess) // _FEW
        if self.first or every <= 1:
            return None
        some = scattered(len(guess), every)
        of_some = replace(self.regression, observations=in_order(self.regression.observations, some))
        found = _Turns(of_some, self.threads, first=True).ended(guess[some])
        return found if found is not None and found.settled else None

    def ended(self, guess: np.ndarray) -> _Turned | None:
        """From some linear predictors (n,) on; None where a curvature has no sign."""
        observations, columns = self.regression.observations, self.regression.observations.columns
        mean, variance, modes, density = guess, np.zeros(len(guess)), list[Mode](), None
        family, link = self.regression.family, self.regression.link
        dispersions = Dispersions.at_starts(family, self.regression.priors, observations.y)
        # A turn that finds the curvature in dispersions anew looks at rows from both sides.
        few = self.of_few(guess, 1 + 2 * len(dispersions.centre))
        if few is not None:
            mean, modes, density = _mean_by(few, observations), [few.mode], few.density
            dispersions = density.dispersions
        likelihood = ExpectedLikelihood(observations.outcome_rows, link, dispersions, self.threads)
        turned, careful, settled = np.inf, few is None, False
        # A share of zeros or a slant waits for the first groups: without any, another parameter may take its place.
        waiting = any(family.parameters[r - 1].prior is None for r in dispersions.parameters)
        if few is None and not waiting:
            likelihood, turned = _fitted(likelihood, mean, variance)
        steps = DispersionSteps.from_start(likelihood.dispersions)
        outcomes = _outcomes(mean, *likelihood.projected(mean, variance, careful=careful))
        before = np.full(3, np.inf)
        for turn in range(_TURNS):
            look()
            if outcomes is None:
                return None
            rows = normal_rows(outcomes, observations)
            density = self.density(rows, likelihood.dispersions, density)
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
            anew = turned > (_SETTLED if steps.back else _NEAR)
            following = columns[: len(columns) if anew else 0]
            scores = partial(likelihood.scores, toward, variance, following)
            steps, turned = steps.taken(scores, following * outcomes.precisions @ following.T, anew=anew)
            likelihood = replace(likelihood, dispersions=steps.dispersions)
            was, careful = careful, careful and max(moved.max(), together) > _NEAR
            mean, outcomes = _moved(likelihood, outcomes, mean, toward, variance, careful=careful)
            went = np.array([moved.max(), together, turned])
            with np.errstate(invalid="ignore", over="ignore"):  # dispersions may have gone without end, twice
                ahead = went * np.minimum(1.0, went / np.maximum(before - went, _NOTHING))  # if turns get no slower
            enough = _ENOUGH if self.first else _SETTLED
            settled, before = turn > 0 and (self.first or not was) and ahead.max() < enough, went
            if settled:
                break
        if outcomes is None:
            return None
        density = self.density(normal_rows(outcomes, observations), likelihood.dispersions, density)
        if density is None:
            return None
        return _Turned(mean, variance, outcomes, likelihood, density, modes[0], settled)

    def density(self, rows: Rows, dispersions: Dispersions, before: WorkingDensity | None) -> WorkingDensity | None:
        """Of normal rows; one that was made before saves some of the work."""
        if not np.isfinite(rows.values).all():
            return None
        design, priors, known = self.regression.design, self.regression.priors, self.regression.statistics
        products = reduce_rows(rows.values, rows.codes, known.columns, known.cells, weights=rows.weights, threads=1)
        return density_of(products, design, priors, dispersions, self.threads, before)


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
