"""Statistics as an object: they add, subtract, merge, travel in files, and come from published tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.conftest import RADON_FORMULA as FORMULA
from tests.selection import long_but_for

import poolwise as pw
from poolwise.statistics import routes
from poolwise.statistics.disclosure import small_cells


def assert_same_posterior(one, other):
    assert one.result.model.statistics.cells[0].tolist() == other.result.model.statistics.cells[0].tolist()
    assert one.priors.keys() == other.priors.keys()
    for name, variable in other.result.variables().items():
        np.testing.assert_allclose(one.result.variables()[name].values, variable.values, rtol=1e-6, atol=1e-8)


@pytest.fixture(scope="module")
def whole(radon):
    return pw.fit(FORMULA, radon, seed=3, draws=200)


@pytest.fixture(scope="module")
def halves(radon):
    """Two parts that do not have the same counties."""
    return radon.iloc[:400], radon.iloc[400:]


@pytest.mark.parametrize("stored", [False, True])
def test_update_and_forget_equal_refits(stored, whole, halves, tmp_path):
    first = pw.fit(FORMULA, halves[0], seed=3, draws=200)
    if stored:
        first.save(tmp_path / "first")
        first = pw.load(tmp_path / "first")
    updated = first.update(halves[1])
    assert_same_posterior(updated, whole)
    assert_same_posterior(updated.forget(halves[1]), pw.fit(FORMULA, halves[0], seed=3, draws=200))


def test_priors_that_were_set_stay_and_defaults_are_scaled_to_all_rows(halves, radon):
    priors = {"floor": pw.Normal(-0.5, 0.3), "sd": pw.HalfNormal(1)}
    updated = pw.fit(FORMULA, halves[0], priors=priors, seed=3, draws=200).update(halves[1])
    refit = pw.fit(FORMULA, radon, priors=priors, seed=3, draws=200)
    assert updated.priors == refit.priors
    assert_same_posterior(updated, refit)


def test_merge_equals_a_fit_of_all_rows(whole, halves):
    fits = [pw.fit(FORMULA, half, seed=3, draws=200) for half in halves]
    assert_same_posterior(pw.merge(*fits), whole)
    with pytest.raises(pw.PriorError, match="different priors on: floor"):
        pw.merge(fits[0], pw.fit(FORMULA, halves[1], priors={"floor": pw.Normal(0, 1)}, seed=3, draws=50))
    with pytest.raises(pw.FormulaError, match="different formulas"):
        pw.merge(fits[0], pw.fit("log_radon ~ floor + (1 | county)", halves[1], seed=3, draws=50))


def test_updating_the_fits_of_a_comparison(halves, radon):
    one = pw.compare_pooling("log_radon ~ floor", by="county", data=halves[0], folds=0, seed=3, draws=100)
    two = pw.compare_pooling("log_radon ~ floor", by="county", data=radon, folds=0, seed=3, draws=100)
    for kind in ("complete", "partial"):
        updated = getattr(one, kind).update(halves[1])
        assert updated.result.model.pooling is getattr(two, kind).result.model.pooling
        np.testing.assert_allclose(updated.result.beta, getattr(two, kind).result.beta, rtol=1e-6, atol=1e-8)
    with pytest.raises(pw.DataError, match="compare_pooling again"):
        one.separate.update(halves[1])


def test_statistics_travel_in_files(whole, halves, tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for half, path in zip(halves, paths, strict=True):
        pw.SufficientStatistics.from_data(FORMULA, half).save(path)
        assert path.stat().st_size < 12_000
    parts = [pw.SufficientStatistics.load(path) for path in paths]
    assert_same_posterior(pw.fit(FORMULA, parts[0] + parts[1], seed=3, draws=200), whole)
    rest = (parts[0] + parts[1]) - parts[1]
    assert rest.products.cells[0].tolist() == parts[0].products.cells[0].tolist()
    with pytest.raises(pw.FileError, match="holds a poolwise statistics, not a fit"):
        pw.load(paths[0])
    with pytest.raises(pw.FormulaError, match="the statistics are of"):
        pw.fit("log_radon ~ floor", parts[0])
    with pytest.raises(pw.DataError, match="folds=0"):
        pw.compare_pooling("log_radon ~ floor", by="county", data=parts[0])


def test_parts_that_lack_a_category_need_a_common_encoding(small):
    formula = "y ~ z + x + (1 | g)"
    first, second = small[small.g != "d"], small[(small.g == "d") & (small.z != "mid")]
    assert set(first.z) == {"low", "mid", "high"}
    one = pw.SufficientStatistics.from_data(formula, first)
    with pytest.raises(pw.DataError, match="'z' took its categories"):
        one + pw.SufficientStatistics.from_data(formula, second)
    both = one + pw.SufficientStatistics.from_data(formula, second, like=one)
    wanted = pw.SufficientStatistics.from_data(formula, pd.concat([first, second]))
    np.testing.assert_allclose(both.products.scatter, wanted.products.scatter, atol=1e-12)
    with pytest.raises(pw.DataError, match="categories that the fit has not seen: 'z' is huge"):
        pw.SufficientStatistics.from_data(formula, second.assign(z="huge"), like=one)


@pytest.mark.parametrize("engine", ["memory", "polars", "batches"])
def test_like_works_from_every_route(engine, small, monkeypatch):
    import polars as pl

    formula = "y ~ scale(x) * z + (1 | g)" if engine != "batches" else "y ~ scale(x) * z + np.sin(w) + (1 | g)"
    one = pw.SufficientStatistics.from_data(formula, small)
    few = small[small.z != "mid"]
    data = few if engine == "memory" else pl.from_pandas(few).lazy()
    found = pw.SufficientStatistics.from_data(formula, data, like=one)
    assert ("in batches" in found.reading) == (engine == "batches")
    rest = one - found
    wanted = pw.SufficientStatistics.from_data(formula, small[small.z == "mid"], like=one)
    np.testing.assert_allclose(rest.products.counts, wanted.products.counts)
    np.testing.assert_allclose(rest.products.scatter, wanted.products.scatter, atol=1e-11)


def test_a_scale_of_the_first_rows_is_kept_and_said(small):
    fit = pw.fit("y ~ scale(x) + (1 | g)", small, seed=1, draws=50)
    with pytest.warns(pw.PoolwiseWarning, match=r"scale\(x\) keeps the scale"):
        fit.update(small)


CATEGORIES = ("r ~ x + h + (1 | g)", "r ~ x * h + (1 | g)", "r ~ x + h + (x | g)", "r ~ x + h + (h || g)", "r ~ x + h")


def _with_categories(seed: int) -> pd.DataFrame:
    """Outcomes of which none is a sum of few binary digits, so that sums are rounded."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"g": rng.integers(0, 9, 300).astype(str), "h": rng.choice(list("abcd"), 300)})
    frame["x"] = rng.normal(size=300)
    frame["w"] = rng.uniform(0.5, 3.0, 300)
    return frame.assign(r=0.4 * frame["x"] + rng.normal(size=300))


