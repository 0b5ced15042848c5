"""Structured effects of levels: their covariances against what they are defined by, and what makes no sense."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.inference.prepare import prepare


def prior_covariance(formula, frame, **more):
    """Prior covariance (n, n) of what the structured term adds to each row, at an sd of one; and its null columns."""
    model, rows = prepare(formula, frame, priors={}, missing="drop", threads=1, **more)
    design, (structure,) = model.design, model.design.structures
    ones = np.column_stack([np.ones(len(frame)), rows.values[:, :-1]])
    columns = ones @ design.common_map[:, list(structure.places)]
    return columns @ columns.T, ones @ design.common_map[:, list(structure.null)]


def contrasts(values, free):
    """A basis of all directions but constants (and straight lines)."""
    lines = np.column_stack([np.asarray(values, dtype=float) ** k for k in range(free)])
    return np.linalg.qr(lines, mode="complete")[0][:, free:]


def frame_of(**columns):
    rng = np.random.default_rng(0)
    count = len(next(iter(columns.values())))
    return pd.DataFrame({"y": rng.normal(size=count), **columns})


@pytest.mark.parametrize("times", [np.arange(2000, 2012), np.array([0.0, 0.5, 0.7, 1.9, 2.2, 4.0, 4.1])])
def test_increments_of_a_walk_are_independent(times):
    covariance, _ = prior_covariance("y ~ rw1(t)", frame_of(t=times))
    steps = np.diff(np.eye(len(times)), axis=0)
    found = steps @ covariance @ steps.T
    known = np.diag(np.diff(times))
    np.testing.assert_allclose(found / found[0, 0], known / known[0, 0], atol=1e-8)


def test_a_walk_fills_gaps_between_whole_numbers():
    some = np.array([1, 2, 3, 7, 8, 12])
    covariance, _ = prior_covariance("y ~ rw1(t)", frame_of(t=some))
    steps = np.diff(np.eye(6), axis=0)
    found = np.diag(steps @ covariance @ steps.T)
    np.testing.assert_allclose(found / found[0], np.diff(some), rtol=1e-8)
    fit = pw.fit("y ~ rw1(t)", frame_of(t=np.repeat(some, 3)), draws=100, seed=1)
    assert np.isfinite(fit.predict({"t": [5, 9]})["mean"]).all()


def test_slopes_of_a_second_walk_have_independent_increments():
    times = np.arange(10)
    covariance, null = prior_covariance("y ~ rw2(t)", frame_of(t=times))
    bends = np.diff(np.eye(10), 2, axis=0)
    found = bends @ covariance @ bends.T
    np.testing.assert_allclose(found / found[0, 0], np.eye(8), atol=1e-8)
    np.testing.assert_allclose(np.diff(null[:, 0]), np.diff(null[:, 0])[0])


def test_a_circle_has_no_ends():
    covariance, _ = prior_covariance("y ~ cyclic(m, period=7)", frame_of(m=np.arange(14) + 3))
    around = covariance[:7, :7]
    np.testing.assert_allclose(around, np.roll(np.roll(around, 1, axis=0), 1, axis=1), atol=1e-10)
    np.testing.assert_allclose(np.diag(covariance), 1.0)  # the sd is that of a usual level
    np.testing.assert_allclose(covariance[7:, 7:], around)


PAIRS = pd.DataFrame({"a": ["p", "q", "r", "r"], "b": ["q", "r", "s", "t"]})


@pytest.mark.parametrize(
    "table",
    [
        PAIRS,
        pd.concat([PAIRS, PAIRS.set_axis(["b", "a"], axis=1)[["a", "b"]]]),
        {"p": ["q"], "q": ["p", "r"], "r": ["q", "s", "t"], "s": ["r"], "t": ["r"]},
    ],
)
def test_areas_lie_around_the_mean_of_their_neighbours(table):
    areas = list("pqrst")
    covariance, _ = prior_covariance("y ~ icar(area, map)", frame_of(area=areas), tables={"map": table})
    degree, adjacency = np.array([1, 2, 3, 1, 1]), np.zeros((5, 5))
    for one, other in PAIRS.itertuples(index=False):
        i, j = areas.index(one), areas.index(other)
        adjacency[i, j] = adjacency[j, i] = 1
    known = np.linalg.pinv(np.diag(degree) - adjacency)
    known /= np.exp(np.log(np.diag(known)).mean())
    np.testing.assert_allclose(covariance, known, atol=1e-10)
    assert np.exp(np.log(np.diag(covariance)).mean()) == pytest.approx(1)


def test_bym2_has_independent_effects_beside():
    data = frame_of(area=list("pqrst") * 4)
    fit = pw.fit("y ~ bym2(area, map)", data, tables={"map": PAIRS}, draws=100, seed=1)
    both = pw.fit("y ~ icar(area, map) + (1 | area)", data, tables={"map": PAIRS}, draws=100, seed=1)
    pd.testing.assert_frame_equal(fit.summary(), both.summary())


def test_relationships_of_a_pedigree_are_those_of_mrode():
    """Mrode 2005, example 2.1."""
    pedigree = pd.DataFrame({"animal": [3, 4, 5, 6], "sire": [1, 1, 4, 5], "dam": [2, None, 3, 2]})
    covariance, _ = prior_covariance(
        'y ~ 1 + (1 | gr(animal, cov="A"))', frame_of(animal=[1, 2, 3, 4, 5, 6]), tables={"A": pedigree}
    )
    known = np.array(
        [
            [1, 0, 0.5, 0.5, 0.5, 0.25],
            [0, 1, 0.5, 0, 0.25, 0.625],
            [0.5, 0.5, 1, 0.25, 0.625, 0.5625],
            [0.5, 0, 0.25, 1, 0.625, 0.3125],
            [0.5, 0.25, 0.625, 0.625, 1.125, 0.6875],
            [0.25, 0.625, 0.5625, 0.3125, 0.6875, 1.125],
        ]
    )
    np.testing.assert_allclose(covariance, known, atol=1e-10)


def test_a_covariance_is_taken_as_it_is():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(6, 9))
    known = pd.DataFrame(root @ root.T, index=list("abcdef"), columns=list("abcdef"))
    data = frame_of(species=list("fabcdeaa"))
    covariance, _ = prior_covariance("y ~ 1 + (1 | gr(species, cov='A'))", data, tables={"A": known})
    order = data["species"].tolist()
    np.testing.assert_allclose(covariance, known.loc[order, order].to_numpy(), rtol=1e-8)
    singular = pd.DataFrame(np.ones((3, 3)), index=list("abc"), columns=list("abc"))
    covariance, _ = prior_covariance(
        "y ~ 1 + (1 | gr(species, cov='A'))", frame_of(species=list("abca")), tables={"A": singular}
    )
    np.testing.assert_allclose(covariance, 1.0)


def test_members_share_their_rows():
    data = frame_of(one=list("abca"), other=list("bbac"), v=[0.5, 1.0, 0.2, 0.3], w=[0.5, 0.0, 0.8, 0.7])
    covariance, _ = prior_covariance("y ~ 1 + (1 | mm(one, other))", data)
    shares = 0.5 * (np.eye(3)[[0, 1, 2, 0]] + np.eye(3)[[1, 1, 0, 2]])
    np.testing.assert_allclose(covariance, shares @ shares.T)
    covariance, _ = prior_covariance("y ~ 1 + (1 | mm(one, other, weights=(v, w)))", data)
    shares = (
        data["v"].to_numpy()[:, None] * np.eye(3)[[0, 1, 2, 0]]
        + data["w"].to_numpy()[:, None] * np.eye(3)[[1, 1, 0, 2]]
    )
    np.testing.assert_allclose(covariance, shares @ shares.T)


def test_one_membership_is_a_plain_factor():
    rng = np.random.default_rng(3)
    g = rng.integers(0, 8, 120)
    data = pd.DataFrame({"g": g, "h": g, "y": rng.normal(size=8)[g] + rng.normal(size=120)})
    prior = {"sd": pw.HalfNormal(1.0)}
    several = pw.fit("y ~ 1 + (1 | mm(g, h))", data, priors=prior, seed=1)
    plain = pw.fit("y ~ 1 + (1 | g)", data, priors=prior, seed=1)
    np.testing.assert_allclose(several.summary()["mean"], plain.summary()["mean"], atol=0.04)
    np.testing.assert_allclose(several.predict(data)["mean"], plain.predict(data)["mean"], atol=0.03)
    assert abs(several.log_evidence - plain.log_evidence) < 0.05


def test_saved_fits_need_no_tables(tmp_path):
    data = frame_of(area=list("pqrst") * 4)
    fit = pw.fit("y ~ icar(area, map)", data, tables={"map": PAIRS}, draws=100, seed=1)
    fit.save(tmp_path / "fit")
    pd.testing.assert_frame_equal(pw.load(tmp_path / "fit").predict(data), fit.predict(data))


IDENTITY = pd.DataFrame(np.eye(3), index=list("abc"), columns=list("abc"))
SQUARE = pd.DataFrame([[1.0, 0.9, 0.0], [0.9, 1.0, 0.9], [0.0, 0.9, 1.0]], index=list("abc"), columns=list("abc"))


@pytest.mark.parametrize(
    ("formula", "tables", "message"),
    [
        ("y ~ icar(area, map)", {}, "pass it to the fit, tables="),
        ("y ~ icar(area, map)", {"mop": PAIRS}, "map.*mop"),
        ("y ~ icar(area)", {}, "the areas and their neighbours"),
        ("y ~ icar(area, map)", {"map": PAIRS.head(3)}, "does not know 't'"),
        (
            "y ~ icar(area, map)",
            {"map": pd.concat([PAIRS, pd.DataFrame({"a": ["x"], "b": ["z"]})])},
            "falls into 2 parts",
        ),
        ("y ~ icar(area, map)", {"map": {**{k: [] for k in "pqrst"}, "p": ["q"]}}, "not symmetric"),
        ("y ~ icar(area, map)", {"map": pd.concat([PAIRS, PAIRS.assign(b=PAIRS["a"])])}, "neighbour of itself"),
        ("y ~ icar(area, map)", {"map": PAIRS.assign(c=1, d=2)}, "must have two columns"),
        ("y ~ 1 + (1 | gr(area, cov='A'))", {"A": IDENTITY}, "does not know 'p'"),
        ("y ~ 1 + (1 | gr(animal, cov='A'))", {"A": SQUARE}, "no covariance: it has the negative eigenvalue"),
        ("y ~ 1 + (1 | gr(animal, cov='A'))", {"A": SQUARE.assign(b=[0.5, 1, 0.9])}, "not symmetric"),
        ("y ~ 1 + (1 | gr(animal, cov='A'))", {"A": np.eye(4)}, "square frame with the levels"),
        ("y ~ 1 + (1 | gr(animal, cov='A'))", {"A": 0 * IDENTITY}, "zero everywhere"),
        ("y ~ 1 + (1 | gr(animal))", {}, "takes the name of a covariance"),
        ("y ~ icar(area, map)", {"map": np.ones((5, 5))}, "with the areas as its index and columns"),
        ("y ~ icar(animal, map)", {"map": SQUARE}, "it has no weights"),
        ("y ~ icar(animal, map)", {"map": IDENTITY.replace(0.0, np.nan)}, "it has no weights"),
        ("y ~ icar(area, map)", {1: PAIRS}, "dict from names to tables"),
        ("y ~ I(s(x))", {}, "changes the columns of a structured term"),
        ("y ~ scale(rw1(t))", {}, "changes the columns of a structured term"),
        ("y ~ s(infinite)", {}, "takes finite numbers"),
        ("y ~ 1 + (t | gr(animal, cov='A'))", {"A": SQUARE}, "not positive definite, as it must be"),
        ("y ~ 1 + (t | mm(animal, area))", {}, "only intercepts vary by mm"),
        (["y ~ 1 + (t | gr(animal, cov='A'))", "sigma ~ t"], {"A": SQUARE}, "needs a normal model with one sigma"),
        (
            "y ~ 1 + (1 | gr(animal, cov='A'))",
            {"A": pd.DataFrame({"i": list("abcd"), "s": ["b", "c", "a", None], "d": [None] * 4})},
            "has a loop",
        ),
        ("y ~ 1 + (1 | gr(animal, cov='A'))", {"A": pd.DataFrame([list("abc")] * 4)}, "has 'a' twice"),
        ("y ~ 1 + (1 | mm(area))", {}, "several memberships"),
        ("y ~ 1 + (1 | mm(area, area, weights=(x,)))", {}, "2 memberships"),
        ("y ~ rw1(area)", {}, "takes a column of numbers"),
        ("y ~ rw2(few)", {}, "needs 4 different times"),
        ("y ~ cyclic(t, period=2)", {}, "period of cyclic"),
        ("y ~ cyclic(x, period=4)", {}, "whole-numbered times"),
        ("y ~ car(W)", {}, "icar"),
        ("y ~ s(few, k=5)", {}, "distinct values, fewer than"),
        ("y ~ s(x, k=2)", {}, "too small"),
        ("y ~ s(x, bs='zz')", {}, "no spline basis"),
        ("y ~ s(area)", {}, "takes a column of numbers"),
        ("y ~ s(x):t", {}, "stands in the product"),
        ("y ~ s(x, t)", {}, "of one variable"),
        ("y ~ s(x, bs='fs')", {}, "A curve for each group is"),
        ("y ~ gp(x, c=0.5)", {}, "c of gp"),
        ("y ~ t2(x, t, k=[3, 4, 5])", {}, "two margins"),
    ],
)
def test_messages(formula, tables, message):
    rng = np.random.default_rng(2)
    data = frame_of(
        area=list("pqrst") * 4,
        animal=list("abcab") * 4,
        t=np.arange(20),
        x=rng.normal(size=20),
        few=[1.0, 2, 3, 1, 2] * 4,
        infinite=[*range(19), np.inf],
    )
    with pytest.raises((pw.FormulaError, pw.DataError), match=message):
        pw.fit(formula, data, tables=tables, draws=50)


def test_new_rows_beyond_what_was_fitted():
    data = frame_of(t=np.tile(np.arange(10), 3), area=list("pqrst") * 6)
    walk = pw.fit("y ~ rw1(t)", data, draws=50, seed=1)
    with pytest.raises(pw.DataError, match="fitted from 0 to 9 and is not continued to 12"):
        walk.predict({"t": [3, 12]})
    areas = pw.fit("y ~ icar(area, map)", data, tables={"map": PAIRS}, draws=50, seed=1)
    with pytest.raises(pw.DataError, match="does not know 'z'"):
        areas.predict({"area": ["z"]})


def test_more_than_dense_columns_serve():
    rng = np.random.default_rng(0)
    data = frame_of(x=rng.normal(size=900), g=np.arange(900) % 45, t=np.arange(900), area=np.arange(900))
    with pytest.raises(pw.DataError, match="450 coefficients; 400 are the most"):
        pw.fit("y ~ s(x, g, bs='fs')", data, draws=50)
    with pytest.raises(pw.DataError, match="900 levels; structured effects of levels take 400"):
        pw.fit("y ~ rw1(t)", data, draws=50)
    with pytest.raises(pw.DataError, match="900 levels; structured effects of levels take 400"):
        pw.fit(
            ["y ~ icar(area, map)", "sigma ~ x"],
            data,
            tables={"map": {k: [k - 1, k + 1][k == 0 : 2 - (k == 899)] for k in range(900)}},
        )


@pytest.mark.parametrize("gap", [1e-3, 1e-7])
@pytest.mark.parametrize("order", [1, 2])
def test_walks_are_exact_where_times_lie_close(order, gap):
    """The covariance of increments, which eigenvalues of a precision would have lost."""
    times = np.array([0.0, 0.4, 1.1, 1.1 + gap, 2.0, 2.7, 4.0])
    covariance, _ = prior_covariance(f"y ~ rw{order}(t)", frame_of(t=times))
    steps = np.diff(times)
    forward = np.diff(np.eye(7), axis=0)
    if order == 2:
        forward = np.diff(forward / steps[:, None], axis=0)
        known = 0.5 * (steps[1:] + steps[:-1])
        forward, known = forward[[0, -1]], known[[0, -1]]  # slopes over a tiny step have no digits to compare
    else:
        known = steps
    found = forward @ covariance @ forward.T
    np.testing.assert_allclose(found / found[0, 0], np.diag(known) / known[0], atol=1e-6)
    np.testing.assert_allclose(covariance.sum(axis=1), 0.0, atol=1e-8)


def test_times_that_differ_by_rounding_are_one():
    grid = np.round(np.arange(0, 2, 0.1), 10)
    data = frame_of(t=np.concatenate([grid, grid[:-1] + 0.0, [0.1 + 0.2]]))
    fit = pw.fit("y ~ rw1(t)", data, draws=100, seed=1)
    assert fit.predict({"t": [0.3]})["mean"][0] == fit.predict({"t": [0.1 + 0.2]})["mean"][0]
    with pytest.raises(pw.DataError, match="none at 0.35"):
        fit.predict({"t": [0.35]})


def test_an_unknown_parent_may_be_written_as_in_files():
    pedigree = pd.DataFrame({"animal": range(1, 9), "s": [0, 0, 0, 1, 1, 2, 4, 4], "d": [0, 0, 0, 2, 3, 3, 5, 6]})
    data = frame_of(animal=np.arange(1, 9))
    known, _ = prior_covariance(
        "y ~ 1 + (1 | gr(animal, cov='A'))", data, tables={"A": pedigree.replace({"s": {0: None}, "d": {0: None}})}
    )
    for zero in (0, "NA", "."):
        table = pedigree.astype(object).replace(0, zero)
        found, _ = prior_covariance("y ~ 1 + (1 | gr(animal, cov='A'))", data, tables={"A": table})
        np.testing.assert_allclose(found, known)


def test_order_of_rows_and_columns_of_a_covariance():
    data = frame_of(species=list("abca"))
    mixed = pd.DataFrame([[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 3.0]], index=list("abc"), columns=list("abc"))
    one, _ = prior_covariance("y ~ 1 + (1 | gr(species, cov='A'))", data, tables={"A": mixed})
    other, _ = prior_covariance("y ~ 1 + (1 | gr(species, cov='A'))", data, tables={"A": mixed[["c", "a", "b"]]})
    np.testing.assert_allclose(one, other)


def test_two_known_covariances_in_one_model():
    data = frame_of(g=list("abc") * 4, h=list("xyzxx") * 2 + ["y", "z"])
    tables = {"A": IDENTITY, "B": IDENTITY.set_axis(list("xyz")).set_axis(list("xyz"), axis=1)}
    formula = "y ~ (1 | gr(g, cov='A')) + (1 | gr(h, cov='B'))"
    names = pw.fit(formula, data, tables=tables, draws=50, seed=1).summary().index
    assert {"sd_gr(g, cov='A')", "sd_gr(h, cov='B')"} <= set(names)


def test_a_map_left_out_by_another_column_and_by_its_own():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"area": list("pqrst") * 16, "h": rng.integers(0, 6, 80)})
    data["y"] = rng.normal(size=80) + data["area"].map({"p": -1, "q": -0.5, "r": 0, "s": 0.5, "t": 1})
    fit = pw.fit("y ~ bym2(area, map)", data, tables={"map": PAIRS}, seed=1)
    assert abs(fit.loo(by="h").elpd - fit.kfold(by="h", draws=200).elpd) < 0.5
    assert any("area_effects" in note for note in fit.notes)
    with pytest.raises(pw.DataError, match="has no curve"):
        fit.smooth_term()
    alone = pw.fit("y ~ icar(area, map)", data, tables={"map": PAIRS}, seed=1)
    assert abs(alone.loo(by="area").elpd - alone.kfold(by="area", draws=200).elpd) < 0.5


def test_levels_are_no_predictors():
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"x": rng.normal(size=60), "t": np.tile(np.arange(12), 5), "area": list("pqrst") * 12})
    data["y"] = data["x"] + rng.normal(size=60)
    fit = pw.fit("y ~ x + rw1(t) + icar(area, map)", data, tables={"map": PAIRS}, draws=100, seed=1)
    assert pw.avg_slopes(fit).table["term"].tolist() == ["x"]
    assert pw.avg_comparisons(fit).table["term"].tolist() == ["x"]
    curve = fit.smooth_term("rw1(t)").table
    assert curve["t"].tolist() == list(range(12))


def test_what_the_rows_of_an_area_say_alone_is_by_their_weights():
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"area": list("abc") * 20, "w": rng.choice([1.0, 100.0], 60), "y": rng.normal(size=60)})
    rows["y"] += (rows["w"] > 1) * 2.0
    found = pw.fit("y ~ 1 + (1 | area)", rows, weights="w", seed=1).area_effects("area").set_index("area")["raw"]
    means = rows.groupby("area")[["y", "w"]].apply(lambda one: np.average(one["y"], weights=one["w"]))
    np.testing.assert_allclose(found - found["a"], means - means["a"], atol=0.05)


def test_the_cell_that_is_no_number_is_named():
    rows = pd.DataFrame({"y": ["0.5", "1.5", "n.a.", "2.5"] * 5, "x": range(20)})
    with pytest.raises(pw.DataError, match="row 3 holds 'n.a.'"):
        pw.fit("y ~ x", rows, seed=1)
