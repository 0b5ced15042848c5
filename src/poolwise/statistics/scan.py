"""One aggregate query: from rows in an engine to counts, means and cross-products of every cell.

The query subtracts a rough centre of each number before products are formed. Its error then grows with
((mean of a cell - centre) / sd within the cell)^2, which the result itself shows; only where that is large are the sums
taken again, about each cell's own mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from poolwise.design.expressions import as_expression
from poolwise.design.matrix_rows import check_weights
from poolwise.design.plan import Plan
from poolwise.sources.relation import Relation
from poolwise.statistics.queries import (
    Shifted,
    category_key,
    check_rows,
    group_key,
    is_complete,
    is_missing,
    moments,
    number_columns,
)
from poolwise.statistics.reduce import HEAD, rough_origin
from poolwise.support.errors import DataError
from poolwise.support.progress import Progress, Scan

WORST = 1e6  # ((mean - centre) / sd)^2 beyond which a second pass is made: the error is about 1e-14 times this
_TELLING = 10  # rows from which a cell's own spread says how its column varies


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """What a scan brings back: one entry for each combination of groups and categories.

    Attributes
    ----------
    keys : by raw column, (C,) labels: groups first, then categories.
    counts, weights, log_weights : (C,) rows, sum of their weights and of the logs of these.
    centre : (m,) a rough centre of each number.
    means, scatter : (C, m) and (C, m, m), means minus `centre` and sums of products of deviations from the means.
    dropped : rows with a missing value in a needed column.
    passes : how often the rows were read for sums.
    """

    keys: dict[str, np.ndarray]
    counts: np.ndarray
    weights: np.ndarray
    log_weights: np.ndarray
    centre: np.ndarray
    means: np.ndarray
    scatter: np.ndarray
    dropped: int
    passes: int


def learn_scales(plan: Plan, relation: Relation, progress: Progress) -> dict[str, Any]:
    """Mean and sd, over complete rows, of what stands inside each `scale(...)` and `center(...)`."""
    import narwhals as nw

    if not plan.scaled:
        return {}
    columns = number_columns(relation, plan.needed.values)
    names = {factor: f"z{i}" for i, factor in enumerate(plan.scaled)}
    values = [as_expression(inner, columns).alias(names[factor]) for factor, (_, inner) in plan.scaled.items()]
    rows = relation.frame.filter(is_complete(relation, plan.needed.columns)).select(*values)
    origin = rough_origin(_head(relation, rows, list(names.values())))
    shifted = [(nw.col(name) - float(c)).alias(name) for name, c in zip(names.values(), origin, strict=True)]
    with_key = Shifted(rows.select(nw.lit(1).alias("k"), *shifted), ("k",), tuple(names.values()), ())
    found = relation.fetch(with_key.sums(), Scan(progress, "learning the scales of terms", relation.rows))
    if not len(found["n"]):
        return {factor: {"ddof": 1, "center": 0.0, "scale": 1.0} for factor in plan.scaled}  # the scan will say why
    counts, means, scatter = moments(found, with_key.names)
    states = {}
    for (factor, (function, _)), c, m, s in zip(
        plan.scaled.items(), origin, means[0], np.diag(scatter[0]), strict=True
    ):
        ddof = 0 if function == "standardize" else 1  # as formulaic has it, after patsy
        spread = None if function == "center" else np.sqrt(s / (counts[0] - ddof))
        states[factor] = {"ddof": ddof, "center": c + m, "scale": spread}
    return states


def scan(plan: Plan, relation: Relation, states: Mapping[str, Any], missing: str, progress: Progress) -> Cells:
    """Run the aggregate query of a plan.

    Raises
    ------
    DataError, FileError : for values that are not finite, no complete rows, missing values under "error", and whatever
        the engine complains of.
    """
    keys = _keys(plan, relation)
    origin = _origin(plan, relation, states)
    step = Scan(progress, f"reading rows with {relation.engine.name}", relation.rows)
    # Looking for NaN costs a sixth of the scan, and most data have none: their sums would show it.
    shifted = _shifted(plan, relation, keys, states, origin, nan=not _sums_show_nan(plan, relation))
    found = relation.fetch(shifted.sums(), step)
    if any(np.isnan(np.asarray(found[f"s_{name}"], dtype=float)).any() for name in shifted.names):
        shifted = _shifted(plan, relation, keys, states, origin, nan=True)
        found = relation.fetch(shifted.sums(), replace(step, step=f"{step.step}, without NaN"))
    incomplete = is_missing(found[shifted.keys[0]])
    rows, dropped = int(found["n"].sum()), int(found["n"][incomplete].sum())
    check_rows(relation, plan.needed, rows, dropped, missing)
    found = {name: column[~incomplete] for name, column in found.items()}
    if shifted.weighted:
        check_weights(str(plan.needed.weights), float(np.min(found["v"])), float(np.max(found["v_most"])))
    _check_finite(plan, relation, shifted, found)
    cells = _cells(found, keys, shifted, origin, dropped)
    doubtful = _doubtful(cells)
    if not doubtful.any():
        return cells
    constant = _constant(relation, shifted, doubtful)
    if np.all(constant | ~doubtful):
        scatter = cells.scatter.copy()  # what is left there is rounding
        scatter[constant[:, :, None] | constant[:, None, :]] = 0.0
        return replace(cells, scatter=scatter)
    found = relation.fetch(shifted.sums_about_means(), replace(step, step=f"{step.step}, second pass"))
    own = np.column_stack([np.asarray(found[f"m_{name}"], dtype=float) for name in shifted.names])
    order = _order(found, shifted.keys)
    again = _cells(found, keys, shifted, origin, dropped)
    return replace(again, means=again.means + own[order], passes=2)


def _sums_show_nan(plan: Plan, relation: Relation) -> bool:
    """Whether NaN in any column would show in a sum: not in one of labels, or inside an expression such as `x ** 0`."""
    summed = {monomial[0] for monomial in plan.monomials if len(monomial) == 1}
    summed.add(str(plan.needed.weights))
    return all(name in summed or not relation.schema[name].is_float() for name in plan.needed.columns)


def _keys(plan: Plan, relation: Relation) -> dict[str, Any]:
    """What the query groups by: raw column to key expression; a constant where there is neither group nor category."""
    import narwhals as nw

    groups = {name: group_key(relation, name) for name in plan.needed.keys}
    categories = {name: category_key(relation, name) for name in plan.category_columns if name not in groups}
    return {**groups, **categories} or {"": nw.lit(1)}


def _numbers(plan: Plan, relation: Relation, states: Mapping[str, Any]) -> dict[str, Any]:
    """The monomials of a plan as expressions, under short names."""
    columns = number_columns(relation, plan.needed.values)
    predictors = [plan.expression(monomial, columns, states) for monomial in plan.monomials[:-1]]
    return {f"z{i}": value for i, value in enumerate([*predictors, plan.outcome(columns, states)])}


def _origin(plan: Plan, relation: Relation, states: Mapping[str, Any]) -> np.ndarray:
    """A rough centre of each number, from the first rows."""
    numbers = _numbers(plan, relation, states)
    head = relation.frame.select(*(value.alias(name) for name, value in numbers.items()))
    return rough_origin(_head(relation, head, list(numbers)))


def _shifted(
    plan: Plan,
    relation: Relation,
    keys: Mapping[str, Any],
    states: Mapping[str, Any],
    origin: np.ndarray,
    *,
    nan: bool,
) -> Shifted:
    import narwhals as nw

    numbers = _numbers(plan, relation, states)
    complete = is_complete(relation, plan.needed.columns, nan=nan)
    # Incomplete rows share one cell without a label, so that the one pass counts them too.
    labels = [nw.when(complete).then(key).alias(f"k{i}") for i, key in enumerate(keys.values())]
    moved = [(value - float(c)).alias(name) for (name, value), c in zip(numbers.items(), origin, strict=True)]
    derived = [
        name
        for name, monomial in zip(numbers, plan.monomials, strict=True)
        if any(factor not in plan.needed.values for factor in monomial)
    ]
    if plan.needed.formula.offsets:
        derived = list(dict.fromkeys([*derived, list(numbers)[-1]]))
    weights = [] if plan.needed.weights is None else [plan.needed.weights]
    weighing = [value.alias("w") for value in number_columns(relation, weights).values()]
    frame = relation.frame.select(*labels, *moved, *weighing)
    return Shifted(frame, tuple(f"k{i}" for i in range(len(keys))), tuple(numbers), tuple(derived), bool(weights))


def _head(relation: Relation, rows: Any, names: list[str]) -> np.ndarray:
    """Finite values among the first rows, (at most HEAD, len(names))."""
    head = relation.fetch(rows.head(HEAD), Scan())
    values = np.column_stack([np.asarray(head[name], dtype=float) for name in names])
    return values[np.isfinite(values).all(axis=1)]


def _check_finite(plan: Plan, relation: Relation, shifted: Shifted, found: Mapping[str, np.ndarray]) -> None:
    """Refuse values that are infinite or undefined: they show in the sums, then one more query says where."""
    summed = [name for name in found if name in ("w", "l") or name[:2] in ("s_", "p_")]
    numbers = [np.asarray(found[name], dtype=float) for name in summed]
    defined = all(np.array_equal(found[f"c_{name}"], found["n"]) for name in shifted.derived)
    if defined and all(np.isfinite(column).all() for column in numbers):
        return
    bad = relation.fetch(shifted.undefined(), Scan())
    for name, monomial in zip(shifted.names, plan.monomials, strict=True):
        if bad[name][0]:
            raise DataError(
                f"'{':'.join(monomial)}' is infinite or undefined in {int(bad[name][0]):,} of the complete rows; every "
                "value must be finite. Infinite values and transforms such as the log of zero do this."
            )
    raise DataError("The squares of some values are too large for double precision; change the unit of the columns.")


def _cells(
    found: Mapping[str, np.ndarray], keys: Mapping[str, Any], shifted: Shifted, origin: np.ndarray, dropped: int
) -> Cells:
    """Cells in the order of their keys, so that sums over them do not depend on the order of the answer."""
    order = _order(found, shifted.keys)
    found = {name: column[order] for name, column in found.items()}
    labels = {column: found[key] for column, key in zip(keys, shifted.keys, strict=True) if column}
    weights, means, scatter = moments(found, shifted.names)
    counts = np.asarray(found["n"], dtype=float)
    logs = np.asarray(found["l"], dtype=float) if shifted.weighted else np.zeros(len(counts))
    return Cells(labels, counts, weights, logs, origin, means, scatter, dropped, 1)


def _order(found: Mapping[str, np.ndarray], keys: tuple[str, ...]) -> np.ndarray:
    import pandas as pd

    codes = [pd.factorize(found[key], sort=True)[0] for key in keys]
    return np.lexsort(codes[::-1])


def _doubtful(cells: Cells) -> np.ndarray:
    """(C, m) where a cell lies so far from the centre that its scatter has lost digits which matter."""
    own = np.einsum("cmm->cm", cells.scatter)
    spare = np.maximum(cells.counts - 1, 1)[:, None]
    usual = own.sum(axis=0) / spare.sum()
    # A few rows may lie close together by chance; then it is the usual spread that their error must be held against.
    variance = np.where(cells.counts[:, None] >= _TELLING, own / spare, np.maximum(own / spare, usual))
    return (cells.counts[:, None] > 1) & (cells.means**2 > WORST * variance) & (cells.means != 0)


def _constant(relation: Relation, shifted: Shifted, doubtful: np.ndarray) -> np.ndarray:
    """(C, m) where a doubtful column, such as one that describes the groups, has one value in the whole cell."""
    names = [name for name, column in zip(shifted.names, doubtful.T, strict=True) if column.any()]
    found = relation.fetch(shifted.ranges(names), Scan())
    found = {name: column[~is_missing(found[shifted.keys[0]])] for name, column in found.items()}
    order = _order(found, shifted.keys)
    constant = np.zeros(doubtful.shape, dtype=bool)
    for name in names:
        constant[:, shifted.names.index(name)] = np.asarray(found[f"r_{name}"], dtype=float)[order] == 0.0
    return constant & doubtful
