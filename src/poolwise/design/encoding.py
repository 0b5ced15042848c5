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
from datetime import date, time
from threading import Lock
from typing import Any

import numpy as np

from poolwise.design import structures
from poolwise.design.additions import addition_part, addition_texts, bounds, coded, limits, number, signed
from poolwise.design.categories import positions
from poolwise.design.checks import check_written_numbers
from poolwise.design.design import Design, Rows
from poolwise.design.expression_names import expression_names, parse_expression
from poolwise.design.factors import NOBODY, Cells, cells_of, levels_with
from poolwise.design.group_terms import factors_of, selection
from poolwise.design.levels import check_labels, group_levels, label_codes, plain_label
from poolwise.design.margins import margins_of, powers_of_columns
from poolwise.design.required_columns import Needed, check_missing, common_part, complete, design_parts
from poolwise.design.transform_state import own_states
from poolwise.formula import Formula
from poolwise.formula.parse import unquote
from poolwise.sources.frames import Table
from poolwise.support.errors import DataError, FormulaError

_WARNINGS = Lock()
_WIDEST = 1e20  # ratio of weights


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """How raw columns become design columns.

    Attributes
    ----------
    specs : formulaic's model specifications of the parts of the formula; they hold the state of transforms (`scale`,
        splines) and the levels of categories.
    outcome, variables : raw columns that the outcome and the predictors need.
    weights : the raw column of the rows' weights, or None.
    keys : raw grouping columns.
    cells : for each of them, the label (C,) in each cell.
    trials : raw columns that the number of trials needs.
    linear : whether the mean is the linear predictor, so that offsets can be taken away from the outcome.
    labels : of failure and success, where the outcome is two labels; of its categories, where it is one of several.
    known_errors : whether the column of weights has standard errors instead, s of weight 1 / s^2.
    """

    specs: Any
    outcome: tuple[str, ...]
    variables: tuple[str, ...]
    weights: str | None
    keys: tuple[str, ...]
    cells: Cells
    trials: tuple[str, ...] = ()
    linear: bool = True
    labels: tuple[Any, ...] = ()
    known_errors: bool = False


def build(needed: Needed, table: Table, *, missing: str = "drop") -> tuple[Design, Encoding, Rows]:
    """Learn the encoding of a formula from a table and encode its rows.

    Parameters
    ----------
    missing : "drop" leaves rows with a missing value out and counts them; "error" refuses them.

    Raises
    ------
    FormulaError, DataError : what is wrong, where, and what would be valid.
    """
    raw, cells, codes, dropped, labels = _read(needed, table, missing, ())
    matrices = materialise(needed.parts, raw, needed.formula, len(codes))
    design, encoding = describe_columns(needed, matrices.model_spec, cells)
    encoding = replace(encoding, labels=labels)
    return design, encoding, _rows(design, encoding, matrices, raw, codes, dropped)


def encode_like(
    design: Design, encoding: Encoding, needed: Needed, table: Table, *, missing: str = "drop"
) -> tuple[Design, Encoding, Rows]:
    """Encode rows, outcome included, with an encoding that was learnt before; only the groups are the rows' own.

    Raises
    ------
    DataError : as `build` does, and for a category that the encoding does not know.
    """
    raw, cells, codes, dropped, _ = _read(needed, table, missing, encoding.labels)
    matrices = materialise(encoding.specs, raw, design.formula, len(codes))
    design, encoding = with_cells(design, encoding, cells)
    return design, encoding, _rows(design, encoding, matrices, raw, codes, dropped)


def with_cells(design: Design, encoding: Encoding, cells: Cells) -> tuple[Design, Encoding]:
    """The same design for other groups."""
    factors = []
    for factor in design.factors:
        levels, codes = levels_with(factor.name, factor.keys, factor.coupling, encoding.keys, cells)
        factors.append(replace(factor, levels=levels, codes=codes))
    return replace(design, factors=tuple(factors)), replace(encoding, cells=cells)


