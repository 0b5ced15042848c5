"""The latent density against plain sums of log densities, and what must leave it unchanged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats import gamma, multivariate_normal, norm
from tests.density.models import between, log_prior, widths
from tests.selection import long_but_for

import poolwise as pw
from poolwise.density.latent import whitening
from poolwise.density.latent.density import latent
from poolwise.density.latent.observations import Observations, observe
from poolwise.families import family_of, locations
from poolwise.inference.prepare import prepare

ROWS = 36
PRIORS = {
    "Intercept": pw.Normal(0.2, 1.5),
    "slopes": pw.Normal(-0.1, 0.8),
    "sd": pw.HalfStudentT(4, 0.7),
    "cor": pw.LKJ(1.7),
}
GROUPED = {
    "none": "x",
    "intercept": "x + (1 | g)",
    "correlated": "x + (1 + x + w | g)",
    "independent": "x + (x || g)",
    "without intercepts": "x + z + (0 + x | g)",
    "both": "x + (1 | g) + (0 + x + w | g)",
    "crossed": "x + (x | g) + (1 | h)",
    "nested": "w + (1 | h/g)",
    "three": "x + (1 | h) + (x | g) + (w || k)",
}


def table(family: str) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(
        {
            "g": rng.integers(0, 6, ROWS),
            "h": rng.integers(0, 3, ROWS),
            "k": rng.integers(0, 4, ROWS),
            "x": rng.normal(size=ROWS),
            "w": rng.normal(0.5, 1, ROWS),
            "z": rng.choice(["a", "b", "c"], ROWS),
            "n": rng.integers(1, 7, ROWS),
            "known": 0.3 * rng.normal(size=ROWS),
            "weight": rng.choice([0.5, 1.0, 2.0], ROWS),
        }
    )
    eta = 0.3 + 0.5 * frame.x + rng.normal(0, 0.6, 6)[frame.g]
    p = 1 / (1 + np.exp(-eta))
    other = np.random.default_rng(9)
    latent_y = eta + other.logistic(size=ROWS)
    frame = frame.assign(
        status=np.tile([0, 1, -1, 2, 0, 0], ROWS // 6 + 1)[:ROWS],
        choice=other.integers(0, 2, ROWS),
        lowest=np.where(np.arange(ROWS) % 2, -4.0, -np.inf),
    )
    frame = frame.assign(
        y={
            "gaussian": lambda: rng.normal(eta, 0.6),
            "bernoulli": lambda: rng.binomial(1, p),
            "binomial": lambda: rng.binomial(frame.n, p),
            "poisson": lambda: rng.poisson(np.exp(eta)),
            "negative_binomial": lambda: rng.poisson(rng.gamma(2.0, np.exp(eta) / 2)),
            "student": lambda: eta + 0.6 * rng.standard_t(4, ROWS),
            "gamma": lambda: rng.gamma(3.0, np.exp(eta) / 3),
            "lognormal": lambda: np.exp(rng.normal(eta, 0.6)),
            "beta": lambda: rng.beta(5 * p, 5 - 5 * p),
            "exponential": lambda: rng.exponential(np.exp(eta)),
            "weibull": lambda: rng.exponential(np.exp(eta)),
            "cumulative": lambda: (np.array(latent_y)[:, None] > [0.0, 0.7, 1.5]).sum(axis=1),
            "cumulative_equidistant": lambda: (np.array(latent_y)[:, None] > [0.0, 0.7, 1.5]).sum(axis=1),
            "sratio": lambda: (np.array(latent_y)[:, None] > [0.0, 0.7, 1.5]).sum(axis=1),
            "categorical": lambda: (np.array(latent_y)[:, None] > [0.0, 0.7, 1.5]).sum(axis=1),
            "wiener": lambda: 0.3 + rng.gamma(2.0, 0.3, ROWS),
        }[family]()
    )
    return frame.assign(until=frame.y + 1.0, t=other.integers(1, 20, ROWS), t2=other.integers(1, 20, ROWS))


@dataclass(frozen=True)
class Case:
    family: str
    formula: str | list[str]
    link: str | None = None
    weights: str | None = None
    priors: dict | None = None


def grouped(kind: str, family: str) -> str:
    return f"{'y | trials(n)' if family == 'binomial' else 'y'} ~ {GROUPED[kind]}"


CHOICES = ["y | dec(choice) ~ x + (1 | p | g)", "bs ~ 1 + (1 | p | g)", "p_outlier ~ 1"]
CASES = {
    **{f"bernoulli {kind}": Case("bernoulli", grouped(kind, "bernoulli")) for kind in GROUPED},
    **{f"poisson {kind}": Case("poisson", grouped(kind, "poisson")) for kind in ("none", "crossed", "nested", "both")},
    "negative binomial": Case("negative_binomial", grouped("correlated", "negative_binomial")),
    "binomial": Case("binomial", grouped("crossed", "binomial")),
    "pair": Case("binomial", "(y, n - y) ~ x + (x | g)"),
    "student": Case("student", grouped("crossed", "student")),
    "gamma": Case("gamma", grouped("independent", "gamma")),
    "lognormal": Case("lognormal", grouped("nested", "lognormal")),
    "beta": Case("beta", grouped("intercept", "beta")),
    "exponential": Case("exponential", grouped("three", "exponential")),
    "probit": Case("bernoulli", grouped("correlated", "bernoulli"), "probit"),
    "cloglog": Case("binomial", grouped("crossed", "binomial"), "cloglog"),
    "sqrt": Case(
        "poisson",
        "y ~ 1 + (1 | g)",
        "sqrt",
        None,
        {"Intercept": pw.Normal(1.5, 0.05), "sd": pw.HalfNormal(0.05)},
    ),
    "log of the real line": Case("student", "y ~ 1 + (1 | g)", "log", None, {"Intercept": pw.Normal(0.2, 0.5)}),
    "offset": Case("poisson", "y ~ x + offset(known) + (x | g)"),
    "weighed counts": Case("poisson", "y ~ x + (x | g)", None, "weight"),
    "weighed shares": Case("beta", "y ~ x + (1 | g)", None, "weight"),
    "weighed student": Case("student", "y ~ x + (1 | g)", None, "weight"),
    "sigma": Case("gaussian", ["y ~ x + (x | g)", "sigma ~ x + (1 | g)"], None, "weight"),
    "shared bars": Case("gaussian", ["y ~ x + (x | p | g)", "sigma ~ x + (1 | p | g)"]),
    "shared and own bars": Case("gaussian", ["y ~ x + (1 | p | g) + (1 | h)", "sigma ~ 1 + (1 | p | g) + (x | h)"]),
    "fixed": Case("student", ["y ~ x + (x | g)", "nu = 4"]),
    "sigma by another factor": Case("gaussian", ["y ~ x + (1 | g)", "sigma ~ 1 + (x | h)"]),
    "shape": Case("negative_binomial", ["y ~ x + (1 | g)", "shape ~ 1 + (1 | h)"]),
    "two dispersions": Case("student", ["y ~ x + offset(known) + (1 | g)", "sigma ~ x", "nu ~ 1"]),
    "one of two dispersions": Case("student", ["y ~ x + (1 | g)", "nu ~ x"]),
    "mixed": Case(
        "bernoulli", "y ~ x + w + (x | g)", None, None, {"x": pw.StudentT(4, 0, 1), "w": pw.StudentT(3, 0.2, 0.5)}
    ),
    "censored": Case("gaussian", "y | cens(status, until) ~ x + (x | g)"),
    "censored times": Case("weibull", "y | cens(status, until) ~ x + (1 | g)", None, "weight"),
    "truncated": Case("gaussian", "y | trunc(lb=lowest, ub=6) ~ x + (1 | g)"),
    "both at once": Case("lognormal", "y | cens(status, until) + trunc(lb=0.01) ~ x + (1 | g)"),
    "truncated counts": Case("poisson", "y | trunc(ub=40) ~ x + (1 | g)", None, "weight"),
    "equidistant categories": Case("cumulative_equidistant", "y ~ x + (1 | g)"),
    "categories in order": Case("cumulative", ["y ~ x + (x | g)", "disc ~ 0 + x"], None, "weight"),
    "probits in order": Case("cumulative", "y ~ x + (1 | g)", "probit"),
    "stopping": Case("sratio", "y ~ w + cs(x) + (1 | g)"),
    "categories": Case("categorical", "y ~ x + (1 | g)", None, None, {}),
    "choices": Case("wiener", CHOICES, None, None, {}),
    "walk": Case("poisson", "y ~ rw1(t) + (1 | g)"),
    "walk alone": Case("poisson", "y ~ rw2(t)"),
    "walk, curve and groups": Case("bernoulli", "y ~ rw1(t) + s(x, k=5) + (x | g) + (1 | h)"),
    "memberships": Case("poisson", "y ~ x + (1 | mm(t, t2))"),
    "known errors": Case("gaussian", "y | se(weight) ~ x + (1 | g)"),
    "monotonic": Case("poisson", "y ~ x + mo(k) + (1 | g)"),
    "monotonic and all else": Case(
        "gaussian", ["y ~ mo(k) + s(x, k=4) + mo(h, by=w) + (x | g)", "sigma ~ mo(k) + (1 | h)"], None, "weight"
    ),
    "curves of groups": Case("poisson", "y ~ x + (s(x, k=4) | g)"),
    "series of groups": Case("bernoulli", "y ~ x + mo(k) + (0 + ar1(t) | h) + (1 | g)"),
    "both, and of sigma": Case("gaussian", ["y ~ (s(x, k=4) | g)", "sigma ~ (rw1(k) | h)"], None, "weight"),
    "smooth": Case("poisson", "y ~ s(x, k=5) + (1 | g)"),
    "smooth alone": Case("bernoulli", "y ~ w + s(x, k=6)"),
    "two smooths": Case("gaussian", ["y ~ s(x, k=4) + gp(w, k=3) + (1 | g)", "sigma ~ s(w, k=3)"], None, "weight"),
    "surface": Case("gamma", "y ~ t2(x, w, k=4) + (1 | g)"),
    "smooth and mixed": Case("poisson", "y ~ w + s(x, k=5)", None, None, {"w": pw.StudentT(4, 0, 1)}),
    "default priors": Case("poisson", "y ~ x + w + (x | g)", None, None, {}),
}


@cache
def model_of(name: str):
    """Model, rows and density of a case, made once."""
    return made(CASES[name])


def made(case: Case, frame: pd.DataFrame | None = None):
    """Model, rows and density; priors of terms that the formula lacks are left out."""
    frame = table(case.family) if frame is None else frame
    given = dict(PRIORS if case.priors is None else {**PRIORS, **case.priors})
    text = case.formula if isinstance(case.formula, str) else "; ".join(case.formula)
    for name, needs in (("sd", "|"), ("cor", "| g)")):
        if needs not in text.replace("y | ", ""):
            given.pop(name)
    given = {} if case.priors == {} else given
    asked = {"family": family_of(case.family), "link": case.link, "weights": case.weights, "missing": "drop"}
    asked["threads"] = 1
    try:
        model, rows = prepare(case.formula, frame, priors=given, **asked)
    except pw.PriorError:
        given.pop("cor", None)  # no two effects of a factor are correlated
        model, rows = prepare(case.formula, frame, priors=given, **asked)
    return model, rows, latent(model.observations, model.design, model.priors, model.family, model.link)


def value_at(density, point) -> float:
    """Log density at a point, the determinant of the fixed map and all."""
    return density.value_and_gradient(point)[0]


def differences(density, point, step=1e-5) -> np.ndarray:
    """Central differences of the value."""
    ends = [
        [density.value_and_gradient(point + sign * one)[0] for sign in (1, -1)] for one in step * np.eye(point.size)
    ]
    return np.array([up - down for up, down in ends]) / (2 * step)


def assert_slopes(density, point) -> None:
    gradient = density.value_and_gradient(point)[1]
    np.testing.assert_allclose(
        gradient, differences(density, point), rtol=1e-6, atol=1e-6 * max(1.0, float(np.abs(gradient).max()))
    )


def drawn(density, point) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """theta, coefficients and effects at a point; and the latter two, what is free of them, as one vector."""
    theta, beta, u = (each[0] for each in density.expanded(point[None], 1))
    return theta, beta, u, np.concatenate([free(density.priors, beta), u])


def free(priors, beta) -> np.ndarray:
    """Coefficients (..., p), of a monotonic term their mean alone, of which they are shares."""
    found = beta.copy()
    for first, count, _ in priors.simplexes:
        found[..., first + count - 1] = beta[..., first : first + count].mean(axis=-1)
    return found[..., kept_of(priors)]


def kept_of(priors) -> np.ndarray:
    """(p,) which coefficients are free, or stand for a monotonic term's one."""
    kept = np.ones(len(priors.coefficients), dtype=bool)
    for first, count, _ in priors.simplexes:
        kept[first : first + count - 1] = False
    return kept


