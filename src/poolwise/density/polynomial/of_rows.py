"""Polynomials in the place of rows in memory, where they are close and cost less; other cells keep their rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from poolwise.density.latent.observations import Observations, OutcomeRows
from poolwise.density.polynomial.coordinates import CellMoments, Coordinates, WeightMaps
from poolwise.density.polynomial.expansion import Sums, count_of, errors_of, normal_terms
from poolwise.density.polynomial.hermite import MOST_NODES, Exponents, Normals, hermite_terms, nodes_for, terms_for
from poolwise.density.polynomial.remainders import PolynomialRemainders, Together, polynomial_cost
from poolwise.density.working.density import WorkingDensity
from poolwise.density.working.dispersions import Dispersions
from poolwise.density.working.expected import ExpectedLikelihood
from poolwise.density.working.outcomes import WorkingModel, WorkingOutcomes
from poolwise.density.working.regression import Regression
from poolwise.density.working.remainders import Remainders, RowRemainders, leaf_levels
from poolwise.density.working.turns import scattered
from poolwise.families import Link
from poolwise.samplers.mode import Mode
from poolwise.support.threads import map_slices

_ORDERS, _MOST = (4, 5, 6, 7, 8), 1000  # of polynomials, and the most monomials
_CLOSE = 0.015  # standard deviation of all that is left out together, as it is known beforehand
_TRIED = 200_000  # rows that an order is chosen by, where there are no dispersions: fewer by the nodes that these take
_FEWER = 0.5  # of the rows' time, that polynomials may take at the most
_WIDE, _AVERAGED = 2.0, 32  # sds of thetas over which moments are taken, and how many
_UNLIKELY = 20.0  # below the log density at the mode
CHUNK = 1 << 14  # rows, which stay in the cache with what is computed of them
_LANES = 2  # fixed, so that sums do not depend on the number of threads


def orders_for(variables: int, dispersions: int) -> list[int]:
    """Orders that polynomials of so many variables may have."""
    return [order for order in _ORDERS if count_of(variables, order, dispersions) <= _MOST]


def polynomials_of(
    model: WorkingModel, regression: Regression, of_rows: RowRemainders, threads: int
) -> Remainders | None:
    """Remainders of a working model, of which few rows are looked at; None where these would be no less costly.

    Parameters
    ----------
    of_rows : remainders by rows.
    """
    observations, total = regression.observations, regression.statistics
    coordinates, dispersions = Coordinates.of(total.merged()), model.density.dispersions
    k = len(dispersions.centre)
    cells, rows = len(total.counts), len(observations.y)
    counts, row = np.bincount(observations.codes, minlength=cells), of_rows.time / rows
    orders = orders_for(coordinates.size, k)
    if not orders or nodes_for(k, orders[-1]) > MOST_NODES:
        return None
    least = np.minimum(counts * row, polynomial_cost(count_of(coordinates.size, orders[0], k), coordinates.size))
    if least.sum() >= _FEWER * of_rows.time:
        return None
    moments = CellMoments.of(model.density, thetas_of(model.density, model.modes[0]), coordinates, cells)
    root, inverse = moments.roots()
    expansion = RowExpansion(moments, root, coordinates, regression.link, dispersions)
    tried = scattered(rows, max(1, rows * nodes_for(k, orders[-1]) // (_TRIED * nodes_for(0, orders[-1]))))
    order = expansion.best_order(*_some(observations, tried), counts, row)

    def lane(_: int, part: slice) -> Sums:
        found = Sums.empty(coordinates.size, order, k, cells)
        for start in range(part.start, part.stop, CHUNK):
            chunk = slice(start, min(start + CHUNK, part.stop))
            positions = np.arange(chunk.start, chunk.stop)
            outcomes = model.outcomes.take(positions)
            expansion.add(found, *_some(observations, positions), partial(_known, outcomes))
        return found

    first, *others = map_slices(lane, rows, max(1, -(-rows // _LANES)), threads)
    sums = sum(others, first)
    kept = by_rows(sums.errors, sums.rows, expansion.cost(order), row)
    some = np.flatnonzero(~kept)
    if not len(some):
        return None
    maps, leaf = WeightMaps.of(coordinates, regression.design, regression.priors), leaf_levels(model, regression.design)
    few = PolynomialRemainders.of(sums, some, maps, moments, inverse, dispersions, leaf, observations.constant)
    found: Remainders = few
    if kept.any():
        of_kept = kept[observations.codes]
        found = Together((few, RowRemainders.of(model, regression, of_kept)))
    return found if few.cost + row * counts[kept].sum() < _FEWER * of_rows.time else None


def _known(outcomes: WorkingOutcomes, _: Normals) -> WorkingOutcomes:
    return outcomes


def _some(observations: Observations, positions: np.ndarray) -> tuple[OutcomeRows, np.ndarray, np.ndarray]:
    """Rows at some positions: what the kernel takes, columns and cells."""
    return observations.outcome_rows.take(positions), observations.wide[positions], observations.codes[positions]


def thetas_of(density: WorkingDensity, mode: Mode, count: int = _AVERAGED, seed: int = 0) -> np.ndarray:
    """(m, .) thetas around a mode, further out than most of the posterior, but none that hardly ever occurs: where a
    standard deviation that is close to zero there is none, and where one is that data contradict."""
    noise = np.random.default_rng(seed).standard_normal((count, len(mode.point)))
    noise[0] = 0.0
    points = mode.point + _WIDE * noise @ np.linalg.cholesky(mode.covariance).T
    values = density.log_density(points)
    return np.asarray(points[values > values[0] - _UNLIKELY])


@dataclass(frozen=True, slots=True, eq=False)
class RowExpansion:
    """How rows become polynomials.

    Attributes
    ----------
    moments, root : of the weights of cells.
    coordinates : of these weights.
    link : of the mean.
    dispersions : about where they lie.
    """

    moments: CellMoments
    root: np.ndarray
    coordinates: Coordinates
    link: Link
    dispersions: Dispersions

    def terms(
        self, rows: OutcomeRows, x: np.ndarray, codes: np.ndarray, order: int
    ) -> tuple[Normals, dict[Exponents, np.ndarray]]:
        """What is known of rows, and Hermite coefficients of their log likelihoods.

        Parameters
        ----------
        x : (n, d).
        """
        mean, sd = self.moments.of_rows(x, codes)
        normals = Normals(mean + rows.known[0], sd, self.dispersions.centre, self.dispersions.sd)
        likelihood = ExpectedLikelihood(rows, self.link, self.dispersions)
        return normals, hermite_terms(likelihood.slopes, normals, terms_for(order))

    def add(
        self,
        sums: Sums,
        rows: OutcomeRows,
        wide: np.ndarray,
        codes: np.ndarray,
        outcomes_of: Callable[[Normals], WorkingOutcomes],
    ) -> WorkingOutcomes:
        """Add rows to sums, beside their working outcomes, which are returned."""
        x = self.coordinates.columns(wide)
        normals, terms = self.terms(rows, x, codes, sums.whole.order)
        outcomes = outcomes_of(normals)
        moves = outcomes.moves_by(self.dispersions.sd)
        less = normal_terms(outcomes.values - normals.mean, outcomes.precisions, moves)
        sums.add(x, codes, terms, normals.sd, less, self.root)
        return outcomes

    def cost(self, order: int) -> float:
        """Flops of a cell's polynomials, about."""
        d = self.coordinates.size
        return polynomial_cost(count_of(d, order, len(self.dispersions.centre)), d)

    def best_order(self, rows: OutcomeRows, wide: np.ndarray, codes: np.ndarray, counts: np.ndarray, row: float) -> int:
        """The order by which draws cost least, as some of the rows tell.

        Parameters
        ----------
        rows, wide, codes : of these (n,).
        counts : (C,) all rows of each cell.
        row : flops of a row.
        """
        orders = orders_for(self.coordinates.size, len(self.dispersions.centre))
        errors = dict.fromkeys(orders, np.zeros(len(counts)))
        for start in range(0, len(codes), CHUNK):
            some = np.arange(start, min(start + CHUNK, len(codes)))
            _, terms = self.terms(rows.take(some), self.coordinates.columns(wide[some]), codes[some], max(orders))
            for order, own in errors.items():
                errors[order] = own + errors_of(terms, codes[some], order, len(counts))
        times = counts.sum() / len(codes)

        def cost(order: int) -> float:
            each = self.cost(order)
            kept = by_rows(times * errors[order], counts, each, row)
            return float(each * (~kept).sum() + row * counts[kept].sum())

        return min(orders, key=cost)


def by_rows(errors: np.ndarray, rows: np.ndarray, polynomial: float, row: float, close: float = 1.0) -> np.ndarray:
    """(C,) which cells keep their rows: those of few, and the worst ones until what is left out is small together.

    Parameters
    ----------
    errors, rows : (C,) of what is left out of each cell, and their number.
    polynomial, row : flops of a cell's polynomial, and of a row.
    close : share of what may be left out mostly.
    """
    most = (close * _CLOSE) ** 2
    few = rows * row < polynomial
    kept = few | ~np.isfinite(errors)
    squares = np.square(np.where(kept, 0.0, errors))
    order = np.argsort(-squares, kind="stable")
    left = squares.sum() - np.cumsum(squares[order])  # with so many of the worst taken away
    worst = 0 if squares.sum() <= most else 1 + int(np.argmax(left <= most))
    kept[order[:worst]] = True
    return np.asarray(kept)
