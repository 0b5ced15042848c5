"""What every structured term must do: replay on new rows, whatever the units, the order of rows and the source."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.density.gaussian import gaussian
from poolwise.density.ties import sampled_part
from poolwise.design import functions, structures
from poolwise.design.encode import encode
from poolwise.inference.prepare import prepare
from poolwise.sources.frames import as_table

TERMS = {
    "s(x)": "s(x)",
    "cubic": "s(x, k=6, bs='cr')",
    "cyclic": "s(m, bs='cc', period=12)",
    "by number": "s(x, by=w)",
    "by category": "z + s(x, k=5, by=z)",
    "by group": "s(x) + s(x, z, bs='fs', k=4)",
    "expression": "s(log(m + 1), k=6)",
    "gp(x)": "gp(x, k=8)",
    "t2(x, w)": "t2(x, w, k=4)",
    "ar1(t)": "ar1(t)",
    "mo(k)": "mo(k)",
    "curves of groups": "w + (s(x, k=4) | z)",
    "series of groups": "x + (0 + ar1(t) | z)",
}
MAIN = long_but_for(
    lambda term: term not in map(TERMS.get, ("s(x)", "cyclic", "by number", "gp(x)", "t2(x, w)", "series of groups")),
    TERMS.values(),
)
OFTEN = ("cubic", "mo(k)", "series of groups")  # what is run more often where each takes seconds


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    x, w, m = rng.uniform(-1, 3, 150), rng.normal(size=150), rng.uniform(0, 12, 150)
    z = rng.choice(["a", "b"], 150)
    y = np.sin(2 * x) + 0.5 * np.cos(m * np.pi / 6) + w + 0.4 * rng.normal(size=150)
    g, t, k = rng.integers(0, 8, 150), rng.integers(0, 9, 150), rng.integers(2, 6, 150)
    return pd.DataFrame({"y": y, "x": x, "w": w, "m": m, "z": z, "g": g, "t": t, "k": k})


def columns(formula, frame, new=None):
    """The common columns of the rows, and of new rows."""
    model, rows = prepare(formula, frame, priors={}, missing="drop", threads=1)
    ones = np.column_stack([np.ones(len(frame)), rows.values[:, :-1]])
    found = ones @ model.design.common_map
    if new is None:
        return model, found, None
    _, more = encode(model.design, model.encoding, as_table(new))
    return model, found, np.column_stack([np.ones(len(new)), more.values[:, :-1]]) @ model.design.common_map


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_columns_of_new_rows_are_those_of_the_fit(term, frame):
    """Row by row, in another order, a few at a time."""
    few = frame.iloc[[70, 3, 3, 149, 12]]
    _, found, again = columns(f"y ~ {term}", frame, few)
    np.testing.assert_allclose(again, found[[70, 3, 3, 149, 12]], atol=1e-10)


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_density_does_not_depend_on_where_zero_is_or_on_units(term, frame):
    if "log(" in term:
        pytest.skip("the log of a shifted variable is another variable")
    moved = frame.assign(x=1e4 + 0.001 * frame["x"], w=frame["w"] * (1.0 if "by" in term else 50.0))
    values, first = [], None
    for data in (frame, moved):
        model, _ = prepare(f"y ~ {term} + (1 | g)", data, priors={}, missing="drop", threads=1)
        ties = model.priors.ties
        density = sampled_part(gaussian(model.statistics, model.design, model.priors, threads=1), ties)
        effects = len(model.priors.layout.effects) - len(ties.places)
        theta = np.tile(np.concatenate([[-0.5] * effects, [0.1], model.priors.layout.usual]), (3, 1))
        theta += np.linspace(-0.4, 0.4, theta.size).reshape(theta.shape)
        if "lengthscale" in " ".join(model.priors.layout.smoothing) and first is not None:
            theta[:, -1] = first[:, -1] + np.log(0.001)
        first = theta
        value = density.log_density(theta)
        values.append(value - value[0])
    np.testing.assert_allclose(values[1], values[0], atol=2e-5)


@pytest.mark.parametrize(
    "term", long_but_for(lambda term: term in map(TERMS.get, ("cubic", "mo(k)", "ar1(t)", "by group")), MAIN), ids=TERMS
)
def test_draws_do_not_depend_on_the_order_of_rows_or_the_frame(term, frame):
    fits = [
        pw.fit(f"y ~ {term}", data, draws=100, seed=1)
        for data in (frame, frame.sample(frac=1, random_state=1), pl.from_pandas(frame))
    ]
    first, *others = [fit.predict(frame)["mean"].to_numpy() for fit in fits]
    for other in others:
        np.testing.assert_allclose(other, first, atol=2e-6)


@pytest.mark.parametrize("term", long_but_for(lambda term: term in MAIN, TERMS.values()), ids=TERMS)
def test_saved_fits_predict_the_same(term, frame, tmp_path):
    saved_predicts_the_same(term, "gaussian", frame, tmp_path)


@pytest.mark.parametrize(
    "term", long_but_for(lambda term: term in map(TERMS.get, ("cubic", "mo(k)")), TERMS.values()), ids=TERMS
)
def test_saved_fits_of_another_family_predict_the_same(term, frame, tmp_path):
    saved_predicts_the_same(term, "student", frame, tmp_path)


def saved_predicts_the_same(term, family, frame, tmp_path):
    fit = pw.fit(f"y ~ {term} + (1 | g)", frame, family=family, draws=60, seed=1)
    fit.save(tmp_path / "fit")
    loaded = pw.load(tmp_path / "fit")
    pd.testing.assert_frame_equal(loaded.predict(frame), fit.predict(frame))
    pd.testing.assert_frame_equal(loaded.summary(), fit.summary())


@pytest.mark.long
@pytest.mark.parametrize(
    "term",
    [pytest.param(term, id=name, marks=() if name in OFTEN else pytest.mark.slow) for name, term in TERMS.items()],
)
def test_everything_after_the_fit(term, frame, tmp_path):
    fit = pw.fit(f"y ~ {term} + (1 | g)", frame, draws=200, seed=1)
    assert fit.outcome.passed
    names = [name for name in fit.summary().index if name.startswith(("sd_", "lengthscale_", "cor_"))]
    assert len(names) > (term != "mo(k)")
    first = "[3]]" if term == "mo(k)" else "[1]]"
    assert not any(name.endswith(first) for name in fit.summary().index)  # coefficients of curves are left out
    assert any(name.endswith(first) for name in fit.summary(groups=True).index)
    assert np.isfinite(fit.loo().elpd)
    assert np.isfinite(fit.check(draws=20).rmsd_out_of_sample)
    assert fit.prior_predictive(20).sizes["draw"] == 20
    fit.report(tmp_path / "report.html")
    design = fit.result.model.design
    factor = next((factor for factor in design.factors if factor.structures), None)
    structure = design.structures[-1] if factor is None else factor.structures[0]
    name = structure.name if factor is None else f"({structure.name} | {factor.name})"
    table = fit.smooth_term(name).table
    assert np.isfinite(table[["mean", "sd", "low", "high"]]).all(axis=None)
    fit.plot.smooth(name).to_dict(validate=False)
    if term in ("ar1(t)", "mo(k)"):  # nothing lies between their times and categories
        with pytest.raises(pw.DataError, match="not a predictor|no slope"):
            pw.avg_slopes(fit, term[-2])
        return
    slopes = pw.avg_slopes(fit, "x" if "x" in term.replace("exp", "") else "m")
    assert np.isfinite(slopes.table["mean"]).all()


@pytest.mark.parametrize(
    "term", long_but_for(lambda term: term in map(TERMS.get, ("cubic", "mo(k)", "ar1(t)", "by group")), MAIN), ids=TERMS
)
def test_rows_in_files_give_the_same(term, frame, tmp_path):
    frame.to_parquet(tmp_path / "rows.parquet")
    fit = pw.fit(f"y ~ {term}", frame, draws=100, seed=1)
    other = pw.fit(f"y ~ {term}", tmp_path / "rows.parquet", draws=100, seed=1)
    np.testing.assert_allclose(other.predict(frame)["mean"], fit.predict(frame)["mean"], atol=1e-5)


def test_the_page_on_a_structure_of_your_own(frame, monkeypatch):
    """Its code is run as it stands there, and used as a term."""
    page = Path(__file__).parents[3] / "docs" / "how-to" / "own-structure.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    own: dict = {}
    exec(code, own)
    known = dict(structures.terms())
    monkeypatch.setattr(structures, "terms", lambda: {**known, "steps": own["steps"]})
    functions.functions.cache_clear()
    try:
        fit = pw.fit("y ~ steps(x) + (1 | g)", frame, draws=200, seed=1)
        assert fit.outcome.passed
        assert "sd_steps(x)" in fit.summary().index
        few = frame.iloc[[9, 2]]
        np.testing.assert_allclose(fit.predict(few)["mean"], fit.predict(frame)["mean"].iloc[[9, 2]])
    finally:
        functions.functions.cache_clear()


def test_sensitivity_is_of_parameters_not_of_single_columns(frame):
    fit = pw.fit("y ~ s(x) + (1 | g)", frame, draws=100, seed=1)
    for term in ("sd_s(x)", "sd"):
        table = fit.sensitivity(term, scales=[0.1, 10], draws=100).table
        assert "sd_s(x)" in set(table["quantity"])
        assert not any("s(x)[1]" in name for name in table["quantity"])
        moved = table[table["quantity"] == "sd_s(x)"].set_index("times")["mean"]
        assert moved[0.1] < moved[10]


def test_poolings_have_no_curves(frame):
    with pytest.raises(pw.FormulaError, match=r"which s\(\.\.\.\) cannot"):
        pw.compare_pooling("y ~ s(x)", by="g", data=frame)


def test_two_spellings_of_curves_of_groups(frame):
    """A bar has effects, its sds and shrinkage; `bs='fs'` has columns: the same posterior."""
    one, other = (pw.fit(f"y ~ s(x) + (s(x, k=4) {bar} z)", frame, draws=50, seed=1) for bar in ("|", "||"))
    np.testing.assert_array_equal(one.summary()["mean"], other.summary()["mean"])
    one, other = (
        pw.fit(f"y ~ w + {term}", frame, seed=1).predict(frame) for term in ("(s(x, k=4) | g)", "s(x, g, k=4, bs='fs')")
    )
    np.testing.assert_allclose(one["mean"], other["mean"], atol=0.15 * one["sd"].mean())
    np.testing.assert_allclose(one["sd"], other["sd"], rtol=0.15)


@pytest.mark.parametrize("basis", ["tp", "cr"])
def test_skewed_predictors_keep_their_smoothest_functions(basis):
    """Knots that lie unevenly give penalties whose small eigenvalues are those of functions, not rounding."""
    rng = np.random.default_rng(2)
    x = np.exp(rng.normal(0, 2, 200))
    share = x / x.max()
    truth = 12 * share * (1 - share)
    data = pd.DataFrame({"x": x, "y": truth + rng.normal(0, 0.3, 200)})
    fit = pw.fit(f"y ~ s(x, k=20, bs='{basis}')", data, seed=1)
    assert np.sqrt(np.square(fit.predict(data)["mean"] - truth).mean()) < 0.1
    model = fit.result.model.design.structures[0]
    assert len(model.places) == 18


def test_an_empty_label_is_a_label():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.normal(size=90), "e": np.repeat(["", "k", "a:b"], 30)})
    data["y"] = np.where(data["e"] == "k", data["x"], 0) + 0.3 * rng.normal(size=90)
    fit = pw.fit("y ~ s(x, by=e, k=5)", data, seed=1)
    other = pw.fit("y ~ s(x, by=e, k=5)", data.assign(e=data["e"].replace({"": "0", "a:b": "ab"})), seed=1)
    np.testing.assert_allclose(fit.summary()["mean"], other.summary()["mean"], rtol=1e-6)


def test_a_process_is_not_continued_where_it_would_repeat_itself(frame):
    fit = pw.fit("y ~ gp(x)", frame, draws=50, seed=1)
    assert np.isfinite(fit.predict({"x": [3.4]})["mean"]).all()
    with pytest.raises(pw.DataError, match="reaches from"):
        fit.predict({"x": [30.0]})


def test_calls_within_and_after_brackets(frame):
    one = pw.fit("y ~ (log(m + 1)) + exp(x)", frame, draws=50, seed=1)
    other = pw.fit("y ~ log(m + 1) + exp(x)", frame, draws=50, seed=1)
    np.testing.assert_array_equal(one.summary()["mean"], other.summary()["mean"])


def test_a_category_left_out_whole(frame):
    """Its column is then zero; rounding beside it was taken for a predictor of everything."""
    for formula in ("y ~ z + s(x)", "y ~ s(x, by=z, k=4)", "y ~ z + (1 | g)"):
        fit = pw.fit(formula, frame, draws=200, seed=1)
        assert np.isfinite(fit.kfold(by="z", draws=100).elpd)


def test_monotonic_terms_of_two_levels_are_slopes(frame):
    """With groups and without, where nothing is left to sample but sigma; truth values count as two levels."""
    data = frame.assign(two=(frame["k"] > 3).astype(int), truth=frame["k"] > 3)
    priors = {"Intercept": pw.Normal(0, 2)}
    for rest in ("", " + (1 | g)"):
        plain = pw.fit(f"y ~ two{rest}", data, priors=priors | {"two": pw.Normal(0, 1)}, seed=1)
        for name in ("two", "truth"):
            fit = pw.fit(f"y ~ mo({name}){rest}", data, priors=priors | {f"mo({name})": pw.Normal(0, 1)}, seed=1)
            assert not any("simplex" in one for one in fit.summary().index)
            ours, theirs = fit.summary().loc[f"mo({name})"], plain.summary().loc["beta[two]"]
            assert ours["mean"] == pytest.approx(theirs["mean"], abs=0.1 * theirs["sd"])
            assert fit.outcome.log_evidence == pytest.approx(plain.outcome.log_evidence, abs=0.1)


def test_categories_without_rows(frame):
    """Of ordered categories those with rows are kept, as brms does; a list of levels and whole numbers keep all."""
    rows = frame[frame["k"] != 3]
    names = pd.Categorical(rows["k"].map(dict(zip([2, 4, 5], "acd", strict=True))), list("abcd"), ordered=True)
    rows = rows.assign(name=names)
    shares = {
        term: sum("simplex" in one for one in pw.fit(f"y ~ {term}", rows, draws=50, seed=1).summary().index)
        for term in ("mo(k)", "mo(name)", "mo(name, levels=('a', 'b', 'c', 'd'))")
    }
    assert list(shares.values()) == [3, 2, 3]


@pytest.mark.parametrize(
    ("term", "priors", "said"),
    [
        ("mo(z)", {}, "cannot tell the order of text"),
        ("mo(x)", {}, "whole numbers or ordered categories"),
        ("mo(k, levels='lo')", {}, "a list of categories"),
        ("mo(z, levels=('a', 'a'))", {}, "names a category twice"),
        ("mo(z, levels=('a', 'c'))", {}, "does not know 'b'"),
        ("w * mo(k)", {}, r"write mo\(k, by=\.\.\.\)"),
        ("mo(k, by=z)", {}, "takes a column of numbers"),
        ("mo(m1)", {}, "two categories at least"),
        ("mo(wide)", {}, "31 at most"),
        ("mo(k)", {"mo(k)": pw.StudentT(3, 0, 1)}, "use Normal"),
        ("mo(k) + w", {"slopes": pw.StudentT(3, 0, 1)}, "give it one of its own"),
        ("mo(k)", {"simplex_mo(k)": pw.Dirichlet((1, 2))}, "a prior of 2 shares; there are 3"),
        ("mo(k)", {"share_mo(k)[3]": pw.HalfNormal(1)}, r"Valid names: .*simplex_mo"),
    ],
)
def test_monotonic_terms_say_what_is_wrong(term, priors, said, frame):
    data = frame.assign(m1=1, wide=np.arange(150))
    with pytest.raises(pw.PoolwiseError, match=said):
        pw.fit(f"y ~ {term}", data, priors=priors)


@pytest.mark.parametrize("wrong", [None, (), "x", (2, "a"), -1])
def test_concentrations_are_positive_numbers(wrong):
    with pytest.raises(pw.PriorError, match="Dirichlet"):
        pw.Dirichlet(wrong)


def test_a_process_of_too_few_functions_is_told_and_more_are_taken():
    """More functions than least squares can tell apart are no reason to refuse: their prior tells them apart."""
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(0, 1, 400))
    rough = pd.DataFrame({"x": x, "y": np.sin(35 * x) + 0.3 * rng.normal(size=400)})
    few = pw.fit("y ~ gp(x)", rough, seed=1, draws=100)
    assert any("gp(x) has 20 functions" in note and "k=" in note for note in few.notes)
    many = pw.fit("y ~ gp(x, k=60)", rough, seed=1, draws=200)
    assert not any("functions" in note for note in many.notes)
    assert many.summary().loc["sigma", "mean"] == pytest.approx(0.3, abs=0.04)
    smooth = rough.assign(y=np.sin(8 * x) + 0.3 * rng.normal(size=400))
    for term in ("gp(x)", "gp(x, k=40)", "gp(x, c=3)"):
        fit = pw.fit(f"y ~ {term}", smooth, seed=1, draws=200)
        assert fit.summary().loc["sigma", "mean"] == pytest.approx(0.3, abs=0.04)
        assert not any("functions" in note for note in fit.notes)
