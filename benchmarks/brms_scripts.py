"""The scripts of `fit.as_code("brms")`, run by brms: whether their posteriors are ours.

    python -m benchmarks.brms_scripts
    python -m benchmarks.brms_scripts zip acat

It needs R with brms and a C++ compiler (Debian: r-cran-brms, libboost-dev), and about a minute for each model. Writes
`benchmarks/results/brms_scripts.csv`, a line for each parameter: mean and sd by both, and their distance in sds.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

import poolwise as pw
from poolwise.families.first_passage_draws import first_passages

RESULTS = Path(__file__).parent / "results"
SHOWN = """
s <- posterior_summary(fit)
write.csv(s[, 1:2], "found.csv")
"""
MODELS: dict[str, tuple[list[str], str]] = {
    "zip": (["count ~ x + (1 | g)", "zi ~ x"], "zero_inflated_poisson"),
    "zinb": (["nb ~ x + (1 | g)"], "zero_inflated_negative_binomial"),
    "zib": (["succ | trials(n) ~ x + (1 | g)"], "zero_inflated_binomial"),
    "hurdle": (["count ~ x + (1 | g)", "hu ~ x"], "hurdle_poisson"),
    "equidistant": (["level ~ x + (1 | g)"], "cumulative_equidistant"),
    "acat": (["level ~ x + (1 | g)"], "acat"),
    "zoib": (["ends ~ x + (1 | g)"], "zero_one_inflated_beta"),
    "von mises": (["angle ~ x + (1 | g)"], "von_mises"),
    "laplace": (["ald ~ x + (1 | g)", "quantile = 0.7"], "asymmetric_laplace"),
    "skew": (["skew ~ x + (1 | g)"], "skew_normal"),
    "inverse gaussian": (["ig ~ x + (1 | g)"], "inverse_gaussian"),
    "shared": (["real ~ x + (1 | p | g)", "sigma ~ 1 + (1 | p | g)"], "gaussian"),
    "errors": (["w | se(s) ~ x + (1 | g)"], "gaussian"),
    "errors and residual": (["w2 | se(s, sigma=True) ~ x + (1 | g)"], "gaussian"),
    "wiener": (["rt | dec(choice) ~ x + (1 | g)", "p_outlier = 0", "bias = 0.5"], "wiener"),
}


def rows() -> pd.DataFrame:
    """240 rows of 12 groups, with an outcome for each family."""
    rng, n = np.random.default_rng(7), 240
    g = np.repeat(np.arange(12), 20)
    x, u = rng.normal(size=n) + 1, 0.5 * rng.normal(size=12)[g]
    eta = 0.3 * x + u
    mu, share = np.exp(0.5 * eta + 0.8), rng.random(n)
    found = pd.DataFrame({"x": x, "g": g, "n": rng.integers(4, 12, n), "s": rng.uniform(0.2, 1, n)})
    times, up = first_passages(rng, eta + 0.3, np.full(n, 1.4), np.full(n, 0.5))
    inside = np.clip(rng.beta(5 * expit(eta), 5 * expit(-eta)), 0.01, 0.99)
    return found.assign(
        count=np.where(rng.random(n) < 0.25, 0, rng.poisson(mu)),
        nb=np.where(rng.random(n) < 0.2, 0, rng.negative_binomial(2, 2 / (2 + mu))),
        succ=np.where(rng.random(n) < 0.2, 0, rng.binomial(found["n"], expit(eta))),
        level=np.digitize(eta + rng.logistic(size=n), [-1, 0.3, 1.5]) + 1,
        ends=np.where(share < 0.12, 0, np.where(share < 0.2, 1, inside)),
        angle=np.mod(2 * np.arctan(0.5 * eta) + rng.vonmises(0, 3, n) + np.pi, 2 * np.pi) - np.pi,
        ald=eta + rng.laplace(size=n),
        skew=eta + 0.7 * (rng.gamma(2, 1, n) - 2),
        ig=rng.wald(np.exp(0.4 * eta + 0.3), 4.0),
        real=eta + np.exp(0.2 * u) * rng.normal(size=n),
        w=eta + found["s"] * rng.normal(size=n),
        w2=eta + np.hypot(found["s"], 0.7) * rng.normal(size=n),
        rt=times + 0.25,
        choice=np.where(up, "upper", "lower"),
    )


def in_brms(name: str) -> str:
    """What brms calls a parameter of ours."""
    name = re.sub(r"^beta\[(\w+?)_Intercept\]$", r"b_\1_Intercept", name)
    name = re.sub(r"^beta\[(.*)\]$", r"b_\1", name)
    name = re.sub(r"^threshold\[(\d+)\|.*$", r"b_Intercept[\1]", name)
    return re.sub(r"^sd_(\w+)\[(.*)\]$", r"sd_\1__\2", name)


def compared(name: str) -> pd.DataFrame:
    """A line for each parameter that both have under one name."""
    formulas, family = MODELS[name]
    data = rows()
    fit = pw.fit(formulas if len(formulas) > 1 else formulas[0], data, family=family, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        data.to_csv(Path(folder) / "data.csv", index=False)
        (Path(folder) / "fit.R").write_text(fit.as_code("brms") + SHOWN)
        subprocess.run(["Rscript", "fit.R"], cwd=folder, check=True, capture_output=True, timeout=1800)
        theirs = pd.read_csv(io.StringIO((Path(folder) / "found.csv").read_text()), index_col=0)
    ours = fit.summary()[["mean", "sd"]]
    lines = [
        {"model": name, "parameter": each, "mean": one["mean"], "sd": one["sd"],
         "brms_mean": theirs.loc[in_brms(each), "Estimate"], "brms_sd": theirs.loc[in_brms(each), "Est.Error"]}
        for each, one in ours.iterrows() if in_brms(str(each)) in theirs.index
    ]  # fmt: skip
    found = pd.DataFrame(lines)
    return found.assign(apart=(found["mean"] - found["brms_mean"]).abs() / found["brms_sd"]).round(4)


def main() -> None:
    """Compare, print, and write the table."""
    tables = []
    for name in sys.argv[1:] or MODELS:
        tables.append(compared(name))
        print(tables[-1].to_string(index=False), flush=True)
        RESULTS.mkdir(exist_ok=True)
        pd.concat(tables).to_csv(RESULTS / "brms_scripts.csv", index=False)


if __name__ == "__main__":
    main()
