"""Without a number of draws, expensive densities are drawn from less often; a number is kept to."""

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.samplers import independence


@pytest.fixture
def frame():
    rng = np.random.default_rng(1)
    g = rng.integers(0, 12, 200)
    return pd.DataFrame({"g": g, "x": rng.normal(size=200), "y": rng.normal(size=12)[g] + rng.normal(size=200)})


def test_as_many_as_make_two_thousand_in_all(frame, monkeypatch):
    assert pw.fit("y ~ x + (1 | g)", frame, seed=1).result.draws == 1000
    monkeypatch.setattr(independence, "_SLOW", 0.0)
    fit = pw.fit("y ~ x + (1 | g)", frame, seed=1)
    assert fit.outcome.passed
    assert (fit.result.chains, fit.result.draws) == (4, 500)
    assert fit.summary()["ess_bulk"].min() > 1000
    assert pw.fit("y ~ x + (1 | g)", frame, seed=1, chains=2).result.draws == 1000
    assert pw.fit("y ~ x + (1 | g)", frame, seed=1, draws=1000).result.draws == 1000
    assert pw.fit("y ~ x + (1 | g)", frame, seed=1, draws=70).result.draws == 70


def test_what_is_no_number_of_draws(frame):
    with pytest.raises(pw.DataError, match="draws must be a whole number of at least 4 or None, not 2"):
        pw.fit("y ~ x + (1 | g)", frame, draws=2)
