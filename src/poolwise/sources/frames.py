"""Dataframes of any make, through narwhals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from numbers import Number
from typing import Any

import numpy as np

from poolwise.support.errors import DataError, suggest


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


def engines_keep_labels(table: Table, names: Iterable[str]) -> bool:
    """Whether labels come back from an engine as they are in memory: those that are text, numbers and truth values.

    Categories of numbers, times with a zone, tuples and mixes of text and numbers come back as something else, as do
    columns whose names differ in case alone.
    """
    import narwhals as nw
    import pandas as pd

    if not table.frame.implementation.is_polars() and len({name.lower() for name in table.names}) < len(table.names):
        return False
    for name in names:
        check_column(name, table.names)
        series = table.frame[name]
        if isinstance(series.dtype, nw.Datetime) and series.dtype.time_zone:
            return False
        if series.implementation.is_pyarrow() and _ordered_categories(series):
            return False
        dtype = getattr(series.to_native(), "dtype", None)
        if isinstance(dtype, pd.CategoricalDtype) and not all(isinstance(one, str) for one in dtype.categories):
            return False
        if series.dtype == nw.Object:
            values = [value for value in series.to_list() if value is not None and value == value]
            if any(isinstance(value, tuple) for value in values) or len({_kind(value) for value in values}) > 1:
                return False
    return True


def has_order(table: Table, name: str) -> bool:
    """Whether the type of a column gives its values an order: numbers, truth values, ordered categories."""
    import narwhals as nw

    series = table.frame[name]
    return isinstance(series.dtype, nw.Boolean) or series.dtype.is_numeric() or _ordered_categories(series)


def _ordered_categories(series: Any) -> bool:
    import narwhals as nw

    native = series.to_native()
    kind = getattr(native, "dtype", None) if hasattr(native, "dtype") else getattr(native, "type", None)  # of Arrow
    return isinstance(series.dtype, nw.Enum) or bool(getattr(kind, "ordered", False))


def check_column(name: str, names: Iterable[str]) -> None:
    """Refuse a name that is not among the columns."""
    if name not in names:
        raise DataError(f"There is no column '{name}' in the data. {suggest(name, names)}")
    if "\0" in name:
        raise DataError(f"The column {name!r} has a zero character in its name, which no engine takes; rename it.")


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
    import narwhals as nw

    if not (series.dtype.is_integer() or series.dtype == nw.Object):
        return to_array(series)
    if series.dtype.is_integer() and series.null_count() == 0:
        return series.to_numpy()
    labels = np.array(series.to_list(), dtype=object)
    labels[_missing(labels)] = None
    if not all(label is None or type(label) is int or isinstance(label, np.integer) for label in labels):
        return to_array(series)
    if all(label is None or abs(label) < 2**53 for label in labels):
        return to_array(series)
    return labels


def _beyond_double(series: Any) -> bool:
    low, high = series.min(), series.max()
    return low is not None and max(abs(int(low)), abs(int(high))) > 2**53


def _declared(series: Any, used: list[Any]) -> list[Any]:
    """Categories in the order that their type declares; without one (Polars' and Arrow's dictionaries), sorted."""
    import narwhals as nw

    native = series.to_native()
    if series.implementation.is_pandas_like() and hasattr(native, "cat"):
        try:
            return [_scalar(label) for label in native.cat.categories]
        except AttributeError:  # pandas' Arrow dictionaries
            pass
    if isinstance(series.dtype, nw.Enum):
        return list(map(str, series.dtype.categories))
    if series.implementation.is_pyarrow() and _ordered_categories(series):
        return [_scalar(label) for label in native.unify_dictionaries().chunk(0).dictionary.to_pylist()]
    return sorted(used, key=lambda label: (isinstance(label, str), label))


def _scalar(label: Any) -> Any:
    """A category as a number, truth value or text; intervals and what else there is, as text."""
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, float) and label.is_integer() and abs(label) < 2**53:
        return int(label)
    return label if isinstance(label, (bool, int, float, str)) else str(label)


def _missing(values: np.ndarray) -> np.ndarray:
    import pandas as pd

    return np.asarray(pd.isna(values))


def to_array(series: Any) -> Any:
    """A column as a formula evaluates it.

    Numbers come as float64, so that no formula overflows a small integer; categories in their declared order; truth
    values as the categories False and True.
    """
    import narwhals as nw
    import pandas as pd

    name = series.name
    if isinstance(series.dtype, nw.Boolean):
        return _truths([None if pd.isna(v) else bool(v) for v in series.to_list()])
    if isinstance(series.dtype, (nw.Categorical, nw.Enum)):
        labels = [None if pd.isna(v) else _scalar(v) for v in series.to_list()]
        used = set(labels) - {None}
        categories = [label for label in _declared(series, list(used)) if label in used]
        _check_apart(str(name), categories)
        index = pd.Index(categories, dtype=object)
        return pd.Categorical(labels, categories=index, ordered=_ordered_categories(series))
    if isinstance(series.dtype, (nw.Datetime, nw.Date, nw.Duration, nw.Time)):
        return _times(series)
    if series.dtype.is_numeric():
        if series.dtype.is_integer() and len(series) and _beyond_double(series):
            raise DataError(
                f"'{name}' holds whole numbers beyond 2^53, which lose digits as predictors; subtract some."
            )
        return np.asarray(series.cast(nw.Float64).to_numpy(), dtype=float)
    values = np.asarray(series.to_numpy())
    if isinstance(series.dtype, nw.String):  # nothing else is among them
        values = values.astype(object)
        values[_missing(values)] = None
        return values
    if values.dtype.kind in "Mm":
        return values
    if values.dtype.kind == "c":
        raise DataError(f"'{name}' holds complex numbers; a regression needs real ones.")
    return _of_objects(str(name), values)


def _of_objects(name: str, values: np.ndarray) -> Any:
    """A column of Python objects: numbers or truth values where all are, else labels."""
    if values.ndim != 1:
        raise DataError(f"'{name}' holds {values.ndim - 1}-dimensional values; a column holds one in each row.")
    values = values.astype(object)
    for value in values:
        if isinstance(value, (list, dict, set, np.ndarray)):
            raise DataError(
                f"'{name}' holds {type(value).__name__} values, such as {str(value)[:40]}; a column holds one number "
                "or text in each row."
            )
    if any(type(value).__name__ in ("Interval", "Period") for value in values[:1]):
        values = np.array([str(value) for value in values], dtype=object)
    values[_missing(values)] = None  # pandas' NA answers neither yes nor no when compared
    present = [value for value in values if value is not None and value == value]
    if present and all(isinstance(value, date) and getattr(value, "tzinfo", None) is None for value in present):
        return values.astype("datetime64[us]")  # as days and times are in every other column
    if present and all(isinstance(value, timedelta) for value in present):
        return values.astype("timedelta64[us]")
    if present and all(isinstance(value, (bool, np.bool_)) for value in present):
        return _truths([None if value is None else bool(value) for value in values])
    if any(isinstance(value, (complex, np.complexfloating)) for value in present):
        raise DataError(f"'{name}' holds complex numbers; a regression needs real ones.")
    if present and all(isinstance(value, (Number, np.number)) and not isinstance(value, bool) for value in present):
        return np.array([np.nan if value is None else float(value) for value in values])
    return _of_one_kind(name, values)


def _of_one_kind(name: str, values: np.ndarray) -> np.ndarray:
    """Labels of which some are text, some numbers or truth values, as text: what any file would hold."""
    present = [value for value in values if value is not None]
    if len({_kind(value) for value in present}) < 2 or not all(map(_kind, present)):
        return values
    _check_apart(name, {(_kind(value), value): value for value in present}.values())
    return np.array([None if value is None else str(_scalar(value)) for value in values], dtype=object)


def _check_apart(name: str, labels: Iterable[Any]) -> None:
    """Refuse labels of two kinds that no file would tell apart: `1` and `"1"`, `True` and 1."""
    known: dict[str, Any] = {}
    for label in labels:
        for text in (str(_scalar(label)), str(int(label)) if _kind(label) == "a truth value" else str(_scalar(label))):
            other = known.setdefault(text, label)
            if _kind(other) != _kind(label):
                raise DataError(
                    f"'{name}' holds {_scalar(other)!r} as {_kind(other)} and {_scalar(label)!r} as {_kind(label)}: "
                    "whether these are one label or two cannot be told. Make all of its values text, or all numbers."
                )


def _kind(value: Any) -> str:
    """Of a label: text, a number or a truth value; nothing for others, which have one name each."""
    if isinstance(value, (bool, np.bool_)):
        return "a truth value"
    return "text" if isinstance(value, str) else "a number" if isinstance(value, (Number, np.number)) else ""


def _truths(values: list[bool | None]) -> Any:
    import pandas as pd

    used = {value for value in values if value is not None}
    return pd.Categorical(values, categories=pd.Index([one for one in (False, True) if one in used], dtype=object))


def _times(series: Any) -> np.ndarray:
    """Times; those with a zone keep it, as pandas' Timestamps, so that labels read as users know them."""
    import narwhals as nw

    if not (isinstance(series.dtype, nw.Datetime) and series.dtype.time_zone):
        return np.asarray(series.to_numpy())
    import pandas as pd

    found = np.empty(len(series), dtype=object)
    found[:] = [None if value is None or value != value else pd.Timestamp(value) for value in series.to_list()]
    return found
