"""Arrow-shaped matrices beside dense algebra."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from poolwise.pymc.arrow import arrow_of, assembly, factorise

M = 3  # matrices
# Nodes, and those that each row has: groups of one and two coefficients, few and many common ones, and no group.
PATTERNS = {
    "groups of two sizes": (
        35,
        [[2 * g, 2 * g + 1, 33, 34] for g in range(15)] + [[g, -1, 33, 34] for g in (30, 31, 32)],
    ),
    "a wide border": (70, [[g, 40 + (7 * g) % 30, 40 + (g * g) % 30] for g in range(40)] * 2),
    "all border": (6, [[a, b] for a in range(6) for b in range(a)]),
    "nothing in common": (30, [[g, -1] for g in range(30)]),
}


@pytest.fixture(params=PATTERNS)
def case(request):
    size, rows = PATTERNS[request.param]
    rows = np.vstack(
        [np.array(rows), np.pad(np.arange(size)[:, None], ((0, 0), (0, len(rows[0]) - 1)), constant_values=-1)]
    )
    entries = np.random.default_rng(2).normal(size=(M, *rows.shape)) * (rows >= 0)
    dense = np.zeros((M, len(rows), size))
    for k in range(rows.shape[1]):
        known = rows[:, k] >= 0
        dense[:, np.flatnonzero(known), rows[known, k]] += entries[:, known, k]
    arrow = arrow_of(size, rows)
    products = (entries[..., :, None] * entries[..., None, :]).reshape(M, -1)
    numbers = np.asarray(assembly(arrow, rows) @ products.T)
    return arrow, numbers, dense.swapaxes(-1, -2) @ dense


def test_solutions_and_determinants_are_those_of_dense_matrices(case):
    arrow, numbers, dense = case
    factors = factorise(arrow, numbers)
    right = np.random.default_rng(4).normal(size=dense.shape[:2])
    np.testing.assert_allclose(factors.solve(right.T).T, np.linalg.solve(dense, right[..., None])[..., 0], rtol=1e-8)
    np.testing.assert_allclose(factors.log_determinants, np.linalg.slogdet(dense)[1], rtol=1e-10)


def test_deviations_have_the_inverse_as_their_covariance(case):
    arrow, numbers, dense = case
    border, own = len(arrow.border), arrow.blocks >= 0
    many = border + own.sum()
    units = np.eye(many)  # in the place of standard normal numbers: what is made of each of them by itself
    of_blocks = np.zeros((*own.shape, many))
    of_blocks[own] = units[border:]
    numbers_of = iter([units[:border], of_blocks])
    factors = factorise(arrow, np.repeat(numbers[:, :1], many, axis=1))
    drawn, squares = factors.deviations(SimpleNamespace(standard_normal=lambda shape: next(numbers_of).reshape(shape)))
    np.testing.assert_allclose(drawn @ drawn.T, np.linalg.inv(dense[0]), rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(squares, 1.0)


def test_one_that_is_not_positive_definite_spoils_no_other(case):
    arrow, numbers, dense = case
    spoilt = numbers.copy()
    spoilt[:, 1] *= -1.0
    found, expected = factorise(arrow, spoilt).log_determinants, factorise(arrow, numbers).log_determinants
    assert np.isnan(found[1])
    np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]])
