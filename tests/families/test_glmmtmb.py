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
# Family here, family there, formula of the zeros' probability, its coefficients here by theirs.
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
if ("{gamma}" == "TRUE") Salamanders$count <- Salamanders$count * (1 + 0.1 * as.integer(Salamanders$spp))
fit <- glmmTMB(count ~ mined + spp + (1 | site), ziformula = ~ mined, family = {family}, data = Salamanders)
cat(fixef(fit)$cond, fixef(fit)$zi, attr(VarCorr(fit)$cond$site, "stddev"), "\\n", sep = " ")
write.csv(Salamanders[, c("count", "mined", "spp", "site")], row.names = FALSE)
"""


@pytest.mark.parametrize("name", MODELS)
def test_glmmtmb_agrees(name):
    theirs, formula = MODELS[name]
    script = SCRIPT.format(family=theirs, gamma=str(name == "hurdle_gamma").upper())
    done = subprocess.run([str(RSCRIPT), "-e", script], capture_output=True, text=True, timeout=300, check=True)
    first, rows = done.stdout.split("\n", 1)
    known = np.array(first.split(), dtype=float)
    data = pd.read_csv(io.StringIO(rows))
    data["spp"] = pd.Categorical(data["spp"], ["GP", "PR", "DM", "EC-A", "EC-L", "DES-L", "DF"])  # in R's order
    data["mined"] = pd.Categorical(data["mined"], ["yes", "no"])
    given = {"sd_site": pw.Gamma(1000, 1000 / known[-1])}  # a mean over sds of sites would not be the mode
    fit = pw.fit(["count ~ mined + spp + (1 | site)", formula], data, family=name, priors=given, seed=1)
    assert fit.outcome.passed
    table = fit.summary()
    mine = table.loc[[each for each in table.index if each.startswith("beta")]].assign(glmmTMB=known[:-1])
    away = (mine["mean"] - mine["glmmTMB"]) / mine["sd"]
    assert away.abs().max() < 0.3, mine