def some_points(density, count=3, seed=0):
    rng = np.random.default_rng(seed)
    d = len(density.priors.ties.free)
    points = density.start + rng.normal(size=(count, density.dimension))
    points[:, :d] = density.start[:d] + 0.5 * (points[:, :d] - density.start[:d])
    return points


def oracle(model, rows, theta, beta, u) -> float:
    """log p(theta, beta, u, y), by what everything is."""
    priors, layout, design = model.priors, model.priors.layout, model.design
    mixed, total = priors.mixed, log_prior(priors, theta)
    width, smooth = widths(priors, theta), theta.size - len(priors.smoothing)
    for k, t in zip(mixed, theta[smooth - len(mixed) : smooth], strict=True):
        half = priors.coefficients[k].degrees / 2
        total += gamma.logpdf(np.exp(t), half, scale=1 / half) + t
        width[k] /= np.exp(0.5 * t)
    assert np.linalg.det(priors.rows) == pytest.approx(1)
    image = priors.rows @ beta
    for (term, _), (first, count, _) in zip(layout.simplexes, priors.simplexes, strict=True):
        shares = layout.simplex(theta, term)
        np.testing.assert_allclose(beta[first : first + count], shares * beta[first : first + count].sum(), atol=1e-12)
    kept = kept_of(priors)
    total += norm.logpdf(free(priors, image), priors.mean[kept], width[kept]).sum()
    basis = np.column_stack([np.ones(len(rows.codes)), rows.values[:, :-1]])
    names = model.family.predictors
    predictors = {}
    for name in names:
        mine = [of == name for of in design.predictors]
        shared = name in layout.dispersions
        predictors[name] = (
            np.log(layout.dispersion(theta, name)) if shared else basis @ design.common_map[:, mine] @ beta[mine]
        )
        predictors[name] = predictors[name] + np.zeros(len(basis))
    start = 0
    for factor in design.factors:
        size = len(factor.levels) * len(factor.effects)
        effects = u[start : start + size].reshape(len(factor.levels), -1)
        start += size
        covariance = between(layout, theta, factor)
        total += multivariate_normal(np.zeros(len(covariance)), covariance).logpdf(effects).sum()
        each = (basis @ factor.group_map) * effects[factor.codes[rows.codes]]
        for k, of in enumerate(factor.predictors):
            predictors[of] = predictors[of] + each[:, k]
    for name, at in model.family.fixed(design.formula.fixed).items():
        predictors[name] = predictors[name] + at
    predictors[""] = predictors[""] + (0.0 if rows.offset is None else rows.offset)
    counted = rows.precisions
    if model.family.precise:  # a weight divides the variance
        predictors["sigma"] = predictors["sigma"] - 0.5 * np.log(rows.precisions)
        counted = np.ones(len(basis))
    trials = np.ones(len(basis)) if rows.trials is None else rows.trials
    location = locations(model.link, predictors[""])
    logs = [predictors[name] for name in names[1:]]
    each = model.family.log_density(rows.response, trials, location, *logs)
    if rows.limits is not None:  # by differences of distribution functions: nothing here is far out
        known = DISTRIBUTIONS[model.family.name](location, *logs)
        lower, upper, lb, ub = rows.limits
        censored = ~np.isnan(lower)
        within = known.cdf(np.where(censored, upper, 0.0)) - known.cdf(np.where(censored, lower, 0.0))
        each = np.where(censored, np.log(np.where(censored, within, 1.0)), each) - np.log(known.cdf(ub) - known.cdf(lb))
    return total + float(counted @ each)


