"""The collapsed density against dense matrices, and what must leave it unchanged."""

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import block_diag

import poolwise as pw
from poolwise.density.collapsed import collapse
from poolwise.density.offsets import GroupOffsets
from poolwise.inference.prepare import prepare
from tests.density.models import (
    FORMULAS,
    PRIORS,
    between,
    centre_of,
    dense_log_density,
    model_of,
    of_coefficients,
    of_levels,
)
from tests.selection import long_but_for


def random_theta(density, count, seed=0):
    rng = np.random.default_rng(seed)
    return 0.8 * rng.normal(size=(count, density.dimension))


def finite_difference(density, theta, step=1e-5):
    offsets = step * np.eye(density.dimension)
    return (density.log_density(theta + offsets) - density.log_density(theta - offsets)) / (2 * step)


@pytest.mark.parametrize("formula", FORMULAS)
def test_density_equals_dense_matrices(formula, small):
    model, rows, density = model_of(formula, small)
    for theta in random_theta(density, 5):
        assert density.log_density(theta[None])[0] == pytest.approx(dense_log_density(model, rows, theta), rel=1e-9)


@pytest.mark.parametrize("formula", FORMULAS)
def test_gradient_equals_finite_differences(formula, small):
    _, _, density = model_of(formula, small)
    for theta in random_theta(density, 5, seed=1):
        value, gradient = density.value_and_gradient(theta)
        assert value == pytest.approx(density.log_density(theta[None])[0], rel=1e-13)
        np.testing.assert_allclose(gradient, finite_difference(density, theta), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("formula", ["y ~ x + (x || g)", "y ~ x + (x | g)"])
@pytest.mark.parametrize("log_tau", [np.log(1e-8), np.log(1e3)])
def test_extreme_spread_between_groups(formula, log_tau, small):
    model, rows, density = model_of(formula, small)
    theta = random_theta(density, 1)[0]
    theta[:2] = log_tau
    assert density.log_density(theta[None])[0] == pytest.approx(dense_log_density(model, rows, theta), rel=1e-9)
    np.testing.assert_allclose(
        density.value_and_gradient(theta)[1], finite_difference(density, theta), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("log_sigma", [np.log(1e-3), np.log(1e3)])
def test_extreme_residual_spread(log_sigma, small):
    model, rows, density = model_of("y ~ x + (x | g)", small)
    theta = random_theta(density, 1)[0]
    theta[-1] = log_sigma
    assert density.log_density(theta[None])[0] == pytest.approx(dense_log_density(model, rows, theta), rel=1e-8)


def test_without_spread_it_is_complete_pooling(small):
    _, _, density = model_of("y ~ x + (x || g)", small)
    _, _, pooled = model_of("y ~ x", small)
    sigma_prior = [
        density.log_density(np.array([[-40.0, -40.0, s]]))[0] - pooled.log_density(np.array([[s]]))[0]
        for s in (-1, 0, 1)
    ]
    np.testing.assert_allclose(sigma_prior, sigma_prior[0], rtol=1e-10)  # only the prior of tau is left


def test_one_row_in_each_of_two_groups_and_empty_effects(small):
    frame = small.groupby("g").head(2).reset_index(drop=True)
    with pytest.warns(pw.PoolwiseWarning, match="'g' has 12 effects for 11 rows"):
        model, rows, density = model_of("y ~ x + (z || g)", frame)
    theta = random_theta(density, 1)[0]
    assert density.log_density(theta[None])[0] == pytest.approx(dense_log_density(model, rows, theta), rel=1e-9)


def test_collinear_columns_are_resolved_by_the_prior(small):
    model, rows, density = model_of("y ~ x + x2 + (1 | g)", small.assign(x2=2 * small.x))
    theta = random_theta(density, 1)[0]
    assert density.log_density(theta[None])[0] == pytest.approx(dense_log_density(model, rows, theta), rel=1e-9)
    np.testing.assert_allclose(
        density.value_and_gradient(theta)[1], finite_difference(density, theta), rtol=1e-5, atol=1e-5
    )


def test_more_groups_than_a_block(small):
    rng = np.random.default_rng(2)
    n = 700
    frame = pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(size=n), "g": np.arange(n) % 300})
    model, rows, density = model_of("y ~ x + (x | g)", frame)
    theta = random_theta(density, 1)[0]
    assert density.log_density(theta[None])[0] == pytest.approx(dense_log_density(model, rows, theta), rel=1e-9)
    np.testing.assert_allclose(
        density.value_and_gradient(theta)[1], finite_difference(density, theta), rtol=1e-5, atol=1e-4
    )
    beta, offsets = coefficients(density, theta, 1, None)
    mean, u = dense_posterior(model, rows, theta)[0], offsets.mean()[None]
    np.testing.assert_allclose(np.concatenate([beta[0], u[0].ravel()]), mean, rtol=1e-7, atol=1e-9)


