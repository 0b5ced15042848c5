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


def individual(county="CASS"):
    """The study's: one county by itself."""
    mine = NAMES[COUNTY] == county
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


def unpooled():
    """Radon: an intercept of each county, by itself."""
    with pm.Model(coords={"county": NAMES}) as model:
        a, b = pm.Normal("a", 0, 10, dims="county"), pm.Normal("b", 0, 10)
        pm.Normal("y", a[COUNTY] + b * FLOOR, pm.Exponential("eps", 1), observed=Y)
    return model, {"a", "b"}


def varying_intercept():
    """Radon: intercepts that vary, one slope."""
    with pm.Model(coords={"county": NAMES}) as model:
        a = pm.Normal("a", pm.Normal("mu_a", 0, 10), pm.Exponential("sigma_a", 1), dims="county")
        pm.Normal("y", a[COUNTY] + pm.Normal("b", 0, 10) * FLOOR, pm.Exponential("eps", 1), observed=Y)
    return model, {"mu_a", "a", "b"}


def varying_slope():
    """Radon: one intercept, slopes that vary."""
    with pm.Model(coords={"county": NAMES}) as model:
        b = pm.Normal("b", pm.Normal("mu_b", 0, 10), pm.Exponential("sigma_b", 1), dims="county")
        pm.Normal("y", pm.Normal("a", 0, 10) + b[COUNTY] * FLOOR, pm.Exponential("eps", 1), observed=Y)
    return model, {"mu_b", "a", "b"}


def contextual():
    """Radon: with the mean of the floors of each county as a predictor of the county."""
    share = np.bincount(COUNTY, FLOOR) / np.bincount(COUNTY)
    with pm.Model(coords={"county": NAMES}) as model:
        gamma = pm.Normal("gamma", 0, 10, shape=3)
        mean = pm.Deterministic("mean", gamma[0] + gamma[1] * URANIUM + gamma[2] * share, dims="county")
        offset = pm.Normal("offset", 0, 1, dims="county")
        a = pm.Deterministic("a", mean + pm.HalfNormal("sigma_a", 1) * offset, dims="county")
        pm.Normal("y", a[COUNTY] + pm.Normal("b", 0, 10) * FLOOR, pm.HalfNormal("eps", 1), observed=Y)
    return model, {"gamma", "offset", "b"}


def reaction_times():
    """People who sleep less each day: correlated intercepts and slopes around a mean that is a deterministic vector."""
    rng = np.random.default_rng(8)
    person, day = np.repeat(np.arange(18), 10), np.tile(np.arange(10.0), 18)
    slopes, levels = 10 + 6 * rng.normal(size=18), 250 + 25 * rng.normal(size=18)
    time = levels[person] + slopes[person] * day + 25 * rng.normal(size=180)
    with pm.Model() as model:
        sds = pm.HalfNormal.dist(np.array([50.0, 20.0]))
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2, sd_dist=sds)
        level, slope = pm.Normal("level", 250, 100), pm.Normal("slope", 0, 50)
        own = pm.MvNormal("own", pt.stack([level, slope]), chol=chol, shape=(18, 2))
        pm.Normal("time", own[person, 0] + own[person, 1] * day, pm.HalfNormal("sigma", 50), observed=time)
    return model, {"level", "slope", "own"}


def pupils():
    """Pupils in schools: predictors of both, as a matrix."""
    rng = np.random.default_rng(9)
    school, x = rng.integers(0, 40, 800), rng.normal(size=(800, 3))
    sector = rng.integers(0, 2, 40)
    score = (
        12 + x @ [2.0, -1.0, 0.0] + 2.5 * sector[school] + 2 * rng.normal(size=40)[school] + 6 * rng.normal(size=800)
    )
    with pm.Model(coords={"predictor": ["ses", "minority", "female"]}) as model:
        beta = pm.Normal("beta", 0, 10, dims="predictor")
        mean = pm.Normal("level", 12, 10) + pm.Normal("by_sector", 0, 10) * sector
        schools = pm.Normal("schools", mean, pm.HalfCauchy("tau", 5), shape=40)
        pm.Normal("score", schools[school] + pt.dot(x, beta), pm.HalfCauchy("sigma", 10), observed=score)
    return model, {"beta", "level", "by_sector", "schools"}


