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

from poolwise.density.latent.observations import Observations
from poolwise.density.polynomial.coordinates import roots_of
from poolwise.density.polynomial.expansion import (
    Exponents,
    Normals,
    count_of,
    exponents_for,
    hermite_terms,
    in_powers,
    in_powers_of_dispersions,
    normal_terms,
    terms_for,
)
from poolwise.density.polynomial.kernels import add_polynomials
from poolwise.density.polynomial.level_remainders import LevelRemainders
from poolwise.density.polynomial.monomials import Monomials
from poolwise.density.polynomial.of_rows import CHUNK, by_rows, thetas_of
from poolwise.density.polynomial.remainders import Together
from poolwise.density.priors import ModelPriors
from poolwise.density.working.corrected import CorrectedDensity
from poolwise.density.working.expected import ExpectedLikelihood
from poolwise.density.working.outcomes import WorkingModel
from poolwise.density.working.remainders import Remainders, RowRemainders
from poolwise.design.design import Design
from poolwise.families import Family, Link
from poolwise.support.threads import map_slices

_ORDERS = {1: 8, 2: 6, 3: 5}  # of polynomials, by the effects of a level
_DRAWS, _COMPARED = 128, 32  # of the working model, that levels are centred by; that are compared with rows
_SPREAD = 32  # draws that tell how far all else is spread
_LANES = 2  # that levels are shared by
_FEWER = 0.5  # of the rows' cost, that polynomials may have at the most
_MOST = 1 << 25  # numbers of all slopes
_APART = 0.1  # variance of what is left out at these draws, which are further out than those of the posterior


def level_polynomials_of(
    model: WorkingModel,
    observations: Observations,
    design: Design,
    priors: ModelPriors,
    family: Family,
    link: Link,
    by_all: RowRemainders,
    threads: int,
) -> Remainders | None:
    """Remainders of a working model, of which few rows are looked at; None where these would be no less costly, or are
    not close.

    Parameters
    ----------
    by_all : remainders by rows.
    """
    leaf = model.density.normal.leaf
    q = len(design.factors[leaf].effects) if leaf >= 0 else 0
    if q not in _ORDERS:
        return None
    drawn = CorrectedDensity.of(model, by_all, design, priors, 1, threads)
    points = thetas_of(model.density, model.modes[0], _DRAWS)
    logs, beta, effects = drawn.drawn_at(points, chosen=False)
    start = sum(len(factor.levels) * len(factor.effects) for factor in design.factors[:leaf])
    meetings = _Meetings.of(by_all, beta, effects, start, q)
    monomials = Monomials.of(q, _ORDERS[q]), Monomials.of(q, _ORDERS[q] - 1)
    if len(meetings.owner) * count_of(q, _ORDERS[q] - 1, len(model.density.dispersions.centre)) > _MOST:
        return None
    sums = _summed(meetings, model, by_all, link, monomials, threads)
    own, slopes = sums.polynomials(meetings, monomials)
    row = by_all.cost / len(observations.y)
    kept = by_rows(sums.errors, np.diff(by_all.bounds), 2.0 * monomials[0].size, row)
    found: Remainders = meetings.remainders(~kept, own, slopes, monomials[0], model, by_all)
    if kept.any():
        of_level = design.factors[leaf].codes[observations.codes]
        of_kept = RowRemainders.of(model, observations, design, priors, family, link, kept[of_level])
        found = Together((found, of_kept))
    if kept.all() or found.shared_cost + 2.0 * found.cost > _FEWER * 2.0 * by_all.cost:
        return None
    few = logs[:_COMPARED], beta[:_COMPARED], np.ascontiguousarray(effects[:, :_COMPARED])
    left_out = by_all.ratios(*few).sum(axis=1) - found.ratios(*few).sum(axis=1)
    return found if np.isfinite(left_out).all() and left_out.var() < _APART else None


