"""Charts of smooth terms hold the term, whatever its variable is called."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw

PLAIN = ["by", "mean", "sd", "low", "high"]


@pytest.fixture(scope="module")
def bumps() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    x = np.sort(rng.uniform(-2, 2, 120))
    return pd.DataFrame({"x": x, "y": np.sin(2 * x) + rng.normal(0, 0.2, 120), "g": np.arange(120) % 3})


@pytest.mark.parametrize("name", long_but_for(2, ["residual", "a:b", "x", "what", "mean", "by", "a.b"]))
@pytest.mark.parametrize("term", ["s({})", "(s({}) | g)"])
def test_variables_may_have_any_name(bumps, name, term):
    data = bumps.rename(columns={"x": name})
    fit = pw.fit(f"y ~ {term.format(f'`{name}`')}", data, seed=1, draws=50)
    table = fit.smooth_term().table
    assert [column.rstrip("_") for column in table] == [name, *PLAIN]
    chart = fit.plot.smooth().to_dict()
    (rows,) = chart["datasets"].values()
    curve = [row for row in rows if row["what"] == "curve"]
    dots = pd.DataFrame([row for row in rows if row["what"] == "row"])
    np.testing.assert_array_equal([row["x"] for row in curve], table[name])
    np.testing.assert_array_equal([row["mean"] for row in curve], table.iloc[:, 2])
    np.testing.assert_array_equal(np.sort(dots["x"]), bumps["x"])
    assert dots["residual"].corr(np.sin(2 * dots["x"])) > 0.5


def test_a_surface_over_variables_of_our_names(bumps):
    data = bumps.rename(columns={"x": "mean"}).assign(sd=np.random.default_rng(3).normal(size=120))
    fit = pw.fit("y ~ t2(mean, sd)", data, seed=1, draws=50)
    table = fit.smooth_term().table
    assert list(table) == ["mean", "sd", "by", "mean_", "sd_", "low", "high"]
    tiles = max(fit.plot.smooth().to_dict()["datasets"].values(), key=len)
    np.testing.assert_array_equal([row["x"] for row in tiles], table["mean"])
    np.testing.assert_array_equal([row["mean"] for row in tiles], table["mean_"])
