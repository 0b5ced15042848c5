"""Encode rows for a formula, and remember how, so that new rows are encoded the same way.

formulaic evaluates the outcome, the common terms and the left side of the bar together. Columns that several of them
share are kept once; groups stay codes and never become indicator columns.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from poolwise.design.design import Design, Rows
from poolwise.design.variables import required_columns
from poolwise.errors import DataError, FormulaError
from poolwise.formula import Bar, Formula
from poolwise.formula.parse import unquote
from poolwise.sources.frames import Table

_MISSING = ("drop", "error")
_WARNINGS = Lock()  # warning filters belong to the process: two threads must not change them at once


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """How raw columns become design columns.

    Attributes
    ----------
    specs : formulaic's model specifications of `response`, `common` and, with a bar, `effects`; they hold the state
        of transforms (`scale`, splines) and the levels of categories.
    variables : raw columns that are needed for the predictors.
    group : raw grouping column, or None.
    levels : (J,) labels of the groups.
    """

    specs: Any
    variables: tuple[str, ...]
    group: str | None
    levels: np.ndarray


def build(formula: Formula, table: Table, *, missing: str = "drop") -> tuple[Design, Encoding, Rows]:
    """Learn the encoding of a formula from a table and encode its rows.

    Parameters
    ----------
    missing : "drop" leaves rows with a missing value out and counts them; "error" refuses them.

    Raises
    ------
    FormulaError, DataError : what is wrong, where, and what would be valid.
    """
    if missing not in _MISSING:
        raise DataError(f"missing must be 'drop' or 'error', not {missing!r}.")
    bar = _single_bar(formula)
    parts = _formulaic(formula)
    outcome = sorted(required_columns(parts.response))
    predictors = sorted(
        {name for part in parts._flatten() if part is not parts.response for name in required_columns(part)}
    )
    needed = [*outcome, *(name for name in predictors if name not in outcome)]
    raw = table.columns([*needed, *([bar.group] if bar else [])])
    if not table.rows:
        raise DataError("The data hold no rows.")
    _check_names(needed, bar)
    keep, dropped = _complete(raw, missing)
    raw = {name: values[keep] for name, values in raw.items()}
    for name in needed:
        if raw[name].dtype.kind in "Mm":
            raise DataError(f"'{name}' holds dates or times; make numbers of them, such as days since the first one.")
    for name in outcome:
        _check_numeric(name, raw[name], f"the outcome {formula.response}")
    levels, codes = np.array(["all"]), np.zeros(int(keep.sum()), dtype=np.int64)
    if bar:
        levels, codes = _levels(bar.group, raw[bar.group])
    matrices = _materialise(parts, {name: raw[name] for name in needed}, formula, len(codes))
    encoding = Encoding(matrices.model_spec, tuple(predictors), bar.group if bar else None, levels)
    design = _design(formula, bar, matrices.model_spec, levels)
    rows = _rows(design, matrices, codes, dropped)
    _check_rows(design, rows)
    return design, encoding, rows


def encode(design: Design, encoding: Encoding, table: Table) -> Rows:
    """Encode new rows as at the fit; they need no outcome, whose column comes as NaN.

    Rows of a group that the fit has not seen have code -1. Missing values are refused.

    Raises
    ------
    DataError : for a column that is not there, a missing value, or a category that the fit has not seen.
    """
    import pandas as pd

    raw = table.columns([*encoding.variables, *([encoding.group] if encoding.group else [])])
    _complete(raw, "error")
    codes = np.zeros(table.rows, dtype=np.int64)
    if encoding.group:
        codes = pd.Index(encoding.levels).get_indexer(raw[encoding.group]).astype(np.int64)
    names = [name for name in ("common", "effects") if hasattr(encoding.specs, name)]
    specs = type(encoding.specs)(**{name: getattr(encoding.specs, name) for name in names})
    matrices = _materialise(specs, {name: raw[name] for name in encoding.variables}, design.formula, table.rows)
    return Rows(_values(design, [getattr(matrices, name) for name in names], table.rows), codes, 0)


def _single_bar(formula: Formula) -> Bar | None:
    if len(formula.bars) > 1:
        raise FormulaError(
            f"This formula has {len(formula.bars)} group terms ({', '.join(map(str, formula.bars))}); "
            "one grouping factor with one bar is supported so far. Put all effects into one bar: (1 + x | group)."
        )
    return formula.bars[0] if formula.bars else None


def part_texts(formula: Formula) -> dict[str, str]:
    """The parts of a formula that formulaic evaluates."""
    texts = {"response": f"0 + {formula.response}", "common": formula.common}
    if formula.bars:
        texts["effects"] = formula.bars[0].effects
    return texts


def _formulaic(formula: Formula) -> Any:
    """The parts of a formula as formulaic's own structured formula."""
    from formulaic import Formula as Formulaic
    from formulaic import SimpleFormula
    from formulaic.errors import FormulaicError

    texts = part_texts(formula)
    parts = {}
    for name, text in texts.items():
        try:
            parts[name] = _parse_part(text)
        except (FormulaicError, SyntaxError) as error:
            reason = str(error).strip().splitlines()[0]
            raise FormulaError(f"Cannot read '{text.removeprefix('0 + ')}' in '{formula.text}': {reason}") from error
        if not isinstance(parts[name], SimpleFormula):
            raise FormulaError(f"Cannot read '{text}' in '{formula.text}': it holds a '~' or '|' of its own.")
    return Formulaic(**parts)


