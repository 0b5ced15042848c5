"""Working outcomes: the normal likelihood that is closest to a family's where the posterior has its rows.

If the linear predictor of a row is about Normal(m, v) under the posterior, the quadratic that is closest to its log
likelihood in mean square there has the mean slope g and the mean curvature -h over that distribution: it is the
Hermite expansion up to its second term, and what is left is orthogonal to every quadratic. So a row is worth an outcome
m + g / h with precision h. As m and v follow from the normal model of these outcomes, they are found in turns
(`turns.py`); with v = 0 these are the turns of iteratively reweighted least squares. Dispersions that all rows share
take a step of Newton's in each turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from poolwise.density.gaussian import gaussian
from poolwise.density.latent.observations import Observations
from poolwise.density.priors import ModelPriors
from poolwise.density.working.density import WorkingDensity, with_sigma
from poolwise.density.working.dispersions import Dispersions
from poolwise.design.design import Design, Rows
from poolwise.samplers.mode import Mode
from poolwise.statistics.products import CrossProducts


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


def normal_rows(outcomes: WorkingOutcomes, observations: Observations) -> Rows:
    """Rows of the normal model, whose known parts are taken away from the outcomes."""
    values = np.column_stack([observations.wide, outcomes.values - observations.known[0]])
    return Rows(np.ascontiguousarray(values), observations.codes, 0, outcomes.precisions)


def density_of(
    products: CrossProducts,
    design: Design,
    priors: ModelPriors,
    dispersions: Dispersions,
    threads: int,
    before: WorkingDensity | None = None,
) -> WorkingDensity | None:
    """The density by statistics of working outcomes, less known parts of linear predictors; None where it costs too
    much. One of the same design that was made before saves some of the work."""
    like = None if before is None else before.normal
    found = gaussian(products, design, with_sigma(priors), threads=threads, like=like)
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
