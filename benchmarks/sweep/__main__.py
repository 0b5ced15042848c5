"""The sweep: some three hundred models of more than a hundred public data sets, each beside lme4 or glmmTMB.

    python -m benchmarks.sweep                        # everything with seeds 1, 2 and 3; about an hour on two cores
    python -m benchmarks.sweep --rotate 3/10          # the third tenth with one seed: minutes; fails where it must
    python -m benchmarks.sweep --only sleepstudy      # the data sets with that in their names
    python -m benchmarks.sweep --out sweep.csv --resume   # to another file; goes on where it was stopped

Run it from the root of the checkout. Each model is fitted with every seed, and once more with its numeric predictors
moved far away. Fits run in a worker that is killed after two minutes. Results go to `benchmarks/results/sweep.csv` and
`docs/explanation/sweep.md`, or to `--out` and the same name with `.md`; a part of the sweep is only printed unless
`--out` is given. After `--rotate` the exit status is one where a certified fit disagrees, an exception is not ours, or
less than 90% of its fits are certified.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.sweep import compare, peers, summary
from benchmarks.sweep.fits import MOST_PREDICTED, Failed, Guard, Measured, Outcome, Task
from benchmarks.sweep.models import TENTHS, Model, models
from benchmarks.sweep.peers import Peer
from benchmarks.sweep.summary import Key, Line

ROOT = Path(__file__).parents[2]
OUT, PAGE = ROOT / "benchmarks" / "results" / "sweep.csv", ROOT / "docs" / "explanation" / "sweep.md"
SEEDS, SHIFT_SDS = (1, 2, 3), 1000.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__.partition("\n")[0])
    parser.add_argument("--rotate", metavar="K/10", type=tenth, help="one tenth, with seed 1 unless seeds are given")
    parser.add_argument("--only", metavar="SUBSTRING", default="", help="data sets with this in package/item")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--out", type=Path, help="file of results; a summary in Markdown goes beside it")
    parser.add_argument("--resume", action="store_true", help="keep data sets that the file of results has already")
    return parser.parse_args()


def tenth(text: str) -> int:
    """`3/10` as 2."""
    number, _, of = text.partition("/")
    if of != str(TENTHS) or not number.isdigit() or not 1 <= int(number) <= TENTHS:
        raise argparse.ArgumentTypeError(f"must be 1/{TENTHS} to {TENTHS}/{TENTHS}, not {text!r}")
    return int(number) - 1


def moved(model: Model, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with every numeric predictor moved by about a thousand of its sds, a number with one digit."""
    by = {name: float(f"{SHIFT_SDS * model.frame[name].std():.0e}") for name in model.numbers}
    return frame.assign(**{name: frame[name] + amount for name, amount in by.items()})


def fits_of(model: Model, seeds: Sequence[int], guard: Guard) -> dict[tuple[int, bool], Outcome]:
    """All fits of a model by seed and whether predictors were shifted; the shifted one with the first seed."""
    frame = model.frame
    some = np.sort(np.random.default_rng(1).permutation(len(frame))[:MOST_PREDICTED])
    asked = frame.iloc[some].reset_index(drop=True)
    found: dict[tuple[int, bool], Outcome] = {}
    for seed in seeds:
        task = Task(model.formula, model.family, frame, seed, asked if seed == seeds[0] else None)
        found[seed, False] = guard.run(task)
    if model.numbers:
        task = Task(model.formula, model.family, moved(model, frame), seeds[0], moved(model, asked))
        found[seeds[0], True] = guard.run(task)
    return found


def lines_of(model: Model, fits: dict[tuple[int, bool], Outcome], peer: Peer | None) -> list[Line]:
    """What is recorded of a model's fits."""
    found = [
        line_of(model, seed, shifted, fit, peer, next(iter(fits.values()))) for (seed, shifted), fit in fits.items()
    ]
    same = [fit for (_, shifted), fit in fits.items() if isinstance(fit, Measured) and not shifted and fit.certified]
    if len(same) > 1:
        apart, worst = compare.seeds_apart(same)
        for line in found:
            if line.certified and not line.shifted:
                line.seeds_apart, line.seeds_worst = apart, worst
                if apart > compare.SEEDS:
                    said = f"{compare.DISAGREES}: seeds differ by {apart:.1f} Monte Carlo errors in {worst}"
                    line.verdict = f"{said} ({line.verdict})"
    return found


