"""Data from which a model cannot be estimated, found in the statistics: so the same for every source."""

from __future__ import annotations

import numpy as np

from poolwise.design.design import Design
from poolwise.errors import DataError


def check_statistics(design: Design, counts: np.ndarray, mean: np.ndarray, scatter: np.ndarray) -> None:
    """Refuse data that cannot inform the model, in one sentence.

    Parameters
    ----------
    counts : (J,) rows of each group.
    mean, scatter : (K + 1,) and (K + 1,) mean and sum of squared deviations of every column over all rows, outcome
        last.

    Raises
    ------
    DataError : for constant columns, one single group, a group for each row, fewer rows than coefficients.
    """
    rows = int(counts.sum())
    constant = scatter <= 1e-30 * rows * mean**2
    if constant[-1]:
        raise DataError(f"The outcome '{design.response}' is constant ({mean[-1]:g}): there is nothing to explain.")
    if design.group is not None and len(design.levels) == 1:
        raise DataError(
            f"'{design.group}' has one group only ({design.levels[0]}); a spread between groups needs at least two. "
            f"Leave the group term out: '{design.formula.response} ~ {design.formula.common}'."
        )
    if design.group is not None and rows > 1 and counts.max() == 1:
        raise DataError(
            f"Every row has a group of its own in '{design.group}': the spread between groups and the residual "
            "spread cannot be told apart. Choose a grouping column with repeated values."
        )
    for name, bad, value in zip(design.columns, constant, mean, strict=False):
        if bad:
            raise DataError(f"'{name}' is constant ({value:g}) in the complete rows; leave it out.")
    if rows < len(design.coefficients):
        raise DataError(
            f"There are fewer rows ({rows}) than coefficients ({len(design.coefficients)}). "
            "Use fewer terms or more data."
        )
