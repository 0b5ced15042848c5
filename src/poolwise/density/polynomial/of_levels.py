"""Polynomials of the effects of each level of the leaf in the place of its rows in memory, linear in all else.

Where cells have few rows each, as with two crossed factors, polynomials of cells save nothing; but the levels of the
leaf, the factor with most of them, have many. Let eta = m + b + a, where b is what the level's own effects add, and
what all else adds to its rows alike (by a regression of that on the columns of these effects), and a the rest, which
many rows of other levels tell sharply. Then the log likelihood of a row is about

    l(eta) = sum_k e_k He_k(b / s) + a sum_k d_k He_k(b / s),  s the standard deviation of b:

the Hermite expansion of `expansion.py` in b and a, up to the first power of a. Sums over the rows of a level are a
polynomial of b, and one for each number that a is made of: as many terms as there are meetings of levels, and not rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poolwise.density.polynomial.expansion import normal_terms
from poolwise.density.polynomial.hermite import (
    MOST_NODES,
    Exponents,
    Normals,
    exponents_for,
    hermite_terms,
    in_powers,
    in_powers_of_dispersions,
    nodes_for,
    terms_for,
)
from poolwise.density.polynomial.kernels import add_polynomials
from poolwise.density.polynomial.level_remainders import LevelRemainders
from poolwise.density.polynomial.meetings import Meetings
from poolwise.density.polynomial.monomials import Monomials
from poolwise.density.polynomial.of_rows import CHUNK, by_rows, thetas_of
from poolwise.density.polynomial.remainders import Together
from poolwise.density.working.corrected import CorrectedDensity
from poolwise.density.working.expected import ExpectedLikelihood
from poolwise.density.working.outcomes import WorkingModel
from poolwise.density.working.regression import Regression
from poolwise.density.working.remainders import Remainders, RowRemainders
from poolwise.density.working.turns import scattered
from poolwise.families import Link
from poolwise.support.threads import map_slices

_ORDERS, _LOWEST = {1: 8, 2: 6, 3: 5}, 3  # of polynomials, by the effects of a level at the most
_TRIED, _CLOSE = 4096, 0.005  # rows that tell which order will do: left out is no more, as a standard deviation
_DRAWS, _COMPARED = 128, 32  # of the working model, that levels are centred by; that are compared with rows
_LANES = 2  # that levels are shared by
_FEWER = 0.5  # of the rows' time, that polynomials may take at the most
_MOST = 1 << 25  # numbers of all slopes
_APART = 0.1  # variance of what is left out at these draws, which are further out than those of the posterior


def level_polynomials_of(
    model: WorkingModel, regression: Regression, by_all: RowRemainders, threads: int
) -> Remainders | None:
    """Remainders of a working model, of which few rows are looked at; None where these would be no less costly, or are
    not close.

    Parameters
    ----------
    by_all : remainders by rows.
    """
    design, link, leaf = regression.design, regression.link, model.density.normal.leaf
    q = len(design.factors[leaf].effects) if leaf >= 0 else 0
    dispersions = len(model.density.dispersions.centre)
    if q not in _ORDERS or nodes_for(dispersions, _ORDERS[q]) > MOST_NODES:
        return None
    drawn = CorrectedDensity.of(model, by_all, design, regression.priors, 1, threads)
    points = thetas_of(model.density, model.modes[0], _DRAWS)
    logs, beta, effects = drawn.drawn_at(points, chosen=False)
    start = sum(len(factor.levels) * len(factor.effects) for factor in design.factors[:leaf])
    meetings = Meetings.of(by_all, beta, effects, start, q)
    order = _order_for(meetings, model, by_all, link, _ORDERS[q])
    monomials = Monomials.of(q, order), Monomials.of(q, order - 1)
    if len(meetings.owner) * (1 + dispersions) * monomials[1].size > _MOST:
        return None
    sums = _summed(meetings, model, by_all, link, monomials, threads)
    own, slopes = sums.polynomials(meetings, monomials)
    row, counts = by_all.time / len(regression.observations.y), np.diff(by_all.bounds)
    kept = by_rows(sums.errors, counts, 2.0 * monomials[0].size, row)
    few = _remainders(meetings, ~kept, own, slopes, monomials[0], model, by_all)
    found: Remainders = few
    if kept.any():
        of_level = design.factors[leaf].codes[regression.observations.codes]
        of_kept = RowRemainders.of(model, regression, kept[of_level])
        found = Together((few, of_kept))
    time = few.shared_cost + 2.0 * (few.cost + row * counts[kept].sum())
    if kept.all() or time > _FEWER * 2.0 * by_all.time:
        return None
    some = logs[:_COMPARED], beta[:_COMPARED], np.ascontiguousarray(effects[:, :_COMPARED])
    left_out = by_all.ratios(*some).sum(axis=1) - found.ratios(*some).sum(axis=1)
    return found if np.isfinite(left_out).all() and left_out.var() < _APART else None


def _remainders(
    meetings: Meetings,
    some: np.ndarray,
    own: dict[Exponents, np.ndarray],
    slopes: dict[Exponents, np.ndarray],
    monomials: Monomials,
    model: WorkingModel,
    rows: RowRemainders,
) -> LevelRemainders:
    """Of some of the levels, by truth values (G,)."""
    chosen, entries = np.flatnonzero(some), np.flatnonzero(some[meetings.owner])
    bounds = np.searchsorted(meetings.owner[entries], np.append(chosen, len(some)))
    return LevelRemainders(
        len(some),
        chosen,
        monomials,
        tuple(own),
        np.ascontiguousarray([each[chosen] for each in own.values()]),
        bounds.astype(np.int64),
        meetings.places[entries],
        np.ascontiguousarray([each[entries] for each in slopes.values()]),
        meetings.shifts[entries],
        meetings.others,
        meetings.origin[chosen],
        meetings.inverse[chosen],
        meetings.start,
        rows.observations.to_written,
        rows.plain,
        model.density.dispersions,
        rows.constant,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _LevelSums:
    """Sums over the rows of each level, for each product of powers of dispersions; multinomial coefficients left out.

    Attributes
    ----------
    own : (G, M) polynomials of levels.
    slopes : (N, l) those in the number of each entry, as far as dispersions are of the first power: these are known
        as sharply as all else.
    alike : (q, G, l) the same in what moves all rows of a level as its own effects do.
    errors : (G,) what is left out, as a standard deviation.
    """

    own: dict[Exponents, np.ndarray]
    slopes: dict[Exponents, np.ndarray]
    alike: dict[Exponents, np.ndarray]
    errors: np.ndarray

    @classmethod
    def empty(cls, groups: int, entries: int, monomials: tuple[Monomials, Monomials], dispersions: int) -> _LevelSums:
        """Of no rows."""
        whole, first = monomials
        each, effects = exponents_for(dispersions, whole.order), whole.ends.shape[1]
        linear = [e for e in each if sum(e) <= 1]
        return cls(
            {e: np.zeros((groups, whole.size)) for e in each},
            {e: np.zeros((entries, first.size)) for e in linear},
            {e: np.zeros((effects, groups, first.size)) for e in linear},
            np.zeros(groups),
        )

    def polynomials(
        self, meetings: Meetings, monomials: tuple[Monomials, Monomials]
    ) -> tuple[dict[Exponents, np.ndarray], dict[Exponents, np.ndarray]]:
        """Coefficients of levels (G, M) and slopes of entries (N, l), less what moves all rows of a level alike."""
        whole, first = monomials
        own = {e: each * whole.multinomial for e, each in self.own.items()}
        slopes = {}
        for e, each in self.slopes.items():
            in_own = sum(
                shift[:, None] * sums[meetings.owner]
                for shift, sums in zip(meetings.shifts.T, self.alike[e], strict=True)
            )
            slopes[e] = (each - in_own) * first.multinomial
        return own, slopes


def _summed(
    meetings: Meetings,
    model: WorkingModel,
    rows: RowRemainders,
    link: Link,
    monomials: tuple[Monomials, Monomials],
    threads: int,
) -> _LevelSums:
    """Sums over all rows; threads share the levels, so that each adds to sums of its own."""
    dispersions, (whole, first) = model.density.dispersions, monomials
    sums = _LevelSums.empty(rows.levels, len(meetings.owner), monomials, len(dispersions.centre))
    roots = meetings.root[meetings.owner]

    def add(part: slice, of: slice) -> None:
        x, levels = meetings.columns[part], meetings.levels[part]
        terms, normals, spread = _expanded(meetings, model, rows, link, whole.order, np.arange(part.start, part.stop))
        sd = normals.sd
        mine = rows.outcomes.take(np.arange(part.start, part.stop))
        moves = mine.moves_by(model.density.dispersions.sd)
        less = normal_terms(mine.values - normals.mean, mine.precisions, moves)
        beyond = _beyond(terms, spread / sd, whole.order)
        sums.errors[of] += np.bincount(levels - of.start, beyond, of.stop - of.start)
        for e, hermite in in_powers_of_dispersions(terms, whole.order).items():
            powers, slope = _split(hermite, spread, sd, whole.order)
            for power, own in enumerate(less.get(e, ())):
                powers[power] -= own
                if power:
                    slope[power - 1] -= power * own
            add_polynomials(x, levels, powers, meetings.root, whole.ends, sums.own[e])
            if e not in sums.slopes:
                continue
            for term, codes in zip(meetings.terms[:, part], meetings.codes[:, part], strict=True):
                add_polynomials(x, codes, term * slope, roots, first.ends, sums.slopes[e])
            for column, alike in zip(x.T, sums.alike[e], strict=True):
                add_polynomials(x, levels, column * slope, meetings.root, first.ends, alike)

    def lane(_: int, of: slice) -> None:
        last = int(rows.bounds[of.stop])
        with np.errstate(all="ignore"):  # levels whose sums are no numbers keep their rows
            for begin in range(int(rows.bounds[of.start]), last, CHUNK):
                add(slice(begin, min(begin + CHUNK, last)), of)

    map_slices(lane, rows.levels, max(1, -(-rows.levels // _LANES)), threads)
    return sums


def _expanded(
    meetings: Meetings, model: WorkingModel, rows: RowRemainders, link: Link, order: int, some: np.ndarray
) -> tuple[dict[Exponents, np.ndarray], Normals, np.ndarray]:
    """Hermite coefficients of some rows, what these are about, and the standard deviation (n,) of what the effects of
    their levels add to linear predictors."""
    data, dispersions = rows.observations, model.density.dispersions
    mean, own_square, other_square = meetings.moments(some)
    sd = np.sqrt(own_square + other_square)
    normals = Normals(mean + data.known[0, some], sd, dispersions.centre, dispersions.sd)
    likelihood = ExpectedLikelihood(data.outcome_rows.take(some), link, dispersions)
    return hermite_terms(likelihood.slopes, normals, terms_for(order)), normals, np.sqrt(own_square)


def _order_for(meetings: Meetings, model: WorkingModel, rows: RowRemainders, link: Link, most: int) -> int:
    """The lowest order, up to the most, that leaves next to nothing out, by rows here and there."""
    some = scattered(len(meetings.levels), max(1, len(meetings.levels) // _TRIED))
    with np.errstate(all="ignore"):
        terms, normals, _ = _expanded(meetings, model, rows, link, most, some)
        of_levels = np.linalg.norm(np.diff(rows.bounds).astype(float))
        for order in range(_LOWEST, most):
            if _beyond(terms, np.ones(len(normals.sd)), order).mean() * of_levels < _CLOSE:
                return order
    return most


def _split(hermite: np.ndarray, spread: np.ndarray, sd: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (order + 1, n) and (order, n) of powers of what a level's own effects add to linear predictors, and
    of the same times what all else does; of Hermite coefficients (up to order + 1, n) of linear predictors.

    Parameters
    ----------
    spread, sd : (n,) standard deviations of the former, and of linear predictors.
    """
    degree = np.arange(len(hermite))[:, None]
    own, first = np.zeros((order + 1, len(sd))), np.zeros((order, len(sd)))
    own[: len(hermite)] = hermite * (spread / sd) ** degree
    first[: len(hermite) - 1] = hermite[1:] * degree[1:] * (spread / sd) ** degree[:-1] / sd
    return in_powers(own, spread), in_powers(first, spread)


def _beyond(terms: dict[Exponents, np.ndarray], share: np.ndarray, order: int) -> np.ndarray:
    """(n,) what the terms in a level's own effects beyond an order add up to, as a standard deviation."""
    found = np.zeros(len(share))
    for e, own in terms.items():
        below = math.prod(map(math.factorial, e))
        for a in range(len(own)):
            if a + sum(e) > order:
                found += math.sqrt(math.factorial(a) * below) * np.abs(own[a]) * share**a
    return found
