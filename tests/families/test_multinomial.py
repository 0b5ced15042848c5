"""Counts of categories are the same model as one row for each thing that was counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tests.selection import long_but_for

import poolwise as pw

KINDS = ["oak", "elm", "ash"]


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    site, x = np.repeat(np.arange(12), 4), rng.normal(size=48)
    scores = np.column_stack([np.zeros(48), 0.3 + 0.8 * x + rng.normal(0, 0.5, 12)[site], -0.4 - 0.5 * x])
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    found = np.array(
        [rng.multinomial(size, share) for size, share in zip(rng.integers(5, 40, 48), shares, strict=True)]
    )
    return pd.DataFrame(found, columns=KINDS).assign(x=x, site=[f"s{k}" for k in site])


@pytest.fixture(scope="module")
def trees(counts) -> pd.DataFrame:
    """A row for each tree."""
    kinds = [np.repeat(KINDS, row) for row in counts[KINDS].to_numpy()]
    tall = counts.loc[np.repeat(np.arange(48), list(map(len, kinds))), ["x", "site"]]
    return tall.assign(kind=pd.Categorical(np.concatenate(kinds), KINDS, ordered=True))


@pytest.fixture(scope="module")
def fitted(counts):
    return pw.fit("cbind(oak, elm, ash) ~ x + (1 | site)", counts, family="multinomial", draws=200, seed=1)


def test_same_draws_as_from_single_rows(fitted, trees):
    single = pw.fit("kind ~ x + (1 | site)", trees, family="categorical", draws=200, seed=1)
    pd.testing.assert_frame_equal(fitted.summary(), single.summary(), rtol=1e-9)


def test_counts_of_ordered_categories(counts, trees):
    fit = pw.fit("(oak, elm, ash) ~ x + (1 | site)", counts, family="cumulative", draws=200, seed=1)
    single = pw.fit("kind ~ x + (1 | site)", trees, family="cumulative", draws=200, seed=1)
    pd.testing.assert_frame_equal(fit.summary(), single.summary(), rtol=1e-9)


@pytest.mark.parametrize(
    "make",
    long_but_for(
        lambda make: make is pa.Table.from_pandas,
        [pl.from_pandas, lambda frame: pl.from_pandas(frame).lazy(), pa.Table.from_pandas],
    ),
)
def test_any_frame(make, fitted, counts):
    fit = pw.fit("cbind(oak, elm, ash) ~ x + (1 | site)", make(counts), family="multinomial", draws=200, seed=1)
    pd.testing.assert_frame_equal(fit.summary(), fitted.summary(), rtol=1e-12)


def test_checks_count_every_tree(fitted, counts):
    table = fitted.check(draws=50, seed=1).table
    whole = counts[KINDS].to_numpy().sum()
    np.testing.assert_allclose(table["observed"], counts[KINDS].sum() / whole)
    assert fitted.check(draws=50, seed=1).total == whole


@pytest.mark.long
def test_after_the_fit(fitted, counts, tmp_path):
    new = counts[["x", "site"]].head(2)
    table = fitted.predict(new)
    assert table["category"].tolist() == KINDS * 2
    np.testing.assert_allclose(table.groupby(level=0)["mean"].sum(), 1.0)
    fitted.save(tmp_path / "fit")
    pd.testing.assert_frame_equal(pw.load(tmp_path / "fit").predict(new), table)
    assert np.isfinite(fitted.loo(by="site").elpd)


@pytest.mark.long
def test_rows_are_left_out_whole(fitted, counts):
    found = fitted.loo()
    assert found.unit == "row"
    assert len(found.elpd_i) == len(counts)
    assert found.elpd == fitted.loo(by="counted_row").elpd


@pytest.mark.long
def test_folds_hold_rows_of_counts_whole(fitted, trees):
    """As many folds as sites times rows would leave one row out each: nearly what `loo` says, by other means."""
    exact, folds = fitted.loo(), fitted.kfold(48, draws=100)
    assert folds.unit == "row" and list(folds.labels) == list(exact.labels)
    np.testing.assert_allclose(folds.elpd_i, exact.elpd_i, atol=0.25)
    assert folds.elpd == pytest.approx(exact.elpd, abs=1.0)
    assert len(fitted.kfold(5, draws=50).elpd_i) == 48


@pytest.mark.long
def test_compare_pooling_of_counts(counts):
    """Scores of rows left out are of the whole row, as `loo` of the fit says them."""
    found = pw.compare_pooling(
        "cbind(oak, elm, ash) ~ x", by="site", data=counts, family="multinomial", folds=4, draws=100, seed=1
    )
    table = found.table
    by_row = fitted_by(counts).loo()
    line = table.loc["partial pooling"]
    assert line["log_score_leave_one_out"] == pytest.approx(by_row.elpd / 48, abs=0.05)
    assert line["log_score_4_fold"] == pytest.approx(by_row.elpd / 48, abs=0.3)
    assert "predicts best: log score" in found.verdict
    assert len(found.separate.kfold(4, draws=50).elpd_i) == 48


def fitted_by(counts):
    return pw.fit("cbind(oak, elm, ash) ~ x + (x || site)", counts, family="multinomial", draws=250, seed=1)


def test_a_row_with_a_missing_count_is_left_out(counts):
    holes = counts.astype({"elm": float})
    holes.loc[3, "elm"] = np.nan
    with pytest.warns(pw.PoolwiseWarning, match="1 of 48 rows have missing counts"):
        fit = pw.fit("cbind(oak, elm, ash) ~ x", holes, family="multinomial", draws=100, seed=1)
    with pytest.raises(pw.DataError, match="1 of 48 rows have missing counts"):
        pw.fit("cbind(oak, elm, ash) ~ x", holes, family="multinomial", missing="error", draws=50)
    known = pw.fit("cbind(oak, elm, ash) ~ x", counts.drop(index=3), family="multinomial", draws=100, seed=1)
    pd.testing.assert_frame_equal(fit.summary(), known.summary(), rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "formula", "message"),
    [
        ({"elm": -1}, "cbind(oak, elm, ash) ~ x", "'elm' holds -1; counts are whole numbers"),
        ({"elm": 0.5}, "cbind(oak, elm, ash) ~ x", "'elm' holds 0.5"),
        ({"elm": "many"}, "cbind(oak, elm, ash) ~ x", "'elm' must hold how often"),
        ({"elm": 0}, "cbind(oak, elm, ash) ~ x", "'elm' was never counted"),
        ({"count": 1}, "cbind(oak, elm, ash) ~ x", "rename 'count'"),
        ({}, "cbind(oak, elm, oak) ~ x", "counts a category twice"),
        ({}, "cbind(oak, elm, larch) ~ x", "no column 'larch'"),
        ({}, "oak + elm ~ x", "arithmetic on the outcome"),
    ],
)
def test_messages(counts, change, formula, message):
    with pytest.raises((pw.DataError, pw.FormulaError), match=message):
        pw.fit(formula, counts.assign(**change), family="multinomial", draws=50)


def test_weights_besides_counts_are_refused(counts):
    with pytest.raises(pw.FormulaError, match="Counts of categories are weights already"):
        pw.fit("cbind(oak, elm, ash) ~ x", counts, family="multinomial", weights="x", draws=50)
