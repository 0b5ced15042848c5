"""Every dependency is used once, so that a version that moved is noticed: `.ci/dependencies` runs this on several."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.output.plots.export import save_chart

RNG = np.random.default_rng(0)
G = RNG.integers(0, 6, 120)
FRAME = pd.DataFrame({"x": RNG.normal(size=120), "g": [f"g{i}" for i in G], "b": RNG.random(120) < 0.5})
FRAME["y"] = 1 + 0.5 * FRAME.x + RNG.normal(size=6)[G] + RNG.normal(size=120)
FRAME["k"] = RNG.poisson(np.exp(0.3 * FRAME.x + 0.3 * RNG.normal(size=6)[G]))


@pytest.fixture(autouse=True)
def _other_peoples_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def fit():
    return pw.fit("y ~ x * b + bs(x, df=4) + C(b) + scale(x) + (x | g)", FRAME, seed=1)


def test_sources_agree(tmp_path):
    import duckdb
    import polars as pl
    import pyarrow as pa

    wanted = pw.fit("y ~ x * b + (x | g)", FRAME, seed=1)
    FRAME.to_parquet(tmp_path / "rows.parquet")
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    arrow = pa.Table.from_pandas(FRAME)
    connection = duckdb.connect()  # whose tables some versions close with it
    table = connection.from_arrow(arrow)
    frames = (pl.from_pandas(FRAME), pl.from_pandas(FRAME).lazy(), arrow, table)
    for data in (*frames, tmp_path / "rows.parquet", tmp_path / "rows.csv", FRAME.to_dict("list")):
        np.testing.assert_allclose(
            pw.fit("y ~ x * b + (x | g)", data, seed=1).result.beta, wanted.result.beta, atol=1e-6
        )


def test_tables_and_draws(fit):
    assert fit.outcome.passed
    assert fit.summary()["r_hat"].max() < 1.01
    assert fit.posterior["coef_g"].sizes["g"] == 6
    assert "posterior" in fit.to_datatree().children
    assert len(fit.predict(FRAME.head(3))) == 3
    assert np.isfinite(pw.avg_comparisons(fit, "b").table["mean"]).all()


def test_judging(fit):
    other = pw.fit("y ~ 1 + (1 | g)", FRAME, seed=1)
    assert np.isfinite(fit.loo().elpd)
    assert np.isfinite(fit.loo(by="g").elpd)
    assert len(pw.compare(full=fit, none=other).table) == 2
    assert len(fit.check().table) == 4


def test_another_family():
    fit = pw.fit("k ~ x + (1 | g)", FRAME, family="poisson", seed=1)
    assert fit.outcome.passed
    assert np.isfinite(fit.loo().elpd)


def test_files_and_charts(fit, tmp_path):
    fit.save(tmp_path / "fit")
    np.testing.assert_array_equal(pw.load(tmp_path / "fit").result.beta, fit.result.beta)
    for ending in ("png", "svg", "html"):
        assert save_chart(fit.plot.forest(), tmp_path / f"chart.{ending}").stat().st_size > 1000
    assert fit.report(tmp_path / "report.html").stat().st_size > 10_000


def test_command_line(tmp_path):
    from typer.testing import CliRunner

    from poolwise.cli.commands import app

    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    found = CliRunner().invoke(
        app, ["fit", str(tmp_path / "rows.csv"), "y ~ x + (1 | g)", "--seed", "1", "-o", str(tmp_path)]
    )
    assert found.exit_code == 0, found.output
    assert "beta[x]" in found.output


def test_versions_are_known():
    assert sys.version_info >= (3, 11)
