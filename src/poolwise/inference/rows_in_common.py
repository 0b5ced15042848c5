"""Counted rows of several fits of the same data, told apart by the columns of all: the same rows in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from poolwise.design import Rows, needed_columns
from poolwise.design.combinations import value_codes
from poolwise.design.encode import encode_like
from poolwise.design.levels import label_codes
from poolwise.inference.fitted_rows import RowsBehind
from poolwise.sources import CellTable
from poolwise.sources.relation import Relation, relation_of
from poolwise.statistics.counted import CountedTable, count_rows
from poolwise.support.errors import DataError
from poolwise.support.progress import Progress


def rows_in_common(behind: Sequence[RowsBehind], progress: Progress) -> list[Rows] | None:
    """For each fit the rows that differ in any column that one of them uses, with how many there are of each.

    None where no fit is of counted rows, or where rows cannot be counted by all columns.

    Raises
    ------
    DataError : where a fit's own rows are others than those that are complete in all columns.
    """
    if all(not each.counted for each in behind):
        return None
    needed = [
        needed_columns(one.data.design.formula, one.data.encoding.weights, linear=one.data.encoding.linear)
        for one in behind
    ]
    columns = sorted({name for one in needed for name in one.columns})
    found = []
    for one, own in zip(behind, needed, strict=True):
        if one.source is None or isinstance(one.source, CellTable) or set(columns) - set(one.source.names):
            return None
        relation = one.source if isinstance(one.source, Relation) else relation_of(one.source)
        wider = replace(own, predictors=(*own.predictors, *columns))
        counted = count_rows(wider, relation, "drop", progress)
        if isinstance(counted, str):
            return None
        if int(counted.counts.sum()) != one.data.rows:
            raise DataError(
                f"Of the {one.data.rows:,} rows of {one.data.design.formula.text!r} {int(counted.counts.sum()):,} are "
                "complete in the columns of all formulas: fits can be compared on the same rows only."
            )
        order = _in_order(counted, columns)
        _, _, rows = encode_like(
            one.data.design, one.data.encoding, own, counted.table, missing="error", row_by_row=True
        )
        found.append(replace(rows, counts=counted.counts).take(order))
    return found


def _in_order(counted: CountedTable, columns: Sequence[str]) -> np.ndarray:
    """Positions (n,) of the rows, sorted by their columns."""
    values = counted.table.columns(columns)
    keys = [
        value_codes(each) if getattr(each, "dtype", None) == np.float64 else label_codes(np.asarray(each))[0]
        for each in values.values()
    ]
    return np.lexsort(keys[::-1])