def encode(
    design: Design,
    encoding: Encoding,
    table: Table,
    *,
    absent: tuple[str, ...] = (),
    weighted: bool = False,
    groups: Table | None = None,
) -> tuple[Design, Rows]:
    """Encode new rows as at the fit: the design of their own groups, and the rows.

    They need no outcome, whose column comes as NaN. Missing values are refused.

    Parameters
    ----------
    absent : grouping columns that the table lacks and that are not asked for: all rows share a label of no group.
    weighted : whether the rows' weights, trials and bounds are wanted, where the fit has them.
    groups : whose grouping columns are those of the rows, where it is another table.

    Raises
    ------
    DataError : for a column that is not there, a missing value, or a category that the fit has not seen.
    """
    has_weights = (
        weighted and encoding.weights is not None and (encoding.known_errors or encoding.weights in table.names)
    )
    weights = (str(encoding.weights),) if has_weights else ()  # without them each row weighs one
    bounded = Formula(
        "", "", "", (), additions=tuple(one for one in design.formula.additions if one[0] in ("lb", "ub"))
    )
    bounds_of_columns = addition_texts(bounded) if weighted else {}
    more_columns = sorted({name for text in bounds_of_columns.values() for name in expression_names(text)})
    tried_columns = encoding.trials if weighted else ()
    raw = table.columns(list(dict.fromkeys([*encoding.variables, *weights, *tried_columns, *more_columns])))
    nobody = np.full(table.rows, NOBODY, dtype=object)
    labelled = table if groups is None else groups
    keys = {name: nobody if name in absent else labelled.keys(name) for name in encoding.keys}
    _refuse_holes({**raw, **keys}, table.rows)
    cells: Cells = tuple(np.zeros(0, dtype=int) for _ in encoding.keys)
    codes = np.zeros(table.rows, dtype=np.int64)
    if keys:
        found = [group_levels(name, values) for name, values in keys.items()]
        combinations, codes = cells_of([codes for _, codes in found])
        cells = tuple(levels[combinations[:, k]] for k, (levels, _) in enumerate(found))
    tried = weighted and design.formula.trials is not None
    more = {"offset": bool(design.formula.offsets), "trials": tried and design.formula.fixed_trials is None}
    names = [*design_parts(design.formula), *(name for name, wanted in more.items() if wanted), *bounds_of_columns]
    specs = type(encoding.specs)(**{name: getattr(encoding.specs, name) for name in names})
    matrices = materialise(specs, raw, design.formula, table.rows)
    design, encoding = with_cells(design, encoding, cells)
    values = _values(design, [getattr(matrices, name) for name in design_parts(design.formula)], table.rows)
    _check_finite(design.columns, values[:, :-1])
    offset = None
    if design.formula.offsets:
        offset = _offset(design, np.asarray(matrices.offset, dtype=float), matrices.offset.model_spec)
    trials = _trials(matrices, design.formula, table.rows) if tried else None
    limits = bounds(_additions(matrices, bounded, table.rows), table.rows) if weighted else None
    own = _weights(encoding, raw) if weights else None
    return design, Rows(values, codes, 0, own, offset, trials, encoding.linear, limits)


def _refuse_holes(columns: dict[str, Any], rows: int) -> None:
    """Refuse new rows with missing values."""
    import pandas as pd

    holes = {name: int(np.asarray(pd.isna(values)).sum()) for name, values in columns.items()}
    where = ", ".join(f"{name} ({count})" for name, count in holes.items() if count)
    if where:
        raise DataError(f"New rows have missing values, in: {where}, of {rows} rows. Leave these rows out.")


def encode_batch(design: Design, encoding: Encoding, raw: dict[str, Any], keys: list[Any]) -> Rows:
    """Encode complete rows, outcome included; `raw` holds the needed columns, `keys` (n,) each grouping column."""
    length = len(next(iter(raw.values()))) if raw else len(keys[0])
    codes = codes_of(encoding.cells, keys) if keys else np.zeros(length, dtype=np.int64)
    return _rows(design, encoding, materialise(encoding.specs, raw, design.formula, length), raw, codes, 0)


def codes_of(cells: Cells, keys: list[Any]) -> np.ndarray:
    """(n,) position of the cell of each row, -1 for a combination of labels that is not there."""
    import pandas as pd

    keys = [np.asarray(each, dtype=object) if isinstance(each, pd.Categorical) else each for each in keys]
    if len(keys) == 1:
        return pd.Index(cells[0]).get_indexer(keys[0]).astype(np.int64)
    place, known = np.zeros(len(keys[0]), dtype=np.int64), np.zeros(len(cells[0]), dtype=np.int64)
    for mine, theirs in zip(keys, cells, strict=True):
        codes, levels = label_codes(theirs)
        found = pd.Index(levels).get_indexer(mine).astype(np.int64)
        place = np.where((place < 0) | (found < 0), -1, place * len(levels) + found)
        known = known * len(levels) + codes
        distinct = np.unique(known)  # renumbered, so that products of many columns stay whole numbers
        known = np.searchsorted(distinct, known)
        at = np.searchsorted(distinct, place).clip(max=len(distinct) - 1)
        place = np.where(distinct[at] == place, at, -1)
    return pd.Index(known).get_indexer(pd.Index(place)).astype(np.int64)


