"""PyMC models: `pw.pymc.sample` beside `pm.sample` and nutpie, each in a process of its own, compiling included.

    python -m benchmarks.pymc_models

Writes `benchmarks/results/pymc_models.csv`: seconds of sampling 4 x 1,000 draws, compiling included and imports
not; the worst effective sample size of all free variables; and how far means of scalars lie from ours, in posterior
sds. PyMC keeps what it has compiled on disk: its time is that of a second process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

RESULT = Path(__file__).parent / "results" / "pymc_models.csv"
MODELS = ("hierarchical", "non_centred", "correlated")
SCRIPT = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
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
names = [one.name for one in model.free_RVs if one.name in found]
worst = min(
    float(array_stats.ess(found[one].values.reshape(*found[one].shape[:2], -1), chain_axis=0, draw_axis=1).min())
    for one in names
)
scalars = {one: [float(found[one].mean()), float(found[one].std())] for one in names if found[one].ndim == 2}
print(json.dumps({"seconds": took, "ess": worst, "scalars": scalars}))
"""


def measured(system: str, name: str) -> dict[str, Any]:
    """Seconds, effective sample size and scalars, by a process of its own."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, system, name], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    """Measure and write the table."""
    lines = []
    for name in MODELS:
        measured("pymc", name)  # which leaves compiled code on disk
        found = {system: measured(system, name) for system in ("poolwise", "nutpie", "pymc")}
        ours = found["poolwise"]
        for system, one in found.items():
            off = [abs(ours["scalars"][k][0] - mean) / sd for k, (mean, sd) in one["scalars"].items()]
            lines.append(
                {
                    "model": name,
                    "system": system,
                    "seconds": round(one["seconds"], 2),
                    "times_poolwise": round(one["seconds"] / ours["seconds"], 1),
                    "ess": round(one["ess"]),
                    "ess_per_second": float(f"{one['ess'] / one['seconds']:.3g}"),
                    "means_off_in_sds": round(max(off, default=0.0), 3),
                }
            )
            print(lines[-1], flush=True)
        pd.DataFrame(lines).to_csv(RESULT, index=False)


if __name__ == "__main__":
    main()
