"""Coupled levels, neighbours and relatives: the density against dense matrices, by every route of elimination."""

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.density.blocks import ordering, root
from poolwise.density.gaussian import gaussian
from poolwise.design.structures import levels
from poolwise.inference.prepare import prepare
from tests.density.models import dense_log_density, of_levels
from tests.density.test_collapsed import dense_posterior, finite_difference, random_theta
from tests.selection import long_but_for

FORMULAS = [
    "y ~ x + icar(area, borders)",
    "y ~ x + bym2(area, borders)",
    "y ~ 0 + z + icar(area, borders) + (x | g)",
    "y ~ x + (1 | gr(animal, cov='A'))",
    "y ~ x + (1 | gr(animal, cov='A')) + (1 | animal) + (x || g)",
    "y ~ x + (1 | gr(animal, cov='K')) + icar(area, borders) + (1 | g)",
    "y ~ s(x, k=5) + icar(area, borders)",
    "y ~ x + (x | gr(animal, cov='A')) + (1 | g)",
    "y ~ x + (1 + x || gr(animal, cov='K'))",
]


@pytest.fixture(scope="module")
def tables():
    """A map of 12 areas on a grid, a pedigree of 15 animals with inbreeding, and a covariance of these."""
    grid = [(i, j) for i in range(3) for j in range(4)]
    names = {place: f"area {i}{j}" for place, (i, j) in zip(grid, grid, strict=True)}
    pairs = [(names[i, j], names[k, m]) for i, j in grid for k, m in ((i + 1, j), (i, j + 1)) if (k, m) in names]
    pedigree = [
        ("a", None, None),
        ("b", None, None),
        ("c", "a", "b"),
        ("d", "a", "b"),
        ("e", "c", "d"),
        ("f", "e", None),
    ]
    pedigree += [(f"k{i}", "cdef"[i % 4], "abc"[i % 3]) for i in range(9)]
    rng = np.random.default_rng(3)
    animals = [one for one, _, _ in pedigree]
    raw = rng.normal(size=(15, 20))
    return {
        "borders": pd.DataFrame(pairs, columns=["one", "other"]),
        "A": pd.DataFrame(pedigree, columns=["animal", "father", "mother"]),
        "K": pd.DataFrame(raw @ raw.T / 20, index=animals, columns=animals),
    }


@pytest.fixture(scope="module")
def frame(tables):
    """Rows of some areas and animals."""
    rng = np.random.default_rng(4)
    n = 70
    areas = sorted({*tables["borders"].one, *tables["borders"].other})
    return pd.DataFrame(
        {
            "area": rng.choice(areas[:-2], n),
            "animal": rng.choice(tables["A"].animal[3:], n),
            "g": rng.integers(0, 6, n),
            "x": rng.normal(2, 1, n),
            "z": rng.choice(["low", "high"], n),
            "y": rng.normal(size=n),
        }
    )


@pytest.fixture(params=long_but_for("LAPACK".__ne__, ["dense root", "sparse", "LAPACK", "sparse and LAPACK"]))
def route(request, monkeypatch):
    """Small systems go by every route: all in the root, level by level, or through LAPACK."""
    monkeypatch.setattr(levels, "FEW", 3)
    monkeypatch.setattr(levels, "MOST", 3)
    if "sparse" in request.param:
        monkeypatch.setattr(ordering, "_SMALL", 3)
        monkeypatch.setattr(ordering, "_DENSE", 1.0)
        monkeypatch.setattr(ordering, "_FASTER", 1e-9)
    if "LAPACK" in request.param:
        monkeypatch.setattr(root, "LARGE", 2)
    return request.param


PRIORS = {"slopes": pw.Normal(-0.2, 1.5), "sd": pw.HalfCauchy(0.8), "sigma": pw.HalfStudentT(4, 1.2)}


def model_of(formula, frame, tables):
    model, rows = prepare(formula, frame, priors=PRIORS, tables=tables, missing="drop", threads=1)
    return model, rows, gaussian(model.statistics, model.design, model.priors, threads=1)


@pytest.mark.parametrize("formula", long_but_for(6, FORMULAS))
def test_density_and_gradient(formula, frame, tables, route):
    model, rows, density = model_of(formula, frame, tables)
    if "sparse" in route:
        assert density.ranks.eliminated > 0
    for theta in random_theta(density, 3):
        expected = dense_log_density(model, rows, theta)
        value, gradient = density.value_and_gradient(theta)
        assert density.log_density(theta[None])[0] == pytest.approx(expected, rel=1e-9)
        assert value == pytest.approx(expected, rel=1e-9)
        np.testing.assert_allclose(gradient, finite_difference(density, theta), rtol=5e-6, atol=5e-6)