@dataclass(frozen=True, slots=True, eq=False)
class _Meetings:
    """Levels of the leaf, and all else that their rows meet.

    Attributes
    ----------
    start : place of the leaf's first effect.
    levels : (n,) level of each row.
    columns : (n, q) of the rows' own effects.
    terms, codes : (T, n) what the rows have of all else, and which entry this is in.
    owner, places : (N,) the level of each entry, and the number of all else.
    others, apart : (O,) means of all else, coefficients of columns, then effects; and (O, d) draws less these.
    shifts : (N, q) what each adds to the level's effects.
    origin, shifted : (G, q) means of the levels' effects, and (G, q, d) draws of what all else adds to them.
    root, inverse : (G, q, q) of the covariance of both together.
    """

    start: int
    levels: np.ndarray
    columns: np.ndarray
    terms: np.ndarray
    codes: np.ndarray
    owner: np.ndarray
    places: np.ndarray
    others: np.ndarray
    apart: np.ndarray
    shifts: np.ndarray
    origin: np.ndarray
    shifted: np.ndarray
    root: np.ndarray
    inverse: np.ndarray

    @classmethod
    def of(cls, rows: RowRemainders, beta: np.ndarray, effects: np.ndarray, start: int, q: int) -> _Meetings:
        """Of some draws (m, p) and (U, m)."""
        from scipy.sparse import csr_array

        data, groups = rows.observations, rows.levels
        own = effects[start : start + groups * q].reshape(groups, q, -1)
        origin = own.mean(axis=2)
        coefficients = np.linalg.solve(data.to_written, beta[:, rows.plain].T)
        everything = np.concatenate([coefficients, effects])
        others = everything.mean(axis=1)
        apart = everything - others[:, None]
        p, levels = len(coefficients), np.repeat(np.arange(groups), np.diff(rows.bounds))
        mine = [bool(((place >= start) & (place < start + groups * q)).all()) for place in data.slot_places]
        of_slots = [x for x, own_slot in zip(data.slot_values, mine, strict=True) if not own_slot]
        places = [p + place for place, own_slot in zip(data.slot_places, mine, strict=True) if not own_slot]
        entries, codes = _entries(
            levels, np.array(places, dtype=np.int64).reshape(-1, len(levels)), groups, p, len(others)
        )
        columns, terms = np.ascontiguousarray(data.slot_values[np.array(mine)].T), np.array([*data.columns, *of_slots])
        owner, place = entries // len(others), entries % len(others)
        shifts = _alike(rows, levels, columns, terms, codes, owner)
        by_level = [csr_array((one, (owner, place)), (groups, len(others))) @ apart for one in shifts.T]
        shifted = np.stack(by_level, axis=1)
        together = own - origin[:, :, None] + shifted
        root, inverse = roots_of(together @ together.transpose(0, 2, 1) / together.shape[2])
        few = slice(_SPREAD)
        return cls(
            start, levels, columns, terms, codes, owner, place, others, apart[:, few], shifts, origin,
            shifted[:, :, few], root, inverse,
        )  # fmt: skip

    def moments(self, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means of linear predictors of some rows, but for known parts; and variances (n,) of what the effects of their
        levels add to these, and of what all else does."""
        x, levels, places = self.columns[part], self.levels[part], self.places[self.codes[:, part]]
        own = np.einsum("nq,nq->n", x, self.origin[levels])
        mean, away = np.zeros(len(x)), -np.einsum("nq,nqd->nd", x, self.shifted[levels])
        for term, place in zip(self.terms[:, part], places, strict=True):
            mean += term * self.others[place]
            away += term[:, None] * self.apart[place]
        spread = np.square(np.einsum("nh,nhv->nv", x, self.root[levels])).sum(axis=1)
        return own + mean, spread, np.square(away).mean(axis=1)

    def remainders(
        self,
        some: np.ndarray,
        own: dict[Exponents, np.ndarray],
        slopes: dict[Exponents, np.ndarray],
        monomials: Monomials,
        model: WorkingModel,
        rows: RowRemainders,
    ) -> LevelRemainders:
        """Of some of the levels, by truth values (G,)."""
        chosen, entries = np.flatnonzero(some), np.flatnonzero(some[self.owner])
        bounds = np.searchsorted(self.owner[entries], np.append(chosen, len(some)))
        return LevelRemainders(
            len(some),
            chosen,
            monomials,
            tuple(own),
            np.ascontiguousarray([each[chosen] for each in own.values()]),
            bounds.astype(np.int64),
            self.places[entries],
            np.ascontiguousarray([each[entries] for each in slopes.values()]),
            self.shifts[entries],
            self.others,
            self.origin[chosen],
            self.inverse[chosen],
            self.start,
            rows.observations.to_written,
            rows.plain,
            model.density.dispersions,
            rows.constant,
        )


def _entries(
    levels: np.ndarray, places: np.ndarray, groups: int, columns: int, others: int
) -> tuple[np.ndarray, np.ndarray]:
    """Meetings of levels with numbers of all else, as level * others + number, in order; and which one (T, n) is that
    of each row, for the columns, which all levels meet, and for slots with some places (slots, n)."""
    met, mine = np.unique(levels * others + places, return_inverse=True)
    of_columns = (np.arange(groups)[:, None] * others + np.arange(columns)).ravel()
    every = np.concatenate([of_columns, met])
    order = np.argsort(every, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    codes = [rank[levels * columns + k] for k in range(columns)]
    codes += list(rank[groups * columns + mine.reshape(places.shape)])
    return every[order], np.array(codes)


def _alike(
    rows: RowRemainders,
    levels: np.ndarray,
    columns: np.ndarray,
    terms: np.ndarray,
    codes: np.ndarray,
    owner: np.ndarray,
) -> np.ndarray:
    """(N, q) coefficients by which each number of all else is closest to the effects of a level, over its rows and with
    the precisions of their working outcomes."""
    precisions, (groups, q, entries) = rows.outcomes.precisions, (rows.levels, columns.shape[1], len(owner))
    squares, products = np.zeros((groups, q, q)), np.zeros((entries, q))
    for i, weighted in enumerate((columns * precisions[:, None]).T):
        for j, column in enumerate(columns.T):
            squares[:, i, j] = np.bincount(levels, weighted * column, groups)
        for term, code in zip(terms, codes, strict=True):
            products[:, i] += np.bincount(code, weighted * term, entries)
    inverse = np.linalg.pinv(squares, rcond=1e-10, hermitian=True)
    return np.einsum("nij,nj->ni", inverse[owner], products)


@dataclass(frozen=True, slots=True, eq=False)
class _LevelSums:
    """Sums over the rows of each level, for each product of powers of dispersions; multinomial coefficients left out.

    Attributes
    ----------
    own : (G, M) polynomials of levels.
    slopes : (N, l) those in the number of each entry.
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
        each = exponents_for(dispersions, whole.order)
        effects = whole.ends.shape[1]
        return cls(
            {e: np.zeros((groups, whole.size)) for e in each},
            {e: np.zeros((entries, first.size)) for e in each},
            {e: np.zeros((effects, groups, first.size)) for e in each},
            np.zeros(groups),
        )

    def polynomials(
        self, meetings: _Meetings, monomials: tuple[Monomials, Monomials]
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
    meetings: _Meetings,
    model: WorkingModel,
    rows: RowRemainders,
    link: Link,
    monomials: tuple[Monomials, Monomials],
    threads: int,
) -> _LevelSums:
    """Sums over all rows; threads share the levels, so that each adds to sums of its own."""
    data, dispersions, (whole, first) = rows.observations, model.density.dispersions, monomials
    sums = _LevelSums.empty(rows.levels, len(meetings.owner), monomials, len(dispersions.centre))
    roots = meetings.root[meetings.owner]

    def add(part: slice, of: slice) -> None:
        x, levels = meetings.columns[part], meetings.levels[part]
        mean, own_square, other_square = meetings.moments(part)
        spread, sd = np.sqrt(own_square), np.sqrt(own_square + other_square)
        normals = Normals(mean + data.known[0, part], sd, dispersions.centre, dispersions.sd)
        likelihood = ExpectedLikelihood(data.outcome_rows.take(np.arange(part.start, part.stop)), link, dispersions)
        terms = hermite_terms(likelihood.slopes, normals, terms_for(whole.order))
        less = normal_terms(rows.outcomes.values[part] - normals.mean, rows.outcomes.precisions[part])
        beyond = _beyond(terms, spread / sd, whole.order)
        sums.errors[of] += np.bincount(levels - of.start, beyond, of.stop - of.start)
        for e, hermite in in_powers_of_dispersions(terms, whole.order).items():
            powers, slope = _split(hermite, spread, sd, whole.order)
            if not any(e):
                powers[:3] -= less
                slope[0] -= less[1]
                slope[1] -= 2.0 * less[2]
            add_polynomials(x, levels, powers, meetings.root, whole.ends, sums.own[e])
            for term, codes in zip(meetings.terms[:, part], meetings.codes[:, part], strict=True):
                add_polynomials(x, codes, term * slope, roots, first.ends, sums.slopes[e])
            for column, alike in zip(x.T, sums.alike[e], strict=True):
                add_polynomials(x, levels, column * slope, meetings.root, first.ends, alike)

    def lane(_: int, of: slice) -> None:
        last = int(rows.bounds[of.stop])
        for begin in range(int(rows.bounds[of.start]), last, CHUNK):
            add(slice(begin, min(begin + CHUNK, last)), of)

    map_slices(lane, rows.levels, max(1, -(-rows.levels // _LANES)), threads)
    return sums


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
