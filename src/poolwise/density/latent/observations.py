"""Rows for sampling: those with equal predictors are put together first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from poolwise.compiled.kernels import Callback
from poolwise.density.latent.constant import constant_of, counts
from poolwise.density.priors import ModelPriors
from poolwise.density.resolve import common_centring
from poolwise.design.combinations import first_of, places_by
from poolwise.design.design import Design, Rows
from poolwise.families import Family
from poolwise.families.summed import Summed, has_digits, laid_out
from poolwise.statistics.products import CrossProducts


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeRows:
    """What a family's kernel takes of rows, beside their linear predictors.

    Attributes
    ----------
    y, trials, weights : (n,).
    known : (parameters, n) known part of each linear predictor.
    address : of the kernel that has their log likelihood.
    """

    y: np.ndarray
    trials: np.ndarray
    weights: np.ndarray
    known: np.ndarray
    address: int

    def take(self, positions: np.ndarray) -> OutcomeRows:
        """Those at some positions."""
        known = np.take(self.known, positions, axis=1)
        return OutcomeRows(self.y[positions], self.trials[positions], self.weights[positions], known, self.address)


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Distinct rows of a design, n of them, each counted with its weight.

    Linear predictors come in the order of the family's parameters: the location, then the others on their scales.
    Effects stand in one vector: factor by factor, within it group by group.

    Attributes
    ----------
    rows : how many rows they stand for.
    y, trials, weights : (n,).
    known : (parameters, n) known part of each linear predictor.
    columns : (p, n) common columns, at the centre of the predictors and in units of their spread; but those of
        structured terms.
    to_written : (p, p) takes their coefficients to those as written.
    of_column : (p,) the parameter whose linear predictor each is part of.
    slot_values : (s, n) columns of the effects that theta speaks of, one slot for each factor and effect; then those of
        structured terms, whose coefficients come last in the vector of effects.
    slot_places : (s, n) position of the row's effect in the vector of all effects.
    of_slot : (s,) the parameter whose linear predictor each slot is part of.
    behind : (t, n) steps that each row has behind it of each monotonic term.
    times : (t, n) what the term is multiplied by; the values of its slot follow theta, and are zero in `slot_values`.
    stepped : (t,) slot of each monotonic term.
    constant : what the log likelihood has beyond the kernels' value.
    terms : (T, 4) first row, row after the last one, the address of the kernel that has their log likelihood, and
        whether their outcomes stand for others: then only sums of their slopes are those of the rows.
    wide, codes : (n, K) distinct design columns W, and (n,) cells.
    """

    rows: int
    y: np.ndarray
    trials: np.ndarray
    weights: np.ndarray
    known: np.ndarray
    columns: np.ndarray
    to_written: np.ndarray
    of_column: np.ndarray
    slot_values: np.ndarray
    slot_places: np.ndarray
    of_slot: np.ndarray
    behind: np.ndarray
    times: np.ndarray
    stepped: np.ndarray
    constant: float
    terms: np.ndarray
    wide: np.ndarray
    codes: np.ndarray

    @property
    def outcome_rows(self) -> OutcomeRows:
        """What the first kernel takes, where it takes all rows."""
        return OutcomeRows(self.y, self.trials, self.weights, self.known, int(self.terms[0, 2]))

    @property
    def cost(self) -> float:
        """Flops of the likelihood and its gradient, about."""
        return len(self.y) * (50.0 + 4.0 * (len(self.columns) + len(self.slot_values)))


def outcome_rows(design: Design, rows: Rows, family: Family) -> OutcomeRows:
    """Of rows as they are, all of which were observed exactly."""
    y, trials, weights = map(np.ascontiguousarray, _outcomes(rows, family))
    return OutcomeRows(y, trials, weights, known_parts(design, rows, family), family.callback.address)


class _Events(NamedTuple):
    """What some rows add to the log likelihood, by one kernel."""

    callback: Callback
    positions: np.ndarray  # (m,) among all rows
    y: np.ndarray  # (m,) outcomes, or lower ends of intervals
    trials: np.ndarray  # (m,) trials, or upper ends
    weights: np.ndarray  # (m,)
    additive: bool = False
    summed: Summed | None = None
    standing: bool = False


