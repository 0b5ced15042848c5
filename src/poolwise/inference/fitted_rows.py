"""The rows behind a fit, wherever they are: encoded, in batches, or as a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from poolwise.design import Rows, needed_columns
from poolwise.design.factors import Factor
from poolwise.inference.tallies import counted_rows
from poolwise.sources import CellTable, Source
from poolwise.sources.files import read_all
from poolwise.sources.frames import Table, check_column
from poolwise.sources.relation import Relation
from poolwise.statistics import Statistics
from poolwise.statistics.routes import rows_of_cells, stream_again
from poolwise.support.errors import DataError, PoolwiseError
from poolwise.support.progress import Progress, silent

if TYPE_CHECKING:
    import pandas as pd

_READ = 1 << 20  # rows; more are not brought into memory unasked
_TOGETHER = 1 << 12  # rows that differ, at a time


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Rows for a picture.

    Attributes
    ----------
    rows : encoded.
    raw : a function for the same rows with their raw columns; None where these are not at hand.
    """

    rows: Rows
    raw: Callable[[], pd.DataFrame | None]


@dataclass(frozen=True, slots=True, eq=False)
class RowsBehind:
    """Where the rows of a fit can be had.

    Attributes
    ----------
    data : their statistics.
    rows : encoded, where they are in memory.
    source : where they came from; None for statistics and for a fit from a file.
    """

    data: Statistics
    rows: Rows | None
    source: Source | None

    @property
    def at_hand(self) -> bool:
        """Whether they can be read."""
        return (
            self.rows is not None
            or self._counted is not None
            or not (self.source is None or isinstance(self.source, CellTable))
        )

    @property
    def counted(self) -> bool:
        """Whether rows that differ are in memory in their place, with how many there are of each."""
        return self.rows is None and self._counted is not None

    @property
    def _counted(self) -> Rows | None:
        """The rows that differ with their numbers, where their outcomes are known too."""
        return None if self.data.summed is not None else self.data.counted

    @property
    def _readable(self) -> bool:
        """Whether the source is in memory, or has few rows."""
        return isinstance(self.source, Table) or (isinstance(self.source, Relation) and self.data.rows <= _READ)

    def encoded(self) -> Rows:
        """All of them, where they are in memory, or can be.

        Raises
        ------
        DataError : where they are not.
        """
        if self.rows is None and self._counted is not None and self.data.rows <= _READ:
            return self._counted.each()
        if self.rows is None and self.data.summed is not None and self._readable:
            return Rows.joined(list(self.batches(silent)()))
        if self.rows is None:
            where = (
                "was loaded from a file, which holds no rows, updated, or made of statistics"
                if self.source is None
                else "left its rows where they are"
            )
            raise DataError(f"This fit {where}; fit the rows, or a part of them, in memory to do this.")
        return self.rows

    def distinct(self) -> Rows:
        """The same, or those that differ with how many there are of each.

        Raises
        ------
        DataError : where they are not in memory, nor can be.
        """
        return self._counted if self.counted and self._counted is not None else self.encoded()

    def batches(self, progress: Progress) -> Callable[[], Iterator[Rows]]:
        """A function that goes through all of them once, from memory or from where they live."""
        if self.rows is None and (counted := self._counted) is not None:
            ends = np.append(np.arange(0, len(counted.codes), _TOGETHER), len(counted.codes))
            return lambda: (counted.take(np.arange(*ends[k : k + 2])).each() for k in range(len(ends) - 1))
        if self.rows is None and self.source is not None and not isinstance(self.source, CellTable):
            source = self.source
            return lambda: _explained(source, _the_same(self.data, stream_again(self.data, source, "drop", progress)))
        rows = self.encoded()
        return lambda: iter([rows])

    def of_groups(self, factor: Factor, positions: np.ndarray) -> Shown | None:
        """Rows with those of some groups of a factor among them; None for a fit that has no rows."""
        return self._shown(np.flatnonzero(np.isin(factor.codes, positions)))

    def of_all_groups(self) -> Shown | None:
        """As many rows as a picture can show; None for a fit that has no rows."""
        if self.rows is None and not self.data.design.factors:
            return None
        return self._shown(np.arange(len(self.data.products.counts)))

    def _shown(self, cells: np.ndarray) -> Shown | None:
        if self.rows is not None:
            return Shown(self.rows, self._raw)
        if self.source is None or isinstance(self.source, CellTable):
            return None
        every = np.arange(len(self.data.products.counts))  # where groups have no rows: those that they are drawn over
        rows, table = rows_of_cells(self.data, self.source, cells if len(cells) else every)
        return Shown(rows, lambda: table.frame.to_pandas())

    def _raw(self) -> pd.DataFrame | None:
        """The rows in memory with their raw columns, where they are still the same."""
        if self.rows is None or self.source is None or isinstance(self.source, CellTable) or self.data.rows > _READ:
            return None
        frame = self.frame()
        return frame if len(frame) == len(self.rows.codes) else None

    def frame(self, more: Sequence[str] = ()) -> pd.DataFrame:
        """The complete rows with the columns that the formula uses, and `more` columns.

        Raises
        ------
        DataError : when they are neither in memory nor few enough to be read.
        """
        source = self.source
        if source is None or isinstance(source, CellTable) or self.data.rows > _READ:
            raise DataError("The rows of this fit are not in memory: give new_data.")
        encoding = self.data.encoding
        needed = needed_columns(self.data.design.formula, encoding.weights, linear=encoding.linear)
        columns = list(dict.fromkeys([*needed.columns, *self.data.encoding.keys]))
        for name in more:
            check_column(name, source.names)
        wanted = list(dict.fromkeys([*columns, *more]))
        table = source if isinstance(source, Table) else read_all(source, wanted)
        complete = [name for name in columns if name not in needed.ends]
        return table.frame.select(wanted).to_pandas().dropna(subset=complete)

    def units(self, more: Sequence[str] = ()) -> pd.DataFrame:
        """The same, with one line for each row where the fit is of counts of categories, `cbind(a, b, c) ~ x`.

        Raises
        ------
        DataError : as `frame` does.
        """
        row = counted_rows(self.data.design.formula, self.source)
        return self.frame(more) if row is None else _one_line_each(self.frame([*more, row]), row)


