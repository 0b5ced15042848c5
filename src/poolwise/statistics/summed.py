"""Rows that differ in more than their outcome, each with what a family must know of the outcomes: their sums.

Where predictors take few values there are few of them, however many outcomes differ: one GROUP BY sums these up where
they live. Sums of disjoint rows add up, and subtract.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from poolwise.design.combinations import first_of, places_by
from poolwise.design.design import Rows
from poolwise.design.required_columns import Needed
from poolwise.families import Family
from poolwise.families.checks import without_place
from poolwise.families.summed import Summed, Units, has_digits, laid_out
from poolwise.formula.parse import unquote
from poolwise.sources.frames import Table
from poolwise.sources.relation import Relation
from poolwise.statistics.counted import MOST, continuous, obstacle
from poolwise.statistics.queries import check_rows, holds_numbers, is_complete
from poolwise.statistics.reduce import HEAD
from poolwise.support.errors import DataError
from poolwise.support.naming import free_column
from poolwise.support.progress import Progress, Scan


@dataclass(frozen=True, slots=True, eq=False)
class SummedTable:
    """Rows that differ in more than their outcome.

    Attributes
    ----------
    table : with the needed columns; the outcome is the mean of each.
    counts : (n,) how many rows there are of each.
    squares : (n,) sums of squared deviations of their outcomes from these means.
    outcomes : (m, n) which have the likelihood of all.
    dropped : rows with a missing value in a needed column.
    """

    table: Table
    counts: np.ndarray
    squares: np.ndarray
    outcomes: np.ndarray
    dropped: int


def summable(needed: Needed, family: Family) -> Summed | None:
    """How outcomes are summed up where they live; None where the family has no sums, or the outcome is no plain column
    whose rows count as one each."""
    formula = needed.formula
    plain = needed.outcome == (unquote(formula.response),) and not (formula.additions or formula.known_errors)
    weighted = needed.weights is not None or bool(formula.weights)
    return family.summed if plain and not weighted and not needed.trials and not obstacle(needed) else None


def keys_of(needed: Needed) -> list[str]:
    """The columns that rows with the same sums share."""
    return [name for name in needed.columns if name not in needed.outcome]


def sum_rows(
    needed: Needed, relation: Relation, family: Family, summed: Summed, missing: str, progress: Progress
) -> SummedTable | str:
    """Sum up the outcomes of rows with equal predictors where they live; or in words why they are not.

    Raises
    ------
    DataError : as other queries do, and for outcomes that the family cannot have.
    """
    import narwhals as nw

    keys, (outcome,) = keys_of(needed), needed.outcome
    if not keys:
        return "there is no predictor"
    if not holds_numbers(needed, relation)[outcome]:
        return f"'{outcome}' holds no numbers"
    complete = relation.frame.select(*needed.columns).filter(is_complete(relation, list(needed.columns)))
    if why := continuous(relation, complete, keys):
        return why
    y = nw.col(outcome).cast(nw.Float64)
    units, names = _units(relation, complete.select(y), outcome, summed), _names(keys)
    functions, cells = _cells(complete, keys, y, summed, units, names)
    step = Scan(progress, f"reading rows with {relation.engine.name}", relation.rows)
    found = relation.fetch(cells.head(MOST // summed.count + 1), step)
    counts, least, most = (np.asarray(found.pop(names[name]), dtype=float) for name in ("n", "least", "most"))
    means = np.array([np.asarray(found.pop(name), dtype=float) for name in functions])
    if len(counts) > MOST // summed.count:
        return f"more than {MOST // summed.count:,} rows differ in more than '{outcome}'"
    rows = relation.count()
    dropped = rows - int(counts.sum())
    if dropped < 0:
        raise DataError("The table grew while it was read; nothing was fitted. Read a copy that holds still.")
    check_rows(relation, needed, rows, dropped, missing)
    _check_ends(outcome, family, np.array([least.min(), most.max()]))
    kinds = np.asarray(found.pop(names["kind"]), dtype=np.int64)
    outcomes, square = summed.outcomes(means, units, kinds)
    if not (np.isfinite(outcomes).all() and has_digits(square, counts, shared=not needed.formula.further)):
        return f"'{outcome}' spreads so little that its sums would lose digits"
    own = kinds == 0
    mean = np.where(own, units.zero + units.unit * means[0], outcomes[0])
    squares = np.where(own, counts * np.maximum(means[1] - np.square(means[0]), 0.0) * units.unit**2, 0.0)
    return SummedTable(relation.as_table({**found, outcome: mean}), counts, squares, outcomes, dropped)


def _cells(
    complete: Any, keys: list[str], y: Any, summed: Summed, units: Units, names: dict[str, str]
) -> tuple[list[str], Any]:
    """Names of the functions whose means are taken, and the query for these and for number, least and largest outcome
    by cell."""
    import narwhals as nw

    low, high = summed.ends
    # What the family cannot have is refused by the least and the largest; some engines stop at its logarithm.
    inside = nw.when((y > low) & (y < high)).then((y - units.zero) / units.unit)
    kind = nw.lit(0)
    for k, value in enumerate(summed.apart, start=1):
        kind = nw.when(y == value).then(nw.lit(k)).otherwise(kind)
    z = nw.col(names["z"])
    every = (z, z * z, *summed.further(z, lambda column: column.log()))
    functions = [names[f"f{i}"] for i in range(len(every))]
    made = [each.alias(name) for each, name in zip(every, functions, strict=True)]
    values = complete.select(*keys, y.alias(names["y"]), inside.alias(names["z"]), kind.alias(names["kind"]))
    of_rows = values.select(*keys, names["kind"], names["y"], *made)
    return functions, of_rows.group_by(*keys, names["kind"]).agg(
        nw.len().alias(names["n"]),
        nw.col(names["y"]).min().alias(names["least"]),
        nw.col(names["y"]).max().alias(names["most"]),
        *(nw.col(name).mean() for name in functions),
    )


def _names(keys: list[str]) -> dict[str, str]:
    """Names of columns of a query that no key has."""
    wanted = ["n", "y", "z", "kind", "least", "most", *(f"f{i}" for i in range(8))]
    found: dict[str, str] = {}
    for name in wanted:
        found[name] = free_column(name, [*keys, *found.values()])
    return found


def _units(relation: Relation, outcomes: Any, name: str, summed: Summed) -> Units:
    """Of the first outcomes."""
    head = np.asarray(relation.fetch(outcomes.head(HEAD), Scan())[name], dtype=float)
    head = head[np.isfinite(head) & (head > summed.ends[0]) & (head < summed.ends[1])]
    return summed.units(head, np.ones(len(head)))


def _check_ends(name: str, family: Family, ends: np.ndarray) -> None:
    """Refuse outcomes that are not finite, or that the family cannot have, by the least and the largest."""
    if not np.isfinite(ends).all():
        raise DataError(f"'{name}' is {ends[~np.isfinite(ends)][0]} in a row; every value must be finite.")
    try:
        family.check(name, ends, np.ones(2))
    except DataError as error:
        raise DataError(without_place(str(error))) from None


def standing(rows: Rows, outcomes: np.ndarray, counts: np.ndarray) -> Rows:
    """Rows (n,) with a few outcomes (m, n) each in the place of so many (n,); single ones stay single."""
    cell, y, share = laid_out(outcomes, counts, counts == 1)
    taken = rows.take(cell)
    return replace(taken, values=np.column_stack([taken.values[:, :-1], y]), counts=share)


def with_sums(parts: list[tuple[Rows, float]], summed: Summed) -> Rows:
    """Rows of one design, each part times a sign, with their outcomes summed up.

    Raises
    ------
    DataError : where rows are taken away that are not there.
    """
    rows = Rows.joined([replace(part, counts=sign * part.multiplicities) for part, sign in parts])
    known = [] if rows.offset is None else [rows.offset]
    y, weights = rows.response, rows.multiplicities
    place = places_by(rows.codes, (*rows.values[:, :-1].T, *known, summed.kinds(y)))
    first = first_of(place)
    counts, units = np.bincount(place, weights), summed.units(y, np.abs(weights))
    outcomes, _ = summed.outcomes(summed.means(y, weights, place, units), units, summed.kinds(y[first]))
    left = np.flatnonzero(counts > 0)
    if np.any(counts < 0) or not np.isfinite(outcomes[:, left]).all():
        raise DataError("Cannot take away rows that are not part of these statistics.")
    return standing(rows.take(first[left]), outcomes[:, left], counts[left])
