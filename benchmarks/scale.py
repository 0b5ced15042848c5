"""Cost against rows: whole fits beside the bare aggregate, in memory and from files, and beside other systems.

    python benchmarks/scale.py                    # everything; about 40 minutes and 4 GB of disk
    python benchmarks/scale.py scan --most 1e8    # sections: scan, memory, groups, rivals, chart

Every number comes from a process of its own, which says its seconds and its peak memory. Things that are compared
run in turn (A B A B ...) and the medians are kept. Results go to `benchmarks/results/scale_*.csv`, the chart to
`docs/pictures/scale.png`. Rivals need uv (Python) and Rscript with lme4; what is not there is left out, with a word.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
CHART = Path(__file__).parents[1] / "docs" / "pictures" / "scale.png"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
GROUPS, PART = 10_000, 10_000_000
INTERCEPTS, SLOPES = "y ~ x1 + x2 + x3 + (1 | g)", "y ~ x1 + x2 + x3 + (x1 | g)"

# Numbers from hashes of the row: the same on every machine, and as random as is needed here.
ROWS = f"""
WITH u AS (SELECT (hash(i) % {GROUPS})::INT AS g,
    hash(i + 1e12::BIGINT) / 2.0**64 AS a, hash(i + 2e12::BIGINT) / 2.0**64 AS b,
    hash(i + 3e12::BIGINT) / 2.0**64 AS c, hash(i + 4e12::BIGINT) / 2.0**64 AS d FROM range({{first}}, {{last}}) t(i)),
x AS (SELECT g, 2 * a - 1 AS x1, sqrt(-2 * ln(1 - b)) * cos(2 * pi() * c) AS x2, (a * 7 % 1 < 0.3)::INT AS x3,
    sqrt(-2 * ln(1 - b)) * sin(2 * pi() * c) AS noise FROM u)
SELECT g, x1, x2, x3, 1 + 0.5 * x1 - 0.3 * x2 + 0.1 * x3 + 0.3 * sin(g) + 0.2 * cos(7.0 * g) * x1 + noise AS y FROM x
"""
PREAMBLE = """
import json, resource, sys, time
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
def say(**found): print(json.dumps(found | {"peak_mb": peak()}))
files = json.loads(sys.argv[1])
"""
AGGREGATE = (
    PREAMBLE
    + """
import duckdb
names = ["x1", "x2", "x3", "y"]
products = [f"sum({a} * {b})" for i, a in enumerate(names) for b in names[: i + 1]]
query = f"SELECT g, count(*), {', '.join(f'sum({a})' for a in names)}, {', '.join(products)} FROM rows GROUP BY g"
rows = duckdb.read_parquet(files)
started = time.perf_counter(); duckdb.sql(query).fetchnumpy(); say(seconds=time.perf_counter() - started)
"""
)
FIT = (
    PREAMBLE
    + """
import warnings
import numpy as np, pandas as pd
import poolwise as pw
numbers = np.random.default_rng(0).normal(size=(400, 4))
small = pd.DataFrame(numbers, columns=["x1", "x2", "x3", "y"]).assign(g=np.arange(400) % 20)
pw.fit(sys.argv[2], small, seed=1)  # kernels are loaded once in a process
started = time.perf_counter(); fit = pw.fit(sys.argv[2], files, seed=1)
say(seconds=time.perf_counter() - started, after_scan=fit.result.seconds, rows=fit.result.model.statistics.rows)
"""
)
MEMORY = (
    PREAMBLE
    + """
import statistics
import duckdb, numba, numpy as np, polars as pl, pyarrow.parquet as pq
import poolwise as pw
arrow = pq.read_table(files[0])
frame, polars = arrow.to_pandas(), pl.from_arrow(arrow)
names = ["x1", "x2", "x3", "y"]
products = [(a, b) for i, a in enumerate(names) for b in names[: i + 1]]
sums = ", ".join([f"sum({a})" for a in names] + [f"sum({a} * {b})" for a, b in products])
def by_duckdb(): return duckdb.sql(f"SELECT g, count(*), {sums} FROM arrow GROUP BY g").fetchnumpy()
def by_polars():
    sums = [pl.col(a).sum() for a in names] + [(pl.col(a) * pl.col(b)).sum().alias(a + b) for a, b in products]
    return polars.lazy().group_by("g").agg(pl.len(), *sums).collect(engine="streaming")
