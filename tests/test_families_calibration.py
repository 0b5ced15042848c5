"""Simulation-based calibration of families that are sampled, as in `test_calibration` for the normal.

Parameters and outcomes are drawn here, with nothing of the package but the walk of a diffusion: only `pw.fit` is
asked. Data that `pw.fit` refuses, as counts that are all zero, are drawn anew: ranks are uniform given any data.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare, invgauss, skewnorm

import poolwise as pw
from poolwise.density.polynomial import of_rows
from poolwise.families.first_passage_draws import first_passages
from poolwise.inference import near_normal, working

GROUP = np.repeat(np.arange(8), [4, 7, 9, 10, 10, 11, 13, 16])
X = np.random.default_rng(12).normal(size=len(GROUP))
FEW, MANY = 40, 100
DRAWS, CHAINS, THINNED = 100, 2, 5  # of neighbours in a chain one in five counts, so that draws are nearly independent
PRIORS = {"Intercept": pw.Normal(0.3, 0.7), "x": pw.Normal(0, 0.7), "sd": pw.HalfNormal(0.7)}
OF_FAMILY = {
    "bernoulli": {},
    "poisson": {},
    "negative_binomial": {"shape": pw.Gamma(4, 1)},
    "student": {"sigma": pw.HalfNormal(1), "nu": pw.Gamma(2, 0.1)},
    "zero_inflated_poisson": {"zi_Intercept": pw.Normal(-0.5, 0.8)},
    "rare zero_inflated_poisson": {"zi_Intercept": pw.Normal(-4, 2)},
    "zero_inflated_binomial": {"zi_Intercept": pw.Normal(-0.5, 0.8)},
    "hurdle_negative_binomial": {"shape": pw.Gamma(4, 1), "hu_Intercept": pw.Normal(-0.5, 0.8)},
    "hurdle_gamma": {"shape": pw.Gamma(4, 1), "hu_Intercept": pw.Normal(-0.5, 0.8)},
    "beta_binomial": {"phi": pw.Gamma(4, 0.5)},
    "weibull": {"shape": pw.Gamma(4, 2)},
    "censored weibull": {"shape": pw.Gamma(4, 2)},
    "wiener": {
        "bs_Intercept": pw.Normal(0.4, 0.2),
        "ndt_Intercept": pw.Normal(-1.5, 0.3),
        "bias_Intercept": pw.Normal(0, 0.3),
    },
    "cumulative": {"gap2": pw.Gamma(4, 4), "gap3": pw.Gamma(4, 4)},
    "sratio": {"shift2_Intercept": pw.Normal(0.3, 0.5), "shift3_Intercept": pw.Normal(0.6, 0.5)},
    "shifted_lognormal": {"sigma": pw.Gamma(8, 16), "ndt_Intercept": pw.Normal(-1, 0.5)},
    "exgaussian": {"sigma": pw.Gamma(4, 6), "tau": pw.Gamma(4, 4)},
    "inverse_gaussian": {"shape": pw.Gamma(4, 1)},
    "skew_normal": {"sigma": pw.HalfNormal(1), "alpha_Intercept": pw.Normal(0, 3)},
    "asymmetric_laplace": {"sigma": pw.Gamma(4, 6)},
    "von_mises": {"kappa": pw.Gamma(4, 1)},
    "zero_one_inflated_beta": {
        "phi": pw.Gamma(4, 0.5),
        "zoi_Intercept": pw.Normal(-1, 0.7),
        "coi_Intercept": pw.Normal(0, 0.7),
    },
}
OFTEN = (
    "cumulative",
    "censored weibull",
    "wiener",
    "bernoulli",
    "poisson",
    "negative_binomial",
    "student",
    "zero_inflated_poisson",
    "hurdle_gamma",
)
WORKING = (
    "bernoulli",
    "poisson",
    "negative_binomial",
    "student",
    "weibull",
    "beta_binomial",
    "cumulative",
    "zero_inflated_poisson",
    "rare zero_inflated_poisson",
    "hurdle_negative_binomial",
    "hurdle_gamma",
    "sratio",
    "skew_normal",
    "zero_one_inflated_beta",
)
TRIALS = 6
OF_TRIALS = ("beta_binomial", "zero_inflated_binomial")


def _logistic(x):
    return 1 / (1 + np.exp(-x))


def _skewed(eta, at, rng):
    known = skewnorm(at["alpha_Intercept"])
    z = known.rvs(len(eta), random_state=rng)
    return eta + at["sigma"] * (z - known.mean()) / known.std()


def _shares(eta, at, rng):
    n, mean = len(eta), _logistic(eta)
    inside = np.clip(rng.beta(at["phi"] * mean, at["phi"] * (1 - mean)), 1e-12, 1 - 1e-12)
    ends = rng.random(n) < _logistic(at["coi_Intercept"])
    return np.where(rng.random(n) < _logistic(at["zoi_Intercept"]), 1.0 * ends, inside)


SHAPES = {  # eta, parameters, rng to outcomes
    "shifted_lognormal": lambda eta, at, rng: np.exp(at["ndt_Intercept"]) + rng.lognormal(eta, at["sigma"]),
    "exgaussian": lambda eta, at, rng: rng.normal(eta - at["tau"], at["sigma"]) + rng.exponential(at["tau"], len(eta)),
    "inverse_gaussian": lambda eta, at, rng: invgauss.rvs(
        np.exp(eta) / at["shape"], scale=at["shape"], random_state=rng
    ),
    "skew_normal": _skewed,
    "asymmetric_laplace": lambda eta, at, rng: rng.laplace(eta, 2 * at["sigma"]),
    "von_mises": lambda eta, at, rng: rng.vonmises(2 * np.arctan(eta), at["kappa"]),
    "zero_one_inflated_beta": _shares,
}


def outcomes(family, eta, dispersions, rng):
    if family == "bernoulli":
        return rng.binomial(1, 1 / (1 + np.exp(-eta)))
    if family == "poisson":
        return rng.poisson(np.exp(eta))
    if family == "negative_binomial":
        shape = dispersions["shape"]
        return rng.negative_binomial(shape, shape / (shape + np.exp(eta)))
    if family.endswith("weibull"):
        return np.exp(eta) * rng.weibull(dispersions["shape"], len(eta))
    if family in SHAPES:
        return SHAPES[family](eta, dispersions, rng)
    if family == "beta_binomial":
        mean, phi = 1 / (1 + np.exp(-eta)), dispersions["phi"]
        return rng.binomial(TRIALS, rng.beta(phi * mean, phi * (1 - mean)))
    if family == "wiener":
        return signed_times(eta, dispersions, rng)
    if family == "cumulative":
        cuts = np.cumsum([0.0, dispersions["gap2"], dispersions["gap3"]])
        return 1 + (eta[:, None] + rng.logistic(size=(len(eta), 1)) > cuts).sum(axis=1)
    if family == "sratio":
        cuts = np.array([0.0, dispersions["shift2_Intercept"], dispersions["shift3_Intercept"]])
        stops = rng.logistic(size=(len(eta), 3)) + eta[:, None] <= cuts
        return np.where(stops.any(axis=1), 1 + stops.argmax(axis=1), 4)
    if family.startswith(("zero", "hurdle")):
        logit = next(value for name, value in dispersions.items() if name in ("zi_Intercept", "hu_Intercept"))
        seen = rng.random(len(eta)) > 1 / (1 + np.exp(-logit))
        return np.where(seen, not_zero(family, eta, dispersions, rng), 0)
    return eta + dispersions["sigma"] * rng.standard_t(dispersions["nu"], len(eta))


def signed_times(drift, parameters, rng):
    """Choices and times, one in twenty a contaminant. The walk itself is tested against quadrature elsewhere."""
    n, bias = len(drift), 1 / (1 + np.exp(-parameters["bias_Intercept"]))
    decision, upper = first_passages(rng, drift, np.full(n, np.exp(parameters["bs_Intercept"])), np.full(n, bias))
    contaminant = rng.random(n) < 0.05
    time = np.where(contaminant, rng.uniform(0, 9, n), np.exp(parameters["ndt_Intercept"]) + decision)
    return np.where(np.where(contaminant, rng.random(n) < 0.5, upper), time, -time)


def not_zero(family, eta, dispersions, rng):
    """What rows are that no zero of its own hides: of a hurdle family drawn until it is above zero."""
    if family == "zero_inflated_poisson":
        return rng.poisson(np.exp(eta))
    if family == "zero_inflated_binomial":
        return rng.binomial(TRIALS, 1 / (1 + np.exp(-eta)))
    shape = dispersions["shape"]
    if family == "hurdle_gamma":
        return rng.gamma(shape, np.exp(eta) / shape)
    found = np.zeros(len(eta), dtype=int)
    while (found == 0).any():
        found = np.where(found, found, rng.negative_binomial(shape, shape / (shape + np.exp(eta))))
    return found


def ranks_of(family, count, sampler, seed=5):
    """Ranks among thinned draws, one dict for each data set; and how many draws those are."""
    rng, found, failed = np.random.default_rng(seed), [], 0
    priors = PRIORS | OF_FAMILY[family]
    while len(found) < count:
        truth = {name: float(prior.sample(rng, (1,))[0]) for name, prior in priors.items()}
        u = truth["sd"] * rng.standard_normal(8)
        y = outcomes(family.split()[-1], truth["Intercept"] + truth["x"] * X + u[GROUP], truth, rng)
        frame = pd.DataFrame({"y": y, "x": X, "g": GROUP})
        options = {"draws": DRAWS, "chains": CHAINS, "seed": len(found), "sampler": sampler}
        outcome, formulas = f"y | trials({TRIALS})" if family in OF_TRIALS else "y", []
        if family == "censored weibull":  # at times that know nothing of the outcomes
            end = rng.exponential(3.0, len(y))
            frame, outcome = frame.assign(y=np.minimum(y, end), gone=(end < y) * 1), "y | cens(gone)"
        if family == "wiener":
            frame, outcome, formulas = frame.assign(y=np.abs(y), up=(y > 0) * 1), "y | dec(up)", ["longest = 9"]
        if family in ("cumulative", "sratio") and len(np.unique(y)) < 4:
            continue  # a model of fewer categories has other parameters
        try:
            written = [f"{outcome} ~ x + (1 | g)", *formulas]
            fit = pw.fit(written, frame, family=family.split()[-1], priors=priors, **options)
        except pw.DataError:
            assert np.ptp(y) == 0
            continue
        failed += not np.isfinite(fit.result.beta).all()
        posterior = fit.posterior
        draws = {name: posterior["beta"].sel(coefficient=name).values for name in ("Intercept", "x")}
        draws["sd"] = posterior["sd_g"].values[..., 0]
        for name in OF_FAMILY[family]:
            draws[name] = (
                posterior["beta"].sel(coefficient=name) if name in posterior.coefficient else posterior[name]
            ).values
        draws |= {"u 0": fit.result.u[0].draws()[..., 0, 0], "u 7": fit.result.u[0].draws()[..., 7, 0]}
        known = truth | {"u 0": u[0], "u 7": u[7]}
        found.append({name: int(np.sum(each[:, ::THINNED] < known[name])) for name, each in draws.items()})
    assert not failed
    return found, CHAINS * DRAWS // THINNED


def assert_uniform(ranks, size, bins):
    """Of several quantities the least probable is judged: once in a thousand models that are right it fails."""
    for name in ranks[0]:
        places = np.array([one[name] for one in ranks]) * bins // (size + 1)
        counts = np.bincount(places, minlength=bins)
        expected = np.bincount(np.arange(size + 1) * bins // (size + 1)) / (size + 1) * len(ranks)
        assert chisquare(counts, expected).pvalue > 1e-3 / len(ranks[0]), (name, counts)


@pytest.mark.long
@pytest.mark.parametrize("family", OFTEN)
def test_families_are_calibrated(family):
    assert_uniform(*ranks_of(family, FEW, "auto"), bins=5)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["auto", "nuts"])
@pytest.mark.parametrize("family", list(OF_FAMILY))
def test_families_are_calibrated_in_more_data_sets(family, sampler):
    assert_uniform(*ranks_of(family, MANY, sampler, seed=6), bins=10)


@pytest.mark.slow
@pytest.mark.parametrize("family", WORKING)
def test_working_outcomes_are_calibrated(family, monkeypatch):
    """However few the rows, and whatever an estimate costs."""
    monkeypatch.setattr(working, "LEAST", 0)
    monkeypatch.setattr(near_normal, "_GRADIENTS", np.inf)
    samplers, fit = [], pw.fit

    def noted(*data, **options):
        found = fit(*data, **options)
        samplers.append(found.outcome.sampler)
        return found

    monkeypatch.setattr(pw, "fit", noted)
    assert_uniform(*ranks_of(family, MANY, "auto", seed=6), bins=10)
    assert samplers.count("independence") > 0.5 * MANY


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bernoulli", "poisson", "negative_binomial"])
def test_polynomials_are_calibrated(family, monkeypatch):
    """Whatever they cost, and of cells of ten rows, wherever the comparison with rows passes them."""
    monkeypatch.setattr(working, "LEAST", 0)
    monkeypatch.setattr(near_normal, "_GRADIENTS", np.inf)
    monkeypatch.setattr(working, "WORTH", 0.0)
    monkeypatch.setattr(of_rows, "_FEWER", np.inf)
    monkeypatch.setattr(of_rows, "polynomial_cost", lambda *_: 0.0)
    taken, fit = [], pw.fit

    def noted(*data, **options):
        found = fit(*data, **options)
        taken.append("left_out" in found.outcome.figures)
        return found

    monkeypatch.setattr(pw, "fit", noted)
    assert_uniform(*ranks_of(family, MANY, "auto", seed=7), bins=10)
    assert sum(taken) > 0.3 * MANY
