"""The blocked density against dense matrices: nested, crossed, slopes, weights; by every route of elimination."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import poolwise as pw
from poolwise.density.blocks import ordering, root
from tests.density.models import dense_log_density, model_of
from tests.density.test_collapsed import dense_posterior, finite_difference, random_theta
from tests.selection import long_but_for

FORMULAS = [
    "y ~ x + (1 | a/b)",
    "y ~ x + (1 | a) + (1 | c)",
    "y ~ x + (x | a) + (1 + w || c)",
    "y ~ x + (x | a/b) + (1 | c)",
    "y ~ x + (1 | a/b/c)",
    "y ~ z + (1 | a) + (1 | d) + (0 + x | c)",
    "y ~ 0 + z + (1 | a:b) + (0 + x + w | a)",
    "y ~ x + offset(w) + (1 | d) + (1 | a)",
]


@pytest.fixture(scope="module")
def school():
    """Rows in classes b within schools a, on days d within a, crossed with items c."""
    rng = np.random.default_rng(5)
    n = 120
    a = rng.integers(0, 5, n)
    return pd.DataFrame(
        {
            "a": a,
            "b": rng.integers(0, 3, n),
            "c": rng.integers(0, 7, n),
            "d": [f"{school}{day}" for school, day in zip(a, rng.integers(0, 2, n), strict=True)],
            "x": rng.normal(2, 1, n),
            "w": rng.normal(size=n),
            "z": rng.choice(["low", "mid", "high"], n),
            "y": rng.normal(size=n),
            "n": rng.uniform(0.5, 3, n),
        }
    )


@pytest.fixture(params=["dense root", "sparse", "LAPACK"])
def route(request, monkeypatch):
    """Small systems go by every route: all in the root, level by level, or through LAPACK."""
    if request.param == "sparse":
        monkeypatch.setattr(ordering, "_SMALL", 0)
        monkeypatch.setattr(ordering, "_DENSE", 1.0)
        monkeypatch.setattr(ordering, "_FASTER", 1e-9)
    if request.param == "LAPACK":
        monkeypatch.setattr(root, "LARGE", 2)
    return request.param


@pytest.mark.parametrize("formula", long_but_for(5, FORMULAS))
def test_density_and_gradient(formula, school, route):
    model, rows, density = model_of(formula, school)
    if route == "sparse":
        assert density.ranks.eliminated > 0
    for theta in random_theta(density, 3):
        value, gradient = density.value_and_gradient(theta)
        assert value == pytest.approx(dense_log_density(model, rows, theta), rel=1e-9)
        assert value == pytest.approx(density.log_density(theta[None])[0], rel=1e-12)
        np.testing.assert_allclose(gradient, finite_difference(density, theta), rtol=5e-6, atol=5e-6)


@pytest.mark.parametrize("formula", long_but_for(1, FORMULAS[:4:3]))
def test_coefficients_given_theta_are_exact(formula, school, route):
    model, rows, density = model_of(formula, school)
    theta = 0.3 * random_theta(density, 1)[0]
    mean, covariance = dense_posterior(model, rows, theta)
    draws = 6_000
    points = np.repeat(theta[None], draws, 0)
    if route == "LAPACK":  # there the random numbers are those of the leading digits of theta
        points = points + 1e-3 * np.random.default_rng(0).normal(size=points.shape)
    working = density.draw_common(points, np.random.SeedSequence(4))
    offsets = density.offsets(points[None], working[None], np.random.SeedSequence(4))
    beta = density.basis.written(density.common_of(working))
    together = np.hstack([beta, *(each.draws().reshape(draws, -1) for each in offsets)])
    spread = np.sqrt(np.diag(covariance))
    assert np.max(np.abs(together.mean(axis=0) - mean) / spread) < 4.5 / np.sqrt(draws)
    error = (np.cov(together.T) - covariance) / np.outer(spread, spread)
    assert np.max(np.abs(error)) < 6 * np.sqrt(2 / draws)
    if route != "LAPACK":
        means = density.basis.written(density.common_of(density.draw_common(points[:1], None)))[0]
        np.testing.assert_allclose(means, mean[: len(means)], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("formula", FORMULAS[2:4])
def test_shrinkage_is_the_variance_left_given_the_common_coefficients(formula, school, route):
    model, rows, density = model_of(formula, school)
    theta = 0.3 * random_theta(density, 1)[0]
    _, covariance = dense_posterior(model, rows, theta)
    p = len(model.design.coefficients)
    given_beta = np.diag(np.linalg.inv(np.linalg.inv(covariance)[p:, p:]))
    wanted, at = [], 0
    for factor in model.design.factors:
        size = len(factor.levels) * len(factor.effects)
        mine = given_beta[at : at + size].reshape(len(factor.levels), -1)
        wanted.append(mine / model.priors.layout.sd(theta, factor.name) ** 2)
        at += size
    for f, shares in enumerate(wanted):
        np.testing.assert_allclose(density.unexplained_of(f, theta[None]), shares, rtol=1e-7)


def test_weights_are_repeated_rows(school):
    """A row of weight 2 has the information of two rows on everything but the residual spread."""
    weighted, rows, density = _weighted("y ~ x + (x | a) + (1 | c)", school)
    theta = random_theta(density, 1)[0]
    assert density.log_density(theta[None])[0] == pytest.approx(dense_log_density(weighted, rows, theta), rel=1e-9)
    single, rows, density = _weighted("y ~ x + (x | a)", school)
    theta = random_theta(density, 1)[0]
    assert density.log_density(theta[None])[0] == pytest.approx(dense_log_density(single, rows, theta), rel=1e-9)


def _weighted(formula, frame):
    from poolwise.density.gaussian import gaussian
    from poolwise.inference.prepare import prepare
    from tests.density.models import PRIORS

    model, rows = prepare(formula, frame, priors=PRIORS, weights="n", missing="drop", threads=1)
    return model, rows, gaussian(model.statistics, model.design, model.priors, threads=1)


@pytest.mark.parametrize("what", ["rows", "levels", "bars"])
def test_order_does_not_matter(what, school):
    formula, frame = "y ~ x + (x | a) + (1 | c)", school
    if what == "rows":
        frame = school.sample(frac=1, random_state=3)
    if what == "levels":
        frame = school.assign(c=6 - school.c)
    if what == "bars":
        formula = "y ~ (1 | c) + x + (x | a)"
    _, _, one = model_of("y ~ x + (x | a) + (1 | c)", school)
    _, _, other = model_of(formula, frame)
    for theta in random_theta(one, 3):
        moved = theta[[2, 0, 1, 3, 4]] if what == "bars" else theta
        assert other.log_density(moved[None])[0] == pytest.approx(one.log_density(theta[None])[0], rel=1e-11)


def test_without_spread_a_factor_is_not_there(school):
    _, _, both = model_of("y ~ x + (1 | a) + (1 | c)", school)
    _, _, one = model_of("y ~ x + (1 | a)", school)
    differences = [
        both.log_density(np.array([[t, -40.0, s]]))[0] - one.log_density(np.array([[t, s]]))[0]
        for t, s in ((-1.0, 0.0), (0.5, -0.5), (0.0, 1.0))
    ]
    np.testing.assert_allclose(differences, differences[0], rtol=1e-10)  # only the prior of the other sd is left


def test_random_crossed_designs_by_least_degree():
    """Sparse crossing at random, with levels that never meet: the order of elimination must not matter."""
    rng = np.random.default_rng(8)
    n = 400
    frame = pd.DataFrame({"a": rng.integers(0, 150, n), "b": rng.integers(0, 120, n), "x": rng.normal(size=n)})
    frame["b"] = (frame.a + rng.integers(0, 3, n)) % 120  # neighbours only: a band
    frame["y"] = rng.normal(size=n)
    model, rows, density = model_of("y ~ x + (1 | a) + (1 + x || b)", frame)
    assert density.ranks.eliminated > 50
    theta = 0.5 * random_theta(density, 1)[0]
    assert density.log_density(theta[None])[0] == pytest.approx(dense_log_density(model, rows, theta), rel=1e-9)
    np.testing.assert_allclose(
        density.value_and_gradient(theta)[1], finite_difference(density, theta), rtol=1e-5, atol=1e-5
    )


def test_a_root_beyond_memory_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(ordering, "MOST_ROOT", 20)
    monkeypatch.setattr(ordering, "_SMALL", 0)
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": rng.integers(0, 40, 900), "b": rng.integers(0, 30, 900), "y": rng.normal(size=900)})
    with pytest.raises(pw.DataError, match="cross so densely that .* effects must be solved for together"):
        pw.fit("y ~ 1 + (1 | a) + (1 | b)", frame)


def test_draws_do_not_depend_on_threads_or_on_what_is_asked_first(school, monkeypatch):
    monkeypatch.setattr(root, "LARGE", 2)
    formula = "y ~ x + (x | a) + (1 | c)"
    one, two = (pw.fit(formula, school, seed=3, draws=20, threads=threads) for threads in (1, 2))
    for mine, theirs in zip(one.result.u, two.result.u, strict=True):
        np.testing.assert_array_equal(mine.draws(), theirs.draws())
        np.testing.assert_array_equal(mine.draws(np.array([2, 0])), theirs.draws()[:, :, [2, 0]])
    np.testing.assert_array_equal(one.result.beta, two.result.beta)


@pytest.mark.parametrize(
    "formula",
    long_but_for(1, ["y ~ x + (x | a) + (1 | b:a)", "y ~ x + (1 | a/b)", "y ~ x + (1 | a) + (1 | b:a) + (1 | c)"]),
)
def test_levels_that_are_alike_are_eliminated_together(formula):
    rng = np.random.default_rng(4)
    b = np.repeat(np.arange(160), rng.integers(2, 4, 160))
    frame = pd.DataFrame({"a": b // 40, "b": b, "c": b % 2, "x": (b // 40) - 1.5, "y": rng.normal(size=len(b))})
    frame["x"] = frame.x + (rng.normal(size=len(b)) if "(x" not in formula else 0.0)
    model, rows, density = model_of(formula, frame)
    assert density.smaller.structure.leaves < 0.2 * density.system.structure.leaves
    for theta in 0.7 * random_theta(density, 3):
        value, gradient = density.value_and_gradient(theta)
        assert density.log_density(theta[None])[0] == pytest.approx(dense_log_density(model, rows, theta), rel=1e-9)
        assert value == pytest.approx(density.log_density(theta[None])[0], rel=1e-12)
        np.testing.assert_allclose(gradient, finite_difference(density, theta), rtol=1e-5, atol=1e-5)
    theta = 0.3 * random_theta(density, 1)[0]
    mean, _ = dense_posterior(model, rows, theta)
    working = density.draw_common(theta[None], None)
    np.testing.assert_allclose(density.basis.written(density.common_of(working))[0], mean[:2], rtol=1e-8)
    offsets = density.offsets(theta[None, None], working[None], np.random.SeedSequence(0))
    np.testing.assert_allclose(
        np.concatenate([each.mean().ravel() for each in offsets]), mean[2:], rtol=1e-6, atol=1e-8
    )


def test_a_mode_that_either_factor_makes_is_found_in_any_order():
    """Without an intercept one of two factors takes the mean up: the mode where the smaller one does holds most."""
    rng = np.random.default_rng(1)
    codes = [rng.integers(0, size, 1500) for size in (150, 120)]
    y = 7 + sum(spread * rng.normal(size=150)[code] for spread, code in zip((0.7, 0.4), codes, strict=True))
    data = pd.DataFrame({"y": y + rng.normal(size=1500), "a": codes[0], "b": codes[1]})
    one, other = (
        pw.fit(formula, data, seed=2, draws=250)
        for formula in ("y ~ 0 + (1 | a) + (1 | b)", "y ~ 0 + (1 | b) + (1 | a)")
    )
    shares = [float((fit.posterior["sd_a"] < 2).mean()) for fit in (one, other)]
    assert abs(shares[0] - shares[1]) < 0.1
    assert one.log_evidence == pytest.approx(other.log_evidence, abs=0.2)


@pytest.mark.parametrize("formula", ["y ~ x + (1 | a)", "y ~ x + (x | a) + (1 | c)", "y ~ x + (1 | a/b) + (1 | d)"])
def test_a_coefficient_that_is_known_is_a_part_of_the_outcome(formula, school):
    """Whether one is given beside theta or its column times it is taken from the outcome: densities and draws of all
    else are the same."""
    given = 0.7
    with_w = formula.replace("~ x", "~ x + w")
    model, _, density = model_of(with_w, school)
    _, _, without = model_of(formula, school.assign(y=school["y"] - given * school["w"]))
    assert model.design.coefficients[-1] == "w"
    points = random_theta(density, 5)
    noise = np.random.default_rng(1).normal(size=(5, density.kept_size))
    scale = density.basis.to_written[-1, -1]
    noise[:, -1] = (given - density.basis.reference[-1]) / scale
    values, kept = density.common_from(points, noise, 1)
    own, _ = without.common_from(points, np.zeros((5, without.kept_size)))
    prior = model.priors.coefficients[-1]
    np.testing.assert_allclose(
        values - np.log(scale), own + norm.logpdf(given, prior.mean, prior.sd), rtol=0, atol=1e-9 * np.abs(own).max()
    )
    beta = density.basis.written(density.common_of(kept))
    np.testing.assert_allclose(beta[:, -1], given, rtol=1e-12)
    # Without noise the others are at their means given it.
    noise[:, :-1] = 0.0
    _, kept = density.common_from(points, noise, 1)
    _, means = without.common_from(points, np.zeros((5, without.kept_size)))
    one = density.basis.written(density.common_of(kept))[:, :-1]
    np.testing.assert_allclose(one, without.basis.written(without.common_of(means)), rtol=1e-8, atol=1e-9)
