"""Encode rows for a formula, and remember how, so that new rows are encoded the same way.

formulaic evaluates the outcome, the common terms and the left side of the bar together. Columns that several of them
share are kept once; groups stay codes and never become indicator columns.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np

from poolwise.design.design import Design, Rows
from poolwise.design.levels import group_levels
from poolwise.design.needed import Needed, check_missing, complete
from poolwise.design.variables import parse_expression
from poolwise.errors import DataError, FormulaError
from poolwise.formula import Formula
from poolwise.formula.parse import unquote
from poolwise.sources.frames import Table

_WARNINGS = Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """How raw columns become design columns.

    Attributes
    ----------
    specs : formulaic's model specifications of `response`, `common` and, with a bar, `effects`; they hold the state
        of transforms (`scale`, splines) and the levels of categories.
    outcome, variables : raw columns that the outcome and the predictors need.
    group : raw grouping column, or None.
    levels : (J,) labels of the groups.
    """

    specs: Any
    outcome: tuple[str, ...]
    variables: tuple[str, ...]
    group: str | None
    levels: np.ndarray


def build(needed: Needed, table: Table, *, missing: str = "drop") -> tuple[Design, Encoding, Rows]:
    """Learn the encoding of a formula from a table and encode its rows.

    Parameters
    ----------
    missing : "drop" leaves rows with a missing value out and counts them; "error" refuses them.

    Raises
    ------
    FormulaError, DataError : what is wrong, where, and what would be valid.
    """
    raw, levels, codes, dropped = _read(needed, table, missing)
    matrices = materialise(needed.parts, raw, needed.formula, len(codes))
    design, encoding = describe_columns(needed, matrices.model_spec, levels)
    return design, encoding, _rows(design, matrices, codes, dropped)


def encode_like(
    design: Design, encoding: Encoding, needed: Needed, table: Table, *, missing: str = "drop"
) -> tuple[Design, Encoding, Rows]:
    """Encode rows, outcome included, with an encoding that was learnt before; only the groups are the rows' own.

    Raises
    ------
    DataError : as `build` does, and for a category that the encoding does not know.
    """
    raw, levels, codes, dropped = _read(needed, table, missing)
    matrices = materialise(encoding.specs, raw, design.formula, len(codes))
    relevelled = with_levels(design, encoding, levels)
    return *relevelled, _rows(relevelled[0], matrices, codes, dropped)


def with_levels(design: Design, encoding: Encoding, levels: np.ndarray) -> tuple[Design, Encoding]:
    """The same design for other groups."""
    return replace(design, levels=levels), replace(encoding, levels=levels)


def encode(design: Design, encoding: Encoding, table: Table) -> Rows:
    """Encode new rows as at the fit; they need no outcome, whose column comes as NaN.

    Rows of a group that the fit has not seen have code -1. Missing values are refused.

    Raises
    ------
    DataError : for a column that is not there, a missing value, or a category that the fit has not seen.
    """
    raw = table.columns(encoding.variables)
    codes = np.zeros(table.rows, dtype=np.int64)
    if encoding.group:
        keys = table.keys(encoding.group)
        complete({**raw, encoding.group: keys}, "error")
        codes = codes_of(encoding.levels, keys)
    else:
        complete(raw, "error")
    names = [name for name in ("common", "effects") if hasattr(encoding.specs, name)]
    specs = type(encoding.specs)(**{name: getattr(encoding.specs, name) for name in names})
    matrices = materialise(specs, raw, design.formula, table.rows)
    return Rows(_values(design, [getattr(matrices, name) for name in names], table.rows), codes, 0)


def encode_batch(design: Design, encoding: Encoding, raw: dict[str, Any], keys: Any) -> Rows:
    """Encode complete rows, outcome included; `raw` holds the needed columns, `keys` (n,) the groups, or None."""
    length = len(next(iter(raw.values()))) if raw else len(keys)
    codes = np.zeros(length, dtype=np.int64) if keys is None else codes_of(encoding.levels, keys)
    return _rows(design, materialise(encoding.specs, raw, design.formula, length), codes, 0)


def codes_of(levels: np.ndarray, keys: Any) -> np.ndarray:
    """(n,) position of each label among the levels, -1 for one that is not there."""
    import pandas as pd

    if isinstance(keys, pd.Categorical):
        keys = np.asarray(keys, dtype=object)
    return pd.Index(levels).get_indexer(keys).astype(np.int64)


def _read(needed: Needed, table: Table, missing: str) -> tuple[dict[str, Any], np.ndarray, np.ndarray, int]:
    """Complete raw columns of a table, group labels, the code of each row, and how many rows were dropped."""
    check_missing(missing)
    raw = table.columns(needed.values)
    keys = {} if needed.group is None else {needed.group: table.keys(needed.group)}
    if not table.rows:
        raise DataError("The data hold no rows.")
    keep, dropped = complete({**raw, **keys}, missing)
    if dropped:
        raw, keys = ({name: values[keep] for name, values in each.items()} for each in (raw, keys))
    raw = {name: values.remove_unused_categories() if _is_category(values) else values for name, values in raw.items()}
    check_values(needed, raw)
    for name, values in keys.items():
        return raw, *group_levels(name, values), dropped
    return raw, np.array(["all"]), np.zeros(int(keep.sum()), dtype=np.int64), dropped


def _is_category(values: Any) -> bool:
    import pandas as pd

    return isinstance(values, pd.Categorical)


def check_values(needed: Needed, raw: dict[str, Any]) -> None:
    """Refuse dates among the predictors, and an outcome that is not numeric."""
    for name in needed.values:
        if raw[name].dtype.kind in "Mm":
            raise DataError(f"'{name}' holds dates or times; make numbers of them, such as days since the first one.")
    for name in needed.outcome:
        _check_numeric(name, raw[name], f"the outcome {needed.formula.response}")


def _check_numeric(name: str, values: Any, role: str) -> None:
    if values.dtype.kind != "f":
        values = np.asarray(values, dtype=object)
        at, example = next((i, value) for i, value in enumerate(values, start=1) if not _is_number(value))
        raise DataError(f"'{name}' must hold numbers for {role}, but row {at} holds {example!r}.")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def materialise(parts: Any, raw: dict[str, Any], formula: Formula, rows: int) -> Any:
    """formulaic's matrices for raw columns without missing values."""
    import pandas as pd
    from formulaic.errors import DataMismatchWarning, FactorEvaluationError, FormulaicError

    _check_categories(parts, raw)
    frame = pd.DataFrame(raw, index=range(rows), copy=False)
    # What a transform makes of zero or of a negative number is found among the values, not warned of.
    with np.errstate(all="ignore"), _warned_of_categories(parts):
        try:
            return parts.get_model_matrix(frame, na_action="ignore", output="numpy")
        except DataMismatchWarning as error:
            raise DataError(f"New data hold categories that the fit has not seen: {error}") from error
        except FactorEvaluationError as error:
            raise FormulaError(f"Cannot evaluate a term of '{formula.text}': {_cause(error)}") from error
        except FormulaicError as error:
            raise FormulaError(f"Cannot build '{formula.text}': {_cause(error)}") from error
        except Exception as error:  # whatever a transform may raise on the user's data
            raise FormulaError(f"Cannot evaluate '{formula.text}' on these data: {_cause(error)}") from error


