"""From tables to encoded rows: learning an encoding, and replaying it on other rows.

formulaic evaluates the outcome, the common terms and the left side of the bar together. Columns that several of them
share are kept once; groups stay codes and never become indicator columns.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from poolwise.design.additions import addition_texts, bounds
from poolwise.design.combinations import cells_of, first_of, kind_codes, places_of
from poolwise.design.declared import as_declared, declared_in
from poolwise.design.design import Design, Rows
from poolwise.design.encoding import Encoding, codes_of, describe_columns, with_cells
from poolwise.design.equal_rows import distinct, distinct_of
from poolwise.design.expression_names import expression_names
from poolwise.design.factors import NOBODY, Cells
from poolwise.design.levels import group_levels
from poolwise.design.matrix_rows import (
    additions_of,
    check_finite,
    offset_of,
    rows_of_matrices,
    trials_of,
    values_of,
    weights_of,
)
from poolwise.design.model_matrices import materialise
from poolwise.design.own_functions import called, warn_of_other_rows
from poolwise.design.raw_columns import check_no_holes, read
from poolwise.design.required_columns import Needed, design_parts
from poolwise.formula import Formula
from poolwise.sources.frames import Table

_SHARED = 0.1  # combinations of values for each row, up to which it pays to look for them


def build(
    needed: Needed,
    table: Table,
    *,
    missing: str = "drop",
    row_by_row: bool = False,
    counts: np.ndarray | None = None,
) -> tuple[Design, Encoding, Rows]:
    """Learn the encoding of a formula from a table and encode its rows.

    Parameters
    ----------
    missing : "drop" leaves rows with a missing value out and counts them; "error" refuses them.
    row_by_row : whether no term looks at other rows: then values that many rows share are evaluated once.
    counts : (n,) how many rows stand behind each of a table without missing values, row by row: then those that are
        equal are put together.

    Raises
    ------
    FormulaError, DataError : what is wrong, where, and what would be valid.
    """
    raw, cells, codes, dropped, labels = read(needed, table, missing, ())
    raw, place = _once_each(raw, len(codes), needed.formula, row_by_row=row_by_row or counts is not None)
    few = codes if place is None else np.zeros(int(place.max(initial=-1)) + 1, dtype=np.int64)
    matrices = materialise(needed.parts, raw, needed.formula, len(few))
    declared = declared_in(raw, needed.predictors)
    design, encoding = describe_columns(needed, matrices.model_spec, cells, declared)
    encoding = replace(encoding, labels=labels)
    rows = rows_of_matrices(design, encoding, matrices, raw, few, dropped)
    if called(needed.formula):
        backwards = np.arange(len(codes))[::-1]
        for some in (backwards[::2], backwards[1::2]):  # the largest value, or the row before, is in one of them only
            part = {name: values[some] for name, values in raw.items()}
            again = materialise(encoding.specs, part, needed.formula, len(some))
            others = rows_of_matrices(design, encoding, again, part, codes[some], 0)
            if warn_of_other_rows(needed.formula, rows, others, some):
                break
    return design, encoding, _of_each(rows, place, codes, counts)


def encode_like(
    design: Design,
    encoding: Encoding,
    needed: Needed,
    table: Table,
    *,
    missing: str = "drop",
    row_by_row: bool = False,
    counts: np.ndarray | None = None,
) -> tuple[Design, Encoding, Rows]:
    """Encode rows, outcome included, with an encoding that was learnt before; only the groups are the rows' own.

    Parameters are those of `build`.

    Raises
    ------
    DataError : as `build` does, and for a category that the encoding does not know.
    """
    raw, cells, codes, dropped, _ = read(needed, table, missing, encoding.labels)
    raw = as_declared(raw, encoding.declared)
    raw, place = _once_each(raw, len(codes), design.formula, row_by_row=row_by_row or counts is not None)
    few = codes if place is None else np.zeros(int(place.max(initial=-1)) + 1, dtype=np.int64)
    matrices = materialise(encoding.specs, raw, design.formula, len(few))
    design, encoding = with_cells(design, encoding, cells)
    rows = rows_of_matrices(design, encoding, matrices, raw, few, dropped)
    return design, encoding, _of_each(rows, place, codes, counts)


def _once_each(
    raw: dict[str, Any], rows: int, formula: Formula, *, row_by_row: bool
) -> tuple[dict[str, Any], np.ndarray | None]:
    """Raw columns with each combination of values once, and which one each row has, (n,); as they are, and None, where
    terms may look at other rows, or few rows share their values."""
    if not row_by_row or not raw or called(formula):
        return raw, None
    place = places_of(map(kind_codes, raw.values()))
    first = first_of(place)
    if len(first) > _SHARED * rows:
        return raw, None
    return {name: values[first] for name, values in raw.items()}, place


def _of_each(rows: Rows, place: np.ndarray | None, codes: np.ndarray, counts: np.ndarray | None) -> Rows:
    """The rows (n,) that have these values, and their cells; put together, if they are counted."""
    if counts is not None:
        return distinct(replace(rows, counts=counts)) if place is None else distinct_of(rows, place, codes, counts)
    return rows if place is None else replace(rows.take(place), codes=codes, dropped=rows.dropped)


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
    raw = as_declared(raw, encoding.declared)
    keys = {name: nobody if name in absent else labelled.keys(name) for name in encoding.keys}
    check_no_holes({**raw, **keys}, table.rows)
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
    values = values_of(design, [getattr(matrices, name) for name in design_parts(design.formula)], table.rows)
    check_finite(design.columns, values[:, :-1])
    offset = None
    if design.formula.offsets:
        offset = offset_of(design, np.asarray(matrices.offset, dtype=float), matrices.offset.model_spec)
    trials = trials_of(matrices, design.formula, table.rows) if tried else None
    limits = bounds(additions_of(matrices, bounded, table.rows), table.rows) if weighted else None
    own = weights_of(encoding, raw) if weights else None
    return design, Rows(values, codes, 0, own, offset, trials, encoding.linear, limits)


def encode_batch(design: Design, encoding: Encoding, raw: dict[str, Any], keys: list[Any]) -> Rows:
    """Encode complete rows, outcome included; `raw` holds the needed columns, `keys` (n,) each grouping column."""
    length = len(next(iter(raw.values()))) if raw else len(keys[0])
    codes = codes_of(encoding.cells, keys) if keys else np.zeros(length, dtype=np.int64)
    raw = as_declared(raw, encoding.declared)
    return rows_of_matrices(design, encoding, materialise(encoding.specs, raw, design.formula, length), raw, codes, 0)