def line_of(model: Model, seed: int, shifted: bool, fit: Outcome, peer: Peer | None, base: Outcome) -> Line:
    """One fit with its verdict; `base` is the unshifted fit with the same seed."""
    groups = " ".join(f"{':'.join(keys)}={count}" for keys, count in zip(model.factors, model.levels, strict=True))
    line = Line(model.dataset, model.formula, model.family, seed, shifted, len(model.frame), groups)
    if peer is not None:
        line.peer_seconds, line.peer_messages = peer.seconds, "; ".join(filter(None, [peer.error, *peer.messages]))
    line.seconds = fit.seconds
    if isinstance(fit, Failed):
        line.exception, line.ours, line.outcome = fit.exception, fit.ours, f"{fit.sentence} {fit.where}".strip()
        line.certified = None if fit.ours else False
        kind = "refused" if fit.ours else "did not end" if fit.exception == "did not end" else "ERROR"
        line.verdict = f"{kind}: {line.exception}: {line.outcome[:300]}"
        return line
    line.certified, line.sampler, line.evaluations, line.outcome = (
        fit.certified,
        fit.sampler,
        fit.evaluations,
        fit.outcome,
    )
    line.notes, line.warnings, line.first_warning = (
        " ".join(fit.notes),
        len(fit.warned),
        next(iter(fit.warned), "")[:300],
    )
    if shifted:
        line.verdict = shifted_verdict(model, fit, base, line)
        return line
    found = compare.Comparison()
    if peer is not None and not peer.error:
        found = compare.with_peer(model, fit, peer)
        line.beta_apart, line.beta_worst, line.sds_inside = found.beta_apart, found.beta_worst, found.sds_inside
        line.sd_log_ratio, line.sd_worst, line.se_log_ratio = found.sd_log_ratio, found.sd_worst, found.se_log_ratio
        line.sigma_log_ratio = None if fit.sigma is None else found.sigma_log_ratio
    line.verdict = compare.verdict(model, fit, peer, found)
    return line


def shifted_verdict(model: Model, fit: Measured, base: Outcome, line: Line) -> str:
    """Whether a fit to shifted predictors says what it said before."""
    if not isinstance(base, Measured):
        return (
            f"{compare.EXPLAINED}: there is no fit of the predictors as they are"
            if fit.certified
            else compare.UNCERTIFIED
        )
    line.prediction_apart, line.slope_apart, fault = compare.after_shift(model, base, fit)
    if not fit.certified:
        return compare.UNCERTIFIED
    if not fault:
        return compare.AGREES
    if not base.certified:
        return f"{compare.EXPLAINED}: the fit of the predictors as they are was not certified ({fault})"
    return f"{compare.DISAGREES}: {fault}"


def wanted(model: Model, seeds: Sequence[int]) -> list[Key]:
    """Keys of all lines of a model, in their order."""
    name = (model.dataset, model.formula, model.family)
    return [(*name, seed, False) for seed in seeds] + ([(*name, seeds[0], True)] if model.numbers else [])


def main() -> int:
    task = arguments()
    started = time.monotonic()
    seeds = task.seeds or (SEEDS[:1] if task.rotate is not None else SEEDS)
    whole = task.rotate is None and not task.only
    out = task.out or (OUT if whole else None)
    chosen = list(models(range(TENTHS) if task.rotate is None else range(task.rotate, task.rotate + 1), task.only))
    earlier = {line.key: line for line in summary.read(out)} if task.resume and out is not None else {}
    todo = [each for each in chosen if not all(key in earlier for model in each for key in wanted(model, seeds))]
    every = [model for each in todo for model in each]
    print(f"{sum(map(len, chosen))} models of {len(chosen)} data sets; {len(every)} are to be fitted", flush=True)
    problem = peers.missing()
    print(problem or "lme4 and glmmTMB first", flush=True)
    estimated = {} if problem else peers.estimates(every)
    print(f"{time.monotonic() - started:.0f} s", flush=True)
    lines: list[Line] = []
    with Guard() as guard:
        for each in chosen:
            for model in each:
                if each in todo:
                    found = lines_of(model, fits_of(model, seeds, guard), estimated.get(model.name))
                    for line in found:
                        print(told(model, line), flush=True)
                else:
                    found = [earlier[key] for key in wanted(model, seeds)]
                lines += found
            if out is not None:  # with what is there already of data sets that are still to come
                done = {line.key for line in lines}
                later = [key for rest in chosen for model in rest for key in wanted(model, seeds) if key not in done]
                summary.write(lines + [earlier[key] for key in later if key in earlier], out)
    page = summary.markdown(lines)
    print(f"\n{page}\n{time.monotonic() - started:.0f} s")
    if out is not None:
        (PAGE if task.out is None else out.with_suffix(".md")).write_text(page)
    if task.rotate is None:
        return 0
    wrong = summary.faults(lines)
    print("\n".join(["", *wrong]) if wrong else "Nothing is wrong in this tenth.")
    return int(bool(wrong))


def told(model: Model, line: Line) -> str:
    """A line of the log."""
    which = "shifted" if line.shifted else f"seed {line.seed}"
    seconds = "" if line.seconds is None else f"{line.seconds:.2f} s"
    return f"{model.name}, {which}, {seconds}: {line.verdict}"


if __name__ == "__main__":
    sys.exit(main())
