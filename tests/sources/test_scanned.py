"""Rows that stay in Spark, scanned by a family that is sampled; other engines: tests/inference/test_scanned.py."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.inference import first_scan, streamed


@pytest.mark.long
@pytest.mark.parametrize("family", ["bernoulli", "gamma"])
def test_spark_is_scanned_with_the_same_draws(spark, family, monkeypatch):
    monkeypatch.setattr(streamed, "LARGE", 1000)
    monkeypatch.setattr(first_scan, "_SOME", 1200)
    rng = np.random.default_rng(3)
    g, x = rng.integers(0, 12, 2500), rng.normal(size=2500)
    eta = 0.4 * x + rng.normal(0, 0.5, 12)[g] - 0.3
    y = {"bernoulli": rng.random(2500) < 1 / (1 + np.exp(-eta)), "gamma": rng.gamma(3.0, np.exp(eta) / 3)}[family]
    data = pd.DataFrame({"y": y.astype(float), "x": x, "g": [f"shop {k}" for k in g]})
    connection = duckdb.connect()
    connection.register("rows_of_data", data)
    here, there = (
        pw.fit("y ~ x + (1 | g)", source, family=family, seed=1, draws=100)
        for source in (connection.table("rows_of_data"), spark.createDataFrame(data))
    )
    for fit in (here, there):
        assert fit.outcome.passed
        assert "scanned in batches" in fit.describe()
    np.testing.assert_allclose(there.result.beta, here.result.beta, atol=1e-6)
    assert there.log_evidence == pytest.approx(here.log_evidence, abs=1e-6)
