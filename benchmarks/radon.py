"""Time poolwise and its peers on the radon study, as a user waits for them.

    python benchmarks/radon.py                          # everything, into benchmarks/results/radon.csv
    python benchmarks/radon.py --only poolwise nothing  # these rows only; the others stay
    python benchmarks/radon.py --table                  # Markdown from the kept results; runs nothing

The model is `log_radon ~ floor + (floor || county)` on 919 houses in 85 counties: Normal(0, 1) for both common
coefficients, HalfCauchy(1) for both group deviations and for sigma; 4 chains of 1,000 kept draws after each
system's own warm-up (column `warm_up`), with a fixed seed.

Measured: seconds to import, to build and compile, and for the first fit of a process; the median of ten further
fits (`warm_fit_s`, in a process of their own); the total, which is the wall clock of the whole process from start
to exit, saving the draws (some milliseconds) included. `peak_mb` is the largest process: PyMC and Bambi sample in
further ones, one per core. Worst bulk ESS is over 175 numbers (two means, two deviations, sigma, 85 county
intercepts, 85 slopes), for every system by the same code and outside its clock. `means` are those of the first
five: all systems must agree on them.

Not measured: installing, and what a second run finds ready. Each system rehearses with few draws before it is
timed, so byte code and compiled modules (PyTensor's, numba's) are cached. `first_fit.py` measures ours without any.

Each system runs alone in an environment of its own, made by uv. One that is not there, fails or takes too long
becomes a row that says so.
"""

import argparse
import csv
import datetime
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "benchmarks" / "peers"
DRAWS, REHEARSED_DRAWS, WARM_FITS, INSTALL_LIMIT = 1000, 20, 10, 1800


@dataclass(frozen=True, slots=True)
class Peer:
    """One system: Python requirements (none: R), arguments that prove it is there, its adapter."""

    name: str
    requires: tuple[str, ...]
    probe: tuple[str, ...]
    adapter: str
    variant: str = ""
    repeat: int = 1
    warm_fits: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the CSV; None where a number has no meaning for a system."""

    name: str
    status: str
    import_s: float | None = None
    compile_s: float | None = None
    fit_s: float | None = None
    warm_fit_s: float | None = None
    total_s: float | None = None
    min_bulk_ess: float | None = None
    max_rhat: float | None = None
    ess_per_second_fit: float | None = None
    ess_per_second_warm: float | None = None
    ess_per_second_total: float | None = None
    divergences: float | None = None
    peak_mb: float | None = None
    warm_up: float | None = None
    repeat: int | None = None
    means: str = ""
    versions: str = ""
    machine: str = ""
    date: str = ""


Task = argparse.Namespace
Numbers = dict[str, Any]


class Skipped(Exception):
    """A system has no numbers; the message is the word that its row gets."""


def python_peer(name: str, *requires: str, module: str, adapter: str, **options: Any) -> Peer:
    return Peer(name, requires, ("-c", f"import {module}"), f"radon_{adapter}.py", **options)


PYMC = "pymc==5.28.*"
US: dict[str, Any] = {"module": "poolwise", "adapter": "poolwise", "repeat": 3}
CATALOGUE = (
    python_peer("nothing", "numpy==2.*", module="numpy", adapter="nothing", repeat=3),
    python_peer("poolwise", str(ROOT), **US, warm_fits=WARM_FITS),
    python_peer("PyMC, centred", PYMC, module="pymc", adapter="pymc", variant="centred"),
    python_peer("PyMC, non-centred", PYMC, module="pymc", adapter="pymc"),
    python_peer("nutpie", "nutpie==0.16.*", PYMC, module="nutpie, pymc", adapter="nutpie"),
    python_peer("NumPyro", "numpyro==0.22.*", module="numpyro", adapter="numpyro"),
    # The ArviZ plots that Bambi requires do not import with matplotlib 3.11.
    python_peer("Bambi", "bambi==0.17.*", PYMC, "matplotlib<3.11", module="bambi", adapter="bambi"),
    Peer("lme4", (), ("-e", "library(lme4)"), "radon_lme4.R", repeat=3, warm_fits=WARM_FITS),
)
JUDGE = ("arviz-stats==0.8.*",)


def run(command: Sequence[str], cache: Path, time_limit: float) -> str:
    """Standard output of a command, run in a session of its own so that its workers end with it."""
    # Without byte code every import is slow; paths to modules would leak between environments.
    unwanted = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV")
    inherited = {name: value for name, value in os.environ.items() if name not in unwanted}
    caches = {"NUMBA_CACHE_DIR": f"{cache}/numba", "PYTENSOR_FLAGS": f"base_compiledir={cache}/pytensor"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    place: dict[str, Any] = {"env": inherited | caches, "cwd": cache, "start_new_session": True}
    process: subprocess.Popen[str]
    with subprocess.Popen(command, **place, **pipes) as process:
        try:
            output, errors = process.communicate(timeout=time_limit)
        except BaseException as stop:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(stop, subprocess.TimeoutExpired):
                raise Skipped(f"took more than {time_limit:g} s") from None
            raise
    if process.returncode:
        said = [line.strip() for line in errors.splitlines() if line.strip() not in ("", "Execution halted")]
        message = said[-1] if said else f"exit code {process.returncode}"
        raise Skipped(re.sub(r"/\S+/", "", message)[:120])
    return output


def install(requires: Sequence[str], cache: Path) -> str:
    """A new environment with byte code for all of it; the path of its Python."""
    if shutil.which("uv") is None:
        raise Skipped("uv is not installed")
    python = f"{cache}/bin/python"
    run(["uv", "venv", "--quiet", "--python", "3.11", str(cache)], cache.parent, INSTALL_LIMIT)
    # uv keeps its build of a local package while the metadata stay the same: changed code needs a word.
    options = ["--quiet", "--compile-bytecode", "--reinstall-package", "poolwise", "--python", python]
    run(["uv", "pip", "install", *options, *requires], cache.parent, INSTALL_LIMIT)
    return python


def prepare(peer: Peer, cache: Path) -> str:
    """Make the environment and load the system once: nobody's time. The interpreter to run adapters with."""
    interpreter = install(peer.requires, cache / "peer") if peer.requires else shutil.which("Rscript")
    if interpreter is None:
        raise Skipped("Rscript is not installed")
    run([interpreter, *peer.probe], cache, INSTALL_LIMIT)
    return interpreter