@pytest.mark.parametrize("weights", long_but_for(lambda weights: weights == "w", [None, "w"]))
@pytest.mark.parametrize("formula", CATEGORIES)
@pytest.mark.parametrize("seed", long_but_for(1, [0, 1]))
def test_a_category_that_no_row_has_any_more_is_no_column(formula, weights, seed):
    """Rounding that is left of it is no spread: its default prior would be as wide as the inverse."""
    rows = _with_categories(seed)
    gone = rows["h"] == "d"
    left = pw.fit(formula, rows, weights=weights, seed=3, draws=100).forget(rows[gone])
    refit = pw.fit(formula, rows[~gone], weights=weights, seed=3, draws=100)
    assert left.priors.keys() == refit.priors.keys()
    assert left.log_evidence == pytest.approx(refit.log_evidence, abs=1e-8)
    estimates = [each.summary()[["mean", "sd"]] for each in (left, refit)]
    pd.testing.assert_frame_equal(*estimates, rtol=1e-6, atol=1e-8)
    whole = pw.SufficientStatistics.from_data(formula, rows, weights=weights)
    part = pw.SufficientStatistics.from_data(formula, rows[gone], like=whole, weights=weights)
    assert pw.fit(formula, whole - part, seed=3, draws=100).log_evidence == pytest.approx(refit.log_evidence, abs=1e-8)


@pytest.mark.parametrize("constant", [0.0, 0.1, 2020.3, 1e6 + 0.7])
def test_a_column_that_is_constant_in_what_is_left_is_refused_as_by_a_refit(constant):
    rows = _with_categories(0).assign(promo=constant)
    gone = rows["h"] == "d"
    rows.loc[gone, "promo"] = constant + np.random.default_rng(1).random(gone.sum()).round(2)
    formula = "r ~ x + promo + (1 | g)"
    fit = pw.fit(formula, rows, seed=3, draws=50)
    with pytest.raises(pw.DataError, match="'promo' is constant") as refit:
        pw.fit(formula, rows[~gone], seed=3)
    with pytest.raises(pw.DataError, match="'promo' is constant") as forgotten:
        fit.forget(rows[gone])
    assert str(forgotten.value) == str(refit.value)