DISTRIBUTIONS = {
    "gaussian": lambda x, s: stats.norm(x, np.exp(s)),
    "lognormal": lambda x, s: stats.lognorm(np.exp(s), scale=np.exp(x)),
    "weibull": lambda x, s: stats.weibull_min(np.exp(s), scale=np.exp(x)),
    "poisson": lambda x: stats.poisson(np.exp(x)),
}


def affine(density, theta) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and effects are affine in z given theta: where z = 0 is, and the matrix; differences are exact."""
    theta = theta[density.priors.ties.free]
    d = theta.size
    points = np.zeros((density.dimension - d + 1, density.dimension))
    points[:, :d] = theta
    points[1:, d:] = np.eye(density.dimension - d)
    _, beta, u = density.expanded(points, 1)
    both = np.hstack([free(density.priors, beta), u])
    return both[0], (both[1:] - both[0]).T


def log_posterior(density, theta, target) -> float:
    """Log density of theta, coefficients and effects in their own coordinates."""
    origin, matrix = affine(density, theta)
    point = np.concatenate([theta[density.priors.ties.free], np.linalg.solve(matrix, target - origin)])
    return value_at(density, point) - np.linalg.slogdet(matrix)[1]


COSTLY = ("series of groups", "monotonic and all else", "both, and of sigma", "two smooths", "shared and own bars")


@pytest.mark.parametrize("name", long_but_for(lambda name: name not in COSTLY, CASES))
def test_value_is_that_of_plain_sums(name):
    model, rows, density = model_of(name)
    assert np.isfinite(density.mode.value)
    for point in some_points(density):
        theta, beta, u, both = drawn(density, point)
        origin, matrix = affine(density, theta)
        z = point[len(density.priors.ties.free) :]
        np.testing.assert_allclose(both, origin + matrix @ z, atol=1e-9)
        known = oracle(model, rows, theta, beta, u) + np.linalg.slogdet(matrix)[1]
        assert value_at(density, point) == pytest.approx(known, abs=1e-6, rel=1e-10)


def test_the_fixed_map_is_counted():
    model, rows, density = model_of("poisson crossed")
    point = some_points(density)[0]
    theta, beta, u, _ = drawn(density, point)
    known = oracle(model, rows, theta, beta, u) + np.linalg.slogdet(affine(density, theta)[1])[1]
    assert density.value_and_gradient(point)[0] == pytest.approx(known, abs=1e-6)


@pytest.mark.parametrize("name", long_but_for(lambda name: name != "series of groups", CASES))
def test_gradient_equals_central_differences(name):
    _, _, density = model_of(name)
    for point in some_points(density, 2, seed=1):
        assert_slopes(density, point)


@pytest.mark.parametrize("name", long_but_for(lambda name: name != "series of groups", CASES))
def test_coordinates_are_whitened_at_the_mode(name):
    """There z is at its mode, and has the standard normal's curvature but for what the expected information leaves."""
    case, (_, _, density) = CASES[name], model_of(name)
    d = len(density.priors.ties.free)
    assert np.linalg.norm(density.value_and_gradient(density.start)[1][d:]) < 0.05
    step = 1e-4
    rows = np.arange(d, density.dimension)
    curvature = np.array(
        [
            density.value_and_gradient(density.start + step * (np.arange(density.dimension) == k))[1][d:]
            - density.value_and_gradient(density.start - step * (np.arange(density.dimension) == k))[1][d:]
            for k in rows
        ]
    ) / (2 * step)
    values = np.linalg.eigvalsh(-0.5 * (curvature + curvature.T))
    if case.family in ("bernoulli", "binomial", "poisson") and case.link is None:  # both informations are the same
        np.testing.assert_allclose(values, 1, atol=0.02)
    assert values.min() > 0.1
    assert values.max() < 5