@contextmanager
def _warned_of_categories(parts: Any) -> Iterator[None]:
    """formulaic warns of unknown categories of computed factors such as `C(x + 1)`; here that is an error.

    Warning filters belong to the process, so this is done only where such a factor is, and by one thread at a time.
    """
    from formulaic.errors import DataMismatchWarning

    states = [state for part in parts._flatten() for state in getattr(part, "encoder_state", {}).items()]
    if not any("categories" in state and column_of_category(factor) is None for factor, (_, state) in states):
        yield
        return
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("error", DataMismatchWarning)
        yield


def _check_categories(parts: Any, raw: dict[str, Any]) -> None:
    """Refuse categories that specifications do not know: formulaic would take them for the first one, and warn."""
    import pandas as pd

    for part in parts._flatten():
        for factor, (_, state) in getattr(part, "encoder_state", {}).items():
            name = column_of_category(factor)
            if "categories" not in state or name not in raw:
                continue  # of `C(x + 1)` formulaic itself says so
            found = set(pd.unique(np.asarray(raw[name], dtype=object)))
            strange = sorted(str(value) for value in found - set(state["categories"]))
            if strange:
                known = ", ".join(map(str, state["categories"]))
                raise DataError(
                    f"New data hold categories that the fit has not seen: '{name}' is {', '.join(strange[:5])}. "
                    f"Known: {known}."
                )


