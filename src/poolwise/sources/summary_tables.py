"""Published tables: number, mean and sd of the outcome for each pattern of covariates, without any rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poolwise.sources.frames import Table
from poolwise.support.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class CellTable:
    """A table with one line for each cell: covariates and group, and how the outcomes of its rows are distributed.

    Attributes
    ----------
    table : the covariates and the group, and the three columns below.
    n, mean, sd : names of the columns with the number of rows, the mean of their outcomes, and their standard deviation
        (with n - 1; missing where n is 1).
    """

    table: Table
    n: str
    mean: str
    sd: str

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns that rows would have."""
        return tuple(name for name in self.table.names if name not in (self.n, self.mean, self.sd))

    def numbers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, means and sums of squared deviations of each cell, (C,) each.

        Raises
        ------
        DataError : for counts that are not whole or negative, and sds that are missing or negative.
        """
        columns = self.table.columns([self.n, self.mean, self.sd])
        for name, values in columns.items():
            if values.dtype.kind != "f":
                raise DataError(f"'{name}' must hold numbers.")
        n, mean, sd = columns.values()
        if np.any(~np.isfinite(n) | (n < 0) | (n != np.round(n))):
            raise DataError(f"'{self.n}' must hold whole numbers of at least 0{_line(~np.isfinite(n) | (n < 0))}.")
        if np.any((n > 0) & ~np.isfinite(mean)):
            raise DataError(f"'{self.mean}' must hold the mean of each cell{_line((n > 0) & ~np.isfinite(mean))}.")
        wrong = (n > 1) & ~(np.isfinite(sd) & (sd >= 0))
        if wrong.any():
            raise DataError(f"'{self.sd}' must hold the sd of each cell of two rows or more{_line(wrong)}.")
        squares = np.zeros(len(n))
        squares[n > 1] = (n[n > 1] - 1) * sd[n > 1] ** 2
        return n, mean, squares


def _line(wrong: np.ndarray) -> str:
    return f"; see line {int(np.argmax(wrong)) + 1}" if wrong.any() else ""