@pytest.mark.parametrize("formula", long_but_for(1, [FORMULAS[k] for k in (7, 1, 5, 2, 3, 4, 8)]))
def test_coefficients_given_theta_are_exact(formula, frame, tables, route):
    model, rows, density = model_of(formula, frame, tables)
    theta = 0.3 * random_theta(density, 1)[0]
    mean, covariance = dense_posterior(model, rows, theta)
    draws = 4_000
    points = theta + 1e-3 * np.random.default_rng(0).normal(size=(draws, len(theta)))
    working = density.draw_common(points, np.random.SeedSequence(4))
    offsets = density.offsets(points[None], working[None], np.random.SeedSequence(4))
    beta = density.basis.written(density.common_of(working))
    together = np.hstack([beta, *(each.draws().reshape(draws, -1) for each in offsets)])
    spread = np.sqrt(np.diag(covariance))
    assert np.max(np.abs(together.mean(axis=0) - mean) / spread) < 5 / np.sqrt(draws)
    error = (np.cov(together.T) - covariance) / np.outer(spread, spread)
    assert np.max(np.abs(error)) < 6.5 * np.sqrt(2 / draws)
    for factor, each in zip(model.design.factors, offsets, strict=True):
        if factor.coupling is not None and factor.coupling.intrinsic:
            np.testing.assert_allclose(each.draws().sum(axis=2), 0.0, atol=1e-11)
    means = density.basis.written(density.common_of(density.draw_common(theta[None], None)))[0]
    np.testing.assert_allclose(means, mean[: len(means)], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("formula", long_but_for(5, FORMULAS))
def test_moments_of_rows(formula, frame, tables, route):
    model, rows, density = model_of(formula, frame, tables)
    theta = 0.3 * random_theta(density, 1)[0]
    mean, covariance = dense_posterior(model, rows, theta)
    basis = np.column_stack([np.ones(len(rows.codes)), rows.values[:, :-1]])
    columns = [basis @ model.design.common_map]
    for factor in model.design.factors:
        indicators = np.eye(len(factor.levels))[factor.codes[rows.codes]]
        columns.append((indicators[:, :, None] * (basis @ factor.group_map)[:, None, :]).reshape(len(basis), -1))
    whole = np.hstack(columns)
    residual, variance = density.row_moments(theta[None], rows.values, rows.codes)
    np.testing.assert_allclose(residual[0], rows.values[:, -1] - whole @ mean, atol=1e-9)
    np.testing.assert_allclose(variance[0], np.einsum("ij,jk,ik->i", whole, covariance, whole), rtol=1e-8)


@pytest.mark.parametrize("formula", [*FORMULAS[1:6], *FORMULAS[7:]])
def test_shrinkage_is_the_variance_left_of_what_the_prior_has(formula, frame, tables, route):
    model, rows, density = model_of(formula, frame, tables)
    theta = 0.3 * random_theta(density, 1)[0]
    mean, covariance = dense_posterior(model, rows, theta)
    p, at = len(model.design.coefficients), len(model.design.coefficients)
    mine = covariance[:p, :p]
    given = np.diag(covariance - covariance[:, :p] @ np.linalg.solve(mine, covariance[:p]))
    for f, factor in enumerate(model.design.factors):
        size = len(factor.levels) * len(factor.effects)
        prior = np.outer(np.diag(of_levels(factor)), model.priors.layout.sd(theta, factor.name) ** 2)
        shares = given[at : at + size].reshape(prior.shape) / prior
        np.testing.assert_allclose(density.unexplained_of(f, theta[None]), shares, rtol=1e-6)
        at += size


@pytest.mark.parametrize("formula", FORMULAS[:4])
def test_columns_and_coupled_levels_have_the_same_posterior(formula, frame, tables, monkeypatch):
    _, _, dense = model_of(formula, frame, tables)
    monkeypatch.setattr(levels, "FEW", 3)
    monkeypatch.setattr(levels, "MOST", 3)
    model, _, density = model_of(formula, frame, tables)
    points = random_theta(density, 5)
    names, theirs = density.layout.names, dense.layout.names
    moved = np.empty_like(points)
    for k, name in enumerate(names):
        moved[:, theirs.index(name.removesuffix("[Intercept]") if name not in theirs else name)] = points[:, k]
    np.testing.assert_allclose(density.log_density(points), dense.log_density(moved), rtol=1e-10)
