"""Models as people write them; each gives the model and the names that are to be integrated out."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor.tensor as pt

import poolwise as pw

RADON = pw.datasets.load_radon()
NAMES, COUNTY = np.unique(RADON["county"], return_inverse=True)
FLOOR, Y = RADON["floor"].to_numpy(dtype=float), RADON["log_radon"].to_numpy()
URANIUM = np.log(RADON.groupby("county")["Uppm"].first().loc[NAMES].to_numpy())


def individual():
    """The study's: one county by itself."""
    mine = NAMES[COUNTY] == "CASS"
    with pm.Model() as model:
        a, b = pm.Normal("alpha", 0, 10), pm.Normal("beta", 0, 10)
        eps = pm.HalfCauchy("eps", 5)
        pm.Normal("y", a + b * FLOOR[mine], eps, observed=Y[mine])
    return model, {"alpha", "beta"}


def pooled():
    with pm.Model() as model:
        a, b = pm.Normal("alpha", 0, 10), pm.Normal("beta", 0, 10)
        pm.Normal("y", a + b * FLOOR, pm.HalfCauchy("eps", 5), observed=Y)
    return model, {"alpha", "beta"}


def hierarchical():
    """The study's, centred."""
    with pm.Model(coords={"county": NAMES}) as model:
        mu_a, sigma_a = pm.Normal("mu_a", 0, 10), pm.HalfCauchy("sigma_a", 5)
        mu_b, sigma_b = pm.Normal("mu_b", 0, 10), pm.HalfCauchy("sigma_b", 5)
        a = pm.Normal("a", mu_a, sigma_a, dims="county")
        b = pm.Normal("b", mu_b, sigma_b, dims="county")
        pm.Normal("y", a[COUNTY] + b[COUNTY] * FLOOR, pm.HalfCauchy("eps", 5), observed=Y)
    return model, {"mu_a", "mu_b", "a", "b"}


def non_centred():
    """The study's second variant."""
    with pm.Model(coords={"county": NAMES}) as model:
        mu_a, sigma_a = pm.Normal("mu_a", 0, 10), pm.HalfCauchy("sigma_a", 5)
        mu_b, sigma_b = pm.Normal("mu_b", 0, 10), pm.HalfCauchy("sigma_b", 5)
        a = pm.Deterministic("a", mu_a + pm.Normal("za", 0, 1, dims="county") * sigma_a, dims="county")
        b = pm.Deterministic("b", mu_b + pm.Normal("zb", 0, 1, dims="county") * sigma_b, dims="county")
        pm.Normal("y", a[COUNTY] + b[COUNTY] * FLOOR, pm.HalfCauchy("eps", 5), observed=Y)
    return model, {"mu_a", "mu_b", "za", "zb"}


def correlated():
    """Intercepts and slopes by LKJCholeskyCov, as in PyMC's gallery."""
    with pm.Model(coords={"county": NAMES, "param": ["a", "b"]}) as model:
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=pm.Exponential.dist(1.0, shape=2))
        centre = pm.Normal("centre", 0, 5, dims="param")
        z = pm.Normal("z", 0, 1, dims=("param", "county"))
        both = pm.Deterministic("both", pt.dot(chol, z).T, dims=("county", "param"))
        mean = centre[0] + both[COUNTY, 0] + (centre[1] + both[COUNTY, 1]) * FLOOR
        pm.Normal("y", mean, pm.Exponential("eps", 1.0), observed=Y)
    return model, {"centre", "z"}


def group_predictor():
    """A predictor of the groups, and pm.Data."""
    with pm.Model(coords={"county": NAMES}) as model:
        uranium, floor = pm.Data("uranium", URANIUM, dims="county"), pm.Data("floor", FLOOR)
        gamma = pm.Normal("gamma", 0, 10, shape=2)
        sigma_a = pm.Exponential("sigma_a", 1)
        a = pm.Normal("a", gamma[0] + gamma[1] * uranium, sigma_a, dims="county")
        pm.Normal("y", a[COUNTY] + pm.Normal("b", 0, 10) * floor, pm.Exponential("eps", 1), observed=Y)
    return model, {"gamma", "a", "b"}


def eight_schools():
    effect = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    error = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    with pm.Model() as model:
        mu, tau = pm.Normal("mu", 0, 5), pm.HalfCauchy("tau", 5)
        theta = pm.Normal("theta", mu, tau, shape=8)
        pm.Normal("obs", theta, error, observed=effect)
    return model, {"mu", "theta"}


