"""Dataframes of any make, through narwhals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np

from poolwise.errors import DataError, suggest


@dataclass(frozen=True, slots=True)
class Table:
    """A source of named columns.

    Attributes
    ----------
    names : of all its columns.
    frame : the narwhals frame behind them.
    """

    names: tuple[str, ...]
    frame: Any

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.frame.shape[0])

    def columns(self, names: Iterable[str]) -> dict[str, Any]:
        """The columns with these names, each (n,): float64, text as objects, categories as pandas.Categorical.

        Missing values are NaN or None.

        Raises
        ------
        DataError : for a name that is not there, with names near it.
        """
        picked = {}
        for name in names:
            if name not in self.names:
                raise DataError(f"There is no column '{name}' in the data. {suggest(name, self.names)}")
            picked[name] = _to_numpy(self.frame[name])
        return picked


def as_table(data: Any) -> Table:
    """Take a pandas, Polars or PyArrow frame, or a mapping from names to sequences.

    Raises
    ------
    DataError : when the data are none of these, hold no rows, or have two columns of one name.
    """
    import narwhals as nw

    if isinstance(data, Table):
        return data
    if isinstance(data, Mapping):
        import pandas as pd

        try:
            data = pd.DataFrame(dict(data))
        except ValueError as error:
            raise DataError(f"The columns do not make a table: {error}.") from error
    try:
        frame = nw.from_native(data)
    except TypeError as error:
        raise DataError(
            f"Data must be a pandas, Polars or PyArrow frame or a dict of columns, not {type(data).__name__}. "
            "The path of a CSV or Parquet file will do as well."
        ) from error
    except nw.exceptions.DuplicateError as error:
        raise DataError(f"Two columns have the same name: {error}") from error
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    return Table(tuple(map(str, frame.columns)), frame)


def _to_numpy(series: Any) -> Any:
    """Numbers as float64, so that no formula overflows a small integer; categories in their declared order."""
    import narwhals as nw
    import pandas as pd

    name = series.name
    if isinstance(series.dtype, (nw.Categorical, nw.Enum)):
        labels = [str(label) for label in series.cat.get_categories().to_list()]
        values = series.cast(nw.String).to_numpy().astype(object)
        used = set(values)
        return pd.Categorical(values, categories=[label for label in labels if label in used])
    if isinstance(series.dtype, (nw.Datetime, nw.Date, nw.Duration, nw.Time)):
        return series.to_numpy()
    if series.dtype.is_numeric() or isinstance(series.dtype, nw.Boolean):
        return np.asarray(series.cast(nw.Float64).to_numpy(), dtype=float)
    values = np.asarray(series.to_numpy())
    if values.dtype.kind in "Mm":
        return values
    if values.dtype.kind == "c":
        raise DataError(f"'{name}' holds complex numbers; a regression needs real ones.")
    values = values.astype(object)
    present = [value for value in values if value is not None and value == value]
    if present and all(isinstance(value, (Number, np.number)) and not isinstance(value, bool) for value in present):
        return np.array([np.nan if value is None else float(value) for value in values])
    return values
