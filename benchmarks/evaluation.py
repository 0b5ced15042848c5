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
from poolwise.density.collapsed import collapse
from poolwise.density.priors import resolve_priors
from poolwise.design import build
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


def measure(rows: int) -> dict[str, float]:
    """Seconds to reduce, and microseconds for an evaluation with and without gradient, medians, one thread."""
    frame = {"y": [0.0, 1.0, 2.0, 4.0], "floor": [0.0, 1.0, 1.0, 0.0], "county": [0, 0, 1, 1]}
    design, _, _ = build(parse("y ~ floor + (floor || county)"), as_table(frame))
    values, codes = simulate(rows)
    started = time.perf_counter()
    reduced = reduce_rows(values, codes, (*design.columns, "y"), np.arange(GROUPS))
    reduce_seconds = time.perf_counter() - started
    priors = resolve_priors({"sd": pw.HalfCauchy(1)}, design, reduced)
    density = collapse(reduced, design, priors, threads=1)
    points = density.starts()[0] + 0.1 * np.random.default_rng(0).standard_normal((POINTS, density.dimension))
    out, gradients = np.empty(POINTS), np.empty_like(points)
    plain, with_gradient = [], []
    for _ in range(REPEATS):
        started = time.perf_counter()
        kernels.log_densities(points, density.problem, out)
        plain.append((time.perf_counter() - started) / POINTS * 1e6)
        started = time.perf_counter()
        kernels.values_and_gradients(points, density.problem, out, gradients)
        with_gradient.append((time.perf_counter() - started) / POINTS * 1e6)
    return {
        "rows": rows,
        "reduce_s": round(reduce_seconds, 4),
        "evaluation_us": round(statistics.median(plain), 3),
        "with_gradient_us": round(statistics.median(with_gradient), 3),
    }


def main() -> None:
    measure(ROWS[0])  # compiles
    results = [measure(rows) for rows in ROWS]
    OUT.parent.mkdir(exist_ok=True)
    with OUT.open("w", newline="") as file:
        writer = csv.DictWriter(file, results[0])
        writer.writeheader()
        writer.writerows(results)
    for result in results:
        print("  ".join(f"{name} {value:>12,}" for name, value in result.items()))


if __name__ == "__main__":
    main()
