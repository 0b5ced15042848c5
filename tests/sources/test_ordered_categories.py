"""Ordered categories of pandas, whatever they are categories of: as outcome, predictor and grouping column."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest

import poolwise as pw

LEVELS = {
    "numbers": [1, 2, 3],
    "numbers in another order": [10, 5, 7],
    "broken numbers": [1.5, 2.5, 3.5],
    "text": ["low", "middle", "high"],
    "days": list(pd.to_datetime(["2020-01-01", "2020-02-01", "2020-03-01"])),
    "intervals": list(pd.interval_range(0, 3)),
    "truths": [True, False],
}


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
def test_no_level_is_lost(levels, ordered):
    rng = np.random.default_rng(0)
    k = rng.integers(0, len(levels), 120)
    frame = pd.DataFrame({"y": k + rng.normal(size=120), "x": rng.normal(size=120)})
    frame["c"] = pd.Categorical.from_codes(k, levels, ordered=ordered)
    predictor = pw.fit("y ~ c", frame, draws=50, seed=1)
    assert len(predictor.result.model.design.coefficients) == len(levels)
    assert predictor.result.model.statistics.rows == 120
    grouped = pw.fit("y ~ 1 + (1 | c)", frame, draws=50, seed=1)
    assert len(grouped.result.model.design.factors[0].levels) == len(levels)
    with nullcontext() if ordered else pytest.warns(pw.PoolwiseWarning, match="The order of the categories"):
        outcome = pw.fit("c ~ x", frame, family="cumulative", draws=50, seed=1)
    counts = [int((k == place).sum()) for place in range(len(levels))]
    assert np.bincount(outcome.rows.response.astype(int)).tolist() == counts  # in the order that the type declares
