"""Expected log likelihoods, slice by slice."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from tests.density.working.test_moving import data_of, models_of

from poolwise.density.working import expected
from poolwise.density.working.dispersion_steps import curvatures
from poolwise.density.working.expected import ExpectedLikelihood


def _asked(likelihood, mean, variance, columns):
    """All that is asked of rows; of some by their positions, or that are next to each other, it is theirs of all."""
    slope, curvature = likelihood.projected(mean, variance)
    for rows in (np.arange(0, len(mean), 3), slice(5, 93), np.array([], dtype=int), np.array([7])):
        own = likelihood.projected(mean[rows], variance[rows], rows)
        np.testing.assert_allclose(own, (slope[rows], curvature[rows]), rtol=1e-10, atol=1e-10)
    careful = likelihood.projected(mean, variance, careful=True)
    scores = likelihood.scores(mean, variance, columns, likelihood.dispersions.centre)
    return [slope, curvature, *careful, likelihood.crossed(mean, variance), scores]


@pytest.mark.parametrize("family", ["cumulative", "negative_binomial", "beta", "student"])
def test_slices_are_parts_of_all_rows(family, monkeypatch):
    model, still, _ = models_of("y ~ x + (1 | g)", data_of(family), family)
    rows, rng = model.observations.outcome_rows, np.random.default_rng(2)
    mean, variance = rng.normal(size=len(rows.y)), rng.choice([0.0, 0.01, 0.1, 2.0], len(rows.y))
    columns = rng.normal(size=(3, len(mean)))
    whole = _asked(ExpectedLikelihood(rows, model.link, still.density.dispersions), mean, variance, columns)
    monkeypatch.setattr(expected, "_SLICE", 29)
    one, two = (
        _asked(ExpectedLikelihood(rows, model.link, still.density.dispersions, threads), mean, variance, columns)
        for threads in (1, 2)
    )
    for own, other, wanted in zip(one, two, whole, strict=True):
        np.testing.assert_array_equal(own, other)
        np.testing.assert_allclose(own, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("threads", [1, 2])
def test_slopes_without_end_say_nothing_on_any_thread(threads, monkeypatch):
    monkeypatch.setattr(expected, "_SLICE", 100)
    model, still, _ = models_of("y ~ x + (1 | g)", data_of("negative_binomial"), "negative_binomial")
    rows, dispersions = model.observations.outcome_rows, still.density.dispersions
    monkeypatch.setattr(expected, "likelihood_slopes", lambda *given: [one.fill(np.inf) for one in given[-2:]])
    likelihood = ExpectedLikelihood(rows, model.link, dispersions, threads)
    columns = np.random.default_rng(2).normal(size=(2, len(rows.y)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = curvatures(
            lambda logs: likelihood.scores(np.zeros(len(rows.y)), np.ones(len(rows.y)), columns, logs),
            dispersions.centre,
        )
    assert np.isnan(found).all()
