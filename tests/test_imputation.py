"""Fits of completed tables together: beside Rubin's rules by hand, and what makes no sense."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

import poolwise as pw


def completed(count=4, spread=0.5):
    """Tables whose missing x are drawn anew each time, by the right distribution."""
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=200), rng.integers(0, 10, 200)
    y = x + 0.5 * rng.normal(size=10)[g] + rng.normal(size=200)
    hidden = rng.random(200) < spread
    tables = []
    for k in range(count):
        own = np.random.default_rng(k + 1)
        guess = own.normal(0.5 * y, 0.7)
        tables.append(pd.DataFrame({"x": np.where(hidden, guess, x), "y": y, "g": g}))
    return tables


@pytest.fixture(scope="module")
def fit():
    return pw.fit_imputed("y ~ x + (1 | g)", completed(), draws=500, seed=1)


def test_variance_is_by_rubins_rules(fit):
    table = fit.summary()
    each = [one.summary()[["mean", "sd"]] for one in fit.fits]
    means, sds = (np.array([one.loc["beta[x]", name] for one in each]) for name in ("mean", "sd"))
    between = (1 + 1 / 4) * means.var(ddof=1)
    assert table.loc["beta[x]", "mean"] == pytest.approx(means.mean())
    assert table.loc["beta[x]", "sd"] == pytest.approx(np.sqrt(np.square(sds).mean() + between), rel=1e-3)
    assert table.loc["beta[x]", "between"] == pytest.approx(between / (np.square(sds).mean() + between), rel=1e-3)
    assert "between" in repr(fit)
    assert "all certified" in repr(fit)


def test_tables_that_are_the_same_have_nothing_between():
    table = completed(1)[0]
    fit = pw.fit_imputed("y ~ x + (1 | g)", [table, table, table], draws=500, seed=1)
    assert (fit.summary()["between"] < 0.01).all()


def test_draws_and_predictions_are_those_of_all_tables(fit):
    assert fit.posterior.sizes["chain"] == 16
    new = {"x": [0.0, 1.0], "g": [1, 2]}
    pooled = fit.predict(new)
    each = [one.predict(new)["mean"] for one in fit.fits]
    np.testing.assert_allclose(pooled["mean"], np.mean(each, axis=0))
    again = pw.fit_imputed("y ~ x + (1 | g)", completed(), draws=500, seed=1)
    pd.testing.assert_frame_equal(again.summary(), fit.summary())


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (completed(1), "two completed tables or more"),
        ("rows.csv", "two completed tables or more"),
        ([*completed(1), completed(1)[0].drop(columns="x")], "In table 2 of 2: There is no column 'x'"),
        ([*completed(1), completed(1)[0].assign(x=np.nan)], "In table 2 of 2"),
        ([*completed(1), completed(1)[0].head(150)], "150 to 200 rows"),
    ],
)
def test_messages(frames, message):
    with pytest.raises(pw.DataError, match=message):
        pw.fit_imputed("y ~ x + (1 | g)", frames, draws=50)


def test_intervals_of_few_tables_are_those_of_rubins_degrees_of_freedom():
    """Quantiles of all draws alone cover too little."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=200)
    tables = [pd.DataFrame({"x": x, "y": (1 + 0.1 * k) * x + rng.normal(size=200)}) for k in range(3)]
    found = pw.fit_imputed("y ~ x", tables, seed=1)
    line = found.summary(interval=0.9).loc["beta[x]"]
    freedom = 2 / line["between"] ** 2
    half = line["sd"] * t.isf(0.05, freedom)
    assert line["between"] > 0.3
    np.testing.assert_allclose([line["5%"], line["95%"]], [line["mean"] - half, line["mean"] + half], atol=0.15 * half)
    assert (found.summary()["5%"][["sigma"]] > 0).all()
    one = pd.DataFrame({"x": [1.0]})
    drawn = np.array([each.predict(one, draws=True).values.ravel() for each in found.fits])
    total = drawn.var(axis=1, ddof=1).mean() + (4 / 3) * drawn.mean(axis=1).var(ddof=1)
    assert found.predict(one)["sd"][0] == pytest.approx(total**0.5)


@pytest.mark.parametrize(
    ("name", "places", "ends"), [("cor_g[x]", (0.80, 0.93), (-1, 1)), ("share_m[a]", (0.9, 0.97), (0, 1))]
)
def test_intervals_stay_within_the_ends_of_a_parameter(name, places, ends):
    from poolwise.api.imputation import _pooled, _scale_of_parameter

    rng = np.random.default_rng(2)
    drawn = np.array([np.clip(rng.normal(place, 0.01, 2000), -0.999, 0.999) for place in places])
    _, _, low, high, _ = _pooled(drawn[..., None], 0.05, _scale_of_parameter(name, ()))
    assert ends[0] < low < high < ends[1]


def test_tables_whose_categories_differ_are_refused():
    """`beta[z[T.c]]` is the difference from another category where the first one has no row."""
    rng = np.random.default_rng(3)
    whole = pd.DataFrame({"y": rng.normal(size=60), "z": np.tile(["a", "b", "c"], 20)})
    for lost in ("a", "c"):
        less = whole.assign(z=whole["z"].replace(lost, "b"))
        for tables in ([whole, less], [less, whole]):
            with pytest.raises(pw.DataError, match=r"'z' has the categories [abc, ]+ in table 1 and [abc, ]+ in"):
                pw.fit_imputed("y ~ z", tables, draws=50, seed=1)


def test_new_outcomes_stay_where_outcomes_are():
    tables = [one.assign(y=(one["y"] > 0).astype(int)) for one in completed(3)]
    fit = pw.fit_imputed("y ~ x", tables, family="bernoulli", draws=100, seed=1)
    found = fit.predict({"x": [-2.0, 0.0, 2.0]}, kind="response")
    assert set(found[["5%", "95%"]].to_numpy().ravel()) <= {0.0, 1.0}
