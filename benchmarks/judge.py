"""What judging a fit of the radon study costs, in fits, and how far PSIS on another system's draws gets.

`python benchmarks/judge.py` prints a table and writes `benchmarks/results/judge.csv`; it takes some minutes. It needs
the package installed in the running Python, and PyMC with nutpie for the rows against it; without PyMC those rows are
left out, with a word. Everything is called once before it is timed. Seconds are medians over rounds in which all that
is compared takes its turn, and a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import csv
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

import poolwise as pw

T = TypeVar("T")

ROUNDS, LONG_ROUNDS, FITS_ASIDE = 15, 3, 4
DRAWS, CHAINS, SEED, STUDIES = 1000, 4, 1, 1000
GOOD_K = 0.7
OUT = Path(__file__).parent / "results" / "judge.csv"
FORMULA, STUDY = "log_radon ~ floor + (floor || county)", "y ~ t + (1 | g)"
PRIORS: dict[str, Any] = {
    "Intercept": pw.Normal(0, 1),
    "floor": pw.Normal(0, 1),
    "sd": pw.HalfCauchy(1),
    "sigma": pw.HalfCauchy(1),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table: `ratio` is to what `what` says, `goal` the largest that was asked for; None for none."""

    what: str
    seconds: float
    ratio: float | None
    goal: float | None
    figures: str


@dataclass(frozen=True, slots=True)
class Scores:
    """Log predictive densities of units left out; k-hat is empty where nothing was weighed."""

    system: str
    unit: str
    labels: np.ndarray
    elpd: np.ndarray
    k_hat: np.ndarray

    @property
    def figures(self) -> str:
        if not len(self.k_hat):
            return f"elpd {self.elpd.sum():.2f}"
        above = int(np.sum(self.k_hat > GOOD_K))
        return f"elpd {self.elpd.sum():.2f}; k-hat above {GOOD_K}: {above}, largest {self.k_hat.max():.2f}"

    def furthest_from(self, other: Scores) -> str:
        """The unit on which two systems differ most, and by how much."""
        if not np.array_equal(self.labels, other.labels):
            raise ValueError(f"{self.system} and {other.system} have different units")
        apart = np.abs(self.elpd - other.elpd)
        i = int(np.argmax(apart))
        return f"{apart[i]:.4f} at {self.labels[i]} ({self.elpd[i]:.3f}; {other.system} {other.elpd[i]:.3f})"