def _one_line_each(frame: pd.DataFrame, row: str) -> pd.DataFrame:
    """The first line of each row that was counted."""
    return frame.drop_duplicates(row).drop(columns=row).reset_index(drop=True)


def _the_same(data: Statistics, batches: Iterator[Rows]) -> Iterator[Rows]:
    """Batches of the rows that were fitted.

    Raises
    ------
    DataError : at the end, where their number or the means of their columns are not those of the fit.
    """
    total = data.products.merged()
    centre, spread = total.means[0] + total.origin, np.sqrt(np.diag(total.scatter[0]) / total.weights[0])
    rows, weight, sums = 0, 0.0, np.zeros(len(centre))
    for batch in batches:
        rows += len(batch.codes)
        weight += float(batch.precisions.sum())
        sums += batch.precisions @ (batch.values - centre)
        yield batch
    # A mean of many rows is right to some 1e-12 of their size, by whichever way it was summed.
    off = np.abs(sums) > weight * (1e-7 * spread + 1e-10 * np.abs(centre))
    if rows != data.rows or off.any():
        changed = "the number of its rows" if rows != data.rows else f"'{total.columns[int(np.argmax(off))]}'"
        raise DataError(f"The table has changed since the fit: {changed} is another one. Fit it again.")


def _explained(source: Source, batches: Iterator[Rows]) -> Iterator[Rows]:
    """Batches of rows; an error of the engine that holds them becomes a sentence of ours."""
    try:
        yield from batches
    except PoolwiseError:
        raise
    except Exception as error:
        said = source.engine.explain(error) if isinstance(source, Relation) else None
        if said is None:
            raise
        raise said from error
