"""From cells to statistics of groups: each cell's numbers become design columns, and cells of a group are merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from poolwise.compiled import exact_kernel
from poolwise.compiled.types import Array3, IntVector, Matrix, Vector
from poolwise.design import Design, Encoding, Rows
from poolwise.design.checks import check_written_numbers
from poolwise.design.combinations import cells_of
from poolwise.design.levels import group_levels, ordered_levels
from poolwise.design.plan import ColumnMap, Plan, learn, learn_from
from poolwise.statistics.products import CrossProducts
from poolwise.statistics.reduce import rough_origin
from poolwise.statistics.scan import Cells
from poolwise.support.errors import DataError


def from_cells(
    plan: Plan,
    cells: Cells,
    states: Mapping[str, Any],
    declared: Mapping[str, list[str] | None],
    like: Encoding | None,
) -> tuple[Design, Encoding, CrossProducts]:
    """Design and statistics of the groups.

    Parameters
    ----------
    declared : order of the levels of columns whose type has one.
    like : an encoding to use instead of learning one from the levels that the cells have.

    Raises
    ------
    DataError : for a category that `like` does not know.
    """
    size = len(cells.counts)
    labels: tuple[np.ndarray, ...] = ()
    codes = np.zeros(size, dtype=np.int64)
    if plan.needed.keys:
        coded = [group_levels(name, cells.keys[name]) for name in plan.needed.keys]
        combinations, codes = cells_of([each for _, each in coded])
        labels = tuple(levels[combinations[:, k]] for k, (levels, _) in enumerate(coded))
    keys = {name: _as_category(cells.keys[name]) for name in plan.category_columns}
    found = {name: ordered_levels(values, declared.get(name)) for name, values in keys.items()}
    for name, levels in found.items():
        check_written_numbers(name, np.array(levels, dtype=object))
    patterns, pattern = _patterns(keys, size)
    if like is None:
        design, encoding, columns = learn(plan, states, found, patterns, labels)
    else:
        known = {name: _known(plan, like, name, found[name]) for name in keys}
        design, encoding, columns = learn_from(plan, like.specs, known, patterns, labels)
    origin = _origin(columns, cells.centre)
    products = merge_cells((*design.columns, design.response), labels, codes, pattern, cells, columns, origin)
    return design, encoding, products


def merge_cells(
    names: tuple[str, ...],
    labels: tuple[np.ndarray, ...],
    codes: np.ndarray,
    pattern: np.ndarray,
    cells: Cells,
    columns: ColumnMap,
    origin: np.ndarray,
) -> CrossProducts:
    """Statistics of combinations of groups: `codes` and `pattern` (C,) say which one, and which categories, a cell has.

    `labels` are those of the combinations, by grouping column.
    """
    width, size = len(names), len(labels[0]) if labels else 1
    weights, means = np.zeros(size), np.zeros((size, width))
    scatter = np.zeros((size, width, width))
    _merge(
        codes,
        pattern,
        cells.weights,
        cells.centre,
        cells.means,
        cells.scatter,
        columns.place,
        columns.coefficients,
        origin,
        weights,
        means,
        scatter,
    )
    counts = np.bincount(codes, cells.counts, size)
    logs = np.bincount(codes, cells.log_weights, size)
    return CrossProducts(names, labels, counts, weights, origin, means, scatter, logs)


def _as_category(values: np.ndarray) -> np.ndarray:
    """Numbers as float64, as rows in memory have them, also where a group is a category as well."""
    if values.dtype.kind == "b":
        return values.astype(object)
    if values.dtype.kind not in "iuf":
        return values
    numbers = values.astype(float)
    if np.abs(numbers).max(initial=0.0) >= 2**53:
        raise DataError("A category holds whole numbers beyond 2^53, which lose digits; store it as text.")
    return numbers


def add_cells(
    names: tuple[str, ...], labels: tuple[np.ndarray, ...], rows: Rows, counts: np.ndarray, squares: np.ndarray
) -> CrossProducts:
    """Statistics of groups from cells whose rows share their covariates.

    `rows` has the covariates and mean outcome of each cell, `counts` and `squares` (C,) its number of rows and the sum
    of squared deviations of their outcomes.
    """
    width = len(names)
    scatter = np.zeros((len(counts), width, width))
    scatter[:, -1, -1] = squares
    origin = rough_origin(rows.values)
    cells = Cells({}, counts, counts, np.zeros(len(counts)), np.zeros(width), rows.values, scatter, 0, 0)
    columns = ColumnMap(np.arange(width), np.ones((1, width)))
    return merge_cells(names, labels, rows.codes, np.zeros(len(counts), dtype=np.int64), cells, columns, origin)


def _known(plan: Plan, like: Encoding, column: str, found: list[Any]) -> list[Any]:
    """The levels of a column in an encoding, which must hold those found."""
    factor = next(factor for factor, name in plan.categories.items() if name == column)
    for part in like.specs:
        if factor in part.encoder_state:
            known = list(part.encoder_state[factor][1]["categories"])
            strange = [level for level in found if level not in known]
            if strange:
                raise DataError(
                    f"New data hold categories that the fit has not seen: '{column}' is "
                    f"{', '.join(map(str, strange[:5]))}. Known: {', '.join(map(str, known))}. Fit all "
                    "rows anew for more."
                )
            return known
    raise DataError(f"The encoding has no category '{column}'.")


def _patterns(keys: dict[str, np.ndarray], size: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The distinct combinations of categories, by column (P,), and which one each cell has, (C,)."""
    import pandas as pd

    if not keys:
        return {}, np.zeros(size, dtype=np.int64)
    coded = {name: pd.factorize(values, sort=True) for name, values in keys.items()}
    codes = np.column_stack([code for code, _ in coded.values()])
    distinct, pattern = np.unique(codes, axis=0, return_inverse=True)
    columns = {name: np.asarray(labels)[distinct[:, k]] for k, (name, (_, labels)) in enumerate(coded.items())}
    return columns, pattern.reshape(-1).astype(np.int64)


def _origin(columns: ColumnMap, centre: np.ndarray) -> np.ndarray:
    """The centre of columns that are one number in every cell; zero for those that categories multiply."""
    plain = (columns.coefficients == 1.0).all(axis=0) & (columns.place >= 0)
    return np.where(plain, centre[columns.place], 0.0)


@exact_kernel
def _merge(
    codes: IntVector,
    pattern: IntVector,
    cell_weights: Vector,
    centre: Vector,
    cell_means: Matrix,
    cell_scatter: Array3,
    place: IntVector,
    coefficients: Matrix,
    origin: Vector,
    weights: Vector,
    means: Matrix,
    scatter: Array3,
) -> None:
    """Add each cell to its combination of groups, by the pairwise update of Chan, Golub and LeVeque (1983)."""
    width = place.size
    step = np.empty(width)
    for c in range(codes.size):
        j, own = codes[c], coefficients[pattern[c]]
        before = weights[j]
        weights[j] = before + cell_weights[c]
        weight = cell_weights[c] / weights[j]
        for k in range(width):
            at = place[k]
            value = own[k] - origin[k]
            if at >= 0:
                value = own[k] * cell_means[c, at] + (own[k] * centre[at] - origin[k])
            step[k] = value - means[j, k]
            means[j, k] += weight * step[k]
        for k in range(width):
            for h in range(k + 1):
                total = before * weight * step[k] * step[h]
                if place[k] >= 0 and place[h] >= 0:
                    total += own[k] * own[h] * cell_scatter[c, place[k], place[h]]
                scatter[j, k, h] += total
                if h != k:
                    scatter[j, h, k] = scatter[j, k, h]