def test_large_offset_of_the_outcome_keeps_eight_digits(small):
    near = {**PRIORS, "Intercept": pw.Normal(0.5, 2)}
    far = {**PRIORS, "Intercept": pw.Normal(0.5 + 1e6, 2)}
    # Rounding y + 1e6 to a double changes the data by 1e-10: take the difference back from the rounded sum.
    shifted = small.assign(y=small.y + 1e6)
    _, _, one = model_of("y ~ x + (x | g)", shifted.assign(y=shifted.y - 1e6), near)
    _, _, other = model_of("y ~ x + (x | g)", shifted, far)
    thetas = random_theta(one, 5)
    np.testing.assert_allclose(other.log_density(thetas), one.log_density(thetas), rtol=1e-9)


def test_timestamps_as_predictor_keep_eight_digits(small):
    stamps = 1_700_000_000 + np.round(1e6 * small.x)
    default = {name: prior for name, prior in PRIORS.items() if name in ("sd", "sigma")}
    _, _, far = model_of("y ~ t + (1 | g)", small.assign(t=stamps), default)
    _, _, near = model_of("y ~ t + (1 | g)", small.assign(t=stamps - 1_700_000_000), default)
    thetas = random_theta(near, 5)
    np.testing.assert_allclose(far.log_density(thetas), near.log_density(thetas), rtol=1e-9)


def test_slopes_on_timestamps_against_extended_precision(small):
    """(t | g) with t near 1.7e9 is a strange model, as its intercepts are at 1970, but its density must be right."""
    frame = small.assign(t=1_700_000_000 + np.round(1e6 * small.x))
    priors = {
        "Intercept": pw.Normal(0, 1e3),
        "t": pw.Normal(0, 1e-6),
        "sd": pw.HalfCauchy(1),
        "sigma": pw.HalfCauchy(1),
    }
    model, rows, density = model_of("y ~ t + (t || g)", frame, priors)
    theta = np.array([0.0, np.log(1e-6), 0.0])
    assert density.log_density(theta[None])[0] == pytest.approx(dense_log_density(model, rows, theta), rel=1e-8)


@pytest.mark.parametrize("what", ["rows", "levels"])
def test_order_does_not_matter(what, small):
    if what == "rows":
        other_frame = small.sample(frac=1, random_state=3)
    else:
        other_frame = small.assign(g=small.g.map(dict(zip("abcdef", "fbdcae", strict=True))))
    _, _, one = model_of("y ~ x * z + (x | g)", small)
    _, _, other = model_of("y ~ x * z + (x | g)", other_frame)
    thetas = random_theta(one, 5)
    np.testing.assert_allclose(other.log_density(thetas), one.log_density(thetas), rtol=1e-11)


