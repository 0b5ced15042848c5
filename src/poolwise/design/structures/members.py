"""Rows that belong to several groups: `(1 | mm(school1, school2))` (Browne, Goldstein and Rasbash 2001).

The effect of a row is the weighted mean of those of its groups, in equal shares unless weights are given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from formulaic.materializers.types import FactorValues
from formulaic.utils.stateful_transforms import stateful_transform

from poolwise.design.levels import label_text
from poolwise.design.structures.levels import as_values, check_number, learnt, positions
from poolwise.design.structures.smooth import number_column
from poolwise.support.errors import DataError, FormulaError


@stateful_transform
def members(first: Any, *others: Any, weights: Any = None, _state: Any = None) -> FactorValues[Any]:
    """Columns of the groups that rows belong to.

    Parameters
    ----------
    first, others : columns with a group of each row.
    weights : as many columns of the groups' shares; they need not add up to one.
    """
    if not others:
        raise FormulaError("mm() takes the columns of several memberships: (1 | mm(school1, school2)).")
    columns = [[label_text(value) for value in column] for column in (first, *others)]
    shares = [np.full(len(columns[0]), 1 / len(columns)) for _ in columns]
    if weights is not None:
        if not isinstance(weights, (list, tuple)) or len(weights) != len(columns):
            raise FormulaError(f"mm() has {len(columns)} memberships: give weights=({', '.join('w' * len(columns))}).")
        shares = [number_column("weights= of mm()", each) for each in weights]
        if any((each < 0).any() for each in shares):
            raise DataError("weights= of mm() are shares of memberships, which are not negative.")
    if "levels" not in _state:
        names = sorted({name for column in columns for name in column})
        check_number("mm(...)", len(names))
        learnt(_state, names, np.eye(len(names)), groups=True)
    found = np.zeros((len(columns[0]), len(_state["levels"])))
    for column, share in zip(columns, shares, strict=True):
        np.add.at(found, (np.arange(len(column)), positions(_state, column, "mm(...)")), share)
    return as_values({str(j + 1): found[:, j] for j in range(found.shape[1])})
