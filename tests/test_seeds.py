"""Same seed, same draws: a hundred repetitions over sources, orders of rows and numbers of threads for each model."""

from __future__ import annotations

from functools import cache

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import poolwise as pw
from tests.selection import long_but_for

ROWS = 120
MODELS = {
    "intercepts": "y ~ x + (1 | g)",
    "slopes": "y ~ x + z + (x | g)",
    "crossed": "y ~ x + (1 | g) + (1 | h)",
    "no groups": "y ~ x + z",
    "weights": "y ~ x + (1 | g)",
}


@cache
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    g, x = rng.integers(0, 12, ROWS), rng.normal(size=ROWS)
    y = 1 + 0.5 * x + rng.normal(size=12)[g] + 0.5 * rng.normal(size=ROWS)
    return pd.DataFrame(
        {
            "y": y,
            "x": x,
            "z": rng.normal(size=ROWS),
            "g": [f"g{i}" for i in g],
            "h": rng.integers(0, 5, ROWS),
            "n": rng.integers(1, 9, ROWS).astype(float),
        }
    )


def sources(folder) -> dict[str, object]:
    frame = table()
    frame.to_parquet(folder / "rows.parquet")
    frame.to_csv(folder / "rows.csv", index=False, float_format="%.17g")
    return {
        "pandas": frame,
        "polars": pl.from_pandas(frame),
        "lazy": pl.from_pandas(frame).lazy(),
        "arrow": pa.Table.from_pandas(frame),
        "duckdb": duckdb.sql("SELECT * FROM frame"),
        "parquet": str(folder / "rows.parquet"),
        "csv": str(folder / "rows.csv"),
    }


def draws(name: str, data: object, threads: int | None = None) -> list[np.ndarray]:
    weights = "n" if name == "weights" else None
    result = pw.fit(MODELS[name], data, weights=weights, seed=7, draws=60, chains=2, threads=threads).result
    theta = [] if result.theta is None else [result.theta]
    return [result.beta, result.sigma, *theta, *(each.draws() for each in result.u)]


def assert_same(one: list[np.ndarray], other: list[np.ndarray], what: object) -> None:
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-6, atol=1e-7, err_msg=str(what))


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        "slopes",
        "no groups",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("intercepts", "crossed", "weights")),
    ],
)
def test_a_hundred_repetitions(name, tmp_path):
    wanted = draws(name, table())
    every = sources(tmp_path)
    for kind, data in every.items():
        for repetition in range(8):
            assert_same(wanted, draws(name, data), (kind, repetition))
    for repetition in range(40):
        assert_same(wanted, draws(name, table().sample(frac=1, random_state=repetition)), ("order", repetition))
    for threads in (1, 2, 3, 8):
        for got, mine in zip(draws(name, table(), threads), wanted, strict=True):
            np.testing.assert_array_equal(got, mine)


@pytest.mark.parametrize("repetition", long_but_for(3, range(6)))
def test_separate_regressions_do_not_follow_the_order_of_rows(repetition):
    one, other = (
        pw.compare_pooling("y ~ x + z", by="g", data=data, seed=3, draws=30, folds=0).separate.result.beta
        for data in (table(), table().sample(frac=1, random_state=repetition))
    )
    np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("repetition", long_but_for(3, range(6)))
def test_trajectories_do_not_follow_the_order_of_rows(repetition):
    """A trajectory takes a difference in the last digit for another path, so that statistics are rounded first."""
    one, other = (
        pw.fit("y ~ x + (x | g)", data, seed=3, draws=30, chains=2, sampler="nuts").result.theta
        for data in (table(), table().sample(frac=1, random_state=repetition))
    )
    np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-7)
