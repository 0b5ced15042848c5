"""Simulation-based calibration (Talts et al. 2018): the proof that the engine samples the posterior it claims.

Parameters are drawn from the prior, data from the parameters, and the model is refitted to each data set. The rank of
the true value among the posterior draws must be uniform, for every parameter.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare

import poolwise as pw
from poolwise.evaluate.prior_predictive import prior_predictive
from poolwise.inference.infer import infer
from poolwise.inference.posterior import Pooling
from poolwise.inference.prepare import prepare
from poolwise.samplers import SamplerSettings
from poolwise.statistics import reduce_rows

DATA_SETS, DRAWS, KEPT, BINS = 500, 300, 99, 20  # of the slow tests
FEW = 200  # data sets of those that run by default
PRIORS = {
    "Intercept": pw.Normal(0, 1),
    "x": pw.Normal(0, 1),
    "sd": pw.HalfNormal(1),
    "cor": pw.LKJ(2),
    "sigma": pw.HalfStudentT(5, 1),
}


def simulated(formula, priors, zero=0.0, data_sets=DATA_SETS):
    """Model, rows, and a Dataset of parameters and outcomes drawn from its prior; x lies around `zero`."""
    rng = np.random.default_rng(12)
    group = np.repeat(np.arange(8), [2, 3, 3, 5, 5, 6, 8, 10])
    frame = pd.DataFrame({"g": group, "x": zero + rng.normal(size=len(group)), "y": rng.normal(size=len(group))})
    model, rows = prepare(formula, frame, priors=priors, missing="drop", threads=1)
    return model, rows, prior_predictive(model, rows, data_sets, 99)


def refit(model, rows, outcome, seed, draws=DRAWS):
    values = rows.values.copy()
    values[:, -1] = outcome
    statistics = reduce_rows(values, rows.codes, model.statistics.columns, model.statistics.cells, threads=1)
    settings = SamplerSettings(draws, 1, np.random.SeedSequence(seed))
    return infer(model.on(statistics), settings, threads=1)


def rank(draws, truth):
    thinned = draws[:: len(draws) // KEPT][:KEPT]
    return int(np.sum(thinned < truth))


def assert_uniform(ranks, names):
    """Chi-square for each parameter, with a bound that a right engine passes in all but one of ten thousand runs."""
    for name, column in zip(names, np.array(ranks).T, strict=True):
        counts = np.bincount(column * BINS // (KEPT + 1), minlength=BINS)
        assert chisquare(counts).pvalue > 1e-4 / len(names), (name, counts)


@pytest.mark.long
@pytest.mark.parametrize("data_sets", [FEW, pytest.param(DATA_SETS, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("formula", "correlated", "left_out", "zero"),
    [
        ("y ~ x + (x || g)", False, ["cor"], 0.0),
        ("y ~ x + (x | g)", True, [], 0.0),
        pytest.param("y ~ x + (x | g)", True, [], 5.0, marks=pytest.mark.slow),  # set at a zero far from the rows
        ("y ~ x + (x | g)", True, ["Intercept", "x", "sd", "cor"], 5.0),  # default priors, at the centre
    ],
    ids=["independent", "set", "set far away", "default"],
)
def test_partial_pooling_is_calibrated(formula, correlated, left_out, zero, data_sets):
    priors = {name: prior for name, prior in PRIORS.items() if name not in left_out}
    model, rows, truth = simulated(formula, priors, zero, data_sets)
    assert any(model.priors.at_zero) == (correlated and not left_out)
    ranks, failed = [], 0
    for i in range(data_sets):
        one = truth.isel(draw=i)
        fit = refit(model, rows, one["y"].values, i)
        failed += not fit.certificate.passed
        sd = model.priors.layout.sd(fit.theta[0], "g")
        pairs = [
            (fit.beta[0, :, 0], one["beta"].values[0]),
            (fit.beta[0, :, 1], one["beta"].values[1]),
            (sd[:, 0], one["sd_g"].values[0]),
            (sd[:, 1], one["sd_g"].values[1]),
            (fit.sigma[0], float(one["sigma"])),
            (fit.u[0].draws()[0, :, 0, 0], one["u_g"].values[0, 0]),
            (fit.u[0].draws()[0, :, 7, 1], one["u_g"].values[7, 1]),
        ]
        if correlated:
            correlation = model.priors.layout.correlation(fit.theta[0], "g")
            pairs.append((correlation[:, 0, 1], one["cor_g"].values[0, 1]))
        ranks.append([rank(draws, value) for draws, value in pairs])
    assert failed < data_sets // 50
    assert_uniform(ranks, ["Intercept", "x", "sd 0", "sd x", "sigma", "u 0", "u x", "cor"][: len(ranks[0])])


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "data_sets"),
    [("crossed", 80), *(pytest.param(kind, 160, marks=pytest.mark.slow) for kind in ("nested", "crossed"))],
)
def test_several_factors_are_calibrated(kind, data_sets):
    rng = np.random.default_rng(12)
    rows = 60
    a, x = rng.integers(0, 5, rows), rng.normal(size=rows)
    frame = pd.DataFrame(
        {"a": a, "b": rng.integers(0, 3, rows), "c": rng.integers(0, 4, rows), "x": x, "y": rng.normal(size=rows)}
    )
    formula = "y ~ x + (1 | a/b)" if kind == "nested" else "y ~ x + (x | a) + (1 | c)"
    priors = PRIORS if kind == "crossed" else {name: prior for name, prior in PRIORS.items() if name != "cor"}
    model, rows = prepare(formula, frame, priors=priors, missing="drop", threads=1)
    truth = prior_predictive(model, rows, data_sets, 99)
    ranks, failed = [], 0
    names = [factor.name for factor in model.design.factors]
    for i in range(data_sets):
        one = truth.isel(draw=i)
        fit = refit(model, rows, one["y"].values, i)
        failed += not fit.certificate.passed
        pairs = [(fit.beta[0, :, k], one["beta"].values[k]) for k in (0, 1)] + [(fit.sigma[0], float(one["sigma"]))]
        for name, offsets in zip(names, fit.u, strict=True):
            sd, u = model.priors.layout.sd(fit.theta[0], name), offsets.draws()[0]
            pairs += [(sd[:, 0], one[f"sd_{name}"].values[0]), (u[:, 1, 0], one[f"u_{name}"].values[1, 0])]
            if kind == "crossed" and name == "a":
                pairs += [(sd[:, 1], one["sd_a"].values[1]), (u[:, 2, 1], one["u_a"].values[2, 1])]
        ranks.append([rank(draws, value) for draws, value in pairs])
    assert failed < data_sets / 25
    assert_uniform(ranks, list(range(len(ranks[0]))))


def test_complete_pooling_is_calibrated():
    model, rows, truth = simulated("y ~ x", {name: PRIORS[name] for name in ("Intercept", "x", "sigma")})
    ranks = []
    for i in range(DATA_SETS):
        one = truth.isel(draw=i)
        fit = refit(model, rows, one["y"].values, i)
        pairs = [(fit.beta[0, :, k], one["beta"].values[k]) for k in (0, 1)] + [(fit.sigma[0], float(one["sigma"]))]
        ranks.append([rank(draws, value) for draws, value in pairs])
    assert model.pooling is Pooling.COMPLETE
    assert_uniform(ranks, ["Intercept", "x", "sigma"])


@pytest.mark.slow
def test_student_t_coefficients_are_calibrated():
    priors = {
        "Intercept": pw.Normal(0, 1),
        "x": pw.StudentT(4, 0, 1),
        "sd": pw.Exponential(1),
        "sigma": pw.HalfNormal(1),
    }
    model, rows, truth = simulated("y ~ x + (1 | g)", priors)
    ranks = []
    for i in range(DATA_SETS):
        one = truth.isel(draw=i)
        fit = refit(model, rows, one["y"].values, i)
        sd = model.priors.layout.sd(fit.theta[0], "g")
        pairs = [
            (fit.beta[0, :, 1], one["beta"].values[1]),
            (sd[:, 0], one["sd_g"].values[0]),
            (fit.sigma[0], float(one["sigma"])),
        ]
        ranks.append([rank(draws, value) for draws, value in pairs])
    assert_uniform(ranks, ["x", "sd", "sigma"])
