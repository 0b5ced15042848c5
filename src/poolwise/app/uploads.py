"""Files that are dropped, as tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from poolwise.app.limits import Limits
from poolwise.support.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def read_table(path: Path, name: str, limits: Limits) -> pd.DataFrame:
    """A CSV or Parquet file as a table.

    Raises
    ------
    DataError : for another kind of file, for one that cannot be read, and for one with too many rows.
    """
    import pandas as pd

    ending = Path(name).suffix.lower()
    if path.stat().st_size > limits.megabytes * 1e6:
        raise DataError(f"The file has {path.stat().st_size / 1e6:.0f} MB; {limits.megabytes:g} MB are the most here.")
    if ending not in (".csv", ".tsv", ".txt", ".parquet"):
        raise DataError(f"'{name}' is no CSV and no Parquet file by its ending.")
    try:
        if ending == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(
                path, sep=None if ending != ".csv" else ",", engine="python" if ending != ".csv" else "c"
            )
    except Exception as error:  # readers raise errors of many libraries
        raise DataError(f"'{name}' could not be read as a table: {str(error).splitlines()[0][:200]}") from error
    if len(frame) > limits.rows:
        raise DataError(f"The table has {len(frame):,} rows; {limits.rows:,} are the most here.")
    frame.columns = [str(column) for column in frame.columns]
    return frame
