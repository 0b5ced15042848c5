"""Structured effects of levels, as columns: each level has a row of a matrix, whose columns have independent
coefficients of one standard deviation.

With a prior precision K of the levels' effects, up to their sd, the columns are V / sqrt(lambda) of its eigenvectors
and positive eigenvalues; what K leaves free has columns of its own, or is the intercept. Columns are dense, so that
there may be some hundreds of levels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from formulaic.materializers.types import FactorValues

from poolwise.design.levels import label_text
from poolwise.design.structures.signs import signs
from poolwise.design.structures.structure import PENALTIES, Penalty
from poolwise.support.errors import DataError, FormulaError, suggest

FEW, MOST = 50, 400  # levels: up to which columns are as fast as sparse algebra, and up to which they serve at all


def check_number(text: str, count: int) -> None:
    """Refuse more levels than dense columns serve."""
    if count > MOST:
        raise DataError(
            f"{text} has {count:,} levels; structured effects of levels take {MOST} at most. In normal models with one "
            "sigma icar() and gr() take more."
        )


def eigen_columns(precision: np.ndarray, free: int, *, scaled: bool) -> np.ndarray:
    """(n, n - free) columns with V V' the generalised inverse of a precision whose null space has `free` dimensions.

    With `scaled` the geometric mean of the levels' variances is one (Sorbye and Rue 2014), so that the sd is that of a
    usual level.
    """
    values, vectors = np.linalg.eigh(precision)
    vectors = vectors[:, free:]
    columns = vectors * signs(vectors) / np.sqrt(values[free:])
    if scaled:
        columns = columns / np.exp(0.5 * np.log(np.square(columns).sum(axis=1)).mean())
    return np.asarray(columns)


def root_columns(root: np.ndarray, null: np.ndarray) -> np.ndarray:
    """(n, r) columns with V V' = P root root' P, P the projection away from the columns of `null` (n, free); scaled as
    in `eigen_columns`.

    Exact however near levels are: no precision is formed, whose small eigenvalues would be rounding.
    """
    basis = np.linalg.qr(null)[0]
    left, sizes, _ = np.linalg.svd(root - basis @ (basis.T @ root), full_matrices=False)
    rank = len(root) - null.shape[1]
    columns = left[:, :rank] * sizes[:rank]
    columns *= signs(columns)
    return np.asarray(columns / np.exp(0.5 * np.log(np.square(columns).sum(axis=1)).mean()))


def learnt(
    state: Any,
    levels: Sequence[str],
    columns: np.ndarray,
    null: Mapping[str, np.ndarray] | None = None,
    *,
    groups: bool = False,
) -> None:
    """Keep the columns (n, k) of the levels, and those of the null space (n,) by name, in a transform's state; and
    whether the levels are groups, not times."""
    state |= {"levels": list(levels), "columns": np.asarray(columns), "null": dict(null or {}), "groups": groups}
    state[PENALTIES] = [Penalty.of_sd(columns.shape[1]).state()]


def encoded(state: Any, values: Iterable[object], text: str) -> FactorValues[Any]:
    """Columns of rows.

    Raises
    ------
    DataError : for a level that is not there.
    """
    return columns_at(state, positions(state, values, text))


def columns_at(state: Any, places: np.ndarray) -> FactorValues[Any]:
    """Columns of rows, from the places of their levels."""
    found = {name: np.asarray(column)[places] for name, column in state["null"].items()}
    columns = np.asarray(state["columns"])
    found |= {str(j + 1): columns[places, j] for j in range(columns.shape[1])}
    return as_values(found)


def as_values(columns: Mapping[str, np.ndarray]) -> FactorValues[Any]:
    """Columns under the term's name, each in brackets."""
    return FactorValues(dict(columns), kind="numerical", spans_intercept=False, format="{name}[{field}]", encoded=False)


def positions(state: Any, values: Iterable[object], text: str) -> np.ndarray:
    """(n,) place of each value among the levels."""
    import pandas as pd

    names = np.array([label_text(value) for value in values], dtype=object)
    places = pd.Index(state["levels"]).get_indexer(pd.Index(names))
    if (places < 0).any():
        strange = str(names[places < 0][0])
        raise DataError(f"{text} does not know '{strange}'. {suggest(strange, state['levels'])}")
    return np.asarray(places)


def table_named(context: Any, name: Any, text: str) -> Any:
    """A table or matrix that was given beside the data.

    Raises
    ------
    FormulaError : where there is none of that name.
    """
    known = context or {}
    if name not in known:
        said = suggest(str(name), known) if known else "None was given."
        raise FormulaError(f"{text} refers to '{name}': pass it to the fit, tables={{'{name}': ...}}. {said}")
    return known[name]
