"""Log likelihoods of a family beside those of working outcomes, by the levels of one factor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from poolwise.density.latent.observations import Observations
from poolwise.density.working.dispersions import Dispersions
from poolwise.density.working.kernels import remainders
from poolwise.density.working.outcomes import WorkingModel, WorkingOutcomes, in_order
from poolwise.density.working.regression import Regression
from poolwise.design.design import Design
from poolwise.families import Link

# Flops of a row's likelihood, about; and of polynomials in the time of one with dispersions, which takes 4 to 15 times
# as long as a logistic one.
_PER_ROW, _WITH_DISPERSIONS = 20.0, 150.0


Ratios = Callable[[np.ndarray], np.ndarray]


class Remainders(Protocol):
    """What the family's log likelihood has beyond that of the working outcomes."""

    @property
    def levels(self) -> int:
        """G, of the factor that is the leaf of the working model; one without."""

    @property
    def constant(self) -> float:
        """What the log likelihood has beyond `ratios`."""

    @property
    def cost(self) -> float:
        """Flops of a draw's ratios, about."""

    @property
    def time(self) -> float:
        """Flops of polynomials that take as long, about."""

    @property
    def shared_cost(self) -> float:
        """Flops of what draws of the leaf's effects share that have all else in common."""

    def ratios(self, logs: np.ndarray, beta: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """(m, G) logs of the likelihood over that of the working outcomes.

        Parameters
        ----------
        logs : (m, k) of dispersions.
        beta : (m, p) coefficients as written.
        effects : (U, m) that theta speaks of, factor by factor, then the coefficients of structured terms.
        """

    def given(self, logs: np.ndarray, beta: np.ndarray, effects: np.ndarray) -> Ratios:
        """The same as a function of effects of which those of the leaf alone are others than these."""


@dataclass(frozen=True, slots=True, eq=False)
class RowRemainders:
    """Remainders that are computed row by row.

    Attributes
    ----------
    observations, outcomes : rows in the order of the leaf's levels, and their working outcomes.
    dispersions : of the family.
    plain : (p,) which coefficients the columns of the observations have; the others are among the effects.
    bounds : (G + 1,) where the rows of each level begin.
    constants : (G,) what the normal log likelihoods of a level's rows have beside their squares.
    likelihood : address of the family's kernel of values alone, or zero.
    link : of the mean.
    """

    observations: Observations
    outcomes: WorkingOutcomes
    dispersions: Dispersions
    plain: np.ndarray
    bounds: np.ndarray
    constants: np.ndarray
    likelihood: int
    link: Link

    @classmethod
    def of(cls, model: WorkingModel, regression: Regression, some: np.ndarray | None = None) -> RowRemainders:
        """Of the rows of a working model; of some, (n,) truth values, without the constant of the likelihood."""
        observations, family = regression.observations, regression.family
        levels, of_cell = leaf_levels(model, regression.design)
        codes = of_cell[observations.codes]
        order = np.argsort(codes, kind="stable")
        if some is not None:
            order = order[some[order]]
        rows = in_order(observations, order)
        outcomes = model.outcomes.take(order)
        bounds = np.searchsorted(codes[order], np.arange(levels + 1)).astype(np.int64)
        below = np.concatenate([[0.0], np.cumsum(0.5 * np.log(outcomes.precisions / (2 * np.pi)))])
        exact = int(observations.terms[0, 2]) == family.callback.address  # and not within intervals
        likelihood = 0 if family.likelihood is None or not exact else family.likelihood.address
        dispersions = model.density.dispersions
        rows = rows if some is None else replace(rows, constant=0.0)
        plain, constants = ~regression.priors.scaled, np.diff(below[bounds])
        return cls(rows, outcomes, dispersions, plain, bounds, constants, likelihood, regression.link)

    @property
    def levels(self) -> int:
        """G."""
        return len(self.bounds) - 1

    @property
    def constant(self) -> float:
        """That of the rows."""
        return self.observations.constant

    @property
    def cost(self) -> float:
        """Flops of a draw's ratios, about."""
        return len(self.observations.y) * (_PER_ROW + self._of_columns)

    @property
    def time(self) -> float:
        """Flops of polynomials that take as long as a draw's ratios, about."""
        per_row = _WITH_DISPERSIONS if len(self.dispersions.centre) else _PER_ROW
        return len(self.observations.y) * (per_row + self._of_columns)

    @property
    def _of_columns(self) -> float:
        return 2.0 * (len(self.observations.columns) + len(self.observations.slot_values))

    @property
    def shared_cost(self) -> float:
        """None."""
        return 0.0

    def given(self, logs: np.ndarray, beta: np.ndarray, effects: np.ndarray) -> Ratios:
        """A function of effects (U, m)."""
        return partial(self.ratios, logs, beta)

    def ratios(self, logs: np.ndarray, beta: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """(m, G)."""
        rows = self.observations
        of_columns = np.linalg.solve(rows.to_written, beta[:, self.plain].T)
        out = np.empty((len(beta), self.levels))
        remainders(
            int(rows.terms[0, 2]),
            self.likelihood,
            self.link.code,
            rows.y,
            rows.trials,
            rows.weights,
            rows.known,
            rows.columns,
            rows.slot_values,
            rows.slot_places,
            self.outcomes.values,
            self.outcomes.precisions,
            self.outcomes.moves,
            self.constants,
            self.bounds,
            np.ascontiguousarray(of_columns),
            effects,
            self.dispersions.of_parameters(logs, len(rows.known)),
            np.ascontiguousarray(self.dispersions.away(logs).T),
            out,
        )
        return out


def leaf_levels(model: WorkingModel, design: Design) -> tuple[int, np.ndarray]:
    """Levels of the leaf, and the one (C,) of each cell; one level where there is no leaf."""
    leaf = model.density.normal.leaf
    if leaf < 0:
        return 1, np.zeros(max([1, *(len(factor.codes) for factor in design.factors)]), dtype=np.int64)
    return len(design.factors[leaf].levels), design.factors[leaf].codes
