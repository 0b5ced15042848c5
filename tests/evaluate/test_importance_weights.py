"""Weights of units that nearly all draws find certain."""

from __future__ import annotations

import numpy as np

from poolwise.evaluate.loo.importance_weights import left_out


def test_tails_of_equal_weights_are_told_from_tails_that_can_be_smoothed():
    rng = np.random.default_rng(0)
    density = -np.exp(8 * rng.normal(size=(4_000, 4)) - 60)  # a zero that is all but certain, in most draws
    density[:40, 0] = -np.linspace(0.5, 2.0, 40)
    density[:, 1] = rng.normal(size=4_000)
    density[:900, 2] = -1.0  # the whole tail is one value
    found, weights, shapes = left_out(density)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(weights.sum(axis=0), 1.0)
    assert shapes[0] > 0.7
    assert shapes[1] < 0.5
    assert shapes[2] == -np.inf
    expected = -np.log(np.mean(np.exp(-density), axis=0))
    np.testing.assert_allclose(found[[0, 2, 3]], expected[[0, 2, 3]], atol=1e-3)
