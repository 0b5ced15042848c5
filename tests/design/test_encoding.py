"""Formulas to columns: names, values, and the same encoding for new rows."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import poolwise as pw
from poolwise.design import build, needed_columns
from poolwise.design.design import column_weights, linear_predictor
from poolwise.design.encode import encode_like
from poolwise.formula import parse
from poolwise.sources import as_table


def built(formula, frame):
    return build(needed_columns(parse(formula)), as_table(frame))


@pytest.mark.parametrize(
    ("formula", "coefficients", "effects"),
    [
        ("y ~ x + (x || g)", ("Intercept", "x"), ("Intercept", "x")),
        ("y ~ 0 + x + (0 + x | g)", ("x",), ("x",)),
        ("y ~ x + (0 + x | g)", ("Intercept", "x"), ("x",)),
        ("y ~ z + (1 | g)", ("Intercept", "z[T.low]", "z[T.mid]"), ("Intercept",)),
        ("y ~ 0 + C(z) + (1 | g)", ("C(z)[high]", "C(z)[low]", "C(z)[mid]"), ("Intercept",)),
        ("y ~ x:w + (1 + w | g)", ("Intercept", "x:w"), ("Intercept", "w")),
        ("y ~ scale(x) + I(w**2) + (scale(x) | g)", ("Intercept", "scale(x)", "I(w ** 2)"), ("Intercept", "scale(x)")),
        ("y ~ (1 | g)", ("Intercept",), ("Intercept",)),
    ],
)  # fmt: skip
def test_names_of_coefficients_and_effects(formula, coefficients, effects, small):
    design, _, _ = built(formula, small)
    assert (design.coefficients, design.factors[0].effects if design.factors else ()) == (coefficients, effects)


@pytest.mark.parametrize(
    "formula", ["y ~ x * z + I(w ** 2) + offset(x) + (1 + w | g)", "log(y) ~ C(x > 1) + (1 | g/z)"]
)
def test_values_that_rows_share_may_be_evaluated_once(formula):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"y": rng.integers(1, 3, 400).astype(float), "x": rng.integers(0, 3, 400).astype(float)})
    frame["w"], frame["g"] = rng.integers(0, 2, 400).astype(float), rng.integers(0, 30, 400)
    frame["z"] = pd.Categorical(rng.choice(["low", "mid", "high"], 400), ["low", "mid", "high"], ordered=True)
    needed = needed_columns(parse(formula), linear=False)
    design, encoding, rows = build(needed, as_table(frame))
    same, again, few = build(needed, as_table(frame), row_by_row=True)
    assert (same.columns, same.coefficients, again.declared) == (design.columns, design.coefficients, encoding.declared)
    like = encode_like(same, again, needed, as_table(frame), row_by_row=True)[2]
    for one in (few, like):
        np.testing.assert_array_equal(one.values, rows.values)
        np.testing.assert_array_equal(one.codes, rows.codes)
        np.testing.assert_array_equal(one.offset, rows.offset)


def test_shared_columns_are_kept_once(small):
    design, _, rows = built("y ~ x + w + (x + w | g)", small)
    assert design.columns == ("x", "w")
    np.testing.assert_array_equal(rows.values, small[["x", "w", "y"]].to_numpy())


def test_values_are_those_of_formulaic(small):
    from formulaic import model_matrix

    design, _, rows = built("log(y + 10) ~ x * z + poly(w, 2) + (scale(w) | g)", small)
    basis = np.column_stack([np.ones(len(small)), rows.values[:, :-1]])
    np.testing.assert_allclose(basis @ design.common_map, model_matrix("x * z + poly(w, 2)", small).to_numpy())
    np.testing.assert_allclose(basis @ design.factors[0].group_map, model_matrix("scale(w)", small).to_numpy())
    np.testing.assert_allclose(rows.response, np.log(small.y + 10))


def test_groups_are_sorted_and_coded(small):
    design, _, rows = built("y ~ x + (1 | g)", small.sample(frac=1, random_state=0))
    assert list(design.factors[0].levels) == list("abcdef")
    shuffled = small.sample(frac=1, random_state=0)
    np.testing.assert_array_equal(design.factors[0].levels[rows.codes], shuffled.g)


def test_every_kind_of_frame_gives_the_same_design(small):
    wanted, _, expected = built("y ~ x * z + (x | g)", small)
    as_category = small.astype({"z": "category", "g": "category"})
    as_enum = pl.from_pandas(small).with_columns(pl.col("g").cast(pl.Enum(list("fedcba"))))
    for frame in (pl.from_pandas(small), pl.from_pandas(small).to_arrow(), as_category, as_enum, small.to_dict("list")):
        design, _, rows = built("y ~ x * z + (x | g)", frame)
        assert design.coefficients == wanted.coefficients
        assert list(design.factors[0].levels) == list(wanted.factors[0].levels)
        np.testing.assert_array_equal(rows.values, expected.values)
        np.testing.assert_array_equal(rows.codes, expected.codes)


@pytest.mark.parametrize("stored", [False, True])
def test_new_rows_are_encoded_as_at_the_fit(stored, small):
    from poolwise.design.encode import encode
    from poolwise.design.required_columns import part_texts
    from poolwise.design.transform_state import restore_specs, specs_state

    formula = "y ~ scale(x) * z + poly(w, 2) + bs(w, df=4) + (1 + scale(w) | g)"
    design, encoding, rows = built(formula, small)
    if stored:
        import json
        from dataclasses import replace

        texts = part_texts(parse(formula))
        encoding = replace(
            encoding, specs=restore_specs(texts, json.loads(json.dumps(specs_state(encoding.specs, texts))))
        )
    few = small.iloc[[3, 17, 20]].drop(columns="y")
    theirs, again = encode(design, encoding, as_table(few))
    np.testing.assert_allclose(again.values[:, :-1], rows.values[[3, 17, 20], :-1], rtol=1e-12)
    labels = theirs.factor().levels[theirs.factor().codes[again.codes]]
    assert list(labels) == list(design.factor().levels[rows.codes[[3, 17, 20]]])


def test_new_rows_with_unseen_levels(small):
    from poolwise.design.encode import encode

    design, encoding, _ = built("y ~ x + z + (1 | g)", small)
    new = pd.DataFrame({"x": [0.0], "z": ["low"], "g": ["nowhere"]})
    assert list(encode(design, encoding, as_table(new))[0].factor().levels) == ["nowhere"]
    with pytest.raises(pw.DataError, match="categories that the fit has not seen"):
        encode(design, encoding, as_table(new.assign(z="huge")))
    with pytest.raises(pw.DataError, match="no column 'z'"):
        encode(design, encoding, as_table(new.drop(columns="z")))


def test_the_linear_predictor_is_x_beta_plus_z_u(small):
    design, _, rows = built("y ~ x * z + (1 + w | g)", small)
    rng = np.random.default_rng(0)
    beta, u = rng.normal(size=(3, 6)), rng.normal(size=(3, 6, 2))
    basis = np.column_stack([np.ones(len(small)), rows.values[:, :-1]])
    expected = beta @ (basis @ design.common_map).T + np.einsum(
        "nq,dnq->dn", basis @ design.factors[0].group_map, u[:, rows.codes]
    )
    found = linear_predictor(rows.values[:, :-1], rows.codes, column_weights(design, beta, [u]))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    common = linear_predictor(rows.values[:, :-1], rows.codes, column_weights(design, beta, []))
    np.testing.assert_allclose(common, beta @ (basis @ design.common_map).T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["Int64", "string"])
def test_missing_labels_of_nullable_types_are_dropped(small, kind):
    data = small.assign(g=pd.Series(range(len(small))).floordiv(6).astype(kind))
    data.loc[data.index[3], "g"] = pd.NA
    with pytest.warns(pw.PoolwiseWarning, match="1 of"):
        fit = pw.fit("y ~ x + (1 | g)", data, seed=1, draws=20)
    assert fit.statistics.rows == len(small) - 1