@pytest.mark.parametrize("name", ["bernoulli three", "poisson crossed", "student", "sigma"])
def test_factors_too_large_to_be_mixed(name, monkeypatch):
    """Then only coefficients are, and the value is what it was."""
    model, rows, whole = model_of(name)
    monkeypatch.setattr(whitening, "_MOST_COUPLED", 3)
    _, _, density = made(CASES[name])
    assert len(density.problem.mixing.places) < len(whole.problem.mixing.places)
    for point in some_points(density):
        theta, beta, u, both = drawn(density, point)
        known = oracle(model, rows, theta, beta, u)
        assert log_posterior(density, theta, both) == pytest.approx(known, abs=1e-6)
        assert log_posterior(whole, theta, both) == pytest.approx(known, abs=1e-6)
        assert_slopes(density, point)


@pytest.mark.parametrize(
    "name", ["bernoulli three", "binomial", "poisson nested", "student", "sigma", "weighed counts"]
)
def test_the_order_of_rows_does_not_matter(name):
    case = CASES[name]
    frame = table(case.family)
    _, _, one = made(case, frame)
    _, _, two = made(case, frame.sample(frac=1, random_state=1))
    for point in some_points(one):
        theta, _, _, both = drawn(one, point)
        assert log_posterior(one, theta, both) == pytest.approx(log_posterior(two, theta, both), abs=1e-6)


