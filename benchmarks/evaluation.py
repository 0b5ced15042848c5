"""Cost of one density evaluation against the number of rows, with 85 groups: it must not grow.

`python benchmarks/evaluation.py` prints a table and writes `benchmarks/results/evaluation.csv`. The reduction of the
rows to statistics, which happens once, is timed beside it.
"""

from __future__ import annotations

import csv
import statistics
import time
from pathlib import Path

import numpy as np

import poolwise as pw
from poolwise.density import kernels
from poolwise.density.collapsed import CollapsedDensity, collapse
from poolwise.density.resolve import resolve_priors
from poolwise.design import build, needed_columns
from poolwise.formula import parse
from poolwise.sources import as_table
from poolwise.statistics import reduce_rows

GROUPS, POINTS, REPEATS = 85, 2000, 15
ROWS = (10**3, 10**4, 10**5, 10**6, 10**7)
OUT = Path(__file__).parent / "results" / "evaluation.csv"


def simulate(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns [floor, y] and group codes, in the proportions of the radon study."""
    rng = np.random.default_rng(rows)
    codes = rng.integers(0, GROUPS, rows)
    floor = (rng.random(rows) < 0.17).astype(float)
    intercepts, slopes = rng.normal(1.5, 0.3, GROUPS), rng.normal(-0.6, 0.25, GROUPS)
    outcome = intercepts[codes] + slopes[codes] * floor + 0.7 * rng.standard_normal(rows)
    return np.column_stack([floor, outcome]), codes


def prepare(rows: int) -> tuple[float, CollapsedDensity]:
    """Seconds to reduce the rows, and the density."""
    frame = {"y": [0.0, 1.0, 2.0, 4.0], "floor": [0.0, 1.0, 1.0, 0.0], "county": [0, 0, 1, 1]}
    design, _, _ = build(needed_columns(parse("y ~ floor + (floor || county)")), as_table(frame))
    values, codes = simulate(rows)
    started = time.perf_counter()
    reduced = reduce_rows(values, codes, (*design.columns, "y"), np.arange(GROUPS))
    seconds = time.perf_counter() - started
    return seconds, collapse(reduced, design, resolve_priors({"sd": pw.HalfCauchy(1)}, design, reduced), threads=1)


def once(density: CollapsedDensity) -> tuple[float, float]:
    """Microseconds for an evaluation without and with gradient, one thread."""
    points = density.starts()[0] + 0.1 * np.random.default_rng(0).standard_normal((POINTS, density.dimension))
    out, gradients = np.empty(POINTS), np.empty_like(points)
    started = time.perf_counter()
    kernels.log_densities(points, density.problem, out)
    between = time.perf_counter()
    kernels.values_and_gradients(points, density.problem, out, gradients)
    return (between - started) / POINTS * 1e6, (time.perf_counter() - between) / POINTS * 1e6


def main() -> None:
    prepare(ROWS[0])  # loads the kernel
    prepared = {rows: prepare(rows) for rows in ROWS}
    once(prepared[ROWS[0]][1])  # compiles
    # All sizes take their turn in each round, so that a machine whose speed drifts is fair to all of them.
    rounds = [{rows: once(density) for rows, (_, density) in prepared.items()} for _ in range(REPEATS)]
    results = [
        {
            "rows": rows,
            "reduce_s": round(prepared[rows][0], 4),
            "evaluation_us": round(statistics.median(each[rows][0] for each in rounds), 3),
            "with_gradient_us": round(statistics.median(each[rows][1] for each in rounds), 3),
        }
        for rows in ROWS
    ]
    OUT.parent.mkdir(exist_ok=True)
    with OUT.open("w", newline="") as file:
        writer = csv.DictWriter(file, results[0])
        writer.writeheader()
        writer.writerows(results)
    for result in results:
        print("  ".join(f"{name} {value:>12,}" for name, value in result.items()))


if __name__ == "__main__":
    main()
