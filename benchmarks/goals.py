"""The speed goals of the radon study as ratios, each measured in turn (A B A B ...) in one run.

`python benchmarks/goals.py` prints a table and writes `benchmarks/results/goals.csv`. It needs the package installed in
the running Python, and Rscript with lme4 for the rows against it; without them those rows are left out, with a word.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ROUNDS = 7
OUT = Path(__file__).parent / "results" / "goals.csv"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

LMER = """
suppressMessages(library(lme4)); d <- read.csv("{data}")
fit <- function() lmer(log_radon ~ floor + (floor || county), d)
fit(); cat(median(sapply(1:15, function(i) {{s <- Sys.time(); fit(); as.numeric(Sys.time() - s, units = "secs")}})))
"""
LMER_PROCESS = """
suppressMessages(library(lme4)); d <- read.csv("{data}")
print(summary(lmer(log_radon ~ floor + (floor || county), d)))
"""
STUDY = """
import statistics, time
import poolwise as pw
radon = pw.datasets.load_radon()
priors = {"Intercept": pw.Normal(0, 1), "floor": pw.Normal(0, 1), "sd": pw.HalfCauchy(1), "sigma": pw.HalfCauchy(1)}
"""
WARM_FIT = """
def once(seed):
    started = time.perf_counter()
    pw.fit("log_radon ~ floor + (floor || county)", radon, priors=priors, seed=seed)
    return time.perf_counter() - started
once(0); print(statistics.median(once(seed) for seed in range(15)))
"""
SEPARATE = """
from poolwise.api.pooling import compare_pooling
import numpy as np
from poolwise.density.separate import separate
pooling = pw.compare_pooling("log_radon ~ floor", by="county", data=radon, priors=priors, folds=0, seed=1)
model = pooling.separate.result.model
def once(seed):
    started = time.perf_counter()
    regressions = separate(model.statistics, model.design, model.priors, threads=2)
    regressions.draw(4000, np.random.SeedSequence(seed))
    return time.perf_counter() - started
once(0); print(statistics.median(once(seed) for seed in range(15)))
"""
PROCESS = """
fit = pw.fit("log_radon ~ floor + (floor || county)", radon, priors=priors, seed=1)
print({what})
"""


@dataclass(frozen=True, slots=True)
class Goal:
    """One ratio: seconds of ours over seconds of theirs, and what was asked for."""

    name: str
    asked_at_most: float
    ours_s: float
    theirs_s: float
    ratio: float


def printed_seconds(command: list[str]) -> float:
    """The number that a process prints."""
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=True)
    return float(done.stdout.split()[-1])


def wall_seconds(command: list[str]) -> float:
    """From start to exit."""
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, env=ENVIRONMENT, check=True)
    return time.perf_counter() - started


def compare(name: str, asked: float, ours: Callable[[], float], theirs: Callable[[], float]) -> Goal:
    """Medians over rounds in which both take their turn; the ratio is the median of the rounds' ratios."""
    ours()  # warms caches
    pairs = [(ours(), theirs()) for _ in range(ROUNDS)]
    first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(one / two for one, two in pairs)
    return Goal(name, asked, round(first, 4), round(second, 4), round(ratio, 3))


def goals(data: str) -> list[Goal]:
    """All goals that this machine can measure."""
    python = [sys.executable, "-W", "ignore", "-c"]
    found = [
        compare(
            "import poolwise / import numpy",
            1.5,
            lambda: wall_seconds([*python, "import poolwise"]),
            lambda: wall_seconds([*python, "import numpy"]),
        )
    ]
    if shutil.which("Rscript") is None:
        print("no Rscript: rows against lme4 are left out")
        return found
    r = ["Rscript", "-e"]
    lmer = [*r, LMER.format(data=data)]
    found += [
        compare(
            "warm fit / warm lmer",
            1.0,
            lambda: printed_seconds([*python, STUDY + WARM_FIT]),
            lambda: printed_seconds(lmer),
        ),
        compare(
            "85 separate regressions x 4000 draws / warm lmer",
            1.0,
            lambda: printed_seconds([*python, STUDY + SEPARATE]),
            lambda: printed_seconds(lmer),
        ),
        *(
            compare(
                f"process: read, fit, print({what}) / the same in R",
                1.5,
                lambda what=what: wall_seconds([*python, STUDY + PROCESS.format(what=what)]),
                lambda: wall_seconds([*r, LMER_PROCESS.format(data=data)]),
            )
            for what in ("fit", "fit.summary()")
        ),
    ]
    return found


def main() -> None:
    import poolwise as pw

    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder) / "radon.csv")
        pw.datasets.load_radon().to_csv(data, index=False)
        found = goals(data)
    OUT.parent.mkdir(exist_ok=True)
    with OUT.open("w", newline="") as file:
        writer = csv.DictWriter(file, asdict(found[0]))
        writer.writeheader()
        writer.writerows(asdict(goal) for goal in found)
    for goal in found:
        print(json.dumps(asdict(goal)))


if __name__ == "__main__":
    main()
