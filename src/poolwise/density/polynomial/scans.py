"""Working outcomes and polynomials of rows that are read in batches, as often as it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from poolwise.density.latent.constant import constant_of
from poolwise.density.latent.observations import OutcomeRows, outcome_rows
from poolwise.density.polynomial.coordinates import CellMoments, Coordinates, WeightMaps
from poolwise.density.polynomial.expansion import Sums
from poolwise.density.polynomial.hermite import Normals
from poolwise.density.polynomial.kernels import add_log_likelihoods
from poolwise.density.polynomial.of_rows import CHUNK, RowExpansion
from poolwise.density.working.dispersion_steps import probes_at
from poolwise.density.working.dispersions import Dispersions
from poolwise.density.working.expected import ExpectedLikelihood
from poolwise.density.working.outcomes import WorkingOutcomes
from poolwise.design.design import Design, Rows
from poolwise.families import Family, Link
from poolwise.statistics.reduce import Reducer


@dataclass(frozen=True, slots=True, eq=False)
class RowModel:
    """What rows of a batch are to a model.

    Attributes
    ----------
    design, family, link : of the model.
    dispersions : about where they lie.
    coordinates : of the weights of cells.
    """

    design: Design
    family: Family
    link: Link
    dispersions: Dispersions
    coordinates: Coordinates

    def outcomes(self, rows: Rows) -> OutcomeRows:
        """What the kernel takes."""
        return outcome_rows(self.design, rows, self.family)

    def likelihood(self, rows: OutcomeRows) -> ExpectedLikelihood:
        """Of these."""
        return ExpectedLikelihood(rows, self.link, self.dispersions)

    def constant(self, rows: OutcomeRows) -> float:
        """What the log likelihood has beyond the kernel's value."""
        return constant_of(self.family, rows.y, rows.trials, rows.weights, rows)


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A lane that sums working outcomes, for linear predictors of some moments.

    Attributes
    ----------
    model, moments : of the rows, and of the weights of their cells.
    reducer : the sums.
    slopes : (1 + 2 k, k) sums of slopes of expected log likelihoods in logs of dispersions, at their probes.
    """

    model: RowModel
    moments: CellMoments
    reducer: Reducer
    slopes: np.ndarray

    def __call__(self, rows: Rows) -> None:
        """Add a batch."""
        taken = self.model.outcomes(rows)
        mean, sd = self.moments.of_rows(self.model.coordinates.columns(rows.values[:, :-1]), rows.codes)
        mean += taken.known[0]
        self.reduce(rows, taken, working_outcomes(self.model.likelihood(taken), mean, sd**2))
        if self.slopes.size:
            likelihood = self.model.likelihood(taken)
            probes, none = probes_at(self.model.dispersions.centre), np.empty((0, len(mean)))
            self.slopes[:] += [likelihood.scores(mean, sd**2, none, logs) for logs in probes]

    def reduce(self, rows: Rows, taken: OutcomeRows, outcomes: WorkingOutcomes) -> None:
        """Add working outcomes to the sums."""
        values = np.column_stack([rows.values[:, :-1], outcomes.values - taken.known[0]])
        self.reducer.add(values, rows.codes, outcomes.precisions)


def working_outcomes(likelihood: ExpectedLikelihood, mean: np.ndarray, variance: np.ndarray) -> WorkingOutcomes:
    """Of rows whose linear predictors have some means and variances (n,)."""
    slope, curvature = likelihood.projected(mean, variance)
    return WorkingOutcomes(mean + slope / curvature, curvature)


@dataclass(frozen=True, slots=True, eq=False)
class Expansion:
    """A lane that sums working outcomes and polynomials.

    Attributes
    ----------
    turn : that sums the first.
    rows : how rows become polynomials.
    sums : of these.
    """

    turn: Turn
    rows: RowExpansion
    sums: Sums

    def __call__(self, rows: Rows) -> None:
        """Add a batch."""
        for start in range(0, len(rows.codes), CHUNK):
            self._add(rows.take(np.arange(start, min(start + CHUNK, len(rows.codes)))))

    def _add(self, rows: Rows) -> None:
        taken = self.turn.model.outcomes(rows)
        likelihood = self.turn.model.likelihood(taken)

        def outcomes_of(normals: Normals) -> WorkingOutcomes:
            return working_outcomes(likelihood, normals.mean, normals.sd**2)

        outcomes = self.rows.add(self.sums, taken, rows.values[:, :-1], rows.codes, outcomes_of)
        self.turn.reduce(rows, taken, outcomes)


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A lane that keeps the rows of some cells.

    Attributes
    ----------
    cells : (C,) whether a cell's rows are kept.
    rows : those that were met.
    """

    cells: np.ndarray
    rows: list[Rows] = field(default_factory=list)

    def __call__(self, rows: Rows) -> None:
        """Look at a batch."""
        self.rows.append(rows.take(np.flatnonzero(self.cells[rows.codes])))


@dataclass(frozen=True, slots=True, eq=False)
class LogLikelihoods:
    """A lane that sums log likelihoods of rows at some draws.

    Attributes
    ----------
    model : of the rows.
    cells : (C,) which cells' rows are left out.
    maps : from coefficients and effects to the weights of cells.
    base, effects : (d, m) weights that all cells share, and (U, m) effects that theta speaks of.
    logs : (m, k) of dispersions.
    totals : (m,), without `constants`, one for each batch.
    counts : rows of each batch.
    """

    model: RowModel
    cells: np.ndarray
    maps: WeightMaps
    base: np.ndarray
    effects: np.ndarray
    logs: np.ndarray
    totals: np.ndarray
    constants: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def __call__(self, rows: Rows) -> None:
        """Add a batch."""
        self.counts.append(len(rows.codes))
        rows = rows.take(np.flatnonzero(~self.cells[rows.codes]))
        taken, family = self.model.outcomes(rows), self.model.family
        own = np.zeros_like(self.totals)
        add_log_likelihoods(
            taken.address,
            0 if family.likelihood is None else family.likelihood.address,
            self.model.link.code,
            taken.y,
            taken.trials,
            taken.weights,
            taken.known,
            self.model.coordinates.columns(rows.values[:, :-1]),
            rows.codes,
            self.base,
            self.effects,
            self.maps.slots,
            self.maps.places,
            self.model.dispersions.of_parameters(self.logs, len(taken.known)),
            own,
        )
        self.totals[:] += own
        self.constants.append(self.model.constant(taken))

    @property
    def constant(self) -> float:
        """That of all rows so far."""
        return math.fsum(self.constants)