def meta_analysis():
    """Effects within studies, with standard errors that are known."""
    rng = np.random.default_rng(10)
    study, error = np.repeat(np.arange(14), 3), rng.uniform(0.1, 0.4, 42)
    effect = 0.3 + 0.2 * rng.normal(size=14)[study] + 0.15 * rng.normal(size=42) + error * rng.normal(size=42)
    with pm.Model() as model:
        studies = pm.Normal("studies", pm.Normal("mu", 0, 1), pm.HalfNormal("between", 0.5), shape=14)
        own = pm.Normal("own", studies[study], pm.HalfNormal("within", 0.5), shape=42)
        pm.Normal("effect", own, error, observed=effect)
    return model, {"mu", "studies", "own"}


def growth():
    """Curves of growth: levels, slopes and bends of each child, independent of one another."""
    rng = np.random.default_rng(11)
    child, age = np.repeat(np.arange(25), 8), np.tile(np.linspace(-1, 1, 8), 25)
    curve = rng.normal(size=(25, 3)) * [2.0, 1.0, 0.3] + [10.0, 3.0, -0.5]
    height = (curve[child] * np.stack([np.ones(200), age, age**2], axis=1)).sum(axis=1) + 0.3 * rng.normal(size=200)
    with pm.Model() as model:
        mean, sds = pm.Normal("mean", 0, 10, shape=3), pm.HalfNormal("sds", 3, shape=3)
        curves = pm.Normal("curves", mean, sds, shape=(25, 3))
        expected = curves[child, 0] + curves[child, 1] * age + curves[child, 2] * age**2
        pm.Normal("height", expected, pm.HalfNormal("sigma", 1), observed=height)
    return model, {"mean", "curves"}


def districts():
    """Pupils in schools in districts, without centring."""
    rng = np.random.default_rng(12)
    district_of, of = np.repeat(np.arange(6), 5), rng.integers(0, 30, 500)
    score = rng.normal(size=6)[district_of[of]] + 0.6 * rng.normal(size=30)[of] + rng.normal(size=500)
    with pm.Model() as model:
        z_district, z_school = pm.Normal("z_district", 0, 1, shape=6), pm.Normal("z_school", 0, 1, shape=30)
        district = pm.Normal("level", 0, 5) + pm.HalfNormal("sd_district", 2) * z_district
        school = district[district_of] + pm.HalfNormal("sd_school", 2) * z_school
        pm.Normal("score", school[of], pm.HalfNormal("sigma", 2), observed=score)
    return model, {"z_district", "z_school", "level"}


def seasonal():
    """A trend and waves of the year, shops that differ in both."""
    rng = np.random.default_rng(13)
    shop, week = np.repeat(np.arange(10), 52), np.tile(np.arange(52.0), 10)
    waves = np.stack([f(2 * np.pi * k * week / 52) for k in (1, 2) for f in (np.sin, np.cos)], axis=1)
    sales = 5 + (rng.normal(size=(10, 4))[shop] * waves).sum(axis=1) + 0.02 * week + 0.5 * rng.normal(size=520)
    with pm.Model() as model:
        common, sds = pm.Normal("common", 0, 2, shape=4), pm.HalfNormal("sds", 1, shape=4)
        by_shop = pm.Normal("by_shop", common, sds, shape=(10, 4))
        mean = pm.Normal("level", 0, 10) + pm.Normal("trend", 0, 1) * week + pt.sum(by_shop[shop] * waves, axis=1)
        pm.Normal("sales", mean, pm.HalfNormal("sigma", 1), observed=sales)
    return model, {"common", "by_shop", "level", "trend"}


