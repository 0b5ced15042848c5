"""Bernoulli outcomes that are two labels are those that are zeros and ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.selection import long_but_for

import poolwise as pw

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"x": RNG.normal(size=120), "g": RNG.integers(0, 6, 120)})
FRAME["z"] = (RNG.random(120) < 0.5 + 0.1 * FRAME.x) * 1


def fitted(outcome, data):
    return pw.fit(f"{outcome} ~ x + (1 | g)", data, family="bernoulli", seed=1, draws=100)


@pytest.mark.parametrize("source", long_but_for(2, ["pandas", "csv", "polars", "polars lazy"]))
def test_the_second_label_is_the_success(source, tmp_path):
    data = FRAME.assign(t=np.where(FRAME.z, "yes", "no"), b=FRAME.z == 1)
    data.to_csv(tmp_path / "rows.csv", index=False)
    rows = {
        "pandas": data,
        "polars": pl.from_pandas(data),
        "polars lazy": pl.from_pandas(data).lazy(),
        "csv": tmp_path / "rows.csv",
    }[source]
    wanted = fitted("z", data)
    for outcome in ("t", "b"):
        np.testing.assert_allclose(fitted(outcome, rows).result.beta, wanted.result.beta, atol=1e-8)
    assert "Success is 'yes', failure is 'no'." in fitted("t", rows).notes


def test_a_declared_order_says_which_is_second(tmp_path):
    data = FRAME.assign(c=pd.Categorical(np.where(FRAME.z, "yes", "no"), categories=["yes", "no"]), n=1 - FRAME.z)
    fit = fitted("c", data)
    np.testing.assert_array_equal(fit.result.beta, fitted("n", data).result.beta)
    assert np.isfinite(fit.loo().elpd)
    fit.save(tmp_path / "fit")
    assert "Success is 'no', failure is 'yes'." in pw.load(tmp_path / "fit").notes


@pytest.mark.parametrize(
    ("labels", "said"), [(["a", "b", "c"], "two labels, or 0 and 1, but it holds 3"), (["a"], "holds 1")]
)
def test_other_numbers_of_labels_are_refused(labels, said):
    with pytest.raises(pw.DataError, match=said):
        fitted("t", FRAME.assign(t=np.resize(labels, 120)))
    with pytest.raises(pw.DataError, match="must hold numbers"):
        pw.fit("t ~ x", FRAME.assign(t=np.resize(["a", "b"], 120)))
