"""A limit on time says what was going on."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.support.deadline import Deadline
from poolwise.support.errors import SamplingError
from poolwise.support.threads import limited, map_slices


def test_work_is_stopped_after_its_time():
    limit = Deadline(0.05)
    limit.check()
    assert 0 < limit.left <= 0.05
    time.sleep(0.06)
    with pytest.raises(SamplingError, match=r"after the time limit of 0.05 s\. Raise time_limit"):
        limit.check()
    assert limit.left == 0


def test_without_a_limit_work_goes_on():
    Deadline(None).check()
    assert Deadline().left == float("inf")


def test_slices_end_at_a_limit():
    started = time.monotonic()
    with pytest.raises(SamplingError, match="time limit of 0.3 s"), limited(Deadline(0.3)):
        map_slices(lambda *_: time.sleep(0.02), 2000, 1, 2)
    assert time.monotonic() - started < 1.5
    assert map_slices(lambda i, _: i, 3, 1, 2) == [0, 1, 2]  # afterwards there is none


def test_a_fit_ends_at_its_limit(many_effects):
    pw.fit(many_effects[0], many_effects[1], seed=1, draws=4)  # kernels are loaded
    started = time.monotonic()
    with pytest.raises(SamplingError, match="time limit of 1 s"):
        pw.fit(many_effects[0], many_effects[1], seed=1, time_limit=1, draws=20_000)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("limit", [0, -1, True, "10", float("nan")])
def test_a_limit_must_be_a_number_of_seconds(limit, many_effects):
    with pytest.raises(pw.DataError, match="time_limit must be a positive number of seconds or None"):
        pw.fit(many_effects[0], many_effects[1], time_limit=limit)


def test_what_would_not_end_is_refused_at_once():
    rng = np.random.default_rng(0)
    rows = np.arange(1680)  # more than effects
    frame = pd.DataFrame({"y": rng.normal(size=1680), "x": [f"s{i % 120}" for i in rows], "g": rows // 140})
    for family in ("gaussian", "student"):
        with pytest.raises(pw.FormulaError, match=r"120 effects that vary by 'g' have 7,140 correlations.*\|\| g\)"):
            pw.fit("y ~ 1 + (x | g)", frame, family=family)


def test_what_takes_long_is_said():
    from poolwise.density.cost import check_expense
    from poolwise.inference.prepare import prepare

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(2400, 13)), columns=["y", *(f"x{i}" for i in range(12))])
    effects = " + ".join(frame.columns[1:])
    model, _ = prepare(
        f"y ~ {effects} + ({effects} | g)", frame.assign(g=np.arange(2400) // 40), priors={}, missing="drop", threads=1
    )
    with pytest.warns(pw.PoolwiseWarning, match="13 effects that vary by 'g' have 78 correlations; .* seconds"):
        check_expense(model.design, 2, limited=False)


@pytest.fixture(scope="module")
def many_effects():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(600, 7)), columns=["y", *(f"x{i}" for i in range(6))])
    effects = " + ".join(frame.columns[1:])
    return f"y ~ {effects} + ({effects} | g)", frame.assign(g=np.arange(600) // 10)
