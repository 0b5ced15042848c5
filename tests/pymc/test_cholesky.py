"""Packed factors in terms of log standard deviations and partial correlations."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
from scipy.stats import beta, kstest

import poolwise as pw
from poolwise.pymc.cholesky import diagonal, log_jacobian, packed, unpacked

SIZES = [1, 3, 6, 10, 15]


def points(size, count=5):
    return np.random.default_rng(size).normal(size=(count, size))


def factor(values):
    """The matrix of one packed value."""
    places = diagonal(len(values))
    found = np.zeros((len(places), len(places)))
    own = values.copy()
    own[places] = np.exp(own[places])
    found[np.tril_indices(len(places))] = own
    return found


@pytest.mark.parametrize("size", SIZES)
def test_there_and_back(size):
    given = points(size)
    np.testing.assert_allclose(unpacked(packed(given)), given, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_rows_have_the_standard_deviations_as_their_lengths(size):
    given = points(size)
    for one, values in zip(given, packed(given), strict=True):
        np.testing.assert_allclose(np.linalg.norm(factor(values), axis=1), np.exp(one[diagonal(size)]))


def test_partial_correlations_are_the_ones_of_the_definition():
    """Of three variables: r_12, r_13, and that of 2 and 3 given 1."""
    given = points(6, 1)
    root = factor(packed(given)[0])
    covariance = root @ root.T
    sd = np.sqrt(np.diag(covariance))
    r = covariance / np.outer(sd, sd)
    partial = (r[1, 2] - r[0, 1] * r[0, 2]) / np.sqrt((1 - r[0, 1] ** 2) * (1 - r[0, 2] ** 2))
    np.testing.assert_allclose(np.tanh(given[0, [1, 3, 4]]), [r[0, 1], r[0, 2], partial])


@pytest.mark.parametrize("size", SIZES)
def test_the_jacobian_is_the_determinant_of_differences(size):
    step = 1e-6 * np.eye(size)
    for one in points(size):
        derivative = (packed(one + step) - packed(one - step)).T / 2e-6
        np.testing.assert_allclose(log_jacobian(one[None])[0], np.linalg.slogdet(derivative)[1], atol=1e-7)


def test_far_away_nothing_is_lost():
    far = np.array([[0.0, 30.0, -700.0]])
    assert np.isfinite(packed(far)).all()
    assert np.isfinite(log_jacobian(far)).all()
    np.testing.assert_allclose(log_jacobian(np.array([[0.0, 400.0, 0.0]])), [0.0], atol=1e-12)


def test_draws_where_data_say_nothing_are_of_the_prior():
    """Correlations under LKJ are beta on [-1, 1] (Lewandowski, Kurowicka and Joe 2009), sds as given."""
    with pm.Model() as model:
        chol, _, _ = pm.LKJCholeskyCov("chol", n=4, eta=2.0, sd_dist=pm.Exponential.dist(1.0))
        z = pm.Normal("z", 0.0, 1.0, shape=(3, 4))
        pm.Normal("y", (z @ chol.T).sum(axis=1), 1e5, observed=np.zeros(3))
    tree = pw.pymc.sample(model, seed=1)
    assert tree["sample_stats"].attrs["passed"] == 1
    drawn = tree["posterior"]
    for i in range(4):
        for j in range(i):
            r = drawn["chol_corr"].values[..., i, j].ravel()[::4]
            assert kstest(r, beta(3.0, 3.0, loc=-1.0, scale=2.0).cdf).pvalue > 1e-3
        assert kstest(drawn["chol_stds"].values[..., i].ravel()[::4], "expon").pvalue > 1e-3


@pytest.mark.long
def test_four_correlated_coefficients_are_certified():
    """As PyMC writes the factor its density has no bound where a standard deviation goes to zero."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(60), 12)
    x = np.column_stack([np.ones(len(group)), rng.normal(size=(len(group), 3))])
    u = rng.normal(size=(60, 4)) * [1.0, 0.7, 0.5, 0.3]
    with pm.Model() as model:
        mean = pm.Normal("mean", 0.0, 5.0, shape=4)
        chol, _, _ = pm.LKJCholeskyCov("chol", n=4, eta=2.0, sd_dist=pm.Exponential.dist(1.0))
        z = pm.Normal("z", 0.0, 1.0, shape=(60, 4))
        noise = pm.Exponential("noise", 1.0)
        coefficients = mean + (z @ chol.T)[group]
        pm.Normal("y", (x * coefficients).sum(axis=1), noise, observed=(x * u[group]).sum(1) + rng.normal(size=720))
    stats = pw.pymc.sample(model, seed=1)["sample_stats"].attrs
    assert stats["passed"] == 1
    assert stats["efficiency"] > 0.4
