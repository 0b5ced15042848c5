"""Censored times, detection limits and quantiles beside R: survreg of the package survival, rq of quantreg."""

from __future__ import annotations

import io
import os
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

import poolwise as pw

RSCRIPT = shutil.which("Rscript")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(RSCRIPT is None and not os.environ.get("POOLWISE_NEEDS_R"), reason="no R on this machine"),
]
FLAT = {"Intercept": pw.Normal(0, 100), "slopes": pw.Normal(0, 100)}
SURVIVAL = """
suppressMessages(library(survival))
kidney$female <- kidney$sex - 1
for (dist in c("weibull", "lognormal", "exponential")) {
    fit <- survreg(Surv(time, status) ~ age + female, data = kidney, dist = dist)
    cat(coef(fit), fit$scale, "\n", sep = " ")
}
kidney$low <- pmax(log(kidney$time), 3)
fit <- survreg(Surv(low, log(time) > 3, type = "left") ~ age + female, data = kidney, dist = "gaussian")
cat(coef(fit), fit$scale, "\n", sep = " ")
write.csv(kidney[, c("time", "status", "age", "female", "low")], row.names = FALSE)
"""
QUANTILES = """
suppressMessages(library(quantreg))
data(engel)
for (tau in c(0.25, 0.9)) cat(coef(rq(foodexp ~ income, tau = tau, data = engel)), "\n", sep = " ")
write.csv(engel, row.names = FALSE)
"""


def from_r(script: str, lines: int) -> tuple[list[np.ndarray], pd.DataFrame]:
    """What R prints in its first lines, and the data behind them."""
    done = subprocess.run([str(RSCRIPT), "-e", script], capture_output=True, text=True, timeout=300, check=True)
    *first, rows = done.stdout.split("\n", lines)
    return [np.array(line.split(), dtype=float) for line in first], pd.read_csv(io.StringIO(rows))


@pytest.fixture(scope="module")
def survival():
    return from_r(SURVIVAL, 4)


def near(fit, names, estimates, limit=0.25):
    table = fit.summary().loc[names].assign(R=estimates)
    away = (table["mean"] - table["R"]) / table["sd"]
    assert fit.outcome.passed
    assert away.abs().max() < limit, table


NAMES = ["beta[Intercept]", "beta[age]", "beta[female]"]


@pytest.mark.parametrize("family", ["weibull", "lognormal", "exponential"])
def test_censored_times_are_those_of_survreg(family, survival):
    estimates, data = survival[0][["weibull", "lognormal", "exponential"].index(family)], survival[1]
    data = data.assign(many=20.0)  # so that a posterior is as symmetric as its mode asks
    own = {"weibull": {"shape": pw.HalfNormal(50)}, "lognormal": {"sigma": pw.HalfNormal(50)}}.get(family, {})
    formula = "time | cens(1 - status) ~ age + female"
    if family == "lognormal":  # whose weights divide the variance
        data = data.loc[data.index.repeat(20)].reset_index(drop=True)
    weights = None if family == "lognormal" else "many"
    fit = pw.fit(formula, data, family=family, weights=weights, priors=FLAT | own, seed=1)
    near(fit, NAMES, estimates[:3])
    if own:
        name = next(iter(own))
        near(fit, [name], [1 / estimates[3] if name == "shape" else estimates[3]])


def test_left_censored_outcomes_are_those_of_survreg(survival):
    estimates, data = survival[0][3], survival[1]
    data = data.loc[data.index.repeat(20)].assign(below=lambda rows: np.where(rows["low"] > 3, "none", "left"))
    fit = pw.fit("low | cens(below) ~ age + female", data, priors=FLAT | {"sigma": pw.HalfNormal(50)}, seed=1)
    near(fit, [*NAMES, "sigma"], estimates)


@pytest.mark.long
@pytest.mark.parametrize("quantile", [0.25, 0.9])
def test_quantiles_are_those_of_rq(quantile):
    estimates, data = from_r(QUANTILES, 2)
    known = estimates[[0.25, 0.9].index(quantile)]
    data = data.loc[data.index.repeat(20)]
    fit = pw.fit(["foodexp ~ income", f"quantile = {quantile}"], data, family="asymmetric_laplace", seed=1)
    table = fit.summary()
    at = data["income"].median()  # where slope and intercept do not trade against each other
    line = table.loc["beta[Intercept]", "mean"] + table.loc["beta[income]", "mean"] * at
    assert line == pytest.approx(known[0] + known[1] * at, rel=2e-3)
    assert table.loc["beta[income]", "mean"] == pytest.approx(known[1], rel=1e-2)