def timed(call: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    value = call()
    return value, time.perf_counter() - started


def fit(radon: pd.DataFrame) -> Any:
    return pw.fit(FORMULA, radon, priors=PRIORS, draws=DRAWS, chains=CHAINS, seed=SEED)


def scores(record: Any) -> Scores:
    k_hat = record.pareto_k[~np.isnan(record.pareto_k)]
    return Scores("poolwise", record.unit, record.labels, record.elpd_i, k_hat)


def fit_and_judge(radon: pd.DataFrame) -> tuple[list[Line], Scores, Scores]:
    """A fit, then what judges it. Each round has a fit of its own: nothing that an earlier round drew is at hand."""

    def once() -> tuple[list[Any], list[float]]:
        fitted, fit_s = timed(lambda: fit(radon))
        calls: tuple[Callable[[], Any], ...] = (fitted.loo, lambda: fitted.loo(by="county"), fitted.check)
        judged = [timed(call) for call in calls]
        return [record for record, _ in judged], [fit_s, *(seconds for _, seconds in judged)]

    once()
    rounds = [once() for _ in range(ROUNDS)]
    rows, counties, checks = rounds[-1][0]
    by_row, by_county = scores(rows), scores(counties)
    seconds = np.array([measured for _, measured in rounds])
    fits, parts = seconds[:, 0], seconds[:, 1:]
    lines = [Line("fit", float(np.median(fits)), None, None, f"range {fits.min():.3f} to {fits.max():.3f} s")]

    def line(what: str, each: np.ndarray, goal: float | None, figures: str) -> Line:
        return Line(f"{what} / fit", float(np.median(each)), float(np.median(each / fits)), goal, figures)

    lines.append(line("loo rows + loo counties + check", parts.sum(axis=1), 20.0, ""))
    lines.append(line("loo rows", parts[:, 0], None, f"{by_row.figures}; refitted {int(rows.refitted.sum())}"))
    figures = f"{by_county.figures}; refitted {int(counties.refitted.sum())}"
    lines.append(line("loo counties", parts[:, 1], None, figures))
    figures = f"RMSD in sample {checks.rmsd_in_sample:.4f}, out of sample {checks.rmsd_out_of_sample:.4f}"
    lines.append(line("check", parts[:, 2], None, figures))
    return lines, by_row, by_county


def aside(call: Callable[[], T], one: Callable[[], Any]) -> tuple[T, float, float]:
    """Something that takes long: its value, its seconds, and the median of one thing before and after it."""
    before = [timed(one)[1] for _ in range(FITS_ASIDE)]
    value, seconds = timed(call)
    after = [timed(one)[1] for _ in range(FITS_ASIDE)]
    return value, seconds, statistics.median(before + after)


def refits(radon: pd.DataFrame, by_county: Scores, draws: int) -> tuple[Line, Scores]:
    """Every county left out by refitting with so many draws a chain, against as many fits one after the other."""
    fitted, count = fit(radon), len(by_county.labels)

    def leave_out() -> Any:
        return fitted.kfold(by="county", draws=draws)

    leave_out()
    rounds = [aside(leave_out, lambda: fit(radon)) for _ in range(LONG_ROUNDS)]
    record = rounds[-1][0]
    refitted = Scores(f"refitting, {draws} draws", record.unit, record.labels, record.elpd_i, np.empty(0))
    seconds = statistics.median(each for _, each, _ in rounds)
    ratio = statistics.median(each / (count * one) for _, each, one in rounds)
    fits_s = statistics.median(count * one for _, _, one in rounds)
    figures = (
        f"{count} fits {fits_s:.2f} s; {refitted.figures}; "
        f"furthest from it, loo counties: {by_county.furthest_from(refitted)}"
    )
    what = f"every county left out by refitting with {draws} draws a chain / {count} fits with {DRAWS}"
    return Line(what, seconds, ratio, 1.0, figures), refitted


def simulated_study() -> Line:
    """Power of a small study: seconds for each simulated study, against a fit of one with as many draws."""
    design = pw.balanced_design(25, g=20, within={"t": [0, 1]})
    rng = np.random.default_rng(SEED)
    effects = 0.5 * rng.standard_normal(20)[design["g"].to_numpy() - 1]
    study = design.assign(y=0.3 * design["t"] + effects + rng.standard_normal(len(design)))

    def simulate(studies: int) -> Any:
        return pw.power(STUDY, design, effects={"t": 0.3}, sd=0.5, sigma=1.0, studies=studies, seed=SEED)

    def one(draws: int) -> Callable[[], Any]:
        return lambda: pw.fit(STUDY, study, draws=draws, seed=SEED)

    simulate(20)
    for draws in (250, DRAWS):
        one(draws)()
    # `power` takes 250 draws a chain by default: what a fit with the usual 1,000 costs stands beside it.
    rounds = [aside(lambda: simulate(STUDIES), one(250)) for _ in range(LONG_ROUNDS)]
    usual = statistics.median(timed(one(DRAWS))[1] for _ in range(2 * FITS_ASIDE))
    found = rounds[-1][0]
    seconds = statistics.median(each for _, each, _ in rounds)
    ratio = statistics.median(each / STUDIES / single for _, each, single in rounds)
    single = statistics.median(each for _, _, each in rounds)
    effect = found.table.loc["t"]
    figures = (
        f"{STUDIES:,} studies, {1000 * seconds / STUDIES:.2f} ms each; one fit {1000 * single:.2f} ms with 250 draws a "
        f"chain, {1000 * usual:.2f} ms with {DRAWS:,}; power {effect['power']:.3f}, coverage {effect['coverage']:.3f}"
    )
    return Line("a simulated study / a fit of one", seconds, ratio, 1.2, figures)


def weighed_by_county(log_likelihood: np.ndarray, county: pd.Series) -> Scores:
    """PSIS on the sums of the rows' log likelihoods (draws, rows) over each county: all that these draws allow."""
    from arviz_stats.base import array_stats

    codes, labels = pd.factorize(county, sort=True)
    sums = (log_likelihood @ (codes[:, None] == np.arange(len(labels)))).T
    smoothed, k_hat = array_stats.psislw(np.ascontiguousarray(sums), axis=-1)
    elpd = np.logaddexp.reduce(smoothed + sums, axis=1) - np.logaddexp.reduce(smoothed, axis=1)
    return Scores("PyMC + ArviZ", "county", np.asarray(labels), elpd, np.asarray(k_hat))


def rival(radon: pd.DataFrame) -> tuple[list[Line], Scores, Scores]:
    """PyMC's draws of the same model from nutpie, weighed by ArviZ; a fit and its judgement by us in each round."""
    import arviz_stats
    import pymc as pm

    namespace: dict[str, Any] = {"__name__": "radon_in_pymc"}
    exec(fit(radon).as_code("pymc"), namespace)

    def sample() -> tuple[Any, Any]:
        # Compiling is part of every fit: a model that is built anew is compiled anew.
        model = namespace["build"](radon)
        settings = {"tune": DRAWS, "chains": CHAINS, "random_seed": SEED, "progressbar": False}
        with model:
            return model, pm.sample(DRAWS, nuts_sampler="nutpie", **settings)

    def once() -> tuple[list[float], list[float], Any, Scores, Scores]:
        (model, drawn), sampling = timed(sample)
        _, likelihood = timed(lambda: pm.compute_log_likelihood(drawn, model=model, progressbar=False))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of k-hats above 0.7: they are counted here
            record, weighing = timed(lambda: arviz_stats.loo(drawn, pointwise=True))
        densities = drawn.log_likelihood["log_radon"].to_numpy().reshape(CHAINS * DRAWS, len(radon))
        by_county, by_counties = timed(lambda: weighed_by_county(densities, radon["county"]))
        labels, k_hat = np.arange(1, len(radon) + 1), record.pareto_k.to_numpy()
        by_row = Scores("PyMC + ArviZ", "row", labels, record.elpd_i.to_numpy(), k_hat)
        fitted, ours = timed(lambda: fit(radon))
        _, our_rows = timed(fitted.loo)
        _, our_counties = timed(lambda: fitted.loo(by="county"))
        theirs = [sampling, likelihood + weighing, likelihood + by_counties]
        return theirs, [ours, our_rows, our_counties], drawn, by_row, by_county

    once()
    rounds = [once() for _ in range(LONG_ROUNDS)]
    *_, drawn, by_row, by_county = rounds[-1]
    theirs, ours = (np.array([each[i] for each in rounds]) for i in (0, 1))
    figures = (f"{int(drawn.sample_stats['diverging'].sum())} divergences", by_row.figures, by_county.figures)
    names = (
        "PyMC, nutpie: compile and sample / our fit",
        "PyMC, ArviZ: log likelihood and loo rows / our loo rows",
        "PyMC, ArviZ: log likelihood and PSIS of counties / our loo counties",
    )
    seconds, ratios = np.median(theirs, axis=0), np.median(theirs / ours, axis=0)
    lines = [Line(names[i], float(seconds[i]), float(ratios[i]), None, figures[i]) for i in range(3)]
    return lines, by_row, by_county


def side_by_side(one: Scores, other: Scores) -> str:
    """A row of the Markdown table that compares two systems' elpd."""
    sums = f"{one.system} | {one.elpd.sum():.2f} | {other.system} | {other.elpd.sum():.2f}"
    return f"| {one.unit} | {sums} | {one.furthest_from(other)} |"


def markdown(lines: list[Line]) -> str:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.2f}"

    rows = [
        f"| {one.what} | {one.seconds:.3f} | {number(one.ratio)} | {number(one.goal)} | {one.figures} |"
        for one in lines
    ]
    return "\n".join(["| what | seconds | ratio | goal | figures |", "|---|--:|--:|--:|---|", *rows])


