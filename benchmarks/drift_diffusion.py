"""The drift diffusion model: whether all seeds arrive, and whether known parameters are found again.

    python -m benchmarks.drift_diffusion
    python -m benchmarks.drift_diffusion --hssm PYTHON --limit 600    # beside HSSM, in an environment that has it

Writes `benchmarks/results/drift_diffusion.csv`, a line for each seed of 14 patients of Cavanagh and others (2011), at
default settings, and `drift_diffusion_recovery.csv`, a line for each parameter over 60 data sets of 8 subjects and 100
trials each: the share whose 90% interval holds the truth, and the mean of (posterior mean - truth) / posterior sd. The
truth is drawn from the priors of each fit. Beside HSSM, `drift_diffusion_hssm.csv`: one process of each after the
other, from its start to 4 x 1,000 draws on two cores; HSSM has priors of its own, and is stopped at the limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

import poolwise as pw
from poolwise.families.first_passage_draws import first_passages

RESULTS = Path(__file__).parent / "results"
SEEDS, DATA_SETS = 10, 60
SUBJECTS, TRIALS = 8, 100
LONGEST, OUTLIERS = 9.0, 0.05
PATIENTS = [
    "rt | dec(response) ~ conf + (conf | participant_id)",
    "bs ~ 1 + (1 | participant_id)",
    "ndt ~ 1 + (1 | participant_id)",
    "bias ~ 1",
]
SIMULATED = ["rt | dec(up) ~ x + (1 | s)", "bs ~ 1 + (1 | s)", "ndt ~ 1 + (1 | s)", "bias ~ 1", f"longest = {LONGEST}"]
PRIORS = {
    "Intercept": pw.Normal(0.5, 0.5),
    "x": pw.Normal(0, 0.5),
    "sd": pw.HalfNormal(0.4),
    "bs_Intercept": pw.Normal(0.4, 0.2),
    "ndt_Intercept": pw.Normal(-1.5, 0.3),
    "bias_Intercept": pw.Normal(0, 0.3),
}
EFFECTS = {"Intercept": "sd_s", "bs_Intercept": "sd_bs_s", "ndt_Intercept": "sd_ndt_s"}


def of_seeds() -> pd.DataFrame:
    """One fit of the patients for each seed."""
    trials, lines = pw.datasets.load_cavanagh(), []
    for seed in range(1, SEEDS + 1):
        started = time.perf_counter()
        fit = pw.fit(PATIENTS, trials, family="wiener", seed=seed)
        seconds = round(time.perf_counter() - started, 1)
        lines.append({"seed": seed, "passed": fit.outcome.passed, **fit.outcome.figures, "seconds": seconds})
        print(lines[-1], flush=True)
    return pd.DataFrame(lines)


def simulated(rng: np.random.Generator) -> tuple[pd.DataFrame, dict[str, float]]:
    """Trials of subjects, and the parameters that made them."""
    truth = {name: float(prior.sample(rng, (1,))[0]) for name, prior in PRIORS.items() if name != "sd"}
    sds = {effect: float(PRIORS["sd"].sample(rng, (1,))[0]) for effect in EFFECTS.values()}
    s, x = np.repeat(np.arange(SUBJECTS), TRIALS), rng.normal(size=SUBJECTS * TRIALS)
    own = {name: (truth[name] + sds[effect] * rng.normal(size=SUBJECTS))[s] for name, effect in EFFECTS.items()}
    start = np.full(len(s), expit(truth["bias_Intercept"]))
    decision, up = first_passages(rng, own["Intercept"] + truth["x"] * x, np.exp(own["bs_Intercept"]), start)
    other = rng.random(len(s)) < OUTLIERS
    times = np.where(other, rng.uniform(0, LONGEST, len(s)), np.exp(own["ndt_Intercept"]) + decision)
    up = np.where(other, rng.random(len(s)) < 0.5, up)
    return pd.DataFrame({"rt": times, "up": up * 1, "x": x, "s": s}), truth | sds


def of_data_sets() -> pd.DataFrame:
    """Coverage and standardised errors, a line for each parameter."""
    rng, found, passed, seconds = np.random.default_rng(1), [], 0, []
    while len(found) < DATA_SETS:
        rows, truth = simulated(rng)
        if rows["rt"].max() > LONGEST:  # the model knows of no longer time
            continue
        started = time.perf_counter()
        fit = pw.fit(SIMULATED, rows, family="wiener", priors=PRIORS, seed=len(found), draws=500)
        seconds.append(time.perf_counter() - started)
        passed += fit.outcome.passed
        draws = {name: fit.posterior["beta"].sel(coefficient=name).values.ravel() for name in PRIORS if name != "sd"}
        draws |= {name: fit.posterior[name].values.ravel() for name in EFFECTS.values()}
        found.append(
            {
                name: (
                    bool(np.quantile(each, 0.05) <= truth[name] <= np.quantile(each, 0.95)),
                    float((each.mean() - truth[name]) / each.std()),
                )
                for name, each in draws.items()
            }
        )
    print(f"{passed} of {DATA_SETS} passed, {statistics.median(seconds):.1f} s each")
    return pd.DataFrame(
        {
            "parameter": name,
            "covered": round(float(np.mean([one[name][0] for one in found])), 3),
            "mean_error_in_sds": round(float(np.mean([one[name][1] for one in found])), 3),
            "data_sets": DATA_SETS,
            "passed": passed,
        }
        for name in found[0]
    )


def ours(path: str) -> None:
    """One fit of the patients, in a process of its own."""
    fit = pw.fit(PATIENTS, pd.read_csv(path), family="wiener", seed=1, threads=2)
    table = fit.summary(groups=True)
    found = {"sampling_s": fit.result.seconds, "worst_ess": float(table["ess_bulk"].min())}
    found |= {"worst_rhat": float(table["r_hat"].max()), "divergences": fit.outcome.figures.get("divergences", 0)}
    print(json.dumps(found))


def beside_hssm(python: str, limit: float) -> pd.DataFrame:
    """Seconds of both, a line for each; a ratio at the limit is the least that it can be."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "rows.csv")
        pw.datasets.load_cavanagh().to_csv(path, index=False)
        script = str(Path(__file__).parent / "peers" / "ddm_hssm.py")
        mine = [sys.executable, "-m", "benchmarks.drift_diffusion", "--fit", path]
        for system, command in (("poolwise", mine), ("HSSM", [python, script, path])):
            started = time.perf_counter()
            try:
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=limit)
                figures = json.loads(done.stdout.splitlines()[-1])
            except subprocess.TimeoutExpired:
                figures = {"note": f"not done after {limit:g} s"}
            seconds = time.perf_counter() - started
            ratio = seconds / lines[0]["seconds"] if lines else 1.0
            lines.append({"system": system, "seconds": round(seconds, 1), **figures, "times_ours": round(ratio, 1)})
            print(lines[-1], flush=True)
    return pd.DataFrame(lines)


def main() -> None:
    """Measure, print, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hssm", help="the Python of an environment with HSSM: only the comparison is run")
    parser.add_argument("--limit", type=float, default=3600, help="seconds that it may take")
    parser.add_argument("--fit", help=argparse.SUPPRESS)
    task = parser.parse_args()
    if task.fit:
        ours(task.fit)
        return
    RESULTS.mkdir(exist_ok=True)
    if task.hssm:
        beside_hssm(task.hssm, task.limit).to_csv(RESULTS / "drift_diffusion_hssm.csv", index=False)
        return
    for name, table in (("drift_diffusion_recovery", of_data_sets()), ("drift_diffusion", of_seeds())):
        print(table.to_string(index=False))
        table.to_csv(RESULTS / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
