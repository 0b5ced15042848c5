"""Ordered categories beside R: clmm and clm of the package ordinal, on its own data.

In clmm of that package "cloglog" is the link that its clm calls "loglog", so that link is compared with clm.
"""

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
LINKS = ("logit", "probit")
SCRIPT = """
suppressMessages(library(ordinal))
for (link in c("logit", "probit")) {
    fit <- clmm(rating ~ temp + contact + (1 | judge), data = wine, link = link, nAGQ = 10)
    cat(fit$alpha, fit$beta, fit$ST$judge[1, 1], "\n", sep = " ")
}
fit <- clm(rating ~ temp + contact, data = wine, link = "cloglog")
cat(fit$alpha, fit$beta, "\n", sep = " ")
fit <- clm(rating ~ temp + contact, data = wine, threshold = "equidistant")
cat(fit$alpha, fit$beta, "\n", sep = " ")
fit <- clm(rating ~ temp, scale = ~ contact, data = wine)
cat(fit$alpha, fit$beta, fit$zeta, "\n", sep = " ")
write.csv(wine[, c("rating", "temp", "contact", "judge")], row.names = FALSE)
"""


@pytest.fixture(scope="module")
def known() -> tuple[list[np.ndarray], pd.DataFrame]:
    """What R estimates for each model, and its data."""
    done = subprocess.run([str(RSCRIPT), "-e", SCRIPT], capture_output=True, text=True, timeout=300)
    if "no package called" in done.stderr and not os.environ.get("POOLWISE_NEEDS_R"):
        pytest.skip("R has no package ordinal on this machine")
    assert not done.returncode, done.stderr
    *lines, rows = done.stdout.split("\n", 5)
    return [np.array(line.split(), dtype=float) for line in lines], pd.read_csv(io.StringIO(rows))


WIDE = {"gap2": pw.HalfNormal(50), "gap3": pw.HalfNormal(50), "gap4": pw.HalfNormal(50)}
FLAT = {"Intercept": pw.Normal(0, 50), "slopes": pw.Normal(0, 50)}


def near(fit, names, estimates, limit=0.35):
    """Whether posterior means are estimates, but for what skewed posteriors of 72 rows make of it."""
    table = fit.summary().loc[names].assign(R=estimates)
    away = (table["mean"] - table["R"]) / table["sd"]
    assert fit.outcome.passed
    assert away.abs().max() < limit, table


THRESHOLDS = [f"threshold[{k}|{k + 1}]" for k in range(1, 5)]
SLOPES = ["beta[temp[T.warm]]", "beta[contact[T.yes]]"]


@pytest.mark.long
@pytest.mark.parametrize("link", LINKS)
def test_clmm_agrees(link, known):
    estimates, data = known[0][LINKS.index(link)], known[1]
    sd = estimates[-1]
    given = {"sd_judge": pw.Gamma(1000, 1000 / sd), **FLAT, **WIDE}
    fit = pw.fit(
        "rating ~ temp + contact + (1 | judge)", data, family="cumulative", link=link, priors=given, seed=1, draws=4000
    )
    near(fit, [*THRESHOLDS, *SLOPES], estimates[:-1])  # up to 0.33 by 20,000 draws, which 4,000 blur by 0.02


def test_complementary_log_log_is_that_of_clm(known):
    data, given = known[1].assign(many=20.0), FLAT | WIDE
    options = {"family": "cumulative", "link": "cloglog", "priors": given, "weights": "many"}
    near(pw.fit("rating ~ temp + contact", data, seed=1, **options), [*THRESHOLDS, *SLOPES], known[0][2])


def test_equidistant_thresholds_are_those_of_clm(known):
    first, spacing, *slopes = known[0][3]
    given = {**FLAT, "gap": pw.HalfNormal(50)}
    data = known[1].assign(many=20.0)  # so that a posterior is as symmetric as its mode asks
    family = "cumulative_equidistant"
    fit = pw.fit("rating ~ temp + contact", data, family=family, priors=given, weights="many", seed=1)
    near(fit, [*THRESHOLDS, "gap", *SLOPES], [*(first + spacing * np.arange(4)), spacing, *slopes])


def test_scales_are_those_of_clm(known):
    """Its scale is 1 / disc."""
    *thresholds, slope, log_scale = known[0][4]
    given = {**FLAT, **WIDE}
    data = known[1].assign(many=20.0, contact=(known[1].contact == "yes") * 1.0)
    formulas = ["rating ~ temp", "disc ~ 0 + contact"]
    fit = pw.fit(formulas, data, family="cumulative", priors=given, weights="many", seed=1)
    names = [*THRESHOLDS, "beta[temp[T.warm]]", "beta[disc_contact]"]
    near(fit, names, [*thresholds, slope, -log_scale])