def test_a_category_that_was_forgotten_may_come_back(tmp_path):
    """Its rows would pass for rows of the reference category."""
    rows = _with_categories(0)
    gone = rows["h"] == "d"
    whole = pw.fit("r ~ x + h + (1 | g)", rows, seed=3, draws=100)
    without = whole.forget(rows[gone])
    assert_same_posterior(without.update(rows[gone]), whole)
    without.save(tmp_path / "without")
    with pytest.raises(pw.DataError, match=r"'h\[T.d\]' was zero in every row"):
        pw.load(tmp_path / "without").update(rows[gone])


@pytest.mark.parametrize("weights", [None, "w"])
def test_of_many_rows_rounding_is_larger(weights):
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"g": rng.integers(0, 12, 200_000), "h": rng.choice(list("abcd"), 200_000)})
    rows["w"], rows["r"] = rng.uniform(0.5, 3.0, 200_000), rng.normal(size=200_000)
    gone = rows["h"] == "d"
    left = pw.fit("r ~ h + (1 | g)", rows, weights=weights, seed=3, draws=50).forget(rows[gone])
    refit = pw.fit("r ~ h + (1 | g)", rows[~gone], weights=weights, seed=3, draws=50)
    assert left.priors.keys() == refit.priors.keys()
    assert left.log_evidence == pytest.approx(refit.log_evidence, rel=1e-9)


def test_equal_outcomes_and_columns_equal_but_for_a_digit_may_be_left():
    rng = np.random.default_rng(4)
    rows = pd.DataFrame({"g": rng.integers(0, 40, 2000).astype(str), "y": rng.integers(0, 3, 2000).astype(float)})
    rows["of_group"] = rng.normal(size=40)[rows["g"].astype(int)]
    size = rng.uniform(1, 5, 2000)
    rows["of_group"] = np.log(np.exp(rows["of_group"])) + np.log(size) - np.log(size)
    gone = rng.random(2000) < 0.9
    formula = "y ~ of_group + (1 | g)"
    left = pw.fit(formula, rows, seed=3, draws=50).forget(rows[gone])
    refit = pw.fit(formula, rows[~gone], seed=3, draws=50)
    assert left.log_evidence == pytest.approx(refit.log_evidence, abs=1e-6)


@pytest.mark.parametrize("size", [1e8, 1e9])
def test_a_predictor_that_has_lost_its_digits_is_refused(size):
    rows = _with_categories(0)
    rows.loc[0, "x"] = size
    with pytest.raises(pw.DataError, match="Nothing certain is left of the spread of 'x'"):
        pw.fit("r ~ x + (1 | g)", rows, seed=3, draws=50).forget(rows.iloc[[0]])


@pytest.mark.parametrize("column", ["x", "r"])
def test_a_group_is_forgotten_by_its_own_rows_alone(column):
    rows = _with_categories(0)
    fit, group = pw.fit("r ~ x + (1 | g)", rows, seed=3, draws=50), rows[rows["g"] == "4"]
    assert "4" not in fit.forget(group).group_coefficients().index
    for other in (group.assign(**{column: group[column] + 1e-3}), group.assign(**{column: group[column] * 1.001})):
        with pytest.raises(pw.DataError, match="not part of these statistics: see group '4'"):
            fit.forget(other)


def test_rows_that_were_never_there_are_not_forgotten(halves):
    fit = pw.fit(FORMULA, halves[0], seed=3, draws=50)
    with pytest.raises(pw.DataError, match="not part of these statistics"):
        fit.forget(halves[1])
    strange = halves[0].iloc[:30].assign(log_radon=lambda frame: 50.0 * frame.log_radon)
    with pytest.raises(pw.DataError, match="not part of these statistics"):
        fit.forget(strange)


def published(radon):
    return radon.groupby(["county", "floor"]).log_radon.agg(n="size", mean="mean", sd="std").reset_index()


def test_a_published_table_gives_the_posterior_of_its_rows(whole, radon):
    assert_same_posterior(pw.fit(FORMULA, pw.from_cells(published(radon)), seed=3, draws=200), whole)


