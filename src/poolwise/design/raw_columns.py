"""The raw columns that a formula evaluates: read, complete, and of the kinds that they must be."""

from __future__ import annotations

from datetime import date, time
from typing import Any

import numpy as np

from poolwise.design.additions import coded
from poolwise.design.categories import positions
from poolwise.design.checks import check_written_numbers
from poolwise.design.combinations import cells_of
from poolwise.design.factors import Cells
from poolwise.design.levels import check_labels, group_levels
from poolwise.design.required_columns import Needed, check_missing, complete
from poolwise.formula.parse import unquote
from poolwise.sources.frames import Table
from poolwise.support.errors import DataError


def check_no_holes(columns: dict[str, Any], rows: int) -> None:
    """Refuse new rows with missing values."""
    import pandas as pd

    holes = {name: int(np.asarray(pd.isna(values)).sum()) for name, values in columns.items()}
    where = ", ".join(f"{name} ({count})" for name, count in holes.items() if count)
    if where:
        raise DataError(f"New rows have missing values, in: {where}, of {rows} rows. Leave these rows out.")


def read(
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
        strange = [(i, value) for i, value in enumerate(values, start=1) if not _is_number(value)]
        # Beside one cell of text all others are text as well.
        odd = next((each for each in strange if not _reads_as_number(each[1])), strange[0] if strange else None)
        if odd is None:
            raise DataError(f"'{name}' must hold numbers for {role}, but it holds categories; make numbers of them.")
        at, example = odd
        raise DataError(f"'{name}' must hold numbers for {role}, but row {at} holds {example!r}.")


def _reads_as_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
