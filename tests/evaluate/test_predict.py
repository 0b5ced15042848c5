"""Predictions and what is made of them, against sums written by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw


def frame(rows=60, groups=6, seed=1):
    rng = np.random.default_rng(seed)
    g = rng.integers(0, groups, rows)
    x, z = rng.normal(size=rows), rng.choice(["a", "b", "c"], rows)
    y = 1 + 0.5 * x + (z == "b") + rng.normal(size=groups)[g] + rng.normal(size=rows)
    names = np.array([f"g{i}" for i in g])
    return pd.DataFrame({"y": y, "x": x, "g": names, "h": rng.integers(0, 3, rows), "z": z, "o": 2.0 * x, "n": 4.0})


@pytest.fixture(scope="module")
def fit():
    return pw.fit("y ~ x + z + (1 + x | g)", frame(), seed=1, draws=500)


def by_hand(fit, x, z, group):
    """Draws (m, rows) of the mean; group None is the average group."""
    post = fit.posterior
    beta = post["beta"].values.reshape(-1, 4)
    eta = beta[:, [0]] + beta[:, [1]] * x + beta[:, [2]] * (z == "b") + beta[:, [3]] * (z == "c")
    if group is not None:
        u = post["u_g"].sel(g=group).values.reshape(len(beta), -1, 2)
        eta = eta + u[..., 0] + u[..., 1] * x
    return eta


NEW = pd.DataFrame({"x": [0.0, 1.5, -2.0], "z": ["a", "b", "c"], "g": ["g3", "g0", "g3"]}, index=["p", "q", "r"])


def test_known_groups(fit):
    drawn = fit.predict(NEW, draws=True)
    np.testing.assert_allclose(
        drawn.values.reshape(-1, 3),
        by_hand(fit, NEW["x"].to_numpy(), NEW["z"].to_numpy(), NEW["g"].tolist()),
        atol=1e-10,
    )
    assert list(drawn["observation"].values) == ["p", "q", "r"]
    table = fit.predict(NEW)
    assert list(table.index) == ["p", "q", "r"]
    np.testing.assert_allclose(table["mean"], drawn.mean(("chain", "draw")))
    np.testing.assert_allclose(table["95%"], drawn.quantile(0.95, ("chain", "draw")))


def test_its_own_rows_by_default(fit):
    np.testing.assert_allclose(fit.predict()["mean"], fit.predict(frame())["mean"])
    assert fit.predict().index.equals(frame().index)


def test_the_average_group_needs_no_label(fit):
    new = NEW.drop(columns="g")
    drawn = fit.predict(new, new_groups="population", draws=True).values.reshape(-1, 3)
    np.testing.assert_allclose(drawn, by_hand(fit, new["x"].to_numpy(), new["z"].to_numpy(), None), atol=1e-10)
    with pytest.raises(pw.DataError, match="no column 'g'"):
        fit.predict(new, new_groups="sample")


def test_a_new_group_is_drawn_from_the_groups_and_shared_by_its_rows(fit):
    new = pd.DataFrame({"x": [0.0, 0.0, 2.0, 0.0], "z": "a", "g": ["new", "new", "new", "other"]})
    drawn = fit.predict(new, new_groups="sample", draws=True).values.reshape(-1, 4)
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
    post = fit.posterior
    u = drawn - by_hand(fit, new["x"].to_numpy(), new["z"].to_numpy(), None)
    sd = post["sd_g"].values.reshape(-1, 2)
    cor = post["cor_g"].values.reshape(-1, 2, 2)[:, 0, 1]
    standard = u[:, 0] / sd[:, 0]
    assert standard.mean() == pytest.approx(0, abs=0.1)
    assert standard.std() == pytest.approx(1, abs=0.06)
    slope = (u[:, 2] - u[:, 0]) / 2 / sd[:, 1]
    assert np.mean(standard * slope - cor) == pytest.approx(0, abs=0.1)
    assert abs(np.corrcoef(u[:, 0], u[:, 3])[0, 1]) < 0.1
    again = fit.predict(new[2:], new_groups="sample", draws=True).values.reshape(-1, 2)
    np.testing.assert_allclose(again, drawn[:, 2:])


def test_one_of_these_is_one_of_the_known_groups(fit):
    new = pd.DataFrame({"x": [0.0], "z": ["a"], "g": ["who"]})
    drawn = fit.predict(new, new_groups="one_of_these", draws=True).values.reshape(-1)
    known = fit.predict(pd.DataFrame({"x": 0.0, "z": "a", "g": [f"g{i}" for i in range(6)]}), draws=True)
    known = known.values.reshape(len(drawn), 6)
    hit = np.isclose(drawn[:, None], known, atol=1e-10)
    assert hit.any(axis=1).all()
    assert hit.mean(axis=0) == pytest.approx(np.full(6, 1 / 6), abs=0.04)


def test_unseen_groups_are_refused_with_the_choices(fit):
    with pytest.raises(pw.DataError, match="has not seen g 'g9'.*g0.*new_groups='sample'"):
        fit.predict(NEW.assign(g="g9"))
    with pytest.raises(pw.DataError, match="new_groups must be one of"):
        fit.predict(NEW, new_groups="guess")
    with pytest.raises(pw.DataError, match="kind must be one of"):
        fit.predict(NEW, kind="link")
    with pytest.raises(pw.DataError, match="no column 'x'"):
        fit.predict(NEW.drop(columns="x"))
    with pytest.raises(pw.DataError, match="missing values"):
        fit.predict(NEW.assign(x=[0.0, None, 1.0]))
    with pytest.raises(pw.DataError, match="categories that the fit has not seen"):
        fit.predict(NEW.assign(z="d"))
    with pytest.raises(pw.DataError, match="no rows"):
        fit.predict(NEW[:0])


def test_a_response_has_residual_noise_and_the_same_seed_the_same_draws(fit):
    mean, response = (fit.predict(NEW, kind=kind, draws=True).values for kind in ("mean", "response"))
    sigma = fit.posterior["sigma"].values[..., None]
    standard = (response - mean) / sigma
    assert standard.std() == pytest.approx(1, abs=0.03)
    np.testing.assert_array_equal(response, fit.predict(NEW, kind="response", draws=True).values)
    assert not np.array_equal(response, fit.predict(NEW, kind="response", draws=True, seed=5).values)


def test_offsets_are_added_and_weights_narrow_the_noise():
    fit = pw.fit("y ~ x + offset(o) + (1 | g)", frame(), weights="n", seed=1, draws=500)
    new = NEW.assign(o=[0.0, 10.0, 0.0], n=[1.0, 1.0, 10_000.0])
    without = fit.predict(new.assign(o=0.0), draws=True).values
    np.testing.assert_allclose(
        fit.predict(new, draws=True).values - without, np.broadcast_to([0.0, 10.0, 0.0], without.shape)
    )
    noise = fit.predict(new, kind="response", draws=True).values - fit.predict(new, draws=True).values
    assert noise[..., 0].std() / noise[..., 2].std() == pytest.approx(100, rel=0.1)
    one = fit.predict(new.drop(columns="n"), kind="response", draws=True).values
    np.testing.assert_array_equal(one, fit.predict(new.assign(n=1.0), kind="response", draws=True).values)


def test_several_factors_and_complete_and_separate_fits():
    fit = pw.fit("y ~ x + (1 | g) + (x | h)", frame(), seed=1, draws=200)
    post = fit.posterior
    new = pd.DataFrame({"x": [1.0, 2.0], "g": ["g1", "brand new"], "h": [2, 0]})
    beta = post["beta"].values.reshape(-1, 2)
    drawn = fit.predict(new, new_groups="average", draws=True).values.reshape(-1, 2)
    population = fit.predict(new, new_groups="population", draws=True).values.reshape(-1, 2)
    np.testing.assert_allclose(population, beta @ np.array([[1, 1], [1, 2]]).T, atol=1e-10)
    u, v = post["u_g"].sel(g="g1").values.reshape(-1), post["u_h"].values.reshape(len(beta), 3, 2)
    np.testing.assert_allclose(drawn[:, 0], beta @ [1, 1] + u + v[:, 2] @ [1, 1], atol=1e-10)
    np.testing.assert_allclose(drawn[:, 1], beta @ [1, 2] + v[:, 0] @ [1, 2], atol=1e-10)
    pooling = pw.compare_pooling("y ~ x", by="g", data=frame(), seed=1, folds=0, draws=200)
    line = pooling.complete.posterior["beta"].values.reshape(-1, 2) @ [1, 1]
    np.testing.assert_allclose(pooling.complete.predict(new, draws=True).values.reshape(-1, 2)[:, 0], line)
    separate = pooling.separate.predict(new, new_groups="sample", draws=True).values.reshape(-1, 2)
    own = pooling.separate.posterior["coef_g"].sel(g="g1").values.reshape(-1, 2) @ [1, 1]
    np.testing.assert_allclose(separate[:, 0], own)
    assert separate[:, 1].std() > 3 * separate[:, 0].std()
    with pytest.raises(pw.DataError, match="no population"):
        pooling.separate.predict(new, new_groups="population")


def test_predictions_comparisons_and_slopes(fit):
    data = frame()
    drawn = fit.predict(data, draws=True).values.reshape(-1, 60)
    averaged = pw.avg_predictions(fit)
    assert averaged.table["mean"][0] == pytest.approx(drawn.mean())
    np.testing.assert_allclose(averaged.draws.values.reshape(-1), drawn.mean(axis=1))
    by_z = pw.predictions(fit, by="z")
    assert list(by_z.table["z"]) == ["a", "b", "c"]
    assert by_z.table["mean"][1] == pytest.approx(drawn[:, data["z"] == "b"].mean())

    post = fit.posterior
    slope = (post["beta"][..., 1].values[..., None] + post["u_g"].sel(g=data["g"].tolist()).values[..., 1]).reshape(
        -1, 60
    )
    found = pw.slopes(fit, "x")
    np.testing.assert_allclose(found.draws.values.reshape(-1, 60), slope, atol=1e-6)
    assert found.table["above_zero"][0] == pytest.approx((slope[:, 0] > 0).mean())
    np.testing.assert_allclose(pw.avg_slopes(fit, "x").draws.values.reshape(-1), slope.mean(axis=1), atol=1e-6)

    change = pw.avg_comparisons(fit)
    assert list(change.table["contrast"]) == ["+1", "b - a", "c - a"]
    assert change.table["mean"][1] == pytest.approx(float(post["beta"][..., 2].mean()))
    each = pw.comparisons(fit, "x", by="g")
    assert list(each.table["g"]) == sorted(data["g"].unique())
    with pytest.raises(pw.DataError, match="not a predictor"):
        pw.comparisons(fit, "xx")
    with pytest.raises(pw.DataError, match="no slope"):
        pw.slopes(fit, "z")
    with pytest.raises(pw.DataError, match="no column 'zz'"):
        pw.predictions(fit, by="zz")


def test_a_grid_of_rows(fit):
    grid = pw.datagrid(fit, x=[0, 1], g=["g1", "g2"])
    assert len(grid) == 4
    assert (grid["z"] == frame()["z"].mode()[0]).all()
    assert len(pw.predictions(fit, grid).table) == 4
    with pytest.raises(pw.DataError, match="no predictor or group 'w'"):
        pw.datagrid(fit, w=[1])


def test_far_units_keep_their_digits():
    data = frame()
    far = data.assign(y=data["y"] + 1e6, x=1.7e9 + data["x"])
    near = pw.fit("y ~ x + (1 | g)", data, seed=1, draws=200).predict()
    shifted = pw.fit("y ~ x + (1 | g)", far, seed=1, draws=200).predict()
    np.testing.assert_allclose(shifted["mean"] - 1e6, near["mean"], atol=0.2)


def test_what_changes_can_be_said_and_hangs_on_the_fit_and_not_on_the_new_rows(fit):
    slope = float(fit.posterior["beta"][..., 1].mean())
    nobody = {"x": [1.0], "z": ["a"]}
    for asked, words, factor in ((None, "+1", 1), ({"x": [0, 9]}, "9 - 0", 9), ({"x": 10}, "+10", 10)):
        found = pw.avg_comparisons(fit, asked or "x", nobody, new_groups="population").table
        assert list(found["contrast"]) == [words]
        assert found["mean"][0] == pytest.approx(factor * slope)
    with pytest.raises(pw.DataError, match="a step or a list"):
        pw.comparisons(fit, {"x": "up"})
    indicator = pw.fit("y ~ x + b + (1 | g)", frame().assign(b=lambda d: (d["x"] > 0) * 1), seed=1, draws=50)
    one = {"x": [0.0], "b": [1], "g": ["g1"]}
    assert list(pw.comparisons(indicator, "b", one).table["contrast"]) == ["1 - 0"]


def test_splines_end_at_the_values_that_were_seen():
    fit = pw.fit("y ~ bs(x, df=4) + (1 | g)", frame(), seed=1, draws=100)
    found = pw.slopes(fit, "x")
    assert np.isfinite(found.draws.values).all()
    with pytest.raises(pw.DataError, match="beyond the values"):
        pw.comparisons(fit, "x")


def test_the_usual_variables():
    fit = pw.fit("y ~ x * z + offset(o) + (1 | g)", frame(), seed=1, draws=100)
    assert set(pw.avg_slopes(fit).table["term"]) == {"x"}
    assert set(pw.avg_comparisons(fit).table["term"]) == {"x", "z"}
    empty = pw.fit("y ~ 1 + (1 | g)", frame(), seed=1, draws=50)
    with pytest.raises(pw.DataError, match="no predictor to vary"):
        pw.avg_comparisons(empty)


def test_labels_are_never_averaged():
    data = frame().assign(g=lambda d: d["g"].str[1:].astype(int))
    fit = pw.fit("y ~ x + (1 | g)", data, seed=1, draws=50)
    grid = pw.datagrid(fit, x=np.mean)
    assert list(grid.columns) == ["x", "g"]
    assert grid["g"][0] == data["g"].mode()[0]
    assert grid["x"][0] == pytest.approx(data["x"].mean())
    with pytest.raises(pw.DataError, match="numbers in the fit and text in the new data"):
        fit.predict({"x": [0.0], "g": ["1"]}, new_groups="sample")
    with pytest.raises(pw.DataError, match="is empty"):
        pw.datagrid(fit, x=[])


def test_the_average_of_one_factor_beside_a_known_group_of_another():
    fit = pw.fit("y ~ 1 + (1 | g) + (1 | h)", frame(), seed=1, draws=100)
    with_label = fit.predict({"g": ["nobody"], "h": [1]}, new_groups="average")
    np.testing.assert_allclose(fit.predict({"h": [1]}, new_groups="average")["mean"], with_label["mean"])
    nobody = fit.predict({"h": [2]}, new_groups="population")["mean"][0]
    assert nobody == pytest.approx(fit.posterior["beta"].values.mean())


def test_rows_from_files_and_lazy_frames(tmp_path, fit):
    import polars as pl

    NEW.to_csv(tmp_path / "new.csv", index=False)
    expected = fit.predict(NEW)["mean"].to_numpy()
    for rows in (str(tmp_path / "new.csv"), pl.from_pandas(NEW), pl.from_pandas(NEW).lazy(), NEW.to_dict("list")):
        np.testing.assert_allclose(fit.predict(rows)["mean"], expected)
    lazy = pw.fit("y ~ x + z + (1 + x | g)", pl.from_pandas(frame()).lazy(), seed=1, draws=500)
    np.testing.assert_allclose(lazy.predict()["mean"], fit.predict()["mean"], atol=1e-6)


def test_separate_fits_know_their_groups():
    separate = pw.compare_pooling("y ~ x", by="g", data=frame(), seed=1, folds=0, draws=50).separate
    assert len(separate.predict()) == 60
    assert len(pw.avg_comparisons(separate).table) == 1
    with pytest.raises(pw.DataError, match="no column 'g'"):
        separate.predict({"x": [1.0]}, new_groups="population")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda fit: fit.predict(interval="a"), "interval must be a number"),
        (lambda fit: fit.predict(seed=-1), "seed must be a whole number"),
        (lambda fit: fit.predict(seed="a"), "seed must be a whole number"),
        (lambda fit: fit.predict(draws=5), "draws must be True or False"),
        (lambda fit: pw.predictions(fit, by=3), "by must be the name"),
        (lambda fit: pw.avg_comparisons(fit, 3), "variables must be the name"),
        (lambda fit: fit.check(draws=0), "draws must be a whole number"),
        (lambda fit: fit.sensitivity("sd", 2), "scales must be a list"),
        (lambda fit: fit.sensitivity("sd", interval=2), "interval must be a number"),
        (lambda fit: fit.predict({"x": ["1"], "z": ["a"], "g": ["g1"]}), "another kind than at the fit"),
        (lambda fit: pw.datagrid(3), "must be a fit"),
        (lambda fit: pw.balanced_design(4, g=3, within={"g": [1]}), "named twice"),
        (lambda fit: pw.balanced_design(4, g=3, within={"t": []}), "list that is not empty"),
        (lambda fit: pw.power("y ~ t", {"t": [0, 1]}, effects={"t": "a"}), "must be numbers"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(fit, call, said):
    with pytest.raises(pw.DataError, match=said):
        call(fit)


def test_paths_that_are_no_paths(fit):
    for call in (fit.report, fit.save, pw.load):
        with pytest.raises(pw.FileError, match="path must be text"):
            call(3)


def test_distinct_rows_are_predicted_once_and_every_row_gets_its_own(fit):
    """Repeated, unsorted rows equal each row by itself; in tables, draws and averages."""
    rng = np.random.default_rng(0)
    new = NEW.iloc[rng.integers(0, 3, 400)].reset_index(drop=True)
    alone = pd.concat([fit.predict(NEW.iloc[[k]], new_groups="sample") for k in range(3)])
    place = new["x"].map({x: k for k, x in enumerate(NEW.x)}).to_numpy()
    for column in ("mean", "sd", "5%", "95%"):
        found = fit.predict(new, new_groups="sample")[column]
        np.testing.assert_allclose(found, alone[column].to_numpy()[place], rtol=1e-10)
    drawn = fit.predict(new, new_groups="sample", draws=True).values
    np.testing.assert_allclose(drawn, fit.predict(NEW, new_groups="sample", draws=True).values[..., place], rtol=1e-10)
    labels = new.assign(part=np.resize(["a", "b", "c"], 400))
    for kind in ("mean", "linear"):
        averaged = pw.avg_predictions(fit, labels, by="part", kind=kind, new_groups="sample")
        expected = [drawn[..., (labels.part == part).to_numpy()].mean() for part in "abc"]
        np.testing.assert_allclose(averaged.table["mean"], expected, rtol=1e-10)


def test_sums_of_a_family_with_a_link_equal_sums_of_draws():
    data = frame().assign(k=lambda d: np.random.default_rng(1).poisson(np.exp(0.2 * d.x)))
    fit = pw.fit("k ~ x + z + (1 | g)", data, family="poisson", seed=1, draws=200)
    averaged = pw.avg_predictions(fit, data, by="z")
    drawn = fit.predict(data, draws=True).values.reshape(800, -1)
    for k, label in enumerate(averaged.table["z"]):
        np.testing.assert_allclose(
            averaged.draws.values.reshape(800, -1)[:, k], drawn[:, (data.z == label).to_numpy()].mean(axis=1)
        )


def test_rows_with_missing_values_are_kept_when_asked(fit):
    new = NEW.assign(x=[np.nan, *NEW.x[1:]])
    with pytest.raises(pw.DataError, match="missing values"):
        fit.predict(new)
    kept = fit.predict(new, missing="keep", new_groups="sample")
    whole = fit.predict(new[1:], new_groups="sample")
    assert kept.loc[kept.index[0], ["mean", "sd", "5%", "95%"]].isna().all()
    np.testing.assert_array_equal(kept["mean"][1:], whole["mean"])
    drawn = fit.predict(new, missing="keep", new_groups="sample", draws=True)
    assert np.isnan(drawn.values[..., 0]).all()
    assert np.isfinite(drawn.values[..., 1:]).all()
    with pytest.raises(pw.DataError, match="'error' or 'keep'"):
        fit.predict(new, missing="drop")
    with pytest.raises(pw.DataError, match="Every new row"):
        fit.predict(new[:1], missing="keep")


def test_position_counts_where_an_index_repeats(fit):
    new = NEW.set_axis([7, 7, 7])
    found = fit.predict(new, new_groups="sample")
    assert list(found.index) == [7, 7, 7]
    np.testing.assert_array_equal(found["mean"], fit.predict(NEW, new_groups="sample")["mean"])
    for ask in (pw.comparisons, pw.slopes):
        twice = pd.concat([frame(), frame()])
        np.testing.assert_allclose(
            ask(fit, "x", twice).table["mean"], ask(fit, "x", twice.reset_index(drop=True)).table["mean"]
        )


def test_a_failed_prediction_leaves_the_fit_as_it_was(fit):
    before = fit.predict(NEW)
    with pytest.raises(pw.DataError, match="another kind than at the fit"):
        fit.predict(NEW.assign(x="text"))
    pd.testing.assert_frame_equal(fit.predict(NEW), before)


@pytest.mark.parametrize(
    "name", long_but_for(3, ["chain", "draw", "coefficient", "effect", "observation", "beta", "sigma", "sd_h"])
)
def test_grouping_columns_of_any_name(name):
    data = frame().rename(columns={"g": name})
    fit = pw.fit(f"y ~ x + (1 | {name}) + (1 | h)", data, seed=1, draws=50)
    usual = pw.fit("y ~ x + (1 | g) + (1 | h)", frame(), seed=1, draws=50)
    np.testing.assert_array_equal(fit.posterior[f"coef_{name}"].values, usual.posterior["coef_g"].values)
    dimension = fit.posterior[f"coef_{name}"].dims[2]
    assert dimension.rstrip("_") == name
    assert set(fit.posterior[dimension].values) == set(data[name])
    assert set(fit.group_coefficients(name)[name]) == set(data[name])
    assert len(fit.summary(groups=True)) == len(usual.summary(groups=True))
    assert {"posterior", "observed_data"} <= set(fit.to_datatree().children)


@pytest.mark.parametrize(
    "name", long_but_for(5, ["mean", "sd", "5%", "n", "estimate", "term", "contrast", "effect", "shrinkage"])
)
def test_columns_of_any_name_are_kept(name):
    data = frame().drop(columns="n").rename(columns={"x": name})
    quoted = f"`{name}`"
    fit = pw.fit(f"y ~ {quoted} + (1 | g)", data, seed=1, draws=50)
    found = fit.predict(data)
    np.testing.assert_array_equal(found[name], data[name])
    assert list(found.columns[2:]) == [{name: f"{name}_"}.get(ours, ours) for ours in ("mean", "sd", "5%", "95%")]
    for table in (pw.comparisons(fit, name).table, pw.slopes(fit, name).table):
        np.testing.assert_array_equal(table[name].to_numpy(dtype=float), data[name])
    grouped = frame().drop(columns="n").rename(columns={"g": name})
    groups = pw.fit(f"y ~ x + (1 | {quoted})", grouped, seed=1, draws=50).group_coefficients()
    assert set(groups[name]) == set(grouped[name])
    assert groups.columns.is_unique


def test_summaries_by_selection_equal_numpy():
    from poolwise.evaluate.draw_summaries import summaries

    rng = np.random.default_rng(0)
    kinds = (rng.normal, rng.exponential, rng.standard_cauchy, lambda size: rng.poisson(2, size), np.zeros)
    for m in (2, 3, 50, 400, 4001):
        for kind in kinds:
            drawn = np.asarray(kind(size=(6, m)) if kind is not np.zeros else np.zeros((6, m)), dtype=float)
            for tail in (1e-6, 0.05, 0.25, 0.45):
                expected = [drawn.mean(1), drawn.std(1, ddof=1), *np.quantile(drawn, [tail, 1 - tail], axis=1)]
                np.testing.assert_allclose(summaries(drawn, tail), np.transpose(expected), rtol=1e-9, atol=1e-12)
    with pytest.raises(pw.DataError, match="floating-point"):
        summaries(np.array([[1.0, np.inf]]), 0.05)


@pytest.mark.parametrize(
    "formula",
    long_but_for(
        3, ["y ~ x + (x | g)", "y ~ x * z + (1 | g)", "y ~ x:h + (1 | g)", "y ~ s(x) + (1 | g)", "y ~ log(x)"]
    ),
)
@pytest.mark.parametrize("kind", ["fresh", "loaded", "parquet"])
def test_text_is_no_number_however_the_fit_came_about(tmp_path, formula, kind):
    """A fit that was read from a file took a text for zero."""
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"x": np.arange(1, 61.0), "z": rng.normal(size=60), "y": rng.normal(size=60)})
    rows = rows.assign(g=list("abcdef") * 10, h=list("uvw") * 20)
    rows.to_parquet(tmp_path / "rows.parquet")
    fit = pw.fit(formula, tmp_path / "rows.parquet" if kind == "parquet" else rows, draws=8, seed=1)
    if kind == "loaded":
        fit.save(tmp_path / "fit")
        fit = pw.load(tmp_path / "fit")
    new = rows.head(4)
    good = fit.predict(new)
    assert np.isfinite(good["mean"]).all()
    for wrong in (["1", "2", "3", "4"], ["a"] * 4, [True, False, True, False]):
        with pytest.raises((pw.DataError, pw.FormulaError)):
            fit.predict(new.assign(x=wrong))


def test_truth_values_that_come_as_text_are_told(small):
    fit = pw.fit("y ~ 1 + (1 | b)", small.assign(b=np.arange(30) % 2 == 0), seed=1, draws=50)
    assert len(fit.predict({"b": [True, False]})) == 2
    with pytest.raises(pw.DataError, match="Labels of b are true or false in the fit and text .* 'True'"):
        fit.predict({"b": ["True"]})


def test_codes_of_many_digits_have_labels_of_their_own():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"zip": np.tile([1234567, 1234568, 1234569], 20), "y": rng.normal(size=60)})
    fit = pw.fit("y ~ C(zip)", frame, seed=1, draws=50)
    assert pw.avg_comparisons(fit, "zip").table["contrast"].tolist() == ["1234568 - 1234567", "1234569 - 1234567"]


@pytest.mark.parametrize("comparison", ["lift", "lnratio"])
def test_lifts_of_negative_means_are_refused(comparison):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=60)}).assign(y=lambda d: -49 + d["x"] + rng.normal(size=60))
    fit = pw.fit("y ~ x", frame, seed=1, draws=50)
    with pytest.raises(pw.DataError, match="need means above 0"):
        pw.avg_comparisons(fit, "x", comparison=comparison)