def test_tables_that_cannot_be(radon):
    table = published(radon)
    for change, said in (
        ({"n": table.n + 0.5}, "'n' must hold whole numbers"),
        ({"n": -table.n}, "'n' must hold whole numbers"),
        ({"sd": -table.sd}, "'sd' must hold the sd of each cell of two rows or more; see line"),
        ({"sd": np.nan}, "'sd' must hold the sd"),
        ({"mean": np.nan}, "'mean' must hold the mean"),
        ({"county": table.county.where(table.index != 3)}, "1 of 145 rows have missing values, in: county"),
    ):
        with pytest.raises(pw.DataError, match=said):
            pw.fit(FORMULA, pw.from_cells(table.assign(**change)))
    with pytest.raises(pw.DataError, match="no column 'size'"):
        pw.from_cells(table, n="size")
    with pytest.raises(pw.FormulaError, match="from which 'log.y.' cannot be computed"):
        pw.fit("log(y) ~ floor + (1 | county)", pw.from_cells(table))


def test_small_cells_are_found_and_left_out(radon, tmp_path):
    statistics = pw.SufficientStatistics.from_data(FORMULA, radon)
    cells = statistics.small_cells(3)
    counts = radon.groupby(["county", "floor"]).size().unstack(fill_value=0)
    wanted = set(counts.index[((counts > 0) & (counts < 3)).any(axis=1)])
    assert set(cells["group"]) == wanted
    with pytest.warns(pw.PoolwiseWarning, match=f"{len(wanted) - 5} more"):
        statistics.save(tmp_path / "s", minimum_cell=3)
    kept = pw.SufficientStatistics.load(tmp_path / "s")
    assert set(kept.products.cells[0]) == set(radon.county) - wanted
    assert not len(small_cells(kept.products, 3))
    with pytest.raises(pw.DataError, match="nothing would be left"):
        statistics.save(tmp_path / "t", minimum_cell=10_000)
    with pytest.raises(pw.DataError, match="minimum_cell must be a whole number"):
        statistics.save(tmp_path / "t", minimum_cell=0)
    assert not (tmp_path / "t").exists()


def test_a_category_within_a_group_is_a_cell(small):
    statistics = pw.SufficientStatistics.from_data("y ~ z + x + (1 | g)", small)
    cells = small_cells(statistics.products, 2)
    sizes = small.groupby(["g", "z"]).size()
    lonely = {(g, f"z[T.{z}] = 1") for (g, z), n in sizes.items() if n == 1 and z != "high"}
    assert lonely <= set(zip(cells["group"], cells["cell"], strict=True))


def test_the_reference_level_and_pairs_of_categories_are_cells():
    rng = np.random.default_rng(1)
    groups = np.repeat(["one", "two", "three"], 60)
    frame = pd.DataFrame({"g": groups, "z": np.tile(list("abc"), 60), "v": np.tile([0, 0, 0, 1, 1, 1], 30)})
    frame["y"] = rng.normal(size=180)
    lonely = (frame.g == "two") & (frame.z == "a") & (frame.index != frame.index[(frame.g == "two")][0])
    pairs = (frame.g == "three") & (frame.z == "b") & (frame.v == 1)
    frame = frame[~lonely & ~(pairs & (pairs.cumsum() > 1))]
    found = small_cells(pw.SufficientStatistics.from_data("y ~ z + v + (1 | g)", frame).products, 5)
    cells = set(zip(found["group"], found["cell"], found["rows"], strict=True))
    assert ("two", "z = reference", 1) in cells
    assert ("three", "z[T.b] = 1, v = 1", 1) in cells
    assert set(found["group"]) == {"two", "three"}
    sums = pw.SufficientStatistics.from_data("y ~ C(z, contr.sum) + (1 | g)", frame)
    with pytest.raises(pw.DataError, match="cannot be counted; code the category by treatment"):
        small_cells(sums.products, 5)


def test_forgetting_an_outlier_that_has_eaten_the_digits_is_refused(small):
    outlier = small.iloc[[5]].assign(y=1e9)
    fit = pw.fit("y ~ x + (1 | g)", pd.concat([small, outlier]), seed=1, draws=50)
    with pytest.raises(pw.DataError, match="has lost its digits"):
        fit.forget(outlier)


def test_dropped_rows_of_an_update_are_said(small):
    fit = pw.fit("y ~ x + (1 | g)", small, seed=1, draws=50)
    with pytest.warns(pw.PoolwiseWarning, match="1 of 30 rows have missing values"):
        fit.update(small.assign(x=small.x.where(small.index > 0)))