def observe(design: Design, rows: Rows, family: Family, priors: ModelPriors, total: CrossProducts) -> Observations:
    """Put together rows that nothing tells apart; where a family's outcomes can be summed up, also rows that differ in
    the outcome only.

    `total` are the statistics of all rows in one cell. Nothing here follows the order of the rows.
    """
    y, trials, weights = _outcomes(rows, family)
    known = known_parts(design, rows, family)
    wide = rows.values[:, :-1]
    parts = [
        _distinct(each, rows.codes, (*wide.T, *known), rows.multiplicities, shared=not design.formula.further)
        for each in _events(family, rows, y, trials, weights)
    ]
    chosen = np.concatenate([part.positions for part in parts])
    outcome, tried, counted = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("y", "trials", "weights")
    )
    ends = np.cumsum([0, *(len(part.y) for part in parts)])
    terms = [
        (start, end, part.callback.address, part.standing)
        for start, end, part in zip(ends, ends[1:], parts, strict=False)
    ]
    exact = np.flatnonzero(rows.observed)
    wide, codes = wide[chosen], rows.codes[chosen]
    columns = np.vstack([np.ones(len(codes)), wide.T])
    parameters = family.predictors
    plain = ~design.penalised
    to_written = common_centring(design, total).scaled[np.ix_(plain, plain)]
    return Observations(
        int(rows.multiplicities.sum()),
        outcome,
        tried,
        counted,
        np.ascontiguousarray(known[:, chosen]),
        (design.common_map[:, plain] @ to_written).T @ columns,
        to_written,
        np.array([parameters.index(of) for of in design.predictors], dtype=np.int64)[plain],
        *_slots(design, columns, codes, family, priors.layout.map_to_zero),
        *_steps(design, columns),
        constant_of(family, y[exact], trials[exact], weights[exact], parts[0]),
        np.array(terms, dtype=np.int64),
        wide,
        codes,
    )


def _events(family: Family, rows: Rows, y: np.ndarray, trials: np.ndarray, weights: np.ndarray) -> Iterator[_Events]:
    """Rows that were observed exactly; those known to lie in an interval; and what truncation divides by."""
    exact = np.flatnonzero(rows.observed)
    if len(exact) or not len(rows.codes):  # a group without rows has its priors
        yield _Events(family.callback, exact, y[exact], trials[exact], weights[exact], family.additive, family.summed)
    if rows.limits is None or family.interval is None:
        return
    lower, upper, lb, ub = rows.limits
    censored = np.flatnonzero(~rows.observed)
    if len(censored):
        yield _Events(family.interval, censored, lower[censored], upper[censored], weights[censored])
    cut = np.flatnonzero(np.isfinite(lb) | np.isfinite(ub))
    if len(cut):
        yield _Events(family.interval, cut, lb[cut], ub[cut], -weights[cut])


def _distinct(
    each: _Events, codes: np.ndarray, columns: tuple[np.ndarray, ...], many: np.ndarray, *, shared: bool
) -> _Events:
    """Those that nothing tells apart put together, with the position of the first; `columns` are the numbers that do,
    `many` (n,) rows are behind each, and `shared` says whether all have a spread in common."""
    y, trials, weights, positions = each.y, each.trials, each.weights, each.positions
    if len(positions) < len(codes):
        codes, many, columns = codes[positions], many[positions], tuple(column[positions] for column in columns)
    if each.summed is not None and (few := _summed(each, each.summed, codes, columns, many, shared=shared)) is not None:
        return few
    # Cells come first, so that rows of a group stay neighbours.
    place = places_by(codes, columns if each.additive else (*columns, y, trials))
    summands = (weights, weights * y, weights * trials) if each.additive else (weights,)
    if not counts(*summands):
        order = np.lexsort((weights, trials, y, place))
        y, trials, weights, place, positions = (one[order] for one in (y, trials, weights, place, positions))
    first, weight = first_of(place), np.bincount(place, weights)
    if each.additive:
        y, trials = np.bincount(place, weights * y) / weight, np.bincount(place, weights * trials) / weight
    else:
        y, trials = y[first], trials[first]
    return each._replace(positions=positions[first], y=y, trials=trials, weights=weight)


