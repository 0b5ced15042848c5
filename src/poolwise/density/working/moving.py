"""Working outcomes that move with dispersions, as linear predictors do that rows tell together with these.

Thresholds between categories lie closer together where the linear predictors of all rows are nearer to zero: at gaps
away from their centre a working model with the outcomes of the centre proposes coefficients that rows hardly allow.
The slope of a row's log likelihood in its linear predictor changes with the log of a dispersion by c, and so its
working outcome by c / h, for a curvature h. Summed over rows these changes are a regression of the outcomes on
columns c / h, whose coefficients are what the dispersions lie away from their centre: a normal model as before, with
more coefficients, of which theta has the values. c of single rows is mostly noise, which would be taken for information
on dispersions; what it is by the linear predictor and the other columns is as good, as these alone move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import block_diag

from poolwise.density.gaussian import gaussian
from poolwise.density.priors import ModelPriors
from poolwise.density.working.density import WorkingDensity, with_differences, with_sigma
from poolwise.density.working.dispersion_steps import LEAST, shares_told
from poolwise.density.working.expected import ExpectedLikelihood
from poolwise.density.working.outcomes import WorkingModel, normal_rows
from poolwise.density.working.regression import Regression
from poolwise.design.design import Design
from poolwise.priors import Normal
from poolwise.samplers.mode import find_modes
from poolwise.statistics.reduce import reduce_rows

_POWERS = 3  # of linear predictors, by which changes are told
_ROUNDING = 1e-6  # of the standard deviation to which a row tells its linear predictor, that these differ by at least
# Share of the information on dispersions that linear predictors tell, from which a larger model is worth it: a shape is
# all but apart.
_WORTH = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class MovingDensity(WorkingDensity):
    """The density of theta where the last coefficients of the normal model are what dispersions lie away from their
    centre, given by theta.

    Attributes
    ----------
    middle, information : (k,) and (k, k) of the normal prior that these have there: what rows tell of them at any
        linear predictors.
    """

    middle: np.ndarray
    information: np.ndarray

    @property
    def kept_size(self) -> int:
        """Numbers that draws of the kept coefficients are made of."""
        return self.normal.kept_size - len(self.information)

    @property
    def common_size(self) -> int:
        """The same of the common ones, the last of these."""
        return len(self.normal.basis.reference) - len(self.information)

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Values at points (m, .), (m,)."""
        values = self.drawn(points, np.zeros((len(points), self.kept_size)))[0]
        return values + self.dispersions.beyond(self.logs(points)) if self.dispersions.bends else values

    def values_and_gradients(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same with gradients at points together."""
        return with_differences(self.log_density, points)

    def drawn(self, points: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values (m,), and by standard normals (m, n) kept coefficients and common ones as written."""
        basis, k = self.normal.basis, len(self.information)
        to_written = basis.to_written[-k:, -k:]
        away = self.dispersions.away(self.logs(points)) - basis.reference[-k:]
        working = away @ np.linalg.inv(to_written).T  # few by few: nothing for threads of BLAS
        values, kept = self.normal.common_from(self.full(points), np.hstack([noise, working]), k)
        values = self.without_sigma(values) - np.log(np.diag(to_written)).sum()
        values = np.where(np.isnan(values), -np.inf, values)  # where a factorisation fails there is no density
        return values, kept, basis.written(self.normal.common_of(kept))[:, :-k]

    def predictor_moments(
        self, points: np.ndarray, columns: np.ndarray, codes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means, less known parts, and variances (m, n) of linear predictors of columns (n, K) in some cells (n,)."""
        stay = np.zeros((len(columns), len(self.information)))
        return WorkingDensity.predictor_moments(self, points, np.hstack([columns, stay]), codes)

    def log_prior_of_dispersions(self, logs: np.ndarray) -> np.ndarray:
        """(m,) log densities of logs (m, k) under their priors, over those that the normal model has for them."""
        away = self.dispersions.away(logs) - self.middle
        normal = np.linalg.slogdet(self.information / (2 * np.pi))[1] - np.einsum(
            "mi,ij,mj->m", away, self.information, away
        )
        return self.dispersions.log_prior(logs) - 0.5 * normal


def with_moves(model: WorkingModel, regression: Regression, threads: int) -> WorkingModel | None:
    """The same working model with outcomes that move with dispersions; None where there are none of these, or where
    linear predictors tell next to nothing of them."""
    observations, priors, known = regression.observations, regression.priors, regression.statistics
    dispersions = model.density.dispersions
    k = len(dispersions.centre)
    if not k:
        return None
    mean, variance = model.density.row_moments(model.modes[0].point, normal_rows(model.outcomes, observations))
    mean = mean + observations.known[0]
    likelihood = ExpectedLikelihood(observations.outcome_rows, regression.link, dispersions, threads)
    precisions = model.outcomes.precisions
    moves = _smoothed(likelihood.crossed(mean, variance) / precisions, mean, observations.columns, precisions)
    if not np.isfinite(moves).all():
        return None
    values, wide = shares_told(dispersions.precision, (moves * precisions) @ moves.T)
    if values.max() < _WORTH:
        return None
    information = dispersions.falling((wide * np.maximum(1.0 - values, LEAST)) @ wide.T)
    # Where linear predictors are at their means, outcomes that move do not change the expected log likelihood.
    middle = np.linalg.solve(information, moves @ (precisions * (model.outcomes.values - mean)))
    outcomes = replace(model.outcomes, moves=moves)
    rows = normal_rows(outcomes, observations)
    values = np.column_stack([rows.values[:, :-1], -moves.T, rows.values[:, -1:]])
    names = tuple(f"{name} moved" for name in priors.layout.dispersions)
    columns = (*known.columns[:-1], *names, known.columns[-1])
    products = reduce_rows(
        np.ascontiguousarray(values), rows.codes, columns, known.cells, weights=rows.weights, threads=1
    )
    more = _with_more(with_sigma(priors), names, middle, information)
    normal = gaussian(products, _wider(regression.design, names), more, threads=threads)
    density = MovingDensity(normal, priors.layout, priors.ties, dispersions, middle, information)
    return WorkingModel(outcomes, density, find_modes(density, np.random.default_rng(0)), model.settled)


def _smoothed(moves: np.ndarray, mean: np.ndarray, columns: np.ndarray, precisions: np.ndarray) -> np.ndarray:
    """(k, n) what moves (k, n) are by powers of linear predictors (n,) and columns (p, n), by least squares."""
    root = np.sqrt(precisions)
    middle = np.average(mean, weights=precisions)
    away = mean - middle
    # Without predictors they differ by rounding alone, whose powers would pass for columns.
    least = _ROUNDING / np.sqrt(precisions.mean())
    away = away / max(float(np.sqrt(np.average(np.square(away), weights=precisions))), least)
    basis = np.vstack([away**power for power in range(_POWERS + 1)] + list(columns))
    found = np.linalg.lstsq((basis * root).T, (moves * root).T, rcond=1e-8)[0]
    return np.ascontiguousarray(found.T @ basis)


def _wider(design: Design, names: tuple[str, ...]) -> Design:
    """A design with more columns and their coefficients."""
    k = len(names)

    def more(each: np.ndarray) -> np.ndarray:
        return np.vstack([each, np.zeros((k, each.shape[1]))])

    return replace(
        design,
        columns=(*design.columns, *names),
        coefficients=(*design.coefficients, *names),
        common_map=block_diag(design.common_map, np.eye(k)),
        factors=tuple(replace(factor, group_map=more(factor.group_map)) for factor in design.factors),
    )


def _with_more(priors: ModelPriors, names: tuple[str, ...], middle: np.ndarray, information: np.ndarray) -> ModelPriors:
    """Priors with those of more coefficients, which have a normal one of some mean and precision together."""
    k = len(names)
    root = np.linalg.cholesky(information).T
    size = float(np.exp(np.log(np.diag(root)).mean()))
    own = tuple(Normal(mean, 1 / size) for mean in (root @ middle / size).tolist())
    follows = np.concatenate([priors.follows, np.zeros((k, *priors.follows.shape[1:]))])
    return replace(
        priors,
        names=(*priors.names, *names),
        coefficients=(*priors.coefficients, *own),
        centred=(*priors.centred, *(False for _ in names)),
        rows=block_diag(priors.rows, root / size),
        follows=follows,
    )