@lru_cache(maxsize=256)
def _parse_part(text: str) -> Any:
    """Parsing costs as much as evaluating a small model, and refits repeat it."""
    from formulaic import Formula as Formulaic

    return Formulaic(text)


def _check_names(columns: list[str], bar: Bar | None) -> None:
    """Refuse names that mean something else in formulas, or in the labels of a posterior."""
    taken = {"", "1", "0", "Intercept"} & set(columns)
    if bar:
        taken |= {"", "chain", "draw", "coefficient", "effect", "effect_", "observation", "beta", "sigma"} & {bar.group}
    if taken:
        raise DataError(f"A column cannot be called '{sorted(taken)[0]}' here: the name is taken. Rename it.")


def _complete(raw: dict[str, Any], missing: str) -> tuple[np.ndarray, int]:
    """Which rows have no missing value in any of the columns, and how many have one."""
    import pandas as pd

    length = len(next(iter(raw.values()))) if raw else 0
    keep = np.ones(length, dtype=bool)
    holes = {}
    for name, values in raw.items():
        absent = np.asarray(pd.isna(values))
        if absent.any():
            holes[name] = int(absent.sum())
            keep &= ~absent
    dropped = length - int(keep.sum())
    where = ", ".join(f"{name} ({count})" for name, count in holes.items())
    if dropped and missing == "error":
        raise DataError(f"{dropped} of {length} rows have missing values, in: {where}. missing='drop' leaves them out.")
    if length and not keep.any():
        raise DataError(f"No row is complete: missing values in {where}.")
    return keep, dropped


