"""What every Python adapter shares: its task, the data, a clock, and the one JSON line it answers with."""

import argparse
import csv
import json
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

CHAINS = 4
SEED = 1
COMMON = ("mu_alpha", "mu_beta", "sigma_alpha", "sigma_beta", "eps")


def read_task() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--draws-to", type=Path)
    parser.add_argument("--draws", type=int)
    parser.add_argument("--warm-fits", type=int)
    parser.add_argument("--variant")
    return parser.parse_args()


def load_radon(path: Path) -> dict[str, Any]:
    """The study's three columns as arrays of shape (houses,); `county` holds codes from 0."""
    import numpy as np

    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    log_radon, floor, county = ([row[name] for row in rows] for name in ("log_radon", "floor", "county_code"))
    return {
        "log_radon": np.array(log_radon, float),
        "floor": np.array(floor, float),
        "county": np.array(county, int),
    }


def timed(call: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    value = call()
    return value, time.perf_counter() - start


def stack(scalars: Sequence[Any], intercepts: Any, slopes: Any) -> Any:
    """Draws as (chains, draws, 175): the `COMMON` five, each (chains, draws), then those of the counties."""
    import numpy as np

    return np.concatenate([np.stack(scalars, axis=-1), intercepts, slopes], axis=-1)


def report(task: argparse.Namespace, packages: Sequence[str], draws: Any = None, **measured: Any) -> None:
    import numpy as np

    if draws is not None:
        np.save(task.draws_to, draws)
    versions = {"python": platform.python_version()} | {name: version(name) for name in packages}
    print(json.dumps(measured | {"versions": versions}), flush=True)