@pytest.mark.parametrize("family", ["poisson", "bernoulli", "negative_binomial", "gamma"])
def test_a_weight_of_two_is_the_row_twice(family):
    case = Case(family, "y ~ x + (x | g)", None, "weight")
    frame = table(family).assign(weight=np.resize([1.0, 2.0, 3.0], ROWS))
    _, _, weighed = made(case, frame)
    twice = frame.loc[np.repeat(frame.index, frame.weight.astype(int))].assign(weight=1.0)
    _, _, repeated = made(replace(case, weights=None), twice.reset_index(drop=True))
    for point in some_points(weighed):
        theta, _, _, both = drawn(weighed, point)
        assert log_posterior(weighed, theta, both) == pytest.approx(log_posterior(repeated, theta, both), abs=1e-6)


def uncompressed(model, rows) -> Observations:
    """Each row by itself."""
    total = model.statistics.merged()
    each = [
        observe(model.design, rows.take(np.array([i])), model.family, model.priors, total)
        for i in range(len(rows.codes))
    ]
    joined = {
        name: np.concatenate([getattr(one, name) for one in each], axis=-1)
        for name in ("y", "trials", "weights", "known", "columns", "slot_values", "slot_places", "behind", "times")
    }
    constant = sum(one.constant for one in each)
    terms = np.array([[0, len(each), model.family.callback.address, 0]])
    return Observations(
        terms=terms,
        rows=len(each),
        of_column=each[0].of_column,
        of_slot=each[0].of_slot,
        stepped=each[0].stepped,
        to_written=each[0].to_written,
        constant=constant,
        wide=np.concatenate([one.wide for one in each]),
        codes=np.concatenate([one.codes for one in each]),
        **joined,
    )