def _check_numeric(name: str, values: Any, role: str) -> None:
    if values.dtype.kind != "f" and values.dtype.kind not in "Mm":
        values = np.asarray(values, dtype=object)
        at, example = next((i, value) for i, value in enumerate(values, start=1) if not _is_number(value))
        raise DataError(f"'{name}' must hold numbers for {role}, but row {at} holds {example!r}.")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _levels(group: str, values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Sorted labels and the code of each row."""
    import pandas as pd

    if isinstance(values, pd.Categorical):
        values = np.asarray(values, dtype=object)
    if values.dtype.kind == "f" and np.all(values == np.round(values)) and np.all(np.abs(values) < 2**53):
        values = values.astype(np.int64)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"The grouping column '{group}' holds infinite values.")
    if values.dtype.kind == "O" and len({type(value) for value in values}) > 1:
        values = np.array([str(value) for value in values], dtype=object)  # a mix has no order of its own
    codes, levels = pd.factorize(values, sort=True)
    levels = np.asarray(levels)
    return levels, codes.astype(np.int64)


def _materialise(parts: Any, raw: dict[str, Any], formula: Formula, rows: int) -> Any:
    """formulaic's matrices for raw columns without missing values."""
    import pandas as pd
    from formulaic.errors import DataMismatchWarning, FactorEvaluationError, FormulaicError

    frame = pd.DataFrame(raw, index=range(rows))
    # What a transform makes of zero or of a negative number is found among the values, not warned of.
    with _WARNINGS, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error", DataMismatchWarning)
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


def _cause(error: BaseException) -> str:
    inner = error.__cause__ or error
    return f"{inner} ({type(inner).__name__})" if inner is not error else str(error)


def _design(formula: Formula, bar: Bar | None, specs: Any, levels: np.ndarray) -> Design:
    coefficients = tuple(map(str, specs.common.column_names))
    effects = tuple(map(str, specs.effects.column_names)) if bar else ()
    if bar and not effects:
        raise FormulaError(f"{bar} has no effects: the left side of the bar is empty.")
    columns = tuple(dict.fromkeys(name for name in (*coefficients, *effects) if name != "Intercept"))
    return Design(
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


def _selection(columns: tuple[str, ...], names: tuple[str, ...]) -> np.ndarray:
    """(1 + K, number of names) with a one where a name is a column of [1, W]."""
    position = {"Intercept": 0, **{name: k for k, name in enumerate(columns, start=1)}}
    selected = np.zeros((1 + len(columns), len(names)))
    for k, name in enumerate(names):
        selected[position[name], k] = 1.0
    return selected


def _rows(design: Design, matrices: Any, codes: np.ndarray, dropped: int) -> Rows:
    response = np.asarray(matrices.response, dtype=float)
    if response.shape[1] != 1:
        raise DataError(f"The outcome '{design.response}' must be one numeric column; it gives {response.shape[1]}.")
    sources = [matrices.common, matrices.effects] if design.group is not None else [matrices.common]
    values = _values(design, sources, len(codes))
    values[:, -1] = response[:, 0]
    return Rows(values, codes, dropped)


def _values(design: Design, matrices: list[Any], rows: int) -> np.ndarray:
    """The distinct columns of some matrices, (rows, K + 1), with the place of the outcome left as NaN."""
    values = np.full((rows, len(design.columns) + 1), np.nan)
    filled: set[str] = set()
    for matrix in matrices:
        array = np.asarray(matrix, dtype=float)
        for k, name in enumerate(map(str, matrix.model_spec.column_names)):
            if name != "Intercept" and name not in filled:
                values[:, design.columns.index(name)] = array[:, k]
                filled.add(name)
    return values


def _check_rows(design: Design, rows: Rows) -> None:
    for name, column in zip((*design.columns, design.response), rows.values.T, strict=True):
        if not np.isfinite(column).all():
            bad = int(np.flatnonzero(~np.isfinite(column))[0])
            raise DataError(
                f"'{name}' is {column[bad]} in row {bad + 1} of the complete rows; every value must be finite. "
                "Infinite values and transforms such as the log of zero do this."
            )
    outcome = rows.response
    if len(outcome) and outcome.min() == outcome.max():
        raise DataError(f"The outcome '{design.response}' is constant ({outcome[0]:g}): there is nothing to explain.")
    if design.group is not None and len(design.levels) == 1:
        raise DataError(
            f"'{design.group}' has one group only ({design.levels[0]}); a spread between groups needs at least two. "
            f"Leave the group term out: '{design.formula.response} ~ {design.formula.common}'."
        )
    if design.group is not None and len(design.levels) == len(outcome) and len(outcome) > 1:
        raise DataError(
            f"Every row has a group of its own in '{design.group}': the spread between groups and the residual "
            "spread cannot be told apart. Choose a grouping column with repeated values."
        )
    for name, column in zip(design.columns, rows.values.T, strict=False):
        if column.min() == column.max():
            raise DataError(f"'{name}' is constant ({column[0]:g}) in the complete rows; leave it out.")
    if len(outcome) < len(design.coefficients):
        raise DataError(
            f"There are fewer rows ({len(outcome)}) than coefficients ({len(design.coefficients)}). "
            "Use fewer terms or more data."
        )