@numba.njit(nogil=True)
def loop(g, x1, x2, x3, y, out):
    z = np.empty(4)
    for i in range(g.size):
        z[0], z[1], z[2], z[3] = x1[i], x2[i], x3[i], y[i]
        row, at = out[g[i]], 5
        row[0] += 1.0
        for k in range(4):
            row[1 + k] += z[k]
            for h in range(k + 1):
                row[at] += z[k] * z[h]
                at += 1
columns = [frame[name].to_numpy() for name in ["g", *names]]
def by_numba(): loop(*columns, np.zeros((10_000, 15)))
formula = sys.argv[2]
def ours(data, formula=formula): return lambda: pw.SufficientStatistics.from_data(formula, data)
sine, spline = "y ~ np.sin(x1) + x2 + x3 + (x1 | g)", "y ~ bs(x1, df=4) + x2 + (1 | g)"
todo = {"DuckDB on Arrow": by_duckdb, "lazy Polars": by_polars, "numba loop, one thread, not centred": by_numba,
    "poolwise, pandas": ours(frame), "poolwise, Arrow": ours(arrow), "poolwise, Polars": ours(polars),
    "poolwise in batches, np.sin(x1)": ours(arrow, sine), "poolwise in batches, bs(x1, df=4)": ours(arrow, spline)}
times = {name: [] for name in todo}
for turn in range(6):
    for name, run in todo.items():
        started = time.perf_counter(); run(); times[name].append(time.perf_counter() - started)
say(seconds={name: statistics.median(each[1:]) for name, each in times.items()}, rows=len(arrow))
"""
)
MANY_GROUPS = (
    PREAMBLE
    + """
import duckdb
import poolwise as pw
groups, effects = int(sys.argv[2]), sys.argv[3]
connection = duckdb.connect()
def uniform(key): return f"(hash({key}) / 2.0**64)"
x, group = f"({uniform('i')} - 0.5)", f"i % {groups}"
spread = f"2 * {uniform(f'{group} + 1e12::BIGINT')} + (2 * {uniform(f'{group} + 2e12::BIGINT')} - 1) * {x}"
outcome = f"1 + 0.5 * {x} + {spread} + 3 * {uniform('i + 3e12::BIGINT')}"
select = f"SELECT {group} AS g, {x} AS x, {outcome} AS y FROM range({10 * groups}) t(i)"
connection.execute(f"CREATE TABLE t AS {select}").fetchall()
started = time.perf_counter(); fit = pw.fit(f"y ~ x + ({effects} | g)", connection.table("t"), seed=1)
fitted, memory = time.perf_counter() - started, peak()
started = time.perf_counter(); fit.group_draws([1, groups - 1]); chosen = time.perf_counter() - started
started = time.perf_counter(); table = fit.group_coefficients(); summarised = time.perf_counter() - started
assert fit.outcome.passed and len(table)
say(fit_s=fitted, fit_peak_mb=memory, two_groups_s=chosen, all_groups_s=summarised)
"""
)
RIVALS = {
    "poolwise": (
        [],
        """
import poolwise as pw
started = time.perf_counter()
pw.fit("y ~ x1 + x2 + x3 + (1 | g)", frame, seed=1)
say(seconds=time.perf_counter() - started)
""",
    ),
    "statsmodels MixedLM": (
        ["statsmodels", "pandas", "pyarrow"],
        """
import statsmodels.formula.api as smf
started = time.perf_counter()
smf.mixedlm("y ~ x1 + x2 + x3", frame, groups=frame["g"]).fit()
say(seconds=time.perf_counter() - started)
""",
    ),
    "Bambi": (
        ["bambi", "matplotlib<3.11", "pandas", "pyarrow"],
        """
import bambi
if __name__ == "__main__":
    started = time.perf_counter()
    model = bambi.Model("y ~ x1 + x2 + x3 + (1 | g)", frame)
    model.fit(draws=1000, chains=4, cores=2, random_seed=1, progressbar=False)
    say(seconds=time.perf_counter() - started)