@pytest.mark.parametrize(
    ("family", "formula"),
    long_but_for(
        4,
        [
            ("poisson", "y ~ z + (z | g)"),
            ("bernoulli", "y ~ z + (1 | g) + (1 | h)"),
            ("binomial", "y | trials(n) ~ z + (1 | g)"),
            ("exponential", "y ~ z + (1 | g)"),
            ("negative_binomial", "y ~ z + (1 | g)"),
            ("gaussian", ["y ~ z + (1 | g)", "sigma ~ 1 + (1 | h)"]),
        ],
    ),
)
@pytest.mark.parametrize("weights", long_but_for(lambda weights: weights is not None, [None, "weight"]))
def test_rows_that_are_put_together_leave_the_density_as_it_was(family, formula, weights):
    frame = table(family)
    frame = pd.concat([frame, frame.iloc[:20], frame.iloc[5:9]], ignore_index=True)
    frame["weight"] = np.resize([0.5, 1.0, 2.0, 1.0, 1.5], len(frame))
    model, rows, together = made(Case(family, formula, None, weights), frame)
    each = uncompressed(model, rows)
    if family != "gaussian":  # of which weights tell rows apart
        assert len(together.problem.data.y) < len(frame)
    assert model.observations.rows == len(each.y) == len(frame)
    apart = latent(each, model.design, model.priors, model.family, model.link)
    for point in some_points(together):
        theta, beta, u, both = drawn(together, point)
        known = oracle(model, rows, theta, beta, u)
        assert log_posterior(together, theta, both) == pytest.approx(known, abs=1e-6)
        assert log_posterior(apart, theta, both) == pytest.approx(known, abs=1e-6)


