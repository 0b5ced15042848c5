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

    @classmethod
    def of(cls, frame: Any) -> Table:
        """The table of an eager narwhals frame."""
        return cls(tuple(map(str, frame.columns)), frame)

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
            check_column(name, self.names)
            picked[name] = to_array(self.frame[name])
        return picked

    def keys(self, name: str) -> Any:
        """The labels in a grouping column, (n,): as in `columns`, but integers keep all their digits."""
        check_column(name, self.names)
        return to_labels(self.frame[name])


def check_column(name: str, names: Iterable[str]) -> None:
    """Refuse a name that is not among the columns."""
    if name not in names:
        raise DataError(f"There is no column '{name}' in the data. {suggest(name, names)}")


def as_table(data: Any) -> Table:
    """Take an eager pandas, Polars or PyArrow frame, or a mapping from names to sequences.

    Raises
    ------
    DataError : when the data are none of these, hold no rows, or have two columns of one name.
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, Mapping):
        import pandas as pd

        try:
            data = pd.DataFrame(dict(data))
        except ValueError as error:
            raise DataError(f"The columns do not make a table: {error}.") from error
    return Table.of(as_narwhals(data))


def as_narwhals(data: Any) -> Any:
    """The narwhals frame of whatever narwhals knows, eager or lazy.

    Raises
    ------
    DataError : when it knows no such thing, or two columns have one name.
    """
    import narwhals as nw

    try:
        return nw.from_native(data)
    except TypeError as error:
        raise DataError(
            f"Data must be a frame (pandas, Polars, PyArrow, DuckDB, Spark), a dict of columns, or the path of CSV or "
            f"Parquet files, not {type(data).__name__}."
        ) from error
    except nw.exceptions.DuplicateError as error:
        raise DataError(f"Two columns have the same name: {error}") from error


def to_labels(series: Any) -> Any:
    """A column of labels, (n,): as `to_array` gives it, but integers keep all their digits."""
    if not series.dtype.is_integer():
        return to_array(series)
    if series.null_count() == 0:
        return series.to_numpy()
    labels = np.array(series.to_list(), dtype=object)
    labels[_missing(labels)] = None
    if all(label is None or abs(label) < 2**53 for label in labels):
        return to_array(series)
    return labels


def _beyond_double(series: Any) -> bool:
    low, high = series.min(), series.max()
    return low is not None and max(abs(int(low)), abs(int(high))) > 2**53


def _declared(series: Any, used: set[Any]) -> list[str]:
    """Categories in the order that their type declares; without one (Polars' and Arrow's dictionaries), sorted."""
    import narwhals as nw

    if isinstance(series.dtype, nw.Enum):
        return list(map(str, series.dtype.categories))
    if series.implementation.is_pandas_like():
        return list(map(str, series.to_native().cat.categories))
    return sorted(value for value in used if value is not None)


def _missing(values: np.ndarray) -> np.ndarray:
    import pandas as pd

    return np.asarray(pd.isna(values))


def to_array(series: Any) -> Any:
    """Numbers as float64, so that no formula overflows a small integer; categories in their declared order."""
    import narwhals as nw

    name = series.name
    if isinstance(series.dtype, (nw.Categorical, nw.Enum)):
        import pandas as pd

        values = np.array([None if v is None or v != v else str(v) for v in series.to_list()], dtype=object)
        used = set(values)
        return pd.Categorical(values, categories=[label for label in _declared(series, used) if label in used])
    if isinstance(series.dtype, (nw.Datetime, nw.Date, nw.Duration, nw.Time)):
        return series.to_numpy()
    if series.dtype.is_numeric() or isinstance(series.dtype, nw.Boolean):
        if series.dtype.is_integer() and len(series) and _beyond_double(series):
            raise DataError(
                f"'{name}' holds whole numbers beyond 2^53, which lose digits as predictors; subtract some."
            )
        return np.asarray(series.cast(nw.Float64).to_numpy(), dtype=float)
    values = np.asarray(series.to_numpy())
    if values.dtype.kind in "Mm":
        return values
    if values.dtype.kind == "c":
        raise DataError(f"'{name}' holds complex numbers; a regression needs real ones.")
    values = values.astype(object)
    values[_missing(values)] = None  # pandas' NA answers neither yes nor no when compared
    present = [value for value in values if value is not None and value == value]
    if present and all(isinstance(value, (Number, np.number)) and not isinstance(value, bool) for value in present):
        return np.array([np.nan if value is None else float(value) for value in values])
    return values