def splines():
    """A smooth curve, whose weights share a spread."""
    rng = np.random.default_rng(14)
    x = np.sort(rng.uniform(0, 1, 150))
    basis = np.exp(-0.5 * ((x[:, None] - np.linspace(0, 1, 12)) / 0.08) ** 2)
    with pm.Model() as model:
        weights = pm.Normal("weights", 0, pm.HalfNormal("tau", 3), shape=12)
        mean = pm.Normal("level", 0, 5) + pt.dot(basis, weights)
        pm.Normal("y", mean, pm.HalfNormal("sigma", 1), observed=np.sin(8 * x) + 0.2 * rng.normal(size=150))
    return model, {"weights", "level"}


def walk():
    """A level that walks at random, by steps that are summed up."""
    rng = np.random.default_rng(15)
    with pm.Model() as model:
        steps = pm.Normal("steps", 0, 1, shape=40)
        level = pm.Deterministic("levels", pm.Normal("start", 0, 5) + pm.HalfNormal("size", 1) * pt.cumsum(steps))
        outcome = np.cumsum(0.3 * rng.normal(size=40)) + 0.5 * rng.normal(size=40)
        pm.Normal("y", level, pm.HalfNormal("sigma", 1), observed=outcome)
    return model, {"steps", "start"}


def random_walk():
    """The same by PyMC's own random walk, with a drift; more steps than a row may have numbers."""
    rng = np.random.default_rng(17)
    outcome = np.cumsum(0.1 + 0.3 * rng.normal(size=90)) + 0.5 * rng.normal(size=90)
    with pm.Model() as model:
        drift = pm.Normal("drift", 0, 1)
        first = pm.Normal.dist(0, 5)
        levels = pm.GaussianRandomWalk("levels", drift, pm.HalfNormal("size", 1), init_dist=first, shape=90)
        pm.Normal("y", levels, pm.HalfNormal("sigma", 1), observed=outcome)
    return model, {"drift", "levels"}


def random_walks():
    """Of three groups, each with steps of its own size."""
    rng = np.random.default_rng(18)
    outcome = np.cumsum(0.3 * rng.normal(size=(3, 20)), axis=1) + 0.5 * rng.normal(size=(3, 20))
    with pm.Model(coords={"group": list("abc"), "time": np.arange(20)}) as model:
        sizes, first = pm.HalfNormal("sizes", 1, dims="group"), pm.Normal.dist(0, 5)
        levels = pm.GaussianRandomWalk("levels", 0, sizes, init_dist=first, dims=("group", "time"))
        pm.Normal("y", levels, pm.HalfNormal("sigma", 1), observed=outcome)
    return model, {"levels"}


def autoregression():
    """Errors that follow one another, under a straight line."""
    rng = np.random.default_rng(19)
    time, errors = np.linspace(-1, 1, 60), np.zeros(60)
    for t in range(1, 60):
        errors[t] = 0.8 * errors[t - 1] + 0.4 * rng.normal()
    with pm.Model() as model:
        rho, size = pm.Uniform("rho", 0, 1), pm.HalfNormal("size", 1)
        first = pm.Normal.dist(0, size / pt.sqrt(1 - rho**2))
        state = pm.AR("state", [rho], size, init_dist=first, steps=59)
        mean = pm.Normal("level", 0, 5) + pm.Normal("trend", 0, 5) * time + state
        pm.Normal("y", mean, pm.HalfNormal("sigma", 1), observed=time + errors + 0.2 * rng.normal(size=60))
    return model, {"level", "trend", "state"}


def autoregressive_outcomes():
    """Outcomes that follow one another: lags are predictors."""
    rng = np.random.default_rng(20)
    with pm.Model() as model:
        rho = pm.Normal("rho", 0, 1, shape=3)
        first = pm.Normal.dist(0, 5, shape=2)
        pm.AR("y", rho, pm.HalfNormal("sigma", 1), constant=True, init_dist=first, observed=rng.normal(size=50))
    return model, {"rho"}


def placed():
    """Coefficients put into columns of zeros, which PyTensor has no form of for many values at once."""
    rng = np.random.default_rng(21)
    with pm.Model() as model:
        of_columns = pm.Normal("of_columns", 0, pm.HalfNormal("size", 1), shape=2)
        mean = pt.set_subtensor(pt.zeros((10, 3))[:, np.array([0, 2])], of_columns)
        pm.Normal("y", mean, pm.HalfNormal("sigma", 1), observed=rng.normal(size=(10, 3)))
    return model, {"of_columns"}


