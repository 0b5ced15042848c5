"""Random numbers that depend on a point."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from poolwise.density.working.kernels import noise_at

M, N, K = 40, 5_001, 3_000


@pytest.fixture(scope="module")
def drawn():
    points = np.round(1e4 * np.random.default_rng(1).normal(size=(M, 3)))
    points[1] = points[0] + [0.0, 0.0, 1.0]  # a neighbour
    normal, uniform = np.empty((M, N)), np.empty((M, K))
    noise_at(points, normal, uniform)
    return points, normal, uniform


def test_numbers_have_their_distributions(drawn):
    _, normal, uniform = drawn
    assert stats.kstest(normal.ravel(), "norm").pvalue > 1e-3
    assert stats.kstest(uniform.ravel(), "uniform").pvalue > 1e-3
    assert uniform.min() > 0.0 and uniform.max() < 1.0
    for moment in (1, 2, 3, 4):
        expected = [0.0, 1.0, 0.0, 3.0][moment - 1]
        spread = np.sqrt([1.0, 2.0, 15.0, 96.0][moment - 1] / normal.size)
        assert abs((normal**moment).mean() - expected) < 4 * spread


def test_numbers_do_not_depend_on_one_another(drawn):
    """Nor do their squares: of both halves, which share radii, of neighbours in place, and of neighbouring points."""
    _, normal, uniform = drawn
    half = N // 2
    pairs = [
        (normal[:, :half], normal[:, half : 2 * half]), (normal[:, :-1], normal[:, 1:]), (normal[0], normal[1]),
        (normal[:, :K], uniform), (uniform[:, :-1], uniform[:, 1:]), (uniform[0], uniform[1]),
    ]  # fmt: skip
    for one, other in pairs:
        for power in (1, 2):
            found = np.corrcoef(one.ravel() ** power, other.ravel() ** power)[0, 1]
            assert abs(found) < 4 / np.sqrt(one.size)


def test_the_same_point_has_the_same_numbers_beside_any_others(drawn):
    points, normal, uniform = drawn
    again, more = np.empty((2, N)), np.empty((2, K))
    noise_at(points[[7, 0]], again, more)
    np.testing.assert_array_equal(again, normal[[7, 0]])
    np.testing.assert_array_equal(more, uniform[[7, 0]])


@pytest.mark.parametrize("size", [1, 2, 3])
def test_few_numbers(size):
    normal, uniform = np.full((200, size), np.nan), np.empty((200, 0))
    noise_at(np.arange(200.0)[:, None], normal, uniform)
    assert stats.kstest(normal.ravel(), "norm").pvalue > 1e-3
