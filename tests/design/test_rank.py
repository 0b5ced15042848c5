"""Columns without content are left out or named, as the same model without them shows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.statistics import routes

RNG = np.random.default_rng(0)
ROWS = 200
FRAME = pd.DataFrame(
    {
        "a": RNG.choice(list("ABC"), ROWS),
        "b": RNG.choice(list("PQ"), ROWS),
        "x": RNG.normal(size=ROWS),
        "g": RNG.integers(0, 8, ROWS),
        "year": RNG.integers(2005, 2017, ROWS),
    }
)
FRAME["y"] = FRAME.x + RNG.normal(size=ROWS)
EMPTY = FRAME[~((FRAME.a == "C") & (FRAME.b == "Q"))].reset_index(drop=True)


def fitted(formula, data=FRAME, **options):
    return pw.fit(formula, data, seed=1, draws=100, **options)


@pytest.mark.parametrize("engine", [False, True])
def test_an_empty_cell_of_an_interaction_has_no_coefficient(engine, monkeypatch):
    if engine:
        monkeypatch.setattr(routes, "LARGE", 0)
    fit = fitted("y ~ a*b + (1 | g)", EMPTY)
    assert fit.result.model.design.coefficients == (
        "Intercept", "a[T.B]", "a[T.C]", "b[T.Q]", "a[T.B]:b[T.Q]",
    )  # fmt: skip
    assert any("'a[T.C]:b[T.Q]' is zero in every row" in note for note in fit.notes)
    cells = fitted("y ~ 0 + a:b + (1 | g)", EMPTY)
    assert len(cells.result.model.design.coefficients) == 5
    data = EMPTY.assign(ab=(EMPTY.a == "B") & (EMPTY.b == "Q"), ab1=lambda d: d.ab * 1.0)
    by_hand = fitted("y ~ a + b + ab1 + (1 | g)", data)
    np.testing.assert_allclose(
        fit.predict(EMPTY)["mean"], by_hand.predict(data)["mean"], atol=0.05
    )  # other default priors


def test_an_empty_cell_of_group_effects(tmp_path):
    fit = fitted("y ~ x + (0 + a:b | g)", EMPTY)
    assert len(fit.result.model.design.factors[0].effects) == 5
    assert fit.result.model.design.factors[0].starts.tolist() == [0] * 5
    fit.save(tmp_path / "fit")
    np.testing.assert_array_equal(pw.load(tmp_path / "fit").predict(EMPTY)["mean"], fit.predict(EMPTY)["mean"])


def test_an_empty_cell_of_another_family():
    data = EMPTY.assign(k=RNG.poisson(2, len(EMPTY)))
    fit = fitted("k ~ a*b + (1 | g)", data, family="poisson")
    assert len(fit.result.model.design.coefficients) == 5
    assert np.isfinite(fit.loo().elpd)


@pytest.mark.parametrize("formula", ["y ~ a*b + (1 | g)", "y ~ x + (0 + a:b | g)"])
def test_new_rows_of_an_empty_cell_are_refused(formula):
    """They would pass for rows whose coefficient is zero."""
    fit = fitted(formula, EMPTY)
    fit.predict(EMPTY)
    with pytest.raises(pw.DataError, match=r"no coefficient for '.*C.*Q.*', which was zero in every row"):
        fit.predict(FRAME)
    with pytest.raises(pw.DataError, match="no coefficient for"):
        pw.avg_comparisons(fit, "b", FRAME)


def test_new_rows_of_a_category_that_was_forgotten_are_refused():
    fit = fitted("y ~ a + (1 | g)").forget(FRAME[FRAME.a == "C"])
    fit.predict(FRAME[FRAME.a != "C"])
    with pytest.raises(pw.DataError, match=r"no coefficient for 'a\[T.C\]'"):
        fit.predict(FRAME)


def test_a_predictor_that_is_zero_is_still_a_mistake():
    with pytest.raises(pw.DataError, match="'zero' is constant"):
        fitted("y ~ zero + x", FRAME.assign(zero=0.0))


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("y ~ x + I(2 * x)", "'I(2 * x)' is fixed by x:"),
        ("y ~ s1 + s2 + s3", "'s3' is fixed by s1, s2:"),
        ("y ~ iA + iB + iC", "'iC' is fixed by iA, iB:"),
        ("y ~ cr(x, df=4)", "is fixed by cr(x, df=4)[1]"),
        ("y ~ x + near", "'near' is nearly fixed by x:"),
        ("y ~ x + shifted", "'shifted' is fixed by x:"),
        ("y ~ 0 + iA + iB + iC", None),
        ("y ~ year + I(year ** 2) + I(year ** 3)", None),
        ("y ~ poly(x, 3) + a * b", None),
        ("y ~ bs(x, df=5)", None),
        ("y ~ cr(x, df=4, constraints='center')", None),
    ],
)
def test_collinear_columns_are_named(formula, said):
    data = FRAME.assign(
        s1=RNG.uniform(0.1, 0.4, ROWS), s2=RNG.uniform(0.1, 0.4, ROWS), s3=lambda d: 1 - d.s1 - d.s2,
        near=FRAME.x + 1e-4 * RNG.normal(size=ROWS), shifted=1e4 - 3 * FRAME.x,
        **{f"i{a}": (FRAME.a == a) * 1.0 for a in "ABC"},
    )  # fmt: skip
    for scaled in (data, data.assign(x=data.x * 1e3, near=data.near * 1e-3)):
        notes = [note for note in fitted(formula, scaled).notes if "fixed by" in note]
        assert bool(notes) == (said is not None), notes
        assert said is None or said in notes[0]


def test_outcomes_of_another_kind_are_noted():
    data = FRAME.assign(zero_one=FRAME.y.gt(0) * 1, count=RNG.poisson(1, ROWS), truth=FRAME.y > 0)
    assert "bernoulli" in fitted("zero_one ~ x", data).notes[0]
    assert "bernoulli" in fitted("truth ~ x", data).notes[0]
    assert "poisson" in fitted("count ~ x", data).notes[0]
    assert not fitted("y ~ x", data).notes
    assert not fitted("count ~ x", data, family="poisson").notes


def test_separation_of_counts_is_said():
    data = FRAME.assign(k=np.where(FRAME.a == "C", 0, RNG.poisson(2, ROWS)))
    assert "a[T.C] marks rows whose counts are all zero" in fitted("k ~ a + x", data, family="poisson").notes[0]
    assert not fitted("k ~ x", data, family="poisson").notes


def test_a_cell_that_sigma_alone_lacks_is_no_matter_for_the_mean():
    fit = fitted(["y ~ x + (1 | g)", "sigma ~ a*b"], EMPTY)
    assert np.isfinite(fit.predict(FRAME)["mean"]).all()
    with pytest.raises(pw.DataError, match="no coefficient for"):
        fit.predict(FRAME, kind="response")


def test_cells_without_people_may_be_unknown():
    fit = fitted("y ~ a*b + (1 | g)", EMPTY)
    cells = FRAME[["a", "b", "g"]].drop_duplicates().assign(n=lambda d: np.where((d.a == "C") & (d.b == "Q"), 0, 5))
    some = fit.poststratify(cells, by="a").table
    pd.testing.assert_frame_equal(some, fit.poststratify(cells[cells.n > 0], by="a").table)
    with pytest.raises(pw.DataError, match="nobody in the population"):
        fit.poststratify(cells.assign(n=0))
