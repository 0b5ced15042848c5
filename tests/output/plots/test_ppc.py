"""Censored outcomes stand beside replications that are not censored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw


@pytest.mark.parametrize("family", ["weibull", "poisson"])
def test_censored_outcomes_are_drawn_from_their_intervals(family):
    rng = np.random.default_rng(4)
    y = rng.weibull(1.5, 300) * 3 if family == "weibull" else rng.poisson(5.0, 300)
    limit = np.median(y)
    data = pd.DataFrame({"y": np.minimum(y, limit), "cut": (y > limit).astype(int)})
    fit = pw.fit("y | cens(cut) ~ 1", data, family=family, seed=1, draws=100)
    made = fit._replications()
    seen = data["cut"] == 0
    np.testing.assert_array_equal(made.completed[seen], data["y"][seen])
    assert (made.completed[~seen] > limit).all() if family == "weibull" else (made.completed[~seen] >= limit).all()
    chart = fit.plot.ppc().to_dict(validate=False)
    assert "censored rows drawn from their intervals" in chart["title"]["subtitle"]
    tables = [pd.DataFrame(table) for table in chart["datasets"].values()]
    if family == "weibull":
        drawn = next(table for table in tables if set(table["kind"]) == {"observed"})
        beyond = drawn.loc[drawn["x"] > 1.5 * limit, "density"].sum() / drawn["density"].sum()
        assert 0.05 < beyond < 0.5
    else:
        assert tables[0].loc[tables[0]["count"] > limit, "observed"].sum() > 50


def test_outcomes_that_were_observed_are_as_they_were(small):
    fit = pw.fit("y ~ x", small, seed=1, draws=50)
    assert fit._replications().completed is None
    assert "censored" not in fit.plot.ppc().to_dict(validate=False)["title"]["subtitle"]
