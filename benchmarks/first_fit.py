"""What somebody waits for who has never run poolwise here: installing, the first fit of an installation, the demo.

    python benchmarks/first_fit.py      # needs git, uv and a package index; writes benchmarks/results/first_fit.csv

The wheel is built from the last commit and installed into an empty environment, with byte code, as pip does. Each first
fit is a process of its own there, from `import poolwise` to draws of the population's parameters; memory is the peak of
that process. The demo runs in a fresh clone, with an empty cache of packages. Seconds of fits are medians of five
processes; nothing that one leaves is of use to the next.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "first_fit.csv"
ROUNDS = 5
PROCESS = """
import json, resource, sys, time
began, work = time.perf_counter(), time.process_time()
import poolwise as pw
import numpy as np
rng = np.random.default_rng(0)
model = sys.argv[1]
if model == "radon":
    data, formula, family = pw.datasets.load_radon(), "log_radon ~ floor + (floor || county)", "gaussian"
else:
    a, b, x = rng.integers(0, 60, 3000), rng.integers(0, 40, 3000), rng.normal(size=3000)
    eta = x + rng.normal(size=60)[a] + 0.5 * rng.normal(size=40)[b]
    data = {"a": a, "b": b, "x": x, "y": eta + rng.normal(size=3000)}
    data["k"] = (rng.random(3000) < 1 / (1 + np.exp(-eta))) * 1
    formula, family = ("y ~ x + (1 | a) + (1 | b)", "gaussian") if model == "crossed" else ("k ~ x + (1 | a)", model)
fit = pw.fit(formula, data, family=family, seed=1)
fit.result.beta
took, worked = time.perf_counter() - began, time.process_time() - work
began = time.perf_counter()
pw.fit(formula, data, family=family, seed=2)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
numba = "numba" in sys.modules
print(json.dumps({"s": took, "cpu_s": worked, "again_s": time.perf_counter() - began, "peak_mb": peak, "numba": numba}))
"""


def main() -> None:
    """Measure, print and keep."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [*demo(Path(folder)), *first_fits(Path(folder))]
    with open(RESULTS, "w", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print(row)


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> tuple[float, str]:
    """Seconds, and what it printed."""
    began = time.perf_counter()
    kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env={**kept, **environment}, check=True, capture_output=True, text=True
    )
    return time.perf_counter() - began, done.stdout


def demo(folder: Path) -> list[dict[str, object]]:
    """`uv run poolwise demo` in a fresh clone with an empty cache; then once more what is not installing."""
    clone, cache = folder / "clone", folder / "cache"
    run("git", "clone", "--quiet", ROOT, clone)
    seconds, _ = run("uv", "run", "--no-progress", "poolwise", "demo", cwd=clone, UV_CACHE_DIR=str(cache))
    again, _ = run("uv", "run", "--no-progress", "poolwise", "demo", cwd=clone, UV_CACHE_DIR=str(cache))
    installing, _ = run("uv", "sync", "--reinstall", cwd=clone, UV_CACHE_DIR=str(folder / "another"))
    return [
        row("fresh clone: uv run poolwise demo, all of it", seconds, goal="30 s"),
        row("of it installing (uv sync with an empty cache)", installing, goal="20 s"),
        row("the demo once more, installed", again),
    ]


def first_fits(folder: Path) -> list[dict[str, object]]:
    """The wheel, its size with all that it brings, and first fits with it."""
    run("uv", "build", "--wheel", "--out-dir", folder, ROOT)
    run("uv", "venv", "--python", sys.executable, folder / "empty")
    python = folder / "empty" / "bin" / "python"
    run("uv", "pip", "install", "--compile-bytecode", "--python", python, next(folder.glob("*.whl")))
    packages = next((folder / "empty" / "lib").glob("python*/site-packages"))
    size = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file()) / 2**20
    rows = [row("installed packages", None, note=f"{size:.0f} MB", goal="400 MB")]
    goals = {"radon": "3 s", "crossed": "4 s", "bernoulli": "4 s", "poisson": "4 s"}
    for model, goal in goals.items():
        found = []
        for _ in range(ROUNDS):
            environment = {"HOME": str(folder)}
            found.append(json.loads(run(python, "-c", PROCESS, model, cwd=folder, **environment)[1]))
        middle = {
            name: statistics.median(each[name] for each in found) for name in ("s", "cpu_s", "again_s", "peak_mb")
        }
        numba = "numba imported" if any(each["numba"] for each in found) else "no numba"
        note = f"{numba}; second fit {middle['again_s']:.3f} s"
        rows.append(row(f"first fit ever, {model}", middle["s"], middle["cpu_s"], middle["peak_mb"], note, goal))
    return rows


def row(
    what: str,
    seconds: float | None,
    cpu_s: float | None = None,
    peak_mb: float | None = None,
    note: str = "",
    goal: str = "",
) -> dict[str, object]:
    """One line of the results."""
    said = ["" if number is None else f"{number:.3g}" for number in (seconds, cpu_s, peak_mb)]
    return {"what": what, "seconds": said[0], "cpu_s": said[1], "peak_mb": said[2], "goal": goal, "note": note}


if __name__ == "__main__":
    main()
