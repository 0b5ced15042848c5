"""What lme4 and glmmTMB estimate of the same rows, by REML: one process of R for many models.

Labels of groups go to R as numbers, so that none of them can be misread; categories keep theirs.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from benchmarks.sweep.models import Model

SCRIPT = Path(__file__).with_name("peers.R")
ONE_MODEL_S, START_S = 60.0, 120.0  # a model is given up after the first, R itself after their sum without a word
ADVICE = "apt-get install -y --no-install-recommends r-cran-lme4 r-cran-glmmtmb"


@dataclass(slots=True)
class Peer:
    """A peer's estimates of one model.

    Attributes
    ----------
    beta, se : common coefficients and their standard errors, by names as R makes them.
    sd : of effects, by "factor|effect".
    sigma : the residual sd, None where the family has none.
    singular : whether a spread is zero or a correlation one.
    messages : warnings and messages, of convergence above all.
    error : why there is no estimate; empty where there is one.
    second : by maximum likelihood, with quadrature where that can be; only of families that are not normal.
    """

    beta: dict[str, float] = field(default_factory=dict)
    se: dict[str, float] = field(default_factory=dict)
    sd: dict[str, float] = field(default_factory=dict)
    sigma: float | None = None
    singular: bool = False
    seconds: float | None = None
    messages: list[str] = field(default_factory=list)
    error: str = ""
    second: Peer | None = None


def missing() -> str:
    """Why there are no peers, in a sentence; empty where R and both packages are there."""
    if shutil.which("Rscript") is None:
        return f"Rscript is not installed, so nothing is compared with lme4 and glmmTMB ({ADVICE})."
    asked = ["Rscript", "-e", "stopifnot(requireNamespace('lme4'), requireNamespace('glmmTMB'))"]
    if subprocess.run(asked, capture_output=True, check=False).returncode:
        return f"R has no lme4 or no glmmTMB, so nothing is compared with them ({ADVICE})."
    return ""


def estimates(models: Sequence[Model]) -> dict[str, Peer]:
    """The peers' estimates by the models' names. R is started again behind a model on which it hangs or dies."""
    found: dict[str, Peer] = {}
    with tempfile.TemporaryDirectory(prefix="sweep_") as folder:
        tasks = [task(model, str(i), Path(folder)) for i, model in enumerate(models)]
        rest, out = tasks, Path(folder) / "out.csv"
        out.touch()
        while rest:
            run(rest, out, Path(folder))
            lines = read(out)
            ended = {line["id"] for line in lines if line["kind"] == "end"}
            left = [each for each in rest if each["id"] not in ended]
            if left:  # the first one did not end
                with out.open("a", newline="") as file:
                    csv.writer(file).writerow([left[0]["id"], "error", "", "nan", "R was stopped or died"])
            rest = left[1:]
        for line in read(out):
            add(found.setdefault(models[int(line["id"])].name, Peer()), line)
    return found


def task(model: Model, identity: str, folder: Path) -> dict[str, str]:
    """Write a model's rows; a line of R's list of tasks."""
    keys = sorted({key for keys in model.factors for key in keys})
    rows = model.frame.assign(**{key: pd.factorize(model.frame[key])[0] + 1 for key in keys})
    if model.slope in keys or set(keys) & {*model.numbers, model.outcome}:
        raise ValueError(f"{model.name}: a grouping column is used as a number too")
    file = folder / f"rows_{identity}.csv"
    rows.to_csv(file, index=False)
    texts, numbers = ";".join([*keys, *model.categories]), ";".join(model.numbers)
    columns = {"factors": texts, "numbers": numbers}
    return {"id": identity, "file": str(file), "family": model.family, **columns, "formula": model.formula}


def run(tasks: Sequence[dict[str, str]], out: Path, folder: Path) -> None:
    """R on some tasks, until it ends or says nothing for too long."""
    listed = folder / "tasks.csv"
    pd.DataFrame(tasks).to_csv(listed, index=False)
    command = ["Rscript", str(SCRIPT), str(listed), str(out), f"{ONE_MODEL_S:g}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        size, heard = out.stat().st_size, time.monotonic()
        while process.poll() is None:
            time.sleep(0.1)
            if out.stat().st_size != size:
                size, heard = out.stat().st_size, time.monotonic()
            elif time.monotonic() - heard > ONE_MODEL_S + START_S:
                process.kill()


def read(out: Path) -> list[dict[str, str]]:
    """What R has said so far."""
    with out.open(newline="") as file:
        return list(csv.DictReader(file, ["id", "kind", "name", "value", "text"]))


def add(peer: Peer, line: dict[str, str]) -> None:
    """Put one line of R's answer in its place."""
    kind, name = line["kind"], line["name"]
    value = float(line["value"]) if line["value"] not in ("NA", "") else float("nan")
    if kind in ("beta2", "se2", "sd2"):
        peer.second = peer.second or Peer()
        add(peer.second, line | {"kind": kind[:-1]})
    elif kind in ("beta", "se", "sd"):
        {"beta": peer.beta, "se": peer.se, "sd": peer.sd}[kind][name] = value
    elif kind == "sigma":
        peer.sigma = value
    elif kind == "singular":
        peer.singular = bool(value)
    elif kind == "seconds":
        peer.seconds = value
    elif kind == "message":
        peer.messages.append(line["text"].strip())
    elif kind == "error":
        peer.error = line["text"].strip() or "no reason given"
