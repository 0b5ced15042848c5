"""Data sets to learn with."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    from poolwise.support.errors import MissingName

    raise MissingName(f"module 'poolwise.datasets' has no attribute '{name}'. It has: load_radon.")


def load_radon() -> pd.DataFrame:
    """Radon in 919 houses in 85 counties of Minnesota (U.S. EPA, public domain).

    `log_radon` is the outcome, `floor` is 0 for a measurement in the basement and 1 for one on the first floor,
    `county` names the county and `Uppm` is the uranium in its soil, in parts per million.
    """
    import pandas as pd

    with as_file(files(__package__) / "radon.csv") as path:
        return pd.read_csv(path, index_col=0)