def test_groups_that_are_days_survive_a_file(small, tmp_path):
    import datetime

    days = small.assign(g=[datetime.date(2024, 1, ord(g) - 96) for g in small.g])
    fit = pw.fit("y ~ x + (1 | g)", days, seed=1, draws=50)
    fit.save(tmp_path / "fit")
    again = pw.load(tmp_path / "fit")
    assert again.statistics.products.cells[0].tolist() == fit.statistics.products.cells[0].tolist()
    assert len(again.update(days).statistics.products.cells[0]) == 6


def test_scales_are_not_learnt_from_the_lines_of_a_table(radon):
    with pytest.raises(pw.FormulaError, match="'scale.floor.' would be learnt from the lines"):
        pw.fit("log_radon ~ scale(floor) + (1 | county)", pw.from_cells(published(radon)))


def test_what_cannot_be_combined(small):
    formula = "y ~ x + (1 | g)"
    one = pw.SufficientStatistics.from_data(formula, small)
    with pytest.raises(pw.DataError, match="combine with statistics only, not with int"):
        one + 5
    with pytest.raises(pw.DataError, match="No row would be left"):
        one - one
    fit = pw.fit(formula, one, seed=1, draws=50)
    with pytest.raises(pw.DataError, match="fit.statistics has them"):
        pw.SufficientStatistics.from_data(formula, small, like=fit)
    with pytest.raises(pw.DataError, match="list of groups is empty"):
        fit.group_coefficients(groups=[])
    with pytest.raises(pw.DataError, match="There is no group 'z' in g. .*Valid names: a, b"):
        fit.group_draws(["z"])


def test_all_cells_of_two_categories_are_counted():
    """Against counts of the rows, reference levels beside reference levels too."""
    rng = np.random.default_rng(0)
    for _ in range(4):
        n = 120
        rows = pd.DataFrame({"y": rng.normal(size=n), "b": rng.integers(0, 2, n), "g": rng.integers(0, 2, n)})
        rows = rows.assign(a=rng.choice(list("abc"), n, p=[0.2, 0.5, 0.3]), c=rng.choice(list("uvw"), n))
        found = small_cells(pw.SufficientStatistics.from_data("y ~ a*b + c + (1 | g)", rows).products, 10)
        counted = {
            (group, number)
            for group, own in rows.groupby("g")
            for columns in (["a"], ["b"], ["c"], ["a", "b"], ["a", "c"], ["b", "c"])
            for number in own.groupby(columns).size()
            if 0 < number < 10
        }
        assert counted <= set(zip(found["group"], found["rows"], strict=True))


@pytest.mark.parametrize(
    ("formula", "family"),
    [("k ~ I(x > 3) + (1 | g)", "bernoulli"), ("n ~ I((x - 3.5) ** 2) + (1 | g)", "poisson")],
)
def test_rows_that_differ_but_are_equal_once_encoded_all_count(formula, family, monkeypatch):
    """`I(x > 3)` is the same for four values of x: their numbers add up."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": rng.integers(0, 8, 4000), "x": rng.integers(0, 8, 4000).astype(float)})
    data["k"], data["n"] = rng.integers(0, 2, 4000), rng.poisson(2.0, 4000)
    near = pw.SufficientStatistics.from_data(formula, data, family=family)
    monkeypatch.setattr(routes, "LARGE", 0)
    far = pw.SufficientStatistics.from_data(formula, pl.from_pandas(data).lazy(), family=family)
    assert far.rows == near.rows == 4000
    ours, theirs = (pw.fit(formula, each, family=family, seed=1, draws=200) for each in (far, near))
    np.testing.assert_allclose(ours.summary()["mean"], theirs.summary()["mean"], rtol=1e-6)


def test_amounts_that_are_equal_once_encoded_all_count(monkeypatch):
    rng = np.random.default_rng(0)
    g, x = rng.integers(0, 8, 4000), rng.integers(0, 8, 4000).astype(float)
    y = np.where(rng.random(4000) < 0.4, 0.0, rng.gamma(3.0, np.exp(0.5 * (x > 3)) / 3))
    monkeypatch.setattr(routes, "LARGE", 0)
    data = pl.LazyFrame({"y": y, "x": x, "g": g})
    far = pw.fit("y ~ I(x > 3) + (1 | g)", data, family="hurdle_gamma", seed=1)
    assert "summed up" in far.result.model.data.reading
    assert far.result.model.observations.rows == 4000
    monkeypatch.undo()
    near = pw.fit("y ~ I(x > 3) + (1 | g)", data.collect(), family="hurdle_gamma", seed=1)
    np.testing.assert_allclose(far.summary()["mean"], near.summary()["mean"], atol=0.02)
