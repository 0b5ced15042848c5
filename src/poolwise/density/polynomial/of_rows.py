"""Polynomials in the place of rows in memory, where they are close and cost less; other cells keep their rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from poolwise.density.latent.observations import Observations
from poolwise.density.polynomial.coordinates import CellMoments, Coordinates, WeightMaps
from poolwise.density.polynomial.expansion import Sums, errors_of, hermite_terms, normal_terms, terms_for
from poolwise.density.polynomial.monomials import Monomials
from poolwise.density.polynomial.remainders import PolynomialRemainders, Together, polynomial_cost
from poolwise.density.priors import ModelPriors
from poolwise.density.working.expected import ExpectedLikelihood
from poolwise.density.working.outcomes import WorkingModel
from poolwise.density.working.remainders import Remainders, RowRemainders, leaf_levels
from poolwise.design.design import Design
from poolwise.families import Family, Link
from poolwise.samplers.mode import Mode
from poolwise.statistics.products import CrossProducts
from poolwise.support.threads import map_slices

_ORDERS, _MOST = (4, 5, 6, 7, 8), 1000  # of polynomials, and the most monomials
_CLOSE = 0.015  # standard deviation of all that is left out together, as it is known beforehand
_TRIED = 200_000  # rows that an order is chosen by
_FEWER = 0.5  # of the rows' cost, that polynomials may have at the most
WIDE, _AVERAGED = 2.0, 32  # sds of thetas over which moments are taken, and how many
_CHUNK = 1 << 14  # rows, which stay in the cache
_LANES = 2  # fixed, so that sums do not depend on the number of threads


def orders_for(variables: int) -> list[int]:
    """Orders that polynomials of so many variables may have."""
    return [order for order in _ORDERS if Monomials.count(variables, order) <= _MOST]


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
    if not orders_for(coordinates.size) or len(model.density.dispersions.centre):
        return None
    cells, rows = len(total.counts), len(observations.y)
    moments = CellMoments.of(model.density, thetas_of(model.modes[0]), coordinates, cells)
    root, inverse = moments.roots()
    of_rows = RowRemainders.of(model, observations, design, priors, family, link)
    tried = np.arange(0, rows, max(1, rows // _TRIED))
    taken, codes = observations.outcome_rows.take(tried), observations.codes[tried]
    mean, sd = moments.of_rows(coordinates.columns(observations.wide[tried]), codes)
    slopes = ExpectedLikelihood(taken, link, model.density.dispersions).slopes
    counts = np.bincount(observations.codes, minlength=cells)
    order = best_order(slopes, mean + taken.known[0], sd, codes, counts, coordinates.size, of_rows.cost / rows)
    monomials = Monomials.of(coordinates.size, order)
    add = _adder(model, observations, link, coordinates, moments, root)

    def lane(_: int, part: slice) -> Sums:
        found = Sums.empty(monomials, cells)
        for start in range(part.start, part.stop, _CHUNK):
            add(found, slice(start, min(start + _CHUNK, part.stop)))
        return found

    first, *others = map_slices(lane, rows, max(1, -(-rows // _LANES)), threads)
    sums = sum(others, first)
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
    kept = by_rows(sums.errors, sums.rows, each.cost / cells, of_rows.cost / rows)
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
    """(m, .) some around a mode, further out than most of the posterior: where a standard deviation that is close to
    zero there is none."""
    noise = np.random.default_rng(0).standard_normal((_AVERAGED, len(mode.point)))
    return np.asarray(mode.point + WIDE * noise @ np.linalg.cholesky(mode.covariance).T)


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


def best_order(
    slopes: Callable[[np.ndarray], np.ndarray],
    mean: np.ndarray,
    sd: np.ndarray,
    codes: np.ndarray,
    counts: np.ndarray,
    variables: int,
    row: float,
) -> int:
    """The order by which draws cost least, as some of the rows tell.

    Parameters
    ----------
    slopes, mean, sd, codes : of these (n,), as `hermite_terms` takes them, and their cells.
    counts : (C,) all rows of each cell.
    row : flops of a row.
    """
    orders = orders_for(variables)
    terms, times = hermite_terms(slopes, mean, sd, terms_for(max(orders))), counts.sum() / len(codes)

    def cost(order: int) -> float:
        each = polynomial_cost(Monomials.count(variables, order), variables)
        kept = by_rows(times * errors_of(terms, codes, order, len(counts)), counts, each, row)
        return float(each * (~kept).sum() + row * counts[kept].sum())

    return min(orders, key=cost)


def by_rows(errors: np.ndarray, rows: np.ndarray, polynomial: float, row: float) -> np.ndarray:
    """(C,) which cells keep their rows: those of few, and the worst ones until what is left out is small together.

    Parameters
    ----------
    errors, rows : (C,) of what is left out of each cell, and their number.
    polynomial, row : flops of a cell's polynomial, and of a row.
    """
    few = rows * row < polynomial
    kept = few | ~np.isfinite(errors)
    squares = np.square(np.where(kept, 0.0, errors))
    order = np.argsort(-squares, kind="stable")
    left = squares.sum() - np.cumsum(squares[order])  # with so many of the worst taken away
    worst = 0 if squares.sum() <= _CLOSE**2 else 1 + int(np.argmax(left <= _CLOSE**2))
    kept[order[:worst]] = True
    return np.asarray(kept)