def main() -> None:
    radon = pw.datasets.load_radon()
    lines, by_row, by_county = fit_and_judge(radon)
    compared = []
    # As it is called by default, and with as many draws as the fits that it is held against.
    usual = signature(pw.Fit.kfold).parameters["draws"].default
    for draws in sorted({usual, DRAWS}):
        line, refitted = refits(radon, by_county, draws)
        lines.append(line)
        compared.append(side_by_side(by_county, refitted))
    lines.append(simulated_study())
    if find_spec("pymc") is None:
        print("no PyMC: rows against it are left out")
    else:
        more, their_rows, their_counties = rival(radon)
        lines += more
        pairs = ((by_row, their_rows), (by_county, their_counties), (refitted, their_counties))
        compared += [side_by_side(one, other) for one, other in pairs]
    OUT.parent.mkdir(exist_ok=True)
    with OUT.open("w", newline="") as file:
        writer = csv.DictWriter(file, asdict(lines[0]))
        writer.writeheader()
        for one in lines:
            ratio = None if one.ratio is None else round(one.ratio, 3)
            writer.writerow(asdict(one) | {"seconds": round(one.seconds, 4), "ratio": ratio})
    print(markdown(lines), end="\n\n")
    print("| unit | system | elpd | against | elpd | largest difference of one unit |\n|---|---|--:|---|--:|---|")
    print("\n".join(compared))


if __name__ == "__main__":
    main()
