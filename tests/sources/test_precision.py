"""Numbers whose squares have no room in double precision keep eight digits, from every source."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for
from tests.sources.engines import IN_PROCESS, source, spark_frame

import poolwise as pw
from poolwise.sources import as_source
from poolwise.statistics import routes

rng = np.random.default_rng(3)
N = 4000
GROUP = rng.integers(0, 20, N)
LARGE = pd.DataFrame(
    {
        "y": 1e9 + rng.normal(size=N),
        "t": np.floor(1.7e9 + 30 * 86400 * rng.random(N)),
        "x": rng.normal(size=N),
        "g": GROUP,
    }
)
# Milliseconds within ten seconds of each group's own day: the centre of all groups is far from each.
APART = LARGE.assign(t=1.7e12 + 8.64e7 * GROUP + np.floor(1e4 * rng.random(N)))
KINDS = long_but_for(
    ("pandas", "arrow", "polars lazy", "duckdb query", "csv", "parquet").__contains__,
    [kind for kind in IN_PROCESS if kind not in ("csv folder", "parquet pattern")],
)


def in_extended_precision(frame, columns):
    """Means and scatter of each group in long double."""
    for _, mine in frame.groupby("g"):
        long = mine[list(columns)].to_numpy().astype(np.longdouble)
        mean = long.mean(axis=0)
        yield len(mine), mean, ((long - mean).T @ (long - mean)).astype(float)


def assert_eight_digits(found, frame):
    products = found.products
    for j, (count, mean, scatter) in enumerate(in_extended_precision(frame, products.columns)):
        assert products.counts[j] == count
        scale = np.sqrt(np.diag(scatter))
        error = (products.means[j].astype(np.longdouble) + products.origin) - mean
        assert np.all(np.abs(error) <= 1e-8 * scale / np.sqrt(count))
        assert np.all(np.abs(products.scatter[j] - scatter) <= 1e-8 * np.outer(scale, scale))


@pytest.mark.parametrize(("frame", "passes"), [(LARGE, 1), (APART, 2)], ids=["large", "apart"])
@pytest.mark.parametrize("kind", long_but_for(("arrow", "polars lazy", "duckdb query", "parquet").__contains__, KINDS))
def test_eight_digits(kind, frame, passes, tmp_path, monkeypatch):
    found = pw.SufficientStatistics.from_data("y ~ t + x + (t | g)", source(kind, frame, tmp_path, monkeypatch))
    assert_eight_digits(found, frame)
    assert ("second" in found.reading) == (passes == 2 and "aggregate" in found.reading)


@pytest.mark.long
@pytest.mark.parametrize("frame", [LARGE, APART], ids=["large", "apart"])
def test_eight_digits_from_spark(frame, spark):
    data = spark_frame(spark, frame)
    assert_eight_digits(pw.SufficientStatistics.from_data("y ~ t + x + (t | g)", data), frame)


def test_eight_digits_in_batches(monkeypatch):
    monkeypatch.setattr(routes, "LARGE", 0)
    found = pw.SufficientStatistics.from_data("y ~ t + x + np.sin(x) + (t | g)", APART)
    assert "in batches" in found.reading
    assert_eight_digits(found, APART.assign(**{"np.sin(x)": np.sin(APART.x)}))


def test_a_naive_sum_would_fail():
    """The data are hard enough: sums of squares about one common centre lose the digits that the tests ask for."""
    mine = APART[APART.g == 19]
    shifted = mine.t.to_numpy() - APART.t.mean()
    naive = np.sum(shifted**2) - np.sum(shifted) ** 2 / len(mine)
    exact = float(((mine.t.astype(np.longdouble) - mine.t.astype(np.longdouble).mean()) ** 2).sum())
    raw = np.sum(LARGE.y.to_numpy() ** 2) - np.sum(LARGE.y.to_numpy()) ** 2 / N
    assert abs(raw / (N * LARGE.y.var()) - 1) > 1e-2
    assert abs(naive / exact - 1) > 1e-8


@pytest.mark.parametrize("kind", ["duckdb table", "polars lazy"])
def test_a_predictor_of_groups_needs_no_second_pass(kind, tmp_path, monkeypatch):
    frame = LARGE.assign(u=np.random.default_rng(0).normal(5, 0.1, 20)[GROUP])
    found = pw.SufficientStatistics.from_data("y ~ u + x + (x | g)", source(kind, frame, tmp_path, monkeypatch))
    assert "second" not in found.reading
    assert np.all(found.products.scatter[:, 0] == 0.0)
    wanted = pw.SufficientStatistics.from_data("y ~ u + x + (x | g)", frame)
    np.testing.assert_allclose(found.products.scatter, wanted.products.scatter, rtol=1e-9, atol=1e-9)


def test_the_order_of_rows_does_not_change_the_draws():
    shuffled = as_source(LARGE.sample(frac=1, random_state=1))
    one = pw.fit("y ~ t + (1 | g)", LARGE, seed=1, draws=100).result
    two = pw.fit("y ~ t + (1 | g)", shuffled, seed=1, draws=100).result
    np.testing.assert_allclose(one.theta, two.theta, atol=1e-6)