def adapt(peer: Peer, interpreter: str, cache: Path, task: Task, draws: int, warm_fits: int = 0) -> Numbers:
    """One run of an adapter: what it reports and what is measured from outside."""
    command = [sys.executable, f"{PEERS}/measure.py", interpreter, f"{PEERS}/{peer.adapter}"]
    command += ["--data", str(task.data), "--draws-to", f"{cache}/draws.npy", "--draws", str(draws)]
    command += ["--warm-fits", str(warm_fits), "--variant", peer.variant]
    output = run(command, cache, task.time_limit)
    reported, measured = output.strip().splitlines()[-2:]
    numbers: Numbers = json.loads(reported) | json.loads(measured)
    return numbers


def judge(interpreter: str, cache: Path) -> Numbers:
    if not (cache / "draws.npy").exists():
        return {}
    command = [interpreter, f"{PEERS}/diagnose.py", f"{cache}/draws.npy"]
    verdict: Numbers = json.loads(run(command, cache, INSTALL_LIMIT))
    if verdict["shape"] != [4, DRAWS, 175]:
        raise Skipped(f"left draws of shape {verdict['shape']}")
    return verdict


def benchmark(peer: Peer, task: Task) -> Numbers:
    """Prepare, rehearse, run as often as asked; a mapping of `Result` columns."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        interpreter, judging = prepare(peer, cache), install(JUDGE, cache / "judge")
        adapt(peer, interpreter, cache, task, REHEARSED_DRAWS)
        runs = []
        for _ in range(task.repeat or peer.repeat):
            runs.append(adapt(peer, interpreter, cache, task, DRAWS) | judge(judging, cache))
        if peer.warm_fits:
            warm = adapt(peer, interpreter, cache, task, DRAWS, peer.warm_fits)["warm_fit_s"]
            runs = [one | {"warm_fit_s": warm} for one in runs]
    return summary(runs)


def summary(runs: Sequence[Numbers]) -> Numbers:
    """Medians of the runs, and effective draws per second from them."""
    columns = {field.name for field in fields(Result)} - {"means", "versions"}
    known = {name for name in columns if runs[0].get(name) is not None}
    middle = {name: statistics.median(one[name] for one in runs) for name in known}
    for part in ("fit", "total", "warm"):
        seconds = middle.get("warm_fit_s" if part == "warm" else f"{part}_s")
        if seconds and "min_bulk_ess" in middle:
            middle[f"ess_per_second_{part}"] = middle["min_bulk_ess"] / seconds
    means = " ".join(f"{mean:.3f}" for mean in runs[0].get("means", ()))
    versions = " ".join(" ".join(pair) for pair in runs[0]["versions"].items())
    return middle | {"repeat": len(runs), "means": means, "versions": versions}


def result_of(peer: Peer, task: Task) -> Result:
    taken: dict[str, Any] = {"machine": machine(), "date": datetime.date.today().isoformat()}
    try:
        return Result(peer.name, "ok", **benchmark(peer, task), **taken)
    except Skipped as why:
        return Result(peer.name, f"skipped: {why}", **taken)


def machine() -> str:
    processor = platform.processor() or platform.machine()
    system = f"{platform.system()} {platform.release()}"
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        named = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = named[0].split(":", 1)[1].strip() if named else processor
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return f"{processor}, {os.cpu_count()} cores, {system}"


def kept(path: Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def keep(result: Result, path: Path) -> None:
    """Put a row in place of the one of its name, in the order of the catalogue."""
    row = {key: f"{item:.5g}" if isinstance(item, float) else item for key, item in asdict(result).items()}
    rows = kept(path) | {result.name: row}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Result)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[peer.name] for peer in CATALOGUE if peer.name in rows)


HEADINGS = {
    "import_s": "import s",
    "compile_s": "compile s",
    "fit_s": "fit s",
    "warm_fit_s": "fit again s",
    "total_s": "total s",
    "min_bulk_ess": "worst ESS",
    "ess_per_second_fit": "ESS per s of fit",
    "ess_per_second_total": "ESS per s in total",
    "divergences": "divergences",
    "peak_mb": "peak MB",
}


def cell(text: str) -> str:
    if not text:
        return "–"
    return f"{float(text):,.0f}" if float(text) >= 10 else f"{float(text):.2g}"


def table(path: Path) -> str:
    rows = kept(path).values()
    lines = [["", *HEADINGS.values()], [":--", *["--:"] * len(HEADINGS)]]
    for row in rows:
        blank = [row["status"], *[""] * (len(HEADINGS) - 1)]
        numbers = [cell(row[column]) for column in HEADINGS]
        lines.append([row["name"], *(numbers if row["status"] == "ok" else blank)])
    taken = sorted({f"{row['machine']}; {row['date']}." for row in rows})
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *taken])


def read_task() -> Task:
    parser = argparse.ArgumentParser(description="Time poolwise and its peers on the radon study.")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[peer.name for peer in CATALOGUE])
    parser.add_argument("--repeat", type=int, help="medians of so many runs (else 3 for quick systems, 1)")
    parser.add_argument("--time-limit", type=float, default=600, metavar="SECONDS", help="of each run")
    parser.add_argument("--data", type=Path, default=ROOT / "src" / "poolwise" / "datasets" / "radon.csv")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "radon.csv")
    parser.add_argument("--table", action="store_true", help="only print the kept results as Markdown")
    task = parser.parse_args()
    # Adapters run in another folder than the one where these paths were typed.
    task.data, task.out = task.data.resolve(), task.out.resolve()
    return task


def main() -> None:
    task = read_task()
    for peer in () if task.table else CATALOGUE:
        if task.only is None or peer.name in task.only:
            print(f"{peer.name} ...", file=sys.stderr, flush=True)
            keep(result_of(peer, task), task.out)
    print(table(task.out))


if __name__ == "__main__":
    main()