def crossed():
    """Two factors, as people and words in reaction times."""
    rng = np.random.default_rng(3)
    person, word = rng.integers(0, 30, 600), rng.integers(0, 12, 600)
    time = 6 + 0.3 * rng.normal(size=30)[person] + 0.2 * rng.normal(size=12)[word] + 0.4 * rng.normal(size=600)
    with pm.Model() as model:
        people = pm.Normal("people", 0, pm.HalfNormal("sd_people", 1), shape=30)
        words = pm.Normal("words", 0, pm.HalfNormal("sd_words", 1), shape=12)
        mean = pm.Normal("level", 0, 10) + people[person] + words[word]
        pm.Normal("time", mean, pm.HalfNormal("sigma", 1), observed=time)
    return model, {"people", "words", "level"}


def nested():
    """Classes in schools."""
    rng = np.random.default_rng(4)
    school_of, of = np.repeat(np.arange(8), 4), rng.integers(0, 32, 400)
    score = rng.normal(size=8)[school_of[of]] + 0.5 * rng.normal(size=32)[of] + rng.normal(size=400)
    with pm.Model() as model:
        schools = pm.Normal("schools", pm.Normal("mean", 0, 5), pm.HalfNormal("sd_school", 2), shape=8)
        classes = pm.Normal("classes", schools[school_of], pm.HalfNormal("sd_class", 2), shape=32)
        pm.Normal("score", classes[of], pm.HalfNormal("sigma", 2), observed=score)
    return model, {"mean", "schools", "classes"}


def noise_by_group():
    """A residual spread for each of some kinds of rows, logs of which are normal."""
    with pm.Model() as model:
        log_eps = pm.Normal("log_eps", 0, 1, shape=2)
        a = pm.Normal("a", pm.Normal("mu", 0, 5), pm.HalfNormal("tau", 1), shape=len(NAMES))
        mean = a[COUNTY] + pm.Normal("b", 0, 5) * FLOOR
        pm.Normal("y", mean, pt.exp(log_eps)[FLOOR.astype(int)], observed=Y)
    return model, {"a", "mu", "b"}


def two_outcomes():
    """Two normal outcomes that share effects, and a count beside them that does not."""
    rng = np.random.default_rng(5)
    g, u = rng.integers(0, 10, 120), rng.normal(size=10)
    with pm.Model() as model:
        effects = pm.Normal("effects", 0, pm.HalfNormal("tau", 1), shape=10)
        load = pm.Exponential("load", 1)
        pm.Normal("one", effects[g], pm.HalfNormal("s1", 1), observed=u[g] + rng.normal(size=120))
        pm.Normal("two", load * effects[g], pm.HalfNormal("s2", 1), observed=0.5 * u[g] + rng.normal(size=120))
        pm.Poisson("count", pm.Exponential("rate", 1), observed=rng.poisson(2.0, 50))
    return model, {"effects"}


def centred_slopes():
    """Intercepts and slopes by MvNormal, centred."""
    with pm.Model(coords={"county": NAMES, "param": ["a", "b"]}) as model:
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=pm.Exponential.dist(1.0, shape=2))
        both = pm.MvNormal("both", pm.Normal("centre", 0, 5, dims="param"), chol=chol, dims=("county", "param"))
        pm.Normal("y", both[COUNTY, 0] + both[COUNTY, 1] * FLOOR, pm.Exponential("eps", 1.0), observed=Y)
    return model, {"centre", "both"}


def sums_to_zero():
    """Effects that sum to zero: of one factor, and of the cells of two."""
    rng = np.random.default_rng(7)
    row, column = rng.integers(0, 6, 300), rng.integers(0, 4, 300)
    with pm.Model() as model:
        rows = pm.ZeroSumNormal("rows", pm.HalfNormal("sd_rows", 1), shape=6)
        cells = pm.ZeroSumNormal("cells", pm.HalfNormal("sd_cells", 1), shape=(6, 4), n_zerosum_axes=2)
        mean = pm.Normal("level", 0, 5) + rows[row] + cells[row, column]
        outcome = 2 + np.linspace(-1, 1, 6)[row] + 0.5 * (column == 1) * (row == 2) + rng.normal(size=300)
        pm.Normal("y", mean, pm.HalfNormal("s", 2), observed=outcome)
    return model, {"rows", "cells", "level"}


ALL = (
    individual, pooled, hierarchical, non_centred, correlated, group_predictor, eight_schools, crossed, nested,
    noise_by_group, two_outcomes, centred_slopes, sums_to_zero,
)  # fmt: skip
