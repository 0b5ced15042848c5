"""Leaving out one of several equal rows that were counted: as leaving out rows that stand one by one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.design.equal_rows import distinct
from poolwise.evaluate.loo import sampled_families as sampled
from poolwise.sources import files
from poolwise.statistics import routes


@pytest.fixture(scope="module")
def frame():
    """Small groups, a large one, and one of few rows that are alike."""
    rng = np.random.default_rng(5)
    g, k = rng.integers(2, 20, 600), rng.integers(0, 3, 600)
    g[:120], g[120:124] = 0, 1
    eta = -0.5 + 0.4 * k + rng.normal(size=20)[g]
    return pd.DataFrame({"y": (rng.random(600) < 1 / (1 + np.exp(-eta))).astype(int), "k": k, "g": g})


@pytest.fixture(scope="module")
def fit(frame):
    return pw.fit("y ~ k + (1 | g)", frame, family="bernoulli", seed=1, draws=100)  # so few that all are looked at


def in_order_of_copies(found, counted, rows):
    """What was found for each copy of a counted row, for the rows one by one."""
    keys = [(*values, code) for values, code in zip(counted.values.tolist(), counted.codes.tolist(), strict=True)]
    copies = np.repeat(np.arange(len(keys)), counted.counts.astype(int))
    by_key = {keys[row]: value for row, value in zip(copies, found, strict=True)}
    return np.array([by_key[(*v, c)] for v, c in zip(rows.values.tolist(), rows.codes.tolist(), strict=True)])


@pytest.fixture(scope="module")
def single_rows(fit):
    return sampled.leave_rows_out(fit.result, fit.rows, threads=1)


def test_counted_rows_are_left_out_as_single_ones(fit, single_rows):
    counted = distinct(fit.rows)
    assert len(counted.codes) < 0.3 * len(fit.rows.codes)
    single = single_rows
    several = sampled.leave_rows_out(fit.result, counted, threads=1)
    assert several.total == single.total and several.elpd == pytest.approx(single.elpd, abs=0.02)
    # Of fewer rows more draws are looked at.
    mine = in_order_of_copies(several.elpd_i, counted, fit.rows)
    np.testing.assert_allclose(mine, single.elpd_i, atol=0.02)
    np.testing.assert_allclose(in_order_of_copies(several.residual, counted, fit.rows), single.residual, atol=0.01)
    by = sampled.groups_of(fit.result, fit.rows, "g", None), sampled.groups_of(fit.result, counted, "g", None)
    single = sampled.leave_groups_out(fit.result, fit.rows, by[0], threads=1)
    several = sampled.leave_groups_out(fit.result, counted, by[1], threads=1)
    np.testing.assert_allclose(several.elpd_i, single.elpd_i, atol=0.02)


def test_of_many_rows_those_of_small_groups_are_integrated_given_all_of_these(fit, single_rows, monkeypatch):
    whole = single_rows
    monkeypatch.setattr(sampled, "_WHOLE", 160)
    part = sampled.leave_rows_out(fit.result, fit.rows, threads=1)
    np.testing.assert_allclose(part.elpd_i, whole.elpd_i, atol=0.02)
    monkeypatch.setattr(sampled, "MOST", 200)
    fewer = sampled.leave_rows_out(fit.result, fit.rows, threads=1)
    assert len(fewer.elpd_i) == 200
    assert abs(fewer.elpd - whole.elpd) < 4 * fewer.subsampling_se + 0.1
    assert fewer.subsampling_se < 0.2 * fewer.se


def test_one_of_several_equal_rows_is_left_out_by_refitting(fit):
    counted = distinct(fit.rows)
    place = int(np.argmax(counted.counts))
    rest = sampled._with_one_less(counted, place)
    assert rest.counts.sum() == counted.counts.sum() - 1 and len(rest.codes) == len(counted.codes)
    alone = int(np.flatnonzero(counted.counts == 1)[0])
    assert len(sampled._with_one_less(counted, alone).codes) == len(counted.codes) - 1
    single = replace(fit.rows, counts=None)
    assert len(sampled._with_one_less(single, 3).codes) == len(single.codes) - 1


@pytest.mark.long
def test_counted_fits_are_compared_on_the_rows_that_all_columns_tell_apart(frame, monkeypatch):
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    connection.register("rows_of_all", frame)
    formulas = {"with_k": "y ~ k + (1 | g)", "without": "y ~ (1 | g)"}
    found = []
    for source in (frame, connection.table("rows_of_all")):
        fits = {name: pw.fit(text, source, family="bernoulli", seed=1, draws=100) for name, text in formulas.items()}
        found.append(pw.compare(**fits))
        monkeypatch.setattr(routes, "LARGE", 0)
    assert fits["with_k"].rows is None
    one, other = found
    np.testing.assert_allclose(one.table[["elpd", "elpd_diff"]], other.table[["elpd", "elpd_diff"]], atol=0.1)
    np.testing.assert_allclose(one.table["diff_se"], other.table["diff_se"], rtol=0.05, atol=0.01)
    # Without what has columns of its own missing, fits are of other rows.
    connection.execute("CREATE TABLE holes AS SELECT y, g, CASE WHEN k = 2 THEN NULL ELSE k END AS k FROM rows_of_all")
    with pytest.warns(pw.PoolwiseWarning, match="left out"):
        fits = {
            name: pw.fit(text, connection.table("holes"), family="bernoulli", seed=1, draws=100)
            for name, text in formulas.items()
        }
    with pytest.raises(pw.PoolwiseError, match="complete in the columns of all formulas"):
        pw.compare(**fits)


@pytest.mark.long
@pytest.mark.parametrize("how", ["loo", pytest.param("kfold", marks=pytest.mark.long)])
def test_counted_rows_are_grouped_by_another_column(how, monkeypatch):
    """Rows in the order of their counts were grouped by the column of the rows in the order of the data."""
    rng = np.random.default_rng(8)
    g, k, z = rng.integers(0, 12, 300), rng.integers(0, 3, 300), rng.integers(0, 3, 300)
    y = (rng.random(300) < 1 / (1 + np.exp(0.5 - 0.3 * k - 1.5 * (z == 2)))).astype(int)
    data = pd.DataFrame({"y": y, "k": k, "g": g, "z": z})
    single = pw.fit("y ~ k + (1 | g)", data, family="bernoulli", seed=1, draws=200)
    monkeypatch.setattr(routes, "LARGE", 0)
    counted = pw.fit("y ~ k + (1 | g)", data, family="bernoulli", seed=1, draws=200)
    assert counted.rows is None
    one, other = (getattr(fit, how)(by="z") for fit in (single, counted))
    np.testing.assert_allclose(other.elpd_i, one.elpd_i, atol=1.0)
    assert sums_of(one) == sums_of(other)
    held = pw.SufficientStatistics.from_data("y ~ k + (1 | g)", data, family="bernoulli")
    from_statistics = pw.fit("y ~ k + (1 | g)", held, family="bernoulli", seed=1, draws=200)
    with pytest.raises(pw.DataError, match="counted without 'z'"):
        from_statistics.loo(by="z")
    with pytest.raises(pw.DataError, match="do not come in the order"):
        pw.compare(a=single, b=from_statistics)
    assert len(pw.compare(a=counted, b=from_statistics).table) == 2


def sums_of(found):
    """Sums over each group, which tell whether its rows are those of another fit."""
    return {name: values.tolist() for name, values in found.observed.items()}


@pytest.mark.long
def test_counted_fits_of_one_table_in_two_places_are_compared(tmp_path, monkeypatch):
    """Labels are text in one and numbers in the other; and of files that are gone one sentence says so."""
    pytest.importorskip("duckdb")
    rng = np.random.default_rng(8)
    data = pd.DataFrame({name: rng.integers(0, 12, 600) for name in ("g", "k", "z")})
    data["y"] = (rng.random(600) < 0.4).astype(int)
    data.to_parquet(tmp_path / "numbers.parquet")
    data.assign(g=data["g"].astype(str)).to_parquet(tmp_path / "texts.parquet")
    monkeypatch.setattr(routes, "LARGE", 0)
    monkeypatch.setattr(files, "SMALL", 0)
    a, b, c = (
        pw.fit(f"y ~ {name} + (1 | g)", tmp_path / f"{place}.parquet", family="bernoulli", seed=1, draws=100)
        for name, place in (("k", "numbers"), ("z", "numbers"), ("z", "texts"))
    )
    here, there = pw.compare(a=a, b=b).table, pw.compare(a=a, b=c).table
    np.testing.assert_allclose(here["diff_se"], there["diff_se"], rtol=0.05, atol=0.01)
    (tmp_path / "numbers.parquet").unlink()
    with pytest.raises(pw.PoolwiseError, match="numbers.parquet"):
        pw.compare(a, b)