""",
    ),
}
READ_FRAME = PREAMBLE + "import pandas as pd\nframe = pd.read_parquet(files[0])\n"
LMER = """
suppressMessages(library(lme4)); n <- {rows}
read <- function(name) readBin(file.path("{folder}", name), "double", n)
d <- data.frame(g = factor(read("g")), x1 = read("x1"), x2 = read("x2"), x3 = read("x3"), y = read("y"))
s <- Sys.time(); m <- lmer(y ~ x1 + x2 + x3 + (1 | g), d)
line <- grep("VmHWM", readLines("/proc/self/status"), value = TRUE)
used <- as.numeric(sub("[^0-9]*([0-9]+).*", "\\\\1", line)) / 1024
cat(sprintf('{{"seconds": %f, "peak_mb": %f}}', as.numeric(Sys.time() - s, units = "secs"), used))
"""


class Failed(Exception):
    """A run that ended without its line; the message says how."""


def run(command: Sequence[str], limit: float) -> dict[str, Any]:
    """The JSON line that a process says."""
    try:
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"not done after {limit:.0f} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise Failed("killed: out of memory" if done.returncode == -9 else last[:120])
    return json.loads(done.stdout.strip().splitlines()[-1])


def python(code: str, *arguments: object, limit: float = 3600, interpreter: str = sys.executable) -> dict[str, Any]:
    """Run code in a Python process of its own."""
    return run([interpreter, "-c", code, *map(str, arguments)], limit)


def parquet(folder: Path, rows: int) -> list[str]:
    """Files that hold `rows` rows, made where they are missing; beyond 10^8 the same files again."""
    import duckdb

    size, count = min(rows, PART), max(rows // PART, 1)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for part in range(min(count, 10)):
        path = folder / f"{size}-{part}.parquet"
        if not path.exists():
            query = ROWS.format(first=part * PART, last=part * PART + size)
            duckdb.sql(f"COPY ({query}) TO '{path}.part' (FORMAT parquet)")
            os.replace(f"{path}.part", path)
        paths.append(str(path))
    return paths * max(count // 10, 1)


def save(name: str, rows: list[dict[str, Any]]) -> None:
    """Print a table and write it beside the other results."""
    path = RESULTS / f"scale_{name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    print(path.read_text(), flush=True)


def scan(folder: Path, most: int) -> None:
    """Whole fits from Parquet beside the bare aggregate on the same files."""
    table = []
    for rows in (10**k for k in range(5, 10) if 10**k <= most):
        files = json.dumps(parquet(folder, rows))
        found: dict[str, list[dict[str, Any]]] = {"aggregate": [], INTERCEPTS: [], SLOPES: []}
        for _ in range(1 if rows > 10**8 else 5):
            found["aggregate"].append(python(AGGREGATE, files))
            for formula in (INTERCEPTS, SLOPES):
                found[formula].append(python(FIT, files, formula))
        bare = statistics.median(each["seconds"] for each in found["aggregate"])
        for name, runs in found.items():
            seconds = statistics.median(each["seconds"] for each in runs)
            after = [each["after_scan"] for each in runs if "after_scan" in each]
            table.append(
                {
                    "rows": rows,
                    "what": name,
                    "seconds": round(seconds, 3),
                    "ratio_to_aggregate": round(seconds / bare, 3),
                    "seconds_after_scan": round(statistics.median(after), 3) if after else "",
                    "peak_mb": round(max(each["peak_mb"] for each in runs)),
                    "runs": len(runs),
                }
            )
    save("scan", table)


def memory(folder: Path) -> None:
    """10^7 rows in memory: our reduction beside the best of three others."""
    found = python(MEMORY, json.dumps(parquet(folder, PART)), SLOPES)
    best = min(list(found["seconds"].values())[:3])
    save(
        "memory",
        [
            {
                "what": what,
                "seconds": round(s, 3),
                "ratio_to_best": round(s / best, 2),
                "million_rows_per_s": round(10 / s, 1),
            }
            for what, s in found["seconds"].items()
        ],
    )


def many_groups() -> None:
    """Fits of many groups with ten rows each."""
    table = []
    for groups, effects in ((10**4, "x"), (10**5, "x"), (10**6, "1")):
        found = python(MANY_GROUPS, "[]", groups, effects)
        table.append({"groups": groups, "effects": effects, **{k: round(v, 2) for k, v in found.items()}})
    save("groups", table)


def rivals(folder: Path, limit: float) -> None:
    """What a user would otherwise run, on 10^6 rows; on 10^7 those that are still standing."""
    table: list[dict[str, Any]] = []
    fallen: set[str] = set()
    for rows in (10**6, 10**7):
        files = parquet(folder, rows)
        systems = {name: partial(_attempt, packages, READ_FRAME + code) for name, (packages, code) in RIVALS.items()}
        systems["lme4"] = partial(_lme4, rows)
        for name, attempt in systems.items():
            if name in fallen:
                table.append({"rows": rows, "system": name, "outcome": "not tried"})
                continue
            found = attempt(files, limit)
            if found["outcome"] != "done":
                fallen.add(name)
            table.append({"rows": rows, "system": name, **found})
            print(table[-1], flush=True)
    save("rivals", table)


def _attempt(packages: list[str], code: str, files: list[str], limit: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "run.py"
        script.write_text(code)
        command = [sys.executable]
        if packages:
            if shutil.which("uv") is None:
                return {"outcome": "uv is not installed"}
            wanted = [part for package in packages for part in ("--with", package)]
            command = ["uv", "run", "--quiet", "--no-project", "--python", "3.11", *wanted, "python"]
            subprocess.run([*command, "-c", "pass"], env=ENVIRONMENT, check=False)  # installing is not measured
        try:
            found = run([*command, str(script), json.dumps(files)], limit)
        except Failed as error:
            return {"outcome": str(error)}
    return {"seconds": round(found["seconds"], 2), "peak_mb": round(found["peak_mb"]), "outcome": "done"}


def _lme4(rows: int, files: list[str], limit: float) -> dict[str, Any]:
    import numpy as np
    import pandas as pd

    if shutil.which("Rscript") is None:
        return {"outcome": "Rscript is not installed"}
    with tempfile.TemporaryDirectory() as folder:
        frame = pd.read_parquet(files[0])
        for name in frame:
            frame[name].to_numpy(dtype=np.float64).tofile(Path(folder) / str(name))
        del frame
        try:
            found = run(["Rscript", "-e", LMER.format(rows=rows, folder=folder)], limit)
        except Failed as error:
            return {"outcome": str(error)}
    return {"seconds": round(found["seconds"], 2), "peak_mb": round(found["peak_mb"]), "outcome": "done"}


def chart() -> None:
    """Seconds against rows: whole fits, the bare aggregate, and what is left after the scan."""
    import altair as alt
    import pandas as pd

    from poolwise.output.plots import theme
    from poolwise.output.plots.export import save_chart

    table = pd.read_csv(RESULTS / "scale_scan.csv")
    names = {"aggregate": "bare DuckDB aggregate", INTERCEPTS: "fit, (1 | g)", SLOPES: "fit, (x1 | g)"}
    lines = table.assign(what=table["what"].map(names))[["rows", "what", "seconds"]]
    after = table[table["what"] == SLOPES][["rows", "seconds_after_scan"]].set_axis(["rows", "seconds"], axis=1)
    lines = pd.concat([lines, after.assign(what="of it after the scan, (x1 | g)")])
    order = [*names.values(), "of it after the scan, (x1 | g)"]
    colour = alt.Color(
        "what:N",
        title=None,
        sort=order,
        scale=alt.Scale(domain=order, range=["#999999", theme.SEPARATE, theme.PARTIAL, "#a9c8dc"]),
        legend=alt.Legend(orient="top", columns=2, symbolType="stroke", symbolStrokeWidth=3, labelLimit=300),
    )
    words = "{5: '100 thousand', 6: '1 million', 7: '10 million', 8: '100 million', 9: '1 billion'}"
    label = f"({words})[round(log(datum.value) / LN10)]"
    axis = alt.Axis(values=[10**k for k in range(5, 10)], labelExpr=label, grid=False, labelFlush=False)
    base = alt.Chart(theme.data(lines)).encode(
        x=alt.X("rows:Q", title="rows", scale=alt.Scale(type="log"), axis=axis),
        y=alt.Y(
            "seconds:Q",
            title="seconds",
            scale=alt.Scale(type="log"),
            axis=alt.Axis(values=[0.1, 1, 10, 100], format="~g"),
        ),
        color=colour,
    )
    title = alt.TitleParams(
        "A fit costs one scan", subtitle="Parquet files, 10,000 groups, 3 predictors, two cores; both axes logarithmic"
    )
    drawn = (base.mark_line(strokeWidth=2.2) + base.mark_circle(size=60, opacity=1)).properties(
        width=560, height=320, title=title
    )
    save_chart(theme.styled(drawn), CHART)


def main() -> None:
    """Run the sections that are asked for."""
    sections = ("scan", "memory", "groups", "rivals", "chart")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", choices=[*sections, []], default=list(sections))
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "poolwise-scale")
    parser.add_argument("--most", type=float, default=1e9, help="rows of the largest scan")
    parser.add_argument("--limit", type=float, default=900, help="seconds that a rival may take")
    task = parser.parse_args()
    if "scan" in task.sections:
        scan(task.data, int(task.most))
    if "memory" in task.sections:
        memory(task.data)
    if "groups" in task.sections:
        many_groups()
    if "rivals" in task.sections:
        rivals(task.data, task.limit)
    if "chart" in task.sections:
        chart()


if __name__ == "__main__":
    main()