def differences():
    """Differences in differences, by states and years."""
    rng = np.random.default_rng(16)
    state, year = np.repeat(np.arange(20), 12), np.tile(np.arange(12), 20)
    treated = ((state < 8) & (year >= 6)).astype(float)
    outcome = rng.normal(size=20)[state] + 0.3 * rng.normal(size=12)[year] + 0.8 * treated + 0.5 * rng.normal(size=240)
    with pm.Model() as model:
        states = pm.Normal("states", 0, pm.HalfNormal("sd_state", 2), shape=20)
        years = pm.ZeroSumNormal("years", pm.HalfNormal("sd_year", 1), shape=12)
        effect = pm.Normal("effect", 0, 2)
        mean = pm.Normal("level", 0, 5) + states[state] + years[year] + effect * treated
        pm.Normal("outcome", mean, pm.HalfNormal("sigma", 1), observed=outcome)
    return model, {"states", "years", "effect", "level"}


def rugby():
    """Scores of matches, attack and defence of each team."""
    rng = np.random.default_rng(17)
    home, away = np.array([(i, j) for i in range(6) for j in range(6) if i != j]).T
    with pm.Model() as model:
        attack = pm.ZeroSumNormal("attack", pm.HalfNormal("sd_attack", 1), shape=6)
        defence = pm.ZeroSumNormal("defence", pm.HalfNormal("sd_defence", 1), shape=6)
        rate = pt.exp(pm.Normal("level", 3, 1) + attack[home] + defence[away])
        pm.Poisson("points", rate, observed=rng.poisson(20, 30))
    return model, set()


def baseball():
    """Hits of players."""
    hits, at_bats = np.array([18, 17, 16, 15, 14, 14, 13, 12, 11, 11, 10, 10, 10, 10, 10, 9, 8, 7]), np.full(18, 45)
    with pm.Model() as model:
        phi, kappa = pm.Uniform("phi", 0, 1), pm.Pareto("kappa", 1.5, 1.0)
        theta = pm.Beta("theta", phi * kappa, (1 - phi) * kappa, shape=18)
        pm.Binomial("hits", at_bats, theta, observed=hits)
    return model, set()


def robust():
    """Radon with Student-t noise."""
    with pm.Model() as model:
        a = pm.Normal("a", pm.Normal("mu", 0, 10), pm.Exponential("sigma_a", 1), shape=len(NAMES))
        mean = a[COUNTY] + pm.Normal("b", 0, 10) * FLOOR
        pm.StudentT("y", 4, mu=mean, sigma=pm.Exponential("eps", 1), observed=Y)
    return model, set()


def items():
    """Answers of people to items."""
    rng = np.random.default_rng(18)
    person, item = np.repeat(np.arange(20), 10), np.tile(np.arange(10), 20)
    with pm.Model() as model:
        ability, difficulty = pm.Normal("ability", 0, 1, shape=20), pm.Normal("difficulty", 0, 1, shape=10)
        pm.Bernoulli("right", logit_p=ability[person] - difficulty[item], observed=rng.integers(0, 2, 200))
    return model, set()


ALL = (
    individual, pooled, hierarchical, non_centred, correlated, group_predictor, eight_schools, crossed, nested,
    noise_by_group, two_outcomes, centred_slopes, sums_to_zero, unpooled, varying_intercept, varying_slope, contextual,
    reaction_times, pupils, meta_analysis, growth, districts, seasonal, splines, walk, differences,
    random_walk, random_walks, autoregression, autoregressive_outcomes, placed,
)  # fmt: skip
MAIN = (
    hierarchical, correlated, eight_schools, crossed, noise_by_group, two_outcomes, random_walk,
    autoregressive_outcomes, placed,
)  # fmt: skip
NOT_NORMAL = (rugby, baseball, robust, items)