def _summed(
    each: _Events,
    summed: Summed,
    codes: np.ndarray,
    columns: tuple[np.ndarray, ...],
    many: np.ndarray,
    *,
    shared: bool,
) -> _Events | None:
    """A few outcomes in the place of those of rows that differ in these alone; None where rows are not twice as many,
    or where digits would be lost."""
    place = places_by(codes, (*columns, summed.kinds(each.y)))
    cells = int(place.max(initial=-1)) + 1
    if 2 * summed.count * cells >= many.sum():
        return None
    order = np.lexsort((each.weights, each.y, place))
    y, weights, place = each.y[order], each.weights[order], place[order]
    total, at = np.bincount(place, weights), first_of(place)
    first, kinds, units = order[at], summed.kinds(y[at]), summed.units(y, weights)
    found, square = summed.outcomes(summed.means(y, weights, place, units), units, kinds)
    if not (np.isfinite(found).all() and has_digits(square, total, shared=shared)):
        return None
    found[:, kinds == 0] = summed.settled(found[:, kinds == 0], total[kinds == 0])
    cell, y, weights = laid_out(found, total, np.zeros(cells, dtype=bool))
    return each._replace(
        positions=each.positions[first][cell], y=y, trials=np.ones(len(y)), weights=weights, standing=True
    )


def observe_groups(
    design: Design, rows: Rows, family: Family, priors: ModelPriors, total: CrossProducts
) -> tuple[Observations, ...]:
    """The rows of each group by themselves, (J,), for the one regression of a design whose only factor labels them."""
    alone = replace(design, factors=())
    order = np.argsort(rows.codes, kind="stable")
    ends = np.searchsorted(rows.codes[order], np.arange(len(design.factors[0].levels) + 1))
    of_group = [rows.take(order[start:end]) for start, end in zip(ends[:-1], ends[1:], strict=True)]
    return tuple(observe(alone, mine, family, priors, total) for mine in of_group)


def _outcomes(rows: Rows, family: Family) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, trials, and what multiplies log likelihoods, (n,) each."""
    trials = np.ones(len(rows.codes)) if rows.trials is None else rows.trials
    # Weights that are precisions are known parts of the log of a parameter.
    weights = rows.multiplicities if family.precise else rows.multiplicities * rows.precisions
    return rows.response, trials, weights


def known_parts(design: Design, rows: Rows, family: Family) -> np.ndarray:
    """(parameters, n) the known part of each row's linear predictors; of parameters that are fixed all of it."""
    known = np.zeros((len(family.predictors), len(rows.codes)))
    if rows.offset is not None:
        known[0] = rows.offset
    if family.precise and rows.weights is not None:
        known[family.predictors.index(family.precise)] = -0.5 * np.log(rows.weights)
    for name, at in family.fixed(design.formula.fixed).items():
        known[family.predictors.index(name)] += at
    return known


def _slots(
    design: Design, columns: np.ndarray, codes: np.ndarray, family: Family, to_zero: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parameters = family.predictors
    values, places, of = [np.zeros((0, len(codes)))], [np.zeros((0, len(codes)), dtype=np.int64)], []
    start = first = 0
    for factor in design.factors:
        q = len(factor.effects)
        values.append((factor.group_map @ to_zero[first : first + q, first : first + q]).T @ columns)
        first += q
        places.append(start + factor.codes[codes] * q + np.arange(q)[:, None])
        of += [parameters.index(each) for each in factor.predictors]
        start += len(factor.levels) * q
    for structure in design.structures:
        count, own = len(structure.places), design.common_map[:, list(structure.places)].T @ columns
        if structure.simplex:  # one coefficient, whose column follows theta
            count, own = 1, np.zeros((1, len(codes)))
        values.append(own)
        places.append(np.repeat(start + np.arange(count)[:, None], len(codes), axis=1))
        of += [parameters.index(structure.predictor)] * count
        start += count
    return np.vstack(values), np.vstack(places), np.array(of, dtype=np.int64)


def _steps(design: Design, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps behind rows and what these are multiplied by (t, n), and slots (t,), of monotonic terms."""
    behind, times, stepped = [np.zeros((0, columns.shape[1]))], [np.zeros((0, columns.shape[1]))], []
    slot = sum(len(factor.effects) for factor in design.factors)
    for structure in design.structures:
        if structure.simplex:
            own = design.common_map[:, list(structure.places)].T @ columns
            behind.append(np.count_nonzero(own, axis=0)[None].astype(float))
            times.append(own[:1])
            stepped.append(slot)
        slot += 1 if structure.simplex else len(structure.places)
    return np.vstack(behind), np.vstack(times), np.array(stepped, dtype=np.int64)
