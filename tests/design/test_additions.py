"""What is known of an outcome besides its value."""

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.design.additions import coded, number
from poolwise.formula import parse

STATUS = np.array([0.0, 2.0, 1.0, 2.0, np.nan])
UPPER = np.array([np.nan, 3.0, np.nan, np.nan, 1.0])


@pytest.mark.parametrize("status", ["st", "st + 0", "`st`", "(st)", "np.where(st == 2, 2, 0)", "I(st)"])
def test_ends_may_be_missing_where_an_outcome_is_no_interval(status):
    found = coded(parse(f"y | cens({status}, up) ~ x"), {"y": np.ones(5), "x": np.ones(5), "st": STATUS, "up": UPPER})
    np.testing.assert_array_equal(found["up"], [np.inf, 3.0, np.inf, np.nan, 1.0])


def test_ends_of_a_status_in_words():
    words = np.array(["none", "interval", "right", "interval"], dtype=object)
    raw = {"y": np.ones(4), "st": pd.Categorical(words), "up": UPPER[:4]}
    for status in ("st", "np.where(st == 'interval', 2, 0)"):
        np.testing.assert_array_equal(coded(parse(f"y | cens({status}, up) ~ 1"), raw)["up"][:3], [np.inf, 3.0, np.inf])
        assert np.isnan(coded(parse(f"y | cens({status}, up) ~ 1"), raw)["up"][3])


def test_a_computed_status_keeps_the_rows_of_the_column():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=60), "st": np.arange(60) % 2, "up": np.nan})
    frame["y"] = frame.x + rng.normal(size=60)
    column, computed = (
        pw.fit(f"y | cens({status}, up) ~ x", frame, draws=50, seed=1).result for status in ("st", "st + 0")
    )
    np.testing.assert_array_equal(computed.beta, column.beta)


def test_numbers_and_columns():
    assert [number(text) for text in ("1", "-2.5", ".5e-3", "Inf", "-inf")] == [1, -2.5, 0.0005, np.inf, -np.inf]
    assert [number(text) for text in ("nan", "infinity", "x", "1 + 1", "`inf`", "np.inf")] == [None] * 6


def test_numbers_in_words_are_columns():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"k": rng.binomial(10, 0.4, 40), "n": 10, "x": rng.normal(size=40), "y": rng.normal(size=40)})
    for word in ("inf", "nan"):
        with pytest.raises(pw.DataError, match=f"no column '{word}'"):
            pw.fit(f"k | trials({word}) ~ x", frame, family="binomial")
        named = frame.assign(**{word: frame.n})
        fits = [pw.fit(f"k | trials({name}) ~ x", named, family="binomial", draws=50, seed=1) for name in ("n", word)]
        np.testing.assert_array_equal(fits[0].result.beta, fits[1].result.beta)
    named = frame.assign(inf=frame.y.max() + 1, b=frame.y.max() + 1)
    fits = [pw.fit(f"y | trunc(ub={name}) ~ x", named, draws=50, seed=1) for name in ("b", "inf")]
    np.testing.assert_array_equal(fits[0].result.beta, fits[1].result.beta)
