"""Rows for sampling: those with equal predictors are put together first."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from poolwise.density.priors import ModelPriors
from poolwise.density.resolve import common_centring
from poolwise.design.design import Design, Rows
from poolwise.design.factors import cells_of
from poolwise.families import Family
from poolwise.families.callback import call_rows
from poolwise.statistics.products import CrossProducts


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
    columns : (p, n) common columns, at the centre of the predictors and in units of their spread.
    to_written : (p, p) takes their coefficients to those as written.
    of_column : (p,) the parameter whose linear predictor each is part of.
    slot_values : (s, n) columns of the effects that theta speaks of, one slot for each factor and effect.
    slot_places : (s, n) position of the row's effect in the vector of all effects.
    of_slot : (s,) the parameter whose linear predictor each slot is part of.
    constant : what the log likelihood has beyond the kernels' value.
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
    constant: float


def observe(design: Design, rows: Rows, family: Family, priors: ModelPriors, total: CrossProducts) -> Observations:
    """Put together rows that nothing tells apart; of an additive family also rows that differ in the outcome only.

    `total` are the statistics of all rows in one cell. Nothing here follows the order of the rows.
    """
    y, trials, weights = _outcomes(rows)
    if family.precise:  # they are known parts of the log of sigma
        weights = np.ones(len(y))
    known = known_parts(rows, family)
    wide = rows.values[:, :-1]
    alike = [_codes(column) for column in (*wide.T, *known)]
    if not family.additive:
        alike += [_codes(y), _codes(trials)]
    # Cells come first, so that rows of a group stay neighbours.
    _, place = cells_of([rows.codes, *alike])
    order = np.lexsort((weights, trials, y, place))
    y, trials, weights, place = y[order], trials[order], weights[order], place[order]
    first = np.unique(place, return_index=True)[1]
    weight = np.bincount(place, weights)
    if family.additive:
        mean, tried = np.bincount(place, weights * y) / weight, np.bincount(place, weights * trials) / weight
    else:
        mean, tried = y[first], trials[first]
    chosen = order[first]
    values = np.column_stack([np.ones(len(first)), wide[chosen]])
    slots = _slots(design, values, rows.codes[chosen], family, priors.layout.map_to_zero)
    parameters = family.predictors
    to_written = common_centring(design, total).scaled
    return Observations(
        len(y),
        mean,
        tried,
        weight,
        np.ascontiguousarray(known[:, chosen]),
        np.ascontiguousarray((values @ (design.common_map @ to_written)).T),
        to_written,
        np.array([parameters.index(of) for of in design.predictors], dtype=np.int64),
        *slots,
        _constant(family, (y, trials, weights), (mean, tried, weight), len(parameters)),
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


def _constant(
    family: Family,
    single: tuple[np.ndarray, np.ndarray, np.ndarray],
    together: tuple[np.ndarray, np.ndarray, np.ndarray],
    parameters: int,
) -> float:
    """What the kernel leaves out: the difference between all terms and the kernel's, the same at any parameters."""
    y, trials, weights = single
    at = np.full((parameters, len(y)), 0.1)
    counted = np.ones(len(y)) if family.precise else weights
    whole = float(np.sum(counted * family.log_density(y, trials, *at)))
    there = np.full((parameters, len(together[0])), 0.1)
    scratch = np.empty_like(there), np.empty_like(there)
    return whole - float(call_rows(family.callback.address, *together, there, *scratch))


def _outcomes(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    trials = np.ones(len(rows.codes)) if rows.trials is None else rows.trials
    return rows.response, trials, rows.precisions


def known_parts(rows: Rows, family: Family) -> np.ndarray:
    """(parameters, n) the known part of each row's linear predictors."""
    known = np.zeros((len(family.predictors), len(rows.codes)))
    if rows.offset is not None:
        known[0] = rows.offset
    if family.precise and rows.weights is not None:
        known[1] = -0.5 * np.log(rows.weights)
    return known


def _codes(column: np.ndarray) -> np.ndarray:
    return np.unique(column, return_inverse=True)[1]


def _slots(
    design: Design, values: np.ndarray, codes: np.ndarray, family: Family, to_zero: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parameters = family.predictors
    columns, places, of = [np.zeros((0, len(codes)))], [np.zeros((0, len(codes)), dtype=np.int64)], []
    start = first = 0
    for factor in design.factors:
        q = len(factor.effects)
        columns.append((values @ (factor.group_map @ to_zero[first : first + q, first : first + q])).T)
        first += q
        places.append(start + factor.codes[codes] * q + np.arange(q)[:, None])
        of += [parameters.index(factor.predictor)] * q
        start += len(factor.levels) * q
    return np.vstack(columns), np.vstack(places), np.array(of, dtype=np.int64)
