"""PyMC models: `pw.pymc.sample` beside nutpie and `pm.sample`, each in a process of its own, compiling included.

    python -m benchmarks.pymc_models          # the study's models
    python -m benchmarks.pymc_models gallery  # all 30 of the tests, beside nutpie
    python -m benchmarks.pymc_models counties # one model for each county, in a loop

Seconds are those of sampling 4 x 1,000 draws, compiling included and imports not. PyMC keeps what it has compiled on
disk: `pymc first run` is a model that it has not met before, `pymc` a second process. `off_in_errors` is the largest
distance between two means of a number, of all free variables, in standard errors of that distance by effective sample
sizes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parent / "results"
STUDY = ("individual", "hierarchical", "non_centred", "correlated")
COUNTIES, OF_PYMC = 85, 6  # models in a loop, and how many of them PyMC is timed for
SCRIPT = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
import pymc as pm
from tests.pymc import models
import poolwise as pw
from arviz_stats.base import array_stats
system, name = sys.argv[1:]
model, _ = getattr(models, name)()
if system == "nutpie":
    import nutpie
if system == "poolwise":
    pw.pymc
began = time.perf_counter()
if system == "poolwise":
    found = pw.pymc.sample(model, seed=1)["posterior"]
else:
    with model:
        found = pm.sample(
            1000, chains=4, cores=2, random_seed=1, progressbar=False, compute_convergence_checks=False,
            nuts_sampler="nutpie" if system == "nutpie" else "pymc",
        ).posterior
took = time.perf_counter() - began
numbers = {}
for one in model.free_RVs:
    if one.name in found:
        draws = found[one.name].values.reshape(*found[one.name].shape[:2], -1)
        ess = array_stats.ess(draws, chain_axis=0, draw_axis=1)
        numbers[one.name] = [draws.mean((0, 1)).tolist(), draws.std((0, 1)).tolist(), np.ravel(ess).tolist()]
print(json.dumps({"seconds": took, "numbers": numbers}))
"""
LOOP = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import pymc as pm
import poolwise as pw
from tests.pymc import models
pw.pymc
system, count = sys.argv[1], int(sys.argv[2])
each = []
for name in models.NAMES[:: len(models.NAMES) // count][:count]:
    began = time.perf_counter()
    model, _ = models.individual(name)
    if system == "poolwise":
        pw.pymc.sample(model, seed=1)
    else:
        with model:
            pm.sample(1000, chains=4, cores=2, random_seed=1, progressbar=False, compute_convergence_checks=False)
    each.append(time.perf_counter() - began)
print(json.dumps(each))
"""


def printed(script: str, *arguments: str, compiled: str | None = None) -> Any:
    """What a process of its own says last; PyTensor's compiled code is in the folder `compiled`."""
    known = os.environ | ({"PYTENSOR_FLAGS": f"base_compiledir={compiled}"} if compiled else {})
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=known)
    return json.loads(done.stdout.strip().splitlines()[-1])


def worst(found: dict[str, Any]) -> float:
    """The least effective sample size of all free variables."""
    return min(min(ess) for _, _, ess in found["numbers"].values())


def off_in_errors(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest distance between means, in standard errors."""
    found = [0.0]
    for name in one["numbers"].keys() & other["numbers"].keys():
        (a, sd_a, ess_a), (b, sd_b, ess_b) = (map(np.array, each["numbers"][name]) for each in (one, other))
        with np.errstate(invalid="ignore"):
            found.append(float(np.nanmax(np.abs(a - b) / np.sqrt(sd_a**2 / ess_a + sd_b**2 / ess_b))))
    return max(found)


def line(name: str, system: str, found: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """One line of a table."""
    return {
        "model": name,
        "system": system,
        "seconds": round(found["seconds"], 2),
        "times_poolwise": round(found["seconds"] / ours["seconds"], 1),
        "ess": round(worst(found)),
        "ess_per_second": float(f"{worst(found) / found['seconds']:.3g}"),
        "off_in_errors": round(off_in_errors(ours, found), 2),
    }


def study() -> pd.DataFrame:
    """The study's models by all three."""
    lines = []
    for name in STUDY:
        found = {system: printed(SCRIPT, system, name) for system in ("poolwise", "nutpie")}
        with tempfile.TemporaryDirectory() as folder:
            found |= {system: printed(SCRIPT, "pymc", name, compiled=folder) for system in ("pymc first run", "pymc")}
        lines += [line(name, system, one, found["poolwise"]) for system, one in found.items()]
    return pd.DataFrame(lines)


def gallery() -> pd.DataFrame:
    """All models of the tests, with what is integrated out of them."""
    warnings.simplefilter("ignore")
    from tests.pymc import models

    import poolwise as pw

    lines = []
    for build in (*models.ALL, *models.NOT_NORMAL):
        name, explained = build.__name__, pw.pymc.explain(build()[0])
        known = {"model": name, "integrated_out": sum(explained.block.values()), "left": sum(explained.left.values())}
        if not explained.block:
            lines.append(known)
            continue
        ours, theirs = (printed(SCRIPT, system, name) for system in ("poolwise", "nutpie"))
        beside = line(name, "nutpie", theirs, ours)
        lines.append(
            known
            | {"seconds": round(ours["seconds"], 2), "ess": round(worst(ours))}
            | {
                "nutpie_seconds": beside["seconds"],
                "nutpie_ess": beside["ess"],
                "off_in_errors": beside["off_in_errors"],
            }
        )
        print(lines[-1], flush=True)
    return pd.DataFrame(lines)


def counties() -> pd.DataFrame:
    """Seconds of a model of a county by itself, in a loop over them."""
    lines = []
    for system, count in (("poolwise", COUNTIES), ("pymc", OF_PYMC), ("pymc", OF_PYMC)):  # the second one's is kept
        each = printed(LOOP, system, str(count))
        lines.append({"system": system, "models": count, "seconds": round(sum(each), 1), "median": np.median(each)})
    table = pd.DataFrame([lines[0], lines[2]]).round(3)
    table["times_poolwise"] = (table["median"] / table["median"].iloc[0]).round(1)
    return table


def main() -> None:
    """Measure and write a table."""
    tables = {"study": (study, "pymc_models.csv"), "gallery": (gallery, "pymc_gallery.csv")}
    tables["counties"] = counties, "pymc_counties.csv"
    measure, name = tables[sys.argv[1] if len(sys.argv) > 1 else "study"]
    table = measure()
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / name, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