def _read(
    needed: Needed, table: Table, missing: str, labels: tuple[Any, ...]
) -> tuple[dict[str, Any], Cells, np.ndarray, int, tuple[Any, ...]]:
    """Complete raw columns of a table, labels of the cells, the cell of each row, how many rows were dropped, and the
    labels of failure and success, those known beforehand included."""
    check_missing(missing)
    raw = coded(needed.formula, raw_columns(needed, table))
    keys = {name: table.keys(name) for name in needed.keys}
    if not table.rows:
        raise DataError("The data hold no rows.")
    for name in set(needed.predictors) - needed.labelling:
        check_written_numbers(name, raw[name])
    keep, dropped = complete({**raw, **keys}, missing)
    if dropped:
        raw, keys = ({name: values[keep] for name, values in each.items()} for each in (raw, keys))
    raw = {name: values.remove_unused_categories() if _is_category(values) else values for name, values in raw.items()}
    if needed.labels:
        name, labels = needed.outcome[0], needed.labels
        raw[name] = positions(name, raw[name], labels)
    elif needed.labelled or labels:
        labels = _two_labels(needed, raw, labels)
    check_values(needed, raw)
    if not keys:
        return raw, (), np.zeros(int(keep.sum()), dtype=np.int64), dropped, labels
    found = [group_levels(name, values) for name, values in keys.items()]
    if len(found) == 1:
        return raw, (found[0][0],), found[0][1], dropped, labels
    combinations, codes = cells_of([codes for _, codes in found])
    return raw, tuple(levels[combinations[:, k]] for k, (levels, _) in enumerate(found)), codes, dropped, labels


def raw_columns(needed: Needed, table: Table) -> dict[str, Any]:
    """The columns that a formula evaluates; true counts as one on its left side and in weights."""
    raw = table.columns(needed.values)
    return {name: truths_as_numbers(values) if name in needed.numbers else values for name, values in raw.items()}


def truths_as_numbers(values: Any) -> Any:
    """Categories that are true and false as one and zero, NaN where they are missing; all else as it is."""
    if _is_category(values) and len(values.categories) and all(isinstance(one, bool) for one in values.categories):
        return np.array([np.nan if value is None or value != value else float(value) for value in values])
    return values


def _two_labels(needed: Needed, raw: dict[str, Any], known: tuple[Any, ...]) -> tuple[Any, ...]:
    """The labels of failure and success, whose column in `raw` becomes zeros and ones; nothing where it holds numbers.

    Raises
    ------
    DataError : for another number of labels than two, or for labels other than those known.
    """
    name = needed.outcome[0] if len(needed.outcome) == 1 else ""
    values = raw.get(name)
    if unquote(needed.formula.response) != name or values is None or values.dtype.kind == "f":
        return known
    labels = np.asarray(values, dtype=object)
    levels = list(values.categories) if _is_category(values) else sorted(set(labels), key=str)
    if known and not set(levels) <= set(known):
        raise DataError(
            f"'{name}' holds {', '.join(map(str, levels[:5]))}, but the fit knows {known[0]} and {known[1]}."
        )
    if not known and len(levels) != 2:
        shown = ", ".join(map(str, levels[:5])) + (", ..." if len(levels) > 5 else "")
        raise DataError(f"'{name}' must hold two labels, or 0 and 1, but it holds {len(levels)}: {shown}.")
    found = known or tuple(levels)
    raw[name] = np.array([float(label == found[1]) for label in labels])
    return found


def _is_category(values: Any) -> bool:
    import pandas as pd

    return isinstance(values, pd.Categorical)


def check_values(needed: Needed, raw: dict[str, Any]) -> None:
    """Refuse dates among the predictors, and an outcome that is not numeric."""
    for name in needed.values:
        values = raw[name]
        check_labels(name, np.asarray(values.categories, dtype=object) if _is_category(values) else values)
        if raw[name].dtype.kind in "Mm" or _holds_times(values):
            raise DataError(f"'{name}' holds dates or times; make numbers of them, such as days since the first one.")
    for name in needed.outcome:
        _check_numeric(name, raw[name], f"the outcome {needed.formula.response}")
    for name in needed.trials:
        _check_numeric(name, raw[name], "the number of trials")
    for name in needed.added:
        _check_numeric(name, raw[name], f"an addition to '{needed.formula.response}'")
    if needed.weights is not None:
        _check_numeric(needed.weights, raw[needed.weights], "the weights")


def _holds_times(values: Any) -> bool:
    """Whether objects are times with a zone, dates or times of day."""
    return values.dtype.kind == "O" and any(isinstance(value, (date, time)) for value in values[:1])


