"""Data from which a model cannot be estimated, found in the statistics: so the same for every source."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from poolwise.design.design import Design
from poolwise.design.factors import Factor
from poolwise.design.nesting import check_distinct
from poolwise.design.rank import empty_columns
from poolwise.support.errors import DataError

_MOST_NUMBERS = 20  # different numbers written as text that are still categories
_HUGE = 1e90
_LAST_DIGITS = 1e-12
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DATE = re.compile(r"(?:\d{4}([/.-])\d{1,2}\1\d{1,2}|\d{1,2}([/.-])\d{1,2}\2\d{4})(?:[ T].*)?")


def check_written_numbers(name: str, values: Any) -> None:
    """Refuse a predictor of text in which many numbers or dates are written: each would be a category of its own.

    One cell such as `n.a.` makes a file's column of numbers one of text.
    """
    if getattr(values, "dtype", None) is None or values.dtype.kind not in "OU":
        return
    dates = {value for value in values if isinstance(value, str) and _DATE.fullmatch(value.strip())}
    if len(dates) > _MOST_NUMBERS:
        raise DataError(
            f"'{name}' holds {len(dates):,} different dates, written as text such as {min(dates)!r}. Make numbers of "
            "them, such as days since the first one."
        )
    written = {value for value in values if isinstance(value, str) and _NUMBER.fullmatch(value.strip())}
    if len(written) <= _MOST_NUMBERS:
        return
    odd = [(row, value) for row, value in enumerate(values, start=1) if isinstance(value, str) and value not in written]
    if odd:
        shown = ", ".join(f"{value!r} in row {row}" for row, value in odd[:5]) + (", ..." if len(odd) > 5 else "")
        raise DataError(
            f"'{name}' holds numbers, but {len(odd):,} of its cells are text: {shown} (one line further down in a file "
            "with a header). Correct these cells, or leave them empty where a value is missing."
        )
    raise DataError(
        f"'{name}' holds {len(written):,} different numbers, written as text. Make numbers of them, or put a letter "
        "before them where they are the names of categories."
    )


def check_statistics(
    design: Design, counts: np.ndarray, mean: np.ndarray, variance: np.ndarray, *, spread: bool = True
) -> None:
    """Refuse data that cannot inform the model, in one sentence.

    Parameters
    ----------
    counts : (C,) rows of each cell.
    mean, variance : (K + 1,) and (K + 1,) of every column over all rows, outcome last.
    spread : whether outcomes have a residual spread of their own, which needs outcomes that differ and groups of more
        than one row; counts and successes have none.

    Raises
    ------
    DataError : for constant columns, those of sizes that cannot be squared or that differ in their last digits only,
        one single group, a group for each row, fewer rows than coefficients.
    """
    rows = int(counts.sum())
    names = (*design.columns, design.response)
    _check_sizes(names, mean, variance)
    constant = variance <= 1e-30 * mean**2
    if spread and constant[-1]:
        raise DataError(f"The outcome '{design.response}' is constant ({mean[-1]:g}): there is nothing to explain.")
    for of, _ in design.formula.predictors:
        check_distinct(tuple(factor for factor in design.factors if factor.part_of(of).any()))
    for factor in design.factors:
        _check_factor(design, factor, np.bincount(factor.codes, counts, len(factor.levels)), spread=spread)
    empty = {*empty_columns(design), *_penalised_columns(design)}
    for name, bad, value in zip(design.columns, constant, mean, strict=False):
        if bad and name not in empty:
            raise DataError(f"'{name}' is constant ({value:g}) in the complete rows; leave it out.")
    for name, value, sd in zip(names, mean, np.sqrt(variance), strict=True):
        if name not in empty and sd < _LAST_DIGITS * abs(value) and (spread or name != design.response):
            raise DataError(
                f"'{name}' is {value:g} and varies by {sd:.2g}: only the last digits of its values differ, and these "
                "are rounding for the most part. Take a constant away from the column where it is made."
            )
    if rows < (free := int((~design.penalised).sum())):
        raise DataError(f"There are fewer rows ({rows}) than coefficients ({free}). Use fewer terms or more data.")


def _penalised_columns(design: Design) -> set[str]:
    """Columns of structured terms, which their priors tell from anything else."""
    used = (design.common_map[1:, design.penalised] != 0).any(axis=1)
    for factor in design.factors:
        used |= (factor.group_map[1:, factor.tied] != 0).any(axis=1)
    return {name for name, mine in zip(design.columns, used, strict=True) if mine}


def _check_sizes(names: tuple[str, ...], mean: np.ndarray, variance: np.ndarray) -> None:
    """Refuse columns whose squares, and products of squares, floating-point numbers do not hold."""
    for name, value, square in zip(names, mean, variance, strict=True):
        size = max(abs(value), math.sqrt(square)) if math.isfinite(square) and square >= 0 else math.inf
        if not size < _HUGE or (0 < size < 1 / _HUGE):
            raise DataError(
                f"'{name}' has values of size {size:.2g}, whose squares floating-point numbers do not hold. Change its "
                "units."
            )


def _check_factor(design: Design, factor: Factor, counts: np.ndarray, *, spread: bool) -> None:
    """Refuse a factor whose spread cannot be told from anything else; `counts` (J,) are the rows of its levels."""
    if len(factor.levels) == 1:
        others = [str(bar) for bar in design.formula.bars if frozenset(bar.keys) != frozenset(factor.keys)]
        without = " + ".join([f"{design.formula.response} ~ {design.formula.common}", *others])
        raise DataError(
            f"'{factor.name}' has one group only ({factor.levels[0]}); a spread between groups needs at least two. "
            f"Leave the group term out: '{without}'."
        )
    single = spread and counts.sum() > 1 and counts.max() == 1
    if single and (factor.coupling is None or not factor.coupling.join(np.flatnonzero(counts))):
        raise DataError(
            f"Every row has a group of its own in '{factor.name}': the spread between groups and the residual "
            "spread cannot be told apart. Choose a grouping column with repeated values."
        )
