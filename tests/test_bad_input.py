"""Every wrong input gets one clear sentence that says what, where, and what to do."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import poolwise as pw

FORMULA = "y ~ x + (x | g)"


@pytest.mark.parametrize(
    ("formula", "change", "error", "said"),
    [
        ("y ~ xx + (1 | g)", {}, pw.DataError, "no column 'xx' in the data. Did you mean 'x'?"),
        ("y ~ x + (1 | G)", {}, pw.DataError, "no column 'G' in the data. Did you mean 'g'?"),
        ("Y ~ x", {}, pw.DataError, "no column 'Y' in the data. Did you mean 'y'?"),
        (FORMULA, {"y": "high"}, pw.DataError, "'y' must hold numbers for the outcome y, but row 1 holds 'high'"),
        (FORMULA, {"y": 2.0}, pw.DataError, r"outcome 'y' is constant \(2\)"),
        (FORMULA, {"g": "one"}, pw.DataError, "'g' has one group only"),
        (FORMULA, {"g": range(30)}, pw.DataError, "Every row has a group of its own in 'g'"),
        (FORMULA, {"y": np.inf}, pw.DataError, "'y' is inf in row 1"),
        (FORMULA, {"x": np.nan}, pw.DataError, r"No row is complete: missing values in x \(30\)"),
        ("log(y) ~ x", {"y": np.arange(30.0)}, pw.DataError, "'log\\(y\\)' is -inf in row 1"),
        ("y ~ nosuch(x)", {}, pw.FormulaError, "cannot call 'nosuch' in 'nosuch\\(x\\)'"),
        ("y ~ x + (x | g) + (1 | g)", {}, pw.FormulaError, "Intercepts vary by g in two group terms"),
        ("y ~ x +* z", {}, pw.FormulaError, "Cannot read 'x \\+ \\* z' in 'y ~ x"),
        ("y ~ x | z", {}, pw.FormulaError, "needs brackets"),
        ("z ~ x", {}, pw.DataError, "'z' must hold numbers"),
    ],
)  # fmt: skip
def test_bad_data_and_formulas(formula, change, error, said, small):
    with pytest.raises(error, match=said):
        pw.fit(formula, small.assign(**change))


def test_empty_data(small):
    for empty in (small.head(0), pl.from_pandas(small).head(0)):
        with pytest.raises(pw.DataError, match="hold no rows"):
            pw.fit(FORMULA, empty)


def test_fewer_rows_than_coefficients(small):
    with pytest.raises(pw.DataError, match=r"fewer rows \(4\) than coefficients \(5\)"):
        pw.fit("y ~ x * z + w", small.head(4).assign(z=["low", "mid", "low", "mid"]))


def test_missing_values_are_dropped_counted_and_said(small):
    holes = small.copy()
    holes.loc[3, "x"], holes.loc[[5, 6], "g"] = np.nan, None
    with pytest.warns(pw.PoolwiseWarning, match="3 of 30 rows have missing values and were left out"):
        fit = pw.fit(FORMULA, holes, seed=1, draws=50)
    assert "27 rows (3 dropped for missing values)" in repr(fit)
    clean = pw.fit(FORMULA, holes.dropna(), seed=1, draws=50)
    np.testing.assert_array_equal(fit.result.theta, clean.result.theta)
    with pytest.warns(pw.PoolwiseWarning):
        same = pw.fit(FORMULA, pl.from_pandas(holes), seed=1, draws=50)
    np.testing.assert_array_equal(fit.result.theta, same.result.theta)
    with pytest.raises(pw.DataError, match=r"3 of 30 rows have missing values, in: x \(1\), g \(2\)"):
        pw.fit(FORMULA, holes, missing="error")
    with pytest.raises(pw.DataError, match="'drop' or 'error'"):
        pw.fit(FORMULA, holes, missing="ignore")


def test_infinite_values_are_placed(small):
    small.loc[7, "x"] = -np.inf
    with pytest.raises(pw.DataError, match="'x' is -inf in row 8"):
        pw.fit(FORMULA, small)


@pytest.mark.parametrize(
    ("priors", "said"),
    [
        ({"xx": pw.Normal()}, "no term 'xx' in this model to put a prior on. Did you mean 'x'?"),
        ({"sd_h": pw.HalfNormal()}, "no term 'sd_h'"),
        ({"sd_g[w]": pw.HalfNormal()}, r"no term 'sd_g\[w\]'"),
        ({"sigma": pw.Normal()}, "prior of 'sigma' cannot be Normal"),
        ({"x": pw.HalfNormal()}, "prior of 'x' cannot be half-Normal"),
        ({"cor": pw.Normal()}, "prior of 'cor' cannot be Normal"),
        ({"x": 3}, "must be a distribution"),
    ],
)
def test_bad_priors(priors, said, small):
    with pytest.raises(pw.PriorError, match=said):
        pw.fit(FORMULA, small, priors=priors)


@pytest.mark.parametrize(
    "make",
    [
        lambda: pw.Normal(0, 0),
        lambda: pw.Normal(np.nan, 1),
        lambda: pw.HalfCauchy(-1),
        lambda: pw.StudentT(0),
        lambda: pw.Exponential(np.inf),
        lambda: pw.LKJ("2"),
    ],
)
def test_improper_priors(make):
    with pytest.raises(pw.PriorError, match="must be a (positive, )?finite number"):
        make()


def test_correlation_prior_without_correlations(small):
    with pytest.raises(pw.PriorError, match="no term 'cor'"):
        pw.fit("y ~ x + (x || g)", small, priors={"cor": pw.LKJ(2)})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"draws": 0}, "draws must be a whole number of at least 4"),
        ({"chains": 1.5}, "chains must be"),
        ({"seed": -1}, "seed must be"),
        ({"seed": "1"}, "seed must be"),
        ({"threads": 0}, "threads must be"),
        ({"sampler": "hmc"}, "no sampler 'hmc'. Valid names: auto, independence, nuts"),
    ],
)
def test_bad_settings(options, said, small):
    with pytest.raises(pw.DataError, match=said):
        pw.fit(FORMULA, small, **options)


def test_data_of_an_unknown_kind(small):
    with pytest.raises(pw.DataError, match="not int"):
        pw.fit(FORMULA, 3)
    with pytest.raises(pw.DataError, match="do not make a table"):
        pw.fit(FORMULA, {"y": [1, 2], "x": [1]})


def test_comparison_refuses_bars_and_bad_folds(small):
    with pytest.raises(pw.FormulaError, match=r"leave '\(x \| g\)' out and say by='g'"):
        pw.compare_pooling("y ~ x + (x | g)", by="g", data=small)
    for folds in (1, -3, 2.5, True):
        with pytest.raises(pw.DataError, match="folds must be"):
            pw.compare_pooling("y ~ x", by="g", data=small, folds=folds)
    with pytest.raises(pw.DataError, match="only 30 rows"):
        pw.compare_pooling("y ~ x", by="g", data=small, folds=31)
    with pytest.raises(pw.DataError, match="no column 'h'"):
        pw.compare_pooling("y ~ x", by="h", data=small)


def test_questions_that_a_fit_cannot_answer(small, radon_fit):
    pooled = pw.fit("y ~ x", small, seed=1)
    with pytest.raises(pw.DataError, match="pools all rows completely"):
        pooled.group_coefficients()
    with pytest.raises(pw.DataError, match="no groups by 'state'. Valid names: county"):
        radon_fit.group_coefficients("state")
    with pytest.raises(pw.DataError, match=r"no parameter 'beta\[flor\]' to plot. Did you mean 'beta\[floor\]'"):
        radon_fit.plot.trace(["beta[flor]"])
    with pytest.raises(pw.DataError, match="no group 'CAS' in county. Did you mean 'CASS'"):
        radon_fit.plot.groups(["CAS"])
    with pytest.raises(pw.DataError, match="interval must be a number between 0 and 1"):
        radon_fit.summary(interval=90)


def test_strict_raises_where_the_certificate_fails(small, monkeypatch):
    from poolwise.samplers import independence

    monkeypatch.setattr(independence, "LEAST", 2.0)  # no proposal is that good
    assert not pw.fit(FORMULA, small, seed=1, sampler="independence", draws=50).outcome.passed
    with pytest.raises(pw.SamplingError, match="Try sampler='nuts'"):
        pw.fit(FORMULA, small, seed=1, sampler="independence", draws=50, strict=True)


def test_unknown_names_of_the_package():
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        pw.fitt  # noqa: B018


def test_odd_but_fine_inputs(small):
    """Names with spaces and quotes, integers, booleans, unsigned and nullable columns, numeric groups."""
    frame = small.rename(columns={"x": "my x", "g": 'the "group"'}).assign(count=np.arange(30, dtype="uint8"))
    frame["flag"] = frame["count"] % 2 == 0
    frame["maybe"] = pd.array(range(30), dtype="Int64")
    fit = pw.fit('y ~ `my x` + flag + count + maybe + (1 | `the "group"`)', frame, seed=1, draws=50)
    assert fit.outcome.passed
    numeric = pw.fit("y ~ x + (1 | g)", small.assign(g=small.g.map(ord)), seed=1, draws=50)
    assert list(numeric.group_coefficients()["g"]) == [97, 98, 99, 100, 101, 102]


@pytest.mark.parametrize("formula", ["y ~ x + (1 | k)", "y ~ x + k"])
@pytest.mark.parametrize(
    "labels, said",
    [
        ([1, "1", 2], "'k' holds 1 as a number and '1' as text"),
        ([True, 1, 2], "'k' holds True as a truth value and 1 as a number"),
        (["a", 0, False], "'k' holds 0 as a number and False as a truth value"),
        (["True", True, 5], "'k' holds 'True' as text and True as a truth value"),
    ],
)
def test_labels_that_may_be_one_or_two_are_refused(small, formula, labels, said):
    values = np.array(labels * 10, dtype=object)
    frames = [small.assign(k=values), pl.from_pandas(small).with_columns(pl.Series("k", list(values), dtype=pl.Object))]
    if "1" in labels:
        frames.append(small.assign(k=pd.Categorical(values)))
    for frame in frames:
        with pytest.raises(pw.DataError, match=said):
            pw.fit(formula, frame, seed=1, draws=50)


def test_labels_of_two_kinds_are_text(small):
    mixed = small.assign(k=[1, "b", 2.5] * 10, m=[1, 1.0, 2] * 10)
    fit = pw.fit("y ~ x + k + (1 | k)", mixed, seed=1, draws=50)
    assert list(fit.group_coefficients()["k"]) == ["1", "2.5", "b"]
    assert {"beta[k[T.2.5]]", "beta[k[T.b]]"} < set(fit.summary().index)
    assert list(pw.fit("y ~ x + (1 | m)", mixed, seed=1, draws=50).group_coefficients()["m"]) == [1, 2]


def test_numbers_with_units_have_a_coefficient_each(small):
    frame = small.assign(w=[f"{70 + k / 10:.1f} kg" for k in range(30)])
    with pytest.warns(pw.PoolwiseWarning, match="'w' is text such as '70.1 kg', and 29 of its values"):
        pw.fit("y ~ w", frame, seed=1, draws=50)


def test_few_bands_of_numbers_are_categories(small, recwarn):
    pw.fit("y ~ w", small.assign(w=["18-24", "25-34", "35+"] * 10), seed=1, draws=50)
    assert not [one for one in recwarn if "is text such as" in str(one.message)]