def _check_numeric(name: str, values: Any, role: str) -> None:
    if values.dtype.kind != "f":
        values = np.asarray(values, dtype=object)
        odd = next(((i, value) for i, value in enumerate(values, start=1) if not _is_number(value)), None)
        if odd is None:
            raise DataError(f"'{name}' must hold numbers for {role}, but it holds categories; make numbers of them.")
        at, example = odd
        raise DataError(f"'{name}' must hold numbers for {role}, but row {at} holds {example!r}.")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def materialise(parts: Any, raw: dict[str, Any], formula: Formula, rows: int) -> Any:
    """formulaic's matrices for raw columns without missing values."""
    import pandas as pd
    from formulaic.errors import DataMismatchWarning, FactorEvaluationError, FormulaicError

    from poolwise.design.materializer import Materializer

    raw = _known_categories(parts, raw)
    frame = pd.DataFrame(raw, index=range(rows), copy=False)
    # What a transform makes of zero or of a negative number is found among the values, not warned of.
    with np.errstate(all="ignore"), _warned_of_categories(parts):
        try:
            made = Materializer(frame, context=formula.functions)
            made.tables = formula.tables
            return made.get_model_matrix(own_states(parts), na_action="ignore", output="numpy")
        except DataMismatchWarning as error:
            raise DataError(f"New data hold categories that the fit has not seen: {error}") from error
        except FactorEvaluationError as error:
            if "extrapolation" in str(error):
                raise DataError(
                    f"A spline of '{formula.text}' is evaluated beyond the values that it was fitted to."
                ) from error
            if isinstance(error.__cause__, (FormulaError, DataError)):
                raise error.__cause__ from None
            raise FormulaError(f"Cannot evaluate a term of '{formula.text}': {_cause(error)}") from error
        except FormulaicError as error:
            if "inconsistent with specification" in str(error) or "compared to specification" in str(error):
                said = f"A column of '{formula.text}' has another kind than at the fit, such as text for numbers"
                raise DataError(f"{said}: {_cause(error)}") from error
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


def _known_categories(parts: Any, raw: dict[str, Any]) -> dict[str, Any]:
    """Columns whose categories are those of specifications, matched by value or else by text, `2019` with `"2019"`.

    Raises
    ------
    DataError : for categories that specifications do not know: formulaic would take them for the first one, and warn.
    """
    import pandas as pd

    raw = dict(raw)
    for part in parts._flatten():
        for factor, (_, state) in getattr(part, "encoder_state", {}).items():
            name = column_of_category(factor)
            if "categories" not in state or name not in raw:
                continue  # of `C(x + 1)` formulaic itself says so
            known = list(state["categories"])
            by_text = {str(label): label for label in known}
            labels = np.asarray(raw[name], dtype=object)
            found = {
                value: value if value in known else by_text.get(str(plain_label(value))) for value in pd.unique(labels)
            }
            strange = sorted(str(plain_label(value)) for value, label in found.items() if label is None)
            if strange:
                raise DataError(
                    f"New data hold categories that the fit has not seen: '{name}' is {', '.join(strange[:5])}. "
                    f"Known: {', '.join(map(str, known))}. Fit all rows anew for more."
                )
            if any(value is not label and value != label for value, label in found.items()):
                labels = raw[name] = np.array([found[value] for value in labels], dtype=object)
            if factor in (name, f"`{name}`"):
                raw[name] = pd.Categorical(labels, categories=pd.Index(known, dtype=object))
    return raw


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


def describe_columns(needed: Needed, specs: Any, cells: Cells) -> tuple[Design, Encoding]:
    """Design and encoding from formulaic's specifications after they have met data."""
    formula = needed.formula
    names = {part: tuple(map(str, getattr(specs, part).column_names)) for part in design_parts(formula)}
    columns = tuple(dict.fromkeys(name for each in names.values() for name in each if name != "Intercept"))
    common: list[str] = []
    predictors: list[str] = []
    margins: list[np.ndarray] = []
    for of, each in formula.predictors:
        part = common_part(of)
        kept = [k for k, name in enumerate(names[part]) if each.constant or name != "Intercept"]
        common += [names[part][k] for k in kept]
        predictors += [of] * len(kept)
        powers = powers_of_columns(getattr(specs, part))
        margins.append(margins_of([powers[k] for k in kept]))
    coefficients = tuple(f"{of}_{name}" if of else name for of, name in zip(predictors, common, strict=True))
    design = Design(
        formula,
        unquote(formula.response),
        columns,
        coefficients,
        selection(columns, tuple(common)),
        factors_of(formula, specs, columns, cells),
        tuple(predictors),
        _block_diagonal(margins),
        structures.structures_of(
            {part: getattr(specs, part) for part in names},
            [(of, common_part(of)) for of, _ in formula.predictors],
            list(zip(predictors, common, strict=True)),
            structures.terms(),
        ),
    )
    return design, Encoding(
        specs,
        needed.outcome,
        needed.predictors,
        needed.weights,
        needed.keys,
        cells,
        needed.trials,
        needed.linear,
        known_errors=formula.known_errors,
    )