def test_units_do_not_matter(small):
    """y in thousandths and x in hundreds, priors scaled along: the density moves by the Jacobian only."""
    a, b = 1e3, 1e-2
    one_priors = {
        "Intercept": pw.Normal(0.5, 2),
        "x": pw.Normal(0.3, 1),
        "sd": pw.HalfCauchy(1),
        "sigma": pw.HalfNormal(1),
    }
    _, _, one = model_of("y ~ x + (x | g)", small, one_priors)
    scaled = {
        "Intercept": pw.Normal(0.5 * a, 2 * a),
        "x": pw.Normal(0.3 * a / b, a / b),
        "sd_g[Intercept]": pw.HalfCauchy(a),
        "sd_g[x]": pw.HalfCauchy(a / b),
        "sigma": pw.HalfNormal(a),
    }
    _, _, other = model_of("y ~ x + (x | g)", small.assign(y=a * small.y, x=b * small.x), scaled)
    thetas = random_theta(one, 5)
    moved = thetas + np.array([np.log(a), np.log(a), 0.0, np.log(a)])  # effects are those of scaled columns
    difference = other.log_density(moved) - one.log_density(thetas)
    np.testing.assert_allclose(difference, -len(small) * np.log(a), rtol=1e-9)


def test_rows_enter_through_statistics_only(small):
    model, _, density = model_of("y ~ x + (x | g)", small)
    twice, _ = prepare("y ~ x + (x | g)", pd.concat([small, small]), priors=PRIORS, missing="drop", threads=1)
    doubled = collapse(model.statistics + model.statistics, model.design, model.priors, threads=1)
    direct = collapse(twice.statistics, model.design, model.priors, threads=1)
    thetas = random_theta(density, 3)
    np.testing.assert_allclose(doubled.log_density(thetas), direct.log_density(thetas), rtol=1e-11)


def test_outside_the_representable_range_there_is_no_density(small):
    _, _, density = model_of("y ~ x + (x | g)", small)
    theta = np.zeros((3, density.dimension))
    theta[0, 0], theta[1, -1], theta[2, 1] = 400, -400, np.nan
    assert np.all(np.isneginf(density.log_density(theta)))
    assert np.isneginf(density.value_and_gradient(theta[0])[0])


def dense_posterior(model, rows, theta):
    """Mean and covariance of (beta, u by factor and group) given theta, from dense matrices."""
    design, priors = model.design, model.priors
    basis = np.column_stack([np.ones(len(rows.codes)), rows.values[:, :-1]])
    to_beta = np.linalg.inv(priors.rows)
    columns, covariances = (
        [basis @ design.common_map],
        [to_beta @ of_coefficients(priors, theta) @ to_beta.T],
    )
    for factor in design.factors:
        indicators = np.eye(len(factor.levels))[factor.codes[rows.codes]]
        z = basis @ factor.group_map
        columns.append((indicators[:, :, None] * z[:, None, :]).reshape(len(z), -1))
        covariances.append(np.kron(of_levels(factor), between(priors.layout, theta, factor)))
    whole, weights = np.hstack(columns), np.ones(len(basis)) if rows.weights is None else rows.weights
    mean = np.zeros(whole.shape[1])
    mean[: len(priors.mean)] = to_beta @ centre_of(priors, theta)
    prior = block_diag(*covariances)
    outcomes = whole @ prior @ whole.T + np.diag(priors.layout.sigma(theta) ** 2 / weights)
    gain = np.linalg.solve(outcomes, whole @ prior).T
    return mean + gain @ (rows.values[:, -1] - whole @ mean), prior - gain @ whole @ prior


def coefficients(density, theta, draws, seed):
    """Common coefficients and the groups' offsets for one theta, repeated."""
    points = np.repeat(theta[None], draws, 0)
    working = density.draw_common(points, seed)
    return density.basis.written(working), GroupOffsets(density, points[None], working[None], seed)


def test_chosen_groups_have_the_draws_that_they_have_among_all():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"y": rng.normal(size=2000), "x": rng.normal(size=2000), "g": np.arange(2000) % 600})
    for threads in (1, 2):
        fit = pw.fit("y ~ x + (x | g)", frame, seed=3, draws=50, threads=threads)
        everything = fit.result.u[0].draws()
        chosen = np.array([599, 3, 256, 255, 3])
        np.testing.assert_array_equal(fit.result.u[0].draws(chosen), everything[:, :, chosen])
        streamed = fit.result.u[0].map_blocks(lambda groups, draws: draws.transpose(0, 2, 1))
        np.testing.assert_array_equal(np.concatenate(streamed, axis=1), everything.reshape(200, 600, 2))


