"""Rows and groups given the others, against dense matrices."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests import naive
from tests.density.models import FORMULAS, between, centre_of, model_of, of_coefficients
from tests.selection import long_but_for


def frame(rows=40, groups=5, seed=3, far=0.0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": rng.normal(size=rows) * 2 + 1 + far,
            "x": rng.normal(size=rows) + far,
            "w": rng.normal(size=rows),
            "z": rng.choice(["a", "b", "c"], rows),
            "g": rng.integers(0, groups, rows),
            "n": rng.integers(1, 5, rows).astype(float),
        }
    )


def joint(model, rows, theta):
    """Mean and covariance of all outcomes given theta; and the covariance of the linear predictors."""
    design, priors = model.design, model.priors
    basis = np.column_stack([np.ones(len(rows.codes)), rows.values[:, :-1]])
    to_beta = np.linalg.inv(priors.rows)
    x = basis @ design.common_map
    eta = x @ to_beta @ of_coefficients(priors, theta) @ to_beta.T @ x.T
    for factor in design.factors:
        z, codes = basis @ factor.group_map, factor.codes[rows.codes]
        eta = eta + np.equal.outer(codes, codes) * (z @ between(priors.layout, theta, factor) @ z.T)
    weights = np.ones(len(rows.codes)) if rows.weights is None else rows.weights
    return x @ to_beta @ centre_of(priors, theta), eta + np.diag(priors.layout.sigma(theta) ** 2 / weights), eta


def points_of(density, count=3):
    rng = np.random.default_rng(0)
    return density.starts()[0] + 0.5 * rng.normal(size=(count, density.dimension))


SEVERAL = ["y ~ x + (x | g) + (1 | z)", "y ~ x + (1 | g/z)", "y ~ x * w + (1 + w | g) + (x || z) + (1 | n)"]


@pytest.mark.parametrize("formula", FORMULAS + SEVERAL)
def test_row_moments_are_those_of_dense_matrices(formula):
    model, rows, density = model_of(formula, frame())
    points = points_of(density)
    residual, variance = density.row_moments(points, rows.values, rows.codes)
    for theta, mine, spread in zip(points, residual, variance, strict=True):
        mean, covariance, eta = joint(model, rows, theta)
        gain = eta @ np.linalg.inv(covariance)
        y = rows.values[:, -1]
        np.testing.assert_allclose(mine, y - mean - gain @ (y - mean), atol=1e-9)
        np.testing.assert_allclose(spread, np.diag(eta - gain @ eta), rtol=1e-8)


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g) + (1 | z)", "y ~ x + (x | g) + (1 | z)", "y ~ x + (1 | g/z)"])
def test_variances_of_rows_keep_their_digits_beside_much_wider_effects(formula):
    model, rows, density = model_of(formula, frame(rows=300))
    point = density.starts()[0]
    point[density.log_scales] += 8.0  # thousands of times as wide as the sums that rows tell
    (variance,) = density.row_moments(point[None], rows.values, rows.codes)[1]
    whitened = columns_of_unit_effects(model, rows, point)
    sigma = model.priors.layout.sigma(point)
    root = np.linalg.qr(np.vstack([whitened / sigma, np.eye(whitened.shape[1])]), mode="r")
    expected = np.square(np.linalg.solve(root.T, whitened.T)).sum(axis=0)
    np.testing.assert_allclose(variance, expected, rtol=1e-6)


def columns_of_unit_effects(model, rows, theta):
    """Columns (n, D) of coefficients and effects that are independent standard normals beforehand."""
    design, priors = model.design, model.priors
    basis = np.column_stack([np.ones(len(rows.codes)), rows.values[:, :-1]])
    to_beta = np.linalg.inv(priors.rows)
    parts = [basis @ design.common_map @ to_beta @ np.linalg.cholesky(of_coefficients(priors, theta))]
    for factor in design.factors:
        own = basis @ factor.group_map @ np.linalg.cholesky(between(priors.layout, theta, factor))
        levels = np.eye(len(factor.levels))[factor.codes[rows.codes]]
        parts.append((levels[:, :, None] * own[:, None, :]).reshape(len(own), -1))
    return np.hstack(parts)


def test_rows_of_an_unknown_group_have_the_spread_of_the_groups():
    model, rows, density = model_of("y ~ x + (x | g)", frame())
    points = points_of(density)
    keep = rows.codes != 2
    known = model.on(model.statistics.take(np.array([0, 1, 3, 4])))
    without = density_without(known)
    residual, variance = without.row_moments(points, rows.values[~keep], np.full((~keep).sum(), -1))
    for theta, mine, spread in zip(points, residual, variance, strict=True):
        mean, covariance, eta = joint(model, rows, theta)
        gain = eta[np.ix_(~keep, keep)] @ np.linalg.inv(covariance[np.ix_(keep, keep)])
        y = rows.values[:, -1]
        np.testing.assert_allclose(mine, (y - mean)[~keep] - gain @ (y - mean)[keep], atol=1e-9)
        np.testing.assert_allclose(
            spread, np.diag(eta[np.ix_(~keep, ~keep)] - gain @ eta[np.ix_(keep, ~keep)]), rtol=1e-8
        )


def density_without(model):
    from poolwise.density.gaussian import gaussian
    from poolwise.design.encoding import with_cells

    design, _ = with_cells(model.design, model.encoding, model.statistics.cells)
    return gaussian(model.statistics, design, model.priors, threads=1)


@pytest.mark.parametrize("weights", long_but_for(lambda weights: weights is not None, [None, "n"]))
@pytest.mark.parametrize("formula", [formula for formula in FORMULAS if "|" in formula])
def test_groups_left_out_are_ratios_of_dense_marginals(formula, weights):
    from poolwise.inference.prepare import prepare

    model, rows = prepare(formula, frame(), priors={}, weights=weights, missing="drop", threads=1)
    density = density_without(model)
    points = points_of(density)
    found = density.groups_left_out(points, model.statistics)
    for theta, mine in zip(points, found, strict=True):
        mean, covariance, _ = joint(model, rows, theta)
        whole = naive.log_normal(rows.values[:, -1], mean, covariance)
        for group in range(len(mine)):
            keep = rows.codes != group
            rest = naive.log_normal(rows.values[keep, -1], mean[keep], covariance[np.ix_(keep, keep)])
            assert mine[group] == pytest.approx(whole - rest, abs=1e-8)


def test_many_groups_in_several_blocks_and_one_that_holds_nearly_all_that_is_known():
    data = frame(rows=380).assign(g=np.arange(380) % 300)
    data.loc[:20, "x"] *= 1e4  # nearly all that is known of the slope
    data.loc[:20, "g"] = 7
    model, rows, density = model_of("y ~ x + (1 | g)", data)
    points = points_of(density, 1)
    found = density.groups_left_out(points, model.statistics)[0]
    mean, covariance, _ = joint(model, rows, points[0])
    whole = naive.log_normal(rows.values[:, -1], mean, covariance)
    for group in (0, 7, 255, 256):
        keep = rows.codes != group
        rest = naive.log_normal(rows.values[keep, -1], mean[keep], covariance[np.ix_(keep, keep)])
        assert found[group] == pytest.approx(whole - rest, abs=1e-6)
