"""Rows from the matrices of a formula: columns, outcome, offset, trials, weights, additions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from poolwise.design.additions import addition_part, limits, number, signed
from poolwise.design.design import Design, Rows
from poolwise.design.encoding import Encoding
from poolwise.design.required_columns import design_parts
from poolwise.formula import Formula
from poolwise.support.errors import DataError, FormulaError

_WIDEST = 1e20  # ratio of weights


def rows_of_matrices(
    design: Design, encoding: Encoding, matrices: Any, raw: dict[str, Any], codes: np.ndarray, dropped: int
) -> Rows:
    """Rows (n,) with their outcomes, of which cells and how many dropped ones are known.

    Raises
    ------
    DataError, FormulaError : for what is no column of one number, not finite, or another kind than at the fit.
    """
    response = _one_column(matrices.response, f"outcome '{design.response}'", design.formula)
    values = values_of(design, [getattr(matrices, part) for part in design_parts(design.formula)], len(codes))
    values[:, -1] = response
    weights = offset = trials = None
    if design.formula.offsets:
        offset = offset_of(design, np.asarray(matrices.offset, dtype=float), matrices.offset.model_spec)
        if encoding.linear:
            values[:, -1] -= offset
        else:
            check_finite(["the offset"], offset[:, None])
    if design.formula.trials is not None:
        trials = trials_of(matrices, design.formula, len(codes))
    if encoding.weights is not None:
        weights = weights_of(encoding, raw)
    check_finite((*design.columns, design.response), values)
    added = additions_of(matrices, design.formula, len(codes))
    values[:, -1] = signed(design.formula, values[:, -1], added)
    bounds = limits(design.formula, values[:, -1], added)
    return Rows(values, codes, dropped, weights, offset, trials, encoding.linear, bounds)


def additions_of(matrices: Any, formula: Formula, rows: int) -> dict[str, np.ndarray]:
    """(n,) values of each addition to the outcome by its name."""
    found = {}
    for name, text in formula.additions:
        same = number(text)
        if same is not None:
            found[name] = np.full(rows, same)
            continue
        found[name] = _one_column(getattr(matrices, addition_part(name)), f"addition '{text}'", formula)
        if name not in ("upper", "lb", "ub"):  # ends and bounds may be infinite
            check_finite([text], found[name][:, None])
    return found


def trials_of(matrices: Any, formula: Formula, rows: int) -> np.ndarray:
    """(n,) number of trials of each row."""
    if formula.fixed_trials is not None:
        return np.full(rows, formula.fixed_trials)
    trials = _one_column(matrices.trials, "number of trials", formula)
    check_finite(["the number of trials"], trials[:, None])
    return trials


def _one_column(matrix: Any, what: str, formula: Formula) -> np.ndarray:
    array = np.asarray(matrix, dtype=float)
    if array.shape[1] != 1:
        raise DataError(f"The {what} of '{formula.text}' must be one numeric column; it gives {array.shape[1]}.")
    return array[:, 0]


def weights_of(encoding: Encoding, raw: dict[str, Any]) -> np.ndarray:
    """(n,) weights of rows, of standard errors s those that are 1 / s^2."""
    name = str(encoding.weights)
    weights = np.ascontiguousarray(raw[name], dtype=float)  # a frame turned round has a column with a negative stride
    if encoding.known_errors:
        check_finite([name], weights[:, None])
        if not weights.min(initial=1.0) > 0:
            raise DataError(
                f"The standard errors '{name}' must be positive; the smallest is {weights.min():g}. A row without "
                "error cannot be one of many."
            )
        weights = weights**-2.0
    check_weights(name, float(weights.min(initial=1.0)), float(weights.max(initial=1.0)))
    check_finite([name], weights[:, None])
    return weights


def check_weights(name: str, smallest: float, largest: float) -> None:
    """Refuse weights that are not positive, or of sizes that cannot be added to one another."""
    if not smallest > 0:
        raise DataError(
            f"The weights '{name}' must be positive; the smallest is {smallest:g}. Leave out rows without weight."
        )
    if largest > _WIDEST * smallest:
        raise DataError(
            f"The weights '{name}' go from {smallest:g} to {largest:g}: beside the largest ones, the smallest ones are "
            "lost to rounding. Leave out rows that weigh next to nothing, or limit the weights to a range of "
            f"{_WIDEST:g}."
        )


def offset_of(design: Design, matrix: np.ndarray, spec: Any) -> np.ndarray:
    """The sum (n,) of the offsets, each of which must be one number for each row."""
    if matrix.shape[1] != len(design.formula.offsets):
        raise FormulaError(f"An offset of '{design.formula.text}' is not one numeric column: {spec.column_names}.")
    return matrix.sum(axis=1)


def values_of(design: Design, matrices: list[Any], rows: int) -> np.ndarray:
    """The distinct columns of some matrices, (rows, K + 1), with the place of the outcome left as NaN.

    Raises
    ------
    DataError : where they are not the columns of the fit, as of text in the place of numbers.
    """
    values = np.empty((rows, len(design.columns) + 1))
    values[:, -1] = np.nan
    filled: set[str] = set()
    for matrix in matrices:
        array = np.asarray(matrix, dtype=float)
        for k, name in enumerate(map(str, matrix.model_spec.column_names)):
            if name != "Intercept" and name not in filled:
                if name not in design.columns:
                    raise _another_kind(design, name)
                values[:, design.columns.index(name)] = array[:, k]
                filled.add(name)
    if absent := [name for name in design.columns if name not in filled]:
        raise _another_kind(design, absent[0])
    return values


def _another_kind(design: Design, name: str) -> DataError:
    # Specifications that were read from a file or made for an engine know categories only, and formulaic takes any
    # column for what it is.
    return DataError(
        f"A column of '{design.formula.text}' has another kind than at the fit, such as text for numbers: see '{name}'."
    )


def _reason(name: str) -> str:
    """Why a column may hold a value that is not finite, and what to do."""
    if re.search(r"\blag\(", name):
        return (
            "the first rows have no row before them, nor the last ones a row after them. Make it a column of the data, "
            "whose rows without a value are left out."
        )
    return "every value must be finite. Infinite values and transforms such as the log of zero do this."


def check_finite(names: Iterable[str], values: np.ndarray) -> None:
    """Refuse columns (n, k) of some names with a value that is not finite."""
    for name, column in zip(names, values.T, strict=True):
        if not np.isfinite(column).all():
            bad = int(np.flatnonzero(~np.isfinite(column))[0])
            raise DataError(f"'{name}' is {column[bad]} in row {bad + 1} of the complete rows; {_reason(name)}")
