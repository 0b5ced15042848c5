"""Models of zeros beside glmmTMB's, on its own data: its modes are our means, given the sd between sites."""

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
pytestmark = pytest.mark.skipif(
    RSCRIPT is None and not os.environ.get("POOLWISE_NEEDS_R"), reason="no R on this machine"
)
# Family there, formula of the zeros' probability.
MODELS = {
    "zero_inflated_poisson": ("poisson", "zi ~ mined"),
    "zero_inflated_negative_binomial": ("nbinom2", "zi ~ mined"),
    "hurdle_poisson": ("truncated_poisson", "hu ~ mined"),
    "hurdle_negative_binomial": ("truncated_nbinom2", "hu ~ mined"),
    "hurdle_gamma": ("ziGamma(link = 'log')", "hu ~ mined"),
}
SCRIPT = """
suppressMessages(library(glmmTMB))
data(Salamanders)
Salamanders$amount <- Salamanders$count * (1 + 0.1 * as.integer(Salamanders$spp))
for (family in list({families})) {{
    outcome <- if (identical(family$family, "Gamma")) "amount" else "count"
    formula <- as.formula(paste(outcome, "~ mined + spp + (1 | site)"))
    fit <- glmmTMB(formula, ziformula = ~ mined, family = family, data = Salamanders)
    cat(fixef(fit)$cond, fixef(fit)$zi, attr(VarCorr(fit)$cond$site, "stddev"), "\n", sep = " ")
}}
write.csv(Salamanders[, c("count", "amount", "mined", "spp", "site")], row.names = FALSE)
"""


@pytest.fixture(scope="module")
def known() -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """What glmmTMB estimates for each model, and its data, with categories in the order that R has."""
    calls = [family if "(" in family else f"{family}()" for family, _ in MODELS.values()]
    script = SCRIPT.format(families=", ".join(calls))
    done = subprocess.run([str(RSCRIPT), "-e", script], capture_output=True, text=True, timeout=300, check=True)
    *lines, rows = done.stdout.split("\n", len(MODELS))
    data = pd.read_csv(io.StringIO(rows))
    data["spp"] = pd.Categorical(data["spp"], ["GP", "PR", "DM", "EC-A", "EC-L", "DES-L", "DF"])
    data["mined"] = pd.Categorical(data["mined"], ["yes", "no"])
    return {name: np.array(line.split(), dtype=float) for name, line in zip(MODELS, lines, strict=True)}, data


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_glmmtmb_agrees(name, known):
    estimates, data = known[0][name], known[1]
    outcome = "amount" if name == "hurdle_gamma" else "count"
    formulas = [f"{outcome} ~ mined + spp + (1 | site)", MODELS[name][1]]
    given = {"sd_site": pw.Gamma(1000, 1000 / estimates[-1])}  # a mean over sds of sites would not be the mode
    fit = pw.fit(formulas, data, family=name, priors=given, seed=1)
    assert fit.outcome.passed
    table = fit.summary()
    mine = table.loc[[each for each in table.index if each.startswith("beta")]].assign(glmmTMB=estimates[:-1])
    away = (mine["mean"] - mine["glmmTMB"]) / mine["sd"]
    assert away.abs().max() < 0.3, mine
