"""CSV and Parquet files, read by DuckDB."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from poolwise.errors import FileError
from poolwise.sources.frames import Table, as_table

_READERS = {
    ".csv": "read_csv",
    ".tsv": "read_csv",
    ".txt": "read_csv",
    ".parquet": "read_parquet",
    ".pq": "read_parquet",
}


_NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "."]  # as R, pandas, SQL and SAS write them


def read_file(path: str | Path) -> Table:
    """Read a CSV or Parquet file (by its ending, `.csv.gz` included).

    Raises
    ------
    FileError : when it is missing, empty, of an unknown kind, or not what its ending says.
    """
    import duckdb

    path = Path(path)
    if path.is_dir():
        raise FileError(f"'{path}' is a folder; name one file in it.")
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob(f"*{path.suffix}")) if path.parent.is_dir() else []
        beside = f" In that folder there are: {', '.join(near[:10])}." if near else ""
        raise FileError(f"There is no file '{path}'.{beside}")
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    reader = _READERS.get(suffix.lower())
    if reader is None:
        raise FileError(f"Cannot tell what '{path.name}' is: its name must end in {', '.join(sorted(_READERS))}.")
    if path.stat().st_size == 0:
        raise FileError(f"'{path}' is empty.")
    with duckdb.connect() as connection:
        try:
            # `[` `]` `*` `?` in a name are the name, not a pattern.
            name = re.sub(r"([\[\]*?])", r"[\1]", str(path))
            options: dict[str, Any] = {"na_values": _NULLS} if reader == "read_csv" else {}
            arrays = getattr(connection, reader)(name, **options).fetchnumpy()
        except duckdb.Error as error:
            first = str(error).strip().splitlines()[0]
            raise FileError(f"'{path}' cannot be read as {suffix[1:].upper()}: {first}") from error
    return as_table({str(name): _plain(values) for name, values in arrays.items()})


def _plain(values: Any) -> np.ndarray:
    """A masked array of DuckDB as a plain one, with None or NaN where it is masked."""
    if not isinstance(values, np.ma.MaskedArray):
        return values
    if not values.mask.any():
        return values.data
    if values.dtype.kind in "biuf":
        return np.where(values.mask, np.nan, values.data)
    holes: Any = None
    return np.where(values.mask, holes, values.data)
