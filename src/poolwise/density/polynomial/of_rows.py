"""Polynomials in the place of rows in memory, where they are close and cost less; other cells keep their rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from poolwise.density.latent.observations import Observations
from poolwise.density.polynomial.coordinates import CellMoments, Coordinates, WeightMaps
from poolwise.density.polynomial.expansion import Sums, hermite_terms, normal_terms, terms_for
from poolwise.density.polynomial.monomials import Monomials
from poolwise.density.polynomial.remainders import PolynomialRemainders, Together
from poolwise.density.priors import ModelPriors
from poolwise.density.working.expected import ExpectedLikelihood
from poolwise.density.working.outcomes import WorkingModel
from poolwise.density.working.remainders import Remainders, RowRemainders, leaf_levels
from poolwise.design.design import Design
from poolwise.families import Family, Link
from poolwise.samplers.mode import Mode
from poolwise.statistics.products import CrossProducts
from poolwise.support.threads import map_slices

_ORDERS = (6, 500), (4, 1000)  # of polynomials, and the most monomials that each may have
_CLOSE = 0.03  # standard deviation of all that is left out together, as it is known beforehand
_FEWER = 0.5  # of the rows' cost, that polynomials may have at the most
_AVERAGED = 16  # thetas, over which moments are taken
_CHUNK = 1 << 14  # rows, which stay in the cache
_LANES = 2  # fixed, so that sums do not depend on the number of threads


def order_for(variables: int) -> int | None:
    """The order of polynomials of so many variables; None where there would be too many monomials."""
    return next((order for order, most in _ORDERS if Monomials.count(variables, order) <= most), None)


def polynomials_of(
    model: WorkingModel,
    observations: Observations,
    design: Design,
    priors: ModelPriors,
    family: Family,
    link: Link,
    total: CrossProducts,
    threads: int,
) -> Remainders | None:
    """Remainders of a working model, of which few rows are looked at; None where these would be no less costly.

    Parameters
    ----------
    total : statistics of the rows, by cells.
    """
    coordinates = Coordinates.of(total.merged())
    order = order_for(coordinates.size)
    if order is None or len(model.density.dispersions.centre):
        return None
    cells = len(total.counts)
    monomials = Monomials.of(coordinates.size, order)
    moments = CellMoments.of(model.density, thetas_of(model.modes[0]), coordinates, cells)
    root, inverse = moments.roots()
    add = _adder(model, observations, link, coordinates, moments, root)

    def lane(_: int, part: slice) -> Sums:
        found = Sums.empty(monomials, cells)
        for start in range(part.start, part.stop, _CHUNK):
            add(found, slice(start, min(start + _CHUNK, part.stop)))
        return found

    rows = len(observations.y)
    first, *others = map_slices(lane, rows, max(1, -(-rows // _LANES)), threads)
    sums = sum(others, first)
    of_rows = RowRemainders.of(model, observations, design, priors, family, link)
    levels, of_cell = leaf_levels(model, design)
    maps = WeightMaps.of(coordinates, design, priors)
    each = PolynomialRemainders(
        maps,
        monomials,
        sums.polynomials * monomials.multinomial,
        moments.means,
        inverse,
        of_cell,
        levels,
        observations.constant,
    )
    kept = by_rows(sums, each.cost / cells, of_rows.cost / rows)
    some = np.flatnonzero(~kept)
    if not len(some):
        return None
    few = replace(
        each,
        maps=replace(maps, places=np.take(maps.places, some, axis=1)),
        polynomials=each.polynomials[some],
        origin=each.origin[some],
        inverse=each.inverse[some],
        of_cell=of_cell[some],
    )
    if not kept.any():
        found: Remainders = few
    else:
        of_kept = kept[observations.codes]
        found = Together((few, RowRemainders.of(model, observations, design, priors, family, link, of_kept)))
    return found if found.cost < _FEWER * of_rows.cost else None


def thetas_of(mode: Mode) -> np.ndarray:
    """(m, .) some that stand for the posterior around a mode."""
    noise = np.random.default_rng(0).standard_normal((_AVERAGED, len(mode.point)))
    return np.asarray(mode.point + noise @ np.linalg.cholesky(mode.covariance).T)


def _adder(
    model: WorkingModel,
    observations: Observations,
    link: Link,
    coordinates: Coordinates,
    moments: CellMoments,
    root: np.ndarray,
) -> Callable[[Sums, slice], None]:
    """What adds some rows to sums."""
    likelihood = ExpectedLikelihood(observations.outcome_rows, link, model.density.dispersions)

    def add(sums: Sums, part: slice) -> None:
        x, codes = coordinates.columns(observations.wide[part]), observations.codes[part]
        mean, sd = moments.of_rows(x, codes)
        mean += observations.known[0, part]

        def slopes(predictors: np.ndarray) -> np.ndarray:
            return likelihood.slopes(predictors, part)

        terms = hermite_terms(slopes, mean, sd, terms_for(sums.monomials.order))
        precisions = model.outcomes.precisions[part]
        sums.add(x, codes, terms, sd, normal_terms(model.outcomes.values[part] - mean, precisions), root)

    return add


def by_rows(sums: Sums, polynomial: float, row: float) -> np.ndarray:
    """(C,) which cells keep their rows: those of few, and the worst ones until what is left out is small together.

    Parameters
    ----------
    polynomial, row : flops of a cell's polynomial, and of a row.
    """
    few = sums.rows * row < polynomial
    errors = np.where(few | ~np.isfinite(sums.errors), 0.0, sums.errors)
    order = np.argsort(-errors, kind="stable")
    squares = np.square(errors[order])
    left = squares.sum() - np.cumsum(squares)  # with so many of the worst taken away
    worst = 0 if squares.sum() <= _CLOSE**2 else 1 + int(np.argmax(left <= _CLOSE**2))
    kept = few | ~np.isfinite(sums.errors)
    kept[order[:worst]] = True
    return np.asarray(kept)