@pytest.mark.parametrize(
    "formula",
    long_but_for(
        lambda formula: "mo(" not in formula and "||" not in formula and "mm(" not in formula,
        [f for f in FORMULAS if "(" in f],
    ),
)
def test_coefficients_given_theta_are_exact(formula, small):
    model, rows, density = model_of(formula, small)
    theta = 0.3 * random_theta(density, 1)[0]
    mean, covariance = dense_posterior(model, rows, theta)
    beta, offsets = coefficients(density, theta, 1, None)
    grouped = bool(model.design.factors)
    u = offsets.mean() if grouped else np.zeros(0)
    np.testing.assert_allclose(np.concatenate([beta[0], u.ravel()]), mean, rtol=1e-8, atol=1e-9)
    draws = 40_000
    beta, offsets = coefficients(density, theta, draws, np.random.SeedSequence(4))
    together = np.hstack([beta, offsets.draws().reshape(draws, -1)]) if grouped else beta
    spread = np.sqrt(np.diag(covariance))
    assert np.max(np.abs(together.mean(axis=0) - mean) / spread) < 4.5 / np.sqrt(draws)
    error = (np.cov(together.T) - covariance) / np.outer(spread, spread)
    assert np.max(np.abs(error)) < 6 * np.sqrt(2 / draws)


def test_student_t_coefficients_are_a_scale_mixture(small):
    """Integrating the mixing precision out by quadrature gives the Student-t prior back."""
    priors = {**PRIORS, "x": pw.StudentT(3, 0.2, 0.7)}
    _, _, mixed = model_of("y ~ x + (1 | g)", small, priors)
    theta = np.array([-0.3, -0.2])
    nodes = np.linspace(-12, 6, 4001)
    values = mixed.log_density(np.column_stack([np.tile(theta, (4001, 1)), nodes]))
    total = np.log(np.trapezoid(np.exp(values - values.max()), nodes)) + values.max()
    # The same from the other side: the density given the coefficient of x, averaged over its Student-t prior.
    from scipy.stats import t as student

    shares, weights = np.polynomial.legendre.leggauss(60)
    shares, weights = (shares + 1) / 2, weights / 2
    slopes = student(3, 0.2, 0.7).ppf(shares)
    fixed = []
    for slope in slopes:
        pinned = {**PRIORS, "x": pw.Normal(slope, 1e-7)}
        fixed.append(model_of("y ~ x + (1 | g)", small, pinned)[2].log_density(theta[None])[0])
    fixed = np.array(fixed)
    direct = np.log(np.sum(weights * np.exp(fixed - fixed.max()))) + fixed.max()
    assert total == pytest.approx(direct, abs=2e-4)
    point = np.append(theta, 0.4)
    np.testing.assert_allclose(
        mixed.value_and_gradient(point)[1], finite_difference(mixed, point), rtol=1e-6, atol=1e-6
    )


def test_native_function_is_the_same_density(small):
    import ctypes

    _, _, density = model_of("y ~ x + (x | g)", small)
    native = density.native()
    pointer = ctypes.POINTER(ctypes.c_double)
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, pointer, pointer, pointer, ctypes.c_void_p)(
        native.address
    )
    theta = random_theta(density, 1)[0]
    gradient, value = np.zeros(density.dimension), np.zeros(1)
    arrays = [array.ctypes.data_as(pointer) for array in (theta, gradient, value)]
    assert function(density.dimension, *arrays, native.words.ctypes.data) == 0
    expected = density.value_and_gradient(theta)
    # Its statistics are rounded to 26 binary digits, so that trajectories do not follow the last ones.
    assert value[0] == pytest.approx(expected[0], abs=1e-5)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-5, atol=1e-5)
    theta[0] = 1e4
    assert function(density.dimension, *arrays, native.words.ctypes.data) != 0