def column_of_category(factor: str) -> str | None:
    """The raw column behind a categorical factor: `z` for `z`, `C(z)` and `C(z, contr.sum)`, None for `C(z + 1)`."""
    if not factor.startswith("C("):
        return unquote(factor)
    tree, names = parse_expression(factor)
    inside = tree.args[0] if isinstance(tree, ast.Call) and tree.args else None
    return names[inside.id] if isinstance(inside, ast.Name) else None


def _cause(error: BaseException) -> str:
    inner = error.__cause__ or error
    return f"{inner} ({type(inner).__name__})" if inner is not error else str(error)


def describe_columns(needed: Needed, specs: Any, levels: np.ndarray) -> tuple[Design, Encoding]:
    """Design and encoding from formulaic's specifications after they have met data."""
    formula, bar = needed.formula, needed.bar
    coefficients = tuple(map(str, specs.common.column_names))
    effects = tuple(map(str, specs.effects.column_names)) if bar else ()
    if bar and not effects:
        raise FormulaError(f"{bar} has no effects: the left side of the bar is empty.")
    columns = tuple(dict.fromkeys(name for name in (*coefficients, *effects) if name != "Intercept"))
    design = Design(
        formula,
        unquote(formula.response),
        columns,
        coefficients,
        _selection(columns, coefficients),
        effects,
        _selection(columns, effects),
        bar.group if bar else None,
        levels,
        bool(bar and bar.correlated),
    )
    return design, Encoding(specs, needed.outcome, needed.predictors, needed.group, levels)


def _selection(columns: tuple[str, ...], names: tuple[str, ...]) -> np.ndarray:
    """(1 + K, number of names) with a one where a name is a column of [1, W]."""
    position = {"Intercept": 0, **{name: k for k, name in enumerate(columns, start=1)}}
    selected = np.zeros((1 + len(columns), len(names)))
    selected[[position[name] for name in names], np.arange(len(names))] = 1.0
    return selected


def _rows(design: Design, matrices: Any, codes: np.ndarray, dropped: int) -> Rows:
    response = np.asarray(matrices.response, dtype=float)
    if response.shape[1] != 1:
        raise DataError(f"The outcome '{design.response}' must be one numeric column; it gives {response.shape[1]}.")
    sources = [matrices.common, matrices.effects] if design.group is not None else [matrices.common]
    values = _values(design, sources, len(codes))
    values[:, -1] = response[:, 0]
    _check_finite((*design.columns, design.response), values)
    return Rows(values, codes, dropped)


def _values(design: Design, matrices: list[Any], rows: int) -> np.ndarray:
    """The distinct columns of some matrices, (rows, K + 1), with the place of the outcome left as NaN."""
    values = np.empty((rows, len(design.columns) + 1))
    values[:, -1] = np.nan
    filled: set[str] = set()
    for matrix in matrices:
        array = np.asarray(matrix, dtype=float)
        for k, name in enumerate(map(str, matrix.model_spec.column_names)):
            if name != "Intercept" and name not in filled:
                values[:, design.columns.index(name)] = array[:, k]
                filled.add(name)
    return values


def _check_finite(names: Iterable[str], values: np.ndarray) -> None:
    for name, column in zip(names, values.T, strict=True):
        if not np.isfinite(column).all():
            bad = int(np.flatnonzero(~np.isfinite(column))[0])
            raise DataError(
                f"'{name}' is {column[bad]} in row {bad + 1} of the complete rows; every value must be finite. "
                "Infinite values and transforms such as the log of zero do this."
            )