def _block_diagonal(blocks: list[np.ndarray]) -> np.ndarray:
    size, at = sum(map(len, blocks)), 0
    found = np.zeros((size, size), dtype=bool)
    for block in blocks:
        found[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    return found


def _rows(
    design: Design, encoding: Encoding, matrices: Any, raw: dict[str, Any], codes: np.ndarray, dropped: int
) -> Rows:
    response = _one_column(matrices.response, f"outcome '{design.response}'", design.formula)
    values = _values(design, [getattr(matrices, part) for part in design_parts(design.formula)], len(codes))
    values[:, -1] = response
    weights = offset = trials = None
    if design.formula.offsets:
        offset = _offset(design, np.asarray(matrices.offset, dtype=float), matrices.offset.model_spec)
        if encoding.linear:
            values[:, -1] -= offset
        else:
            _check_finite(["the offset"], offset[:, None])
    if design.formula.trials is not None:
        trials = _trials(matrices, design.formula, len(codes))
    if encoding.weights is not None:
        weights = _weights(encoding, raw)
    _check_finite((*design.columns, design.response), values)
    added = _additions(matrices, design.formula, len(codes))
    values[:, -1] = signed(design.formula, values[:, -1], added)
    bounds = limits(design.formula, values[:, -1], added)
    return Rows(values, codes, dropped, weights, offset, trials, encoding.linear, bounds)


def _additions(matrices: Any, formula: Formula, rows: int) -> dict[str, np.ndarray]:
    """(n,) values of each addition to the outcome by its name."""
    found = {}
    for name, text in formula.additions:
        same = number(text)
        if same is not None:
            found[name] = np.full(rows, same)
            continue
        found[name] = _one_column(getattr(matrices, addition_part(name)), f"addition '{text}'", formula)
        if name not in ("upper", "lb", "ub"):  # ends and bounds may be infinite
            _check_finite([text], found[name][:, None])
    return found


def _trials(matrices: Any, formula: Formula, rows: int) -> np.ndarray:
    """(n,) number of trials of each row."""
    if formula.fixed_trials is not None:
        return np.full(rows, formula.fixed_trials)
    trials = _one_column(matrices.trials, "number of trials", formula)
    _check_finite(["the number of trials"], trials[:, None])
    return trials


def _one_column(matrix: Any, what: str, formula: Formula) -> np.ndarray:
    array = np.asarray(matrix, dtype=float)
    if array.shape[1] != 1:
        raise DataError(f"The {what} of '{formula.text}' must be one numeric column; it gives {array.shape[1]}.")
    return array[:, 0]


def _weights(encoding: Encoding, raw: dict[str, Any]) -> np.ndarray:
    name = str(encoding.weights)
    weights = np.ascontiguousarray(raw[name], dtype=float)  # a frame turned round has a column with a negative stride
    if encoding.known_errors:
        _check_finite([name], weights[:, None])
        if not weights.min(initial=1.0) > 0:
            raise DataError(
                f"The standard errors '{name}' must be positive; the smallest is {weights.min():g}. A row without "
                "error cannot be one of many."
            )
        weights = weights**-2.0
    check_weights(name, float(weights.min(initial=1.0)), float(weights.max(initial=1.0)))
    _check_finite([name], weights[:, None])
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


def _offset(design: Design, matrix: np.ndarray, spec: Any) -> np.ndarray:
    """The sum (n,) of the offsets, each of which must be one number for each row."""
    if matrix.shape[1] != len(design.formula.offsets):
        raise FormulaError(f"An offset of '{design.formula.text}' is not one numeric column: {spec.column_names}.")
    return matrix.sum(axis=1)


def _values(design: Design, matrices: list[Any], rows: int) -> np.ndarray:
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


def _check_finite(names: Iterable[str], values: np.ndarray) -> None:
    for name, column in zip(names, values.T, strict=True):
        if not np.isfinite(column).all():
            bad = int(np.flatnonzero(~np.isfinite(column))[0])
            raise DataError(
                f"'{name}' is {column[bad]} in row {bad + 1} of the complete rows; every value must be finite. "
                "Infinite values and transforms such as the log of zero do this."
            )