def test_many_rows_come_in_blocks():
    """More rows than a block holds, and not a multiple of it."""
    rng = np.random.default_rng(1)
    n = 600
    frame = pd.DataFrame({"g": rng.integers(0, 7, n), "h": rng.integers(0, 3, n), "x": rng.normal(size=n)})
    frame["y"] = rng.poisson(np.exp(0.3 * frame.x))
    model, rows, density = made(Case("poisson", "y ~ x + (x | g) + (1 | h)"), frame)
    assert len(density.problem.data.y) > 2 * 256
    for point in some_points(density):
        theta, beta, u, _ = drawn(density, point)
        known = oracle(model, rows, theta, beta, u) + np.linalg.slogdet(affine(density, theta)[1])[1]
        assert value_at(density, point) == pytest.approx(known, abs=1e-6)


def test_far_points_have_no_density_and_no_error():
    """A sampler's long step: minus infinity, not NaN."""
    _, _, density = model_of("negative binomial")
    for scale in (20.0, 1e3, 1e6):
        for point in some_points(density, 4, seed=3):
            value = density.value_and_gradient(density.start + scale * (point - density.start))[0]
            assert value < density.value_and_gradient(density.start)[0]
            assert not np.isnan(value)
    assert density.value_and_gradient(np.full(density.dimension, np.nan))[0] == -np.inf


def test_expanded_points_do_not_hang_on_threads():
    _, _, density = model_of("bernoulli three")
    points = some_points(density, 700)
    for one, two in zip(density.expanded(points, 1), density.expanded(points, 2), strict=True):
        np.testing.assert_array_equal(one, two)


def test_native_function_is_the_density():
    from poolwise.samplers.trajectory import density_at

    _, _, density = model_of("student")
    native = density.native()
    for point in some_points(density):
        gradient, spot = np.empty(point.size), np.empty(1)
        value, known = density.value_and_gradient(point)
        assert density_at(native.address, native.words, point, gradient, spot) == value
        np.testing.assert_array_equal(gradient, known)
