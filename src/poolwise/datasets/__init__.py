"""Data sets to learn with."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    from poolwise.support.errors import MissingName

    raise MissingName(
        f"module 'poolwise.datasets' has no attribute '{name}'. It has: load_cavanagh, load_minnesota, load_radon."
    )


def load_radon() -> pd.DataFrame:
    """Radon in 919 houses in 85 counties of Minnesota (U.S. EPA, public domain).

    `log_radon` is the outcome, `floor` is 0 for a measurement in the basement and 1 for one on the first floor,
    `county` names the county and `Uppm` is the uranium in its soil, in parts per million.
    """
    import pandas as pd

    with as_file(files(__package__) / "radon.csv") as path:
        return pd.read_csv(path, index_col=0)


def load_minnesota() -> dict[str, Any]:
    """Borders of the 87 counties of Minnesota as GeoJSON, named by `county` as in the radon data (U.S. Census Bureau,
    public domain, simplified by the us-atlas project).
    """
    return json.loads((files(__package__) / "minnesota.geojson").read_text(encoding="utf-8"))


def load_cavanagh() -> pd.DataFrame:
    """Choices and response times of 14 patients with Parkinson's disease in 3,988 trials (Cavanagh and others 2011).

    `rt` is the response time in seconds, `response` 1 for the better of two options and -1 for the other, `conf` says
    whether these were much alike (HC, high conflict) or not (LC), `theta` is power of the theta band over the frontal
    cortex, `dbs` whether deep brain stimulation was on, `participant_id` the patient.
    """
    import pandas as pd

    with as_file(files(__package__) / "cavanagh.csv") as path:
        return pd.read_csv(path)
