"""Wrong input to families that are sampled gets one clear sentence, as in `test_bad_input` for the normal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw

N = 30
FEW = {"draws": 20, "chains": 2, "seed": 1}
GAUSSIAN_OF_SIGMA = ["y ~ x + (x | g)", "sigma ~ x"]


@pytest.fixture
def frame() -> pd.DataFrame:
    """An outcome for each family."""
    rng = np.random.default_rng(5)
    n = rng.integers(2, 8, N)
    return pd.DataFrame(
        {
            "g": np.repeat(list("abcdef"), 5),
            "x": rng.normal(size=N),
            "w": rng.normal(size=N),
            "y": rng.normal(size=N),
            "n": n,
            "successes": rng.binomial(n, 0.4),
            "count": rng.poisson(3, N),
            "share": rng.beta(2, 3, N),
            "choice": rng.integers(0, 2, N),
            "time": rng.gamma(2, 1, N),
        }
    )


def with_value(frame, column, value, row=3):
    changed = frame.astype({column: float})
    changed.loc[row, column] = value
    return changed


@pytest.fixture(scope="module")
def fits():
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"g": np.repeat(list("abcdef"), 5), "x": rng.normal(size=N)})
    frame = frame.assign(count=rng.poisson(3, N), y=rng.normal(size=N))
    return {
        "poisson": pw.fit("count ~ x + (x | g)", frame, family="poisson", **FEW),
        "sigma": pw.fit(GAUSSIAN_OF_SIGMA, frame, **FEW),
        "normal": pw.fit("y ~ x + (x | g)", frame, **FEW),
        "frame": frame,
    }


@pytest.mark.parametrize(
    ("family", "formula", "column", "value", "said"),
    [
        ("poisson", "count ~ x", "count", -1, "'count' must hold counts, but row 4 .* -1: counts are not negative"),
        ("negative_binomial", "count ~ x", "count", -2, "row 4 of the complete rows holds -2: counts are not negative"),
        ("poisson", "count ~ x", "count", 1.5, r"holds 1.5, which is not whole. For rates, .* offset\(log"),
        ("negative_binomial", "count ~ x", "count", 0.25, "holds 0.25, which is not whole"),
        ("poisson", "count ~ x", "count", np.inf, "'count' is inf in row 4"),
        ("binomial", "successes | trials(n) ~ x", "successes", 99, r"more successes than trials in row 4 .*: 99 of \d"),
        ("binomial", "successes | trials(n) ~ x", "successes", -1, "must hold numbers of successes, but row 4"),
        ("binomial", "successes | trials(n) ~ x", "successes", 0.5, "must be whole numbers, but row 4 .* holds 0.5"),
        ("binomial", "(successes, n - 2 * successes) ~ x", "n", 1, "more successes than trials in row"),
        ("binomial", "successes | trials(n) ~ x", "n", np.inf, "'the number of trials' is inf in row 4"),
        ("bernoulli", "choice ~ x", "choice", 2, "must hold 0 and 1 .* row 4 .* holds 2. Successes among trials"),
        ("bernoulli", "choice ~ x", "choice", 0.5, "must hold 0 and 1 for the bernoulli family"),
        ("beta", "share ~ x", "share", 0.0, "must lie strictly between 0 and 1 .* row 4 of the complete rows holds 0"),
        ("beta", "share ~ x", "share", 1.0, "must lie strictly between 0 and 1 .* row 4 of the complete rows holds 1"),
        ("beta", "share ~ x", "share", 1.2, "must lie strictly between 0 and 1"),
        ("gamma", "time ~ x", "time", 0.0, "'time' must be above zero for this family, but row 4 .* holds 0"),
        ("gamma", "time ~ x", "time", -1.0, "must be above zero"),
        ("lognormal", "time ~ x", "time", -0.5, "must be above zero .* holds -0.5"),
        ("exponential", "time ~ x", "time", 0.0, "must be above zero"),
        ("student", "time ~ x", "time", -np.inf, "'time' is -inf in row 4"),
    ],
)  # fmt: skip
def test_outcomes_that_a_family_cannot_have(family, formula, column, value, said, frame):
    with pytest.raises(pw.DataError, match=said) as found:
        pw.fit(formula, with_value(frame, column, value), family=family)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("family", "formula", "change", "error", "said"),
    [
        ("poisson", "count ~ x", {"count": 0}, pw.DataError, "Every count in 'count' is zero"),
        ("negative_binomial", "count ~ x + (1 | g)", {"count": 0}, pw.DataError, "Every count in 'count' is zero"),
        ("binomial", "successes | trials(n) ~ x", {"n": 0, "successes": 0}, pw.DataError, "No row .* has any trials"),
        ("binomial", "successes | trials(nn) ~ x", {}, pw.DataError, "no column 'nn' in the data. Did you mean 'n'?"),
        ("binomial", "successes | trials(g) ~ x", {}, pw.DataError, "'g' must hold numbers for the number of trials"),
        ("bernoulli", "g ~ x", {}, pw.DataError, "'g' must hold two labels, or 0 and 1, but it holds 6: a, b, c"),
        ("poisson", "count ~ x + offset(log(n))", {"n": 0}, pw.DataError, "'the offset' is -inf in row 1"),
        ("poisson", "count ~ xx", {}, pw.DataError, "no column 'xx' in the data. Did you mean 'x'?"),
        ("binomial", "successes ~ x", {}, pw.FormulaError, r"How many trials\? Write 'successes \| trials\(n\) ~ ...'"),
        ("poisson", "count | trials(n) ~ x", {}, pw.FormulaError, "family 'poisson' has no trials"),
        ("bernoulli", "choice | trials(n) ~ x", {}, pw.FormulaError, "no trials; successes among trials are family='b"),
        ("gaussian", "y | trials(n) ~ x", {}, pw.FormulaError, "family 'gaussian' has no trials"),
        ("poisson", ["count ~ x", "sigma ~ x"], {}, pw.FormulaError, "no parameter 'sigma' .* none besides the mean"),
        ("negative_binomial", ["count ~ x", "sigma ~ x"], {}, pw.FormulaError, "no parameter 'sigma'.*It has: shape"),
        ("student", "y ~ x; mu ~ x", {}, pw.FormulaError, "no parameter 'mu' to write .* It has: sigma, nu"),
        ("gaussian", ["y ~ x", "sigma ~ x", "nu ~ 1"], {}, pw.FormulaError, "no parameter 'nu'.*It has: sigma"),
    ],
)  # fmt: skip
def test_data_and_formulas_that_do_not_suit_a_family(family, formula, change, error, said, frame):
    with pytest.raises(error, match=said):
        pw.fit(formula, frame.assign(**change), family=family)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"family": "poison"},
            "no family 'poison'. Did you mean 'poisson'\\? Valid names: acat, asymmetric_laplace, .*, student",
        ),
        ({"family": "quasi"}, "no family 'quasi'. Valid names: acat, asymmetric_laplace"),
        ({"family": 3}, "no family 3. Valid names: acat, asymmetric_laplace"),
        ({"family": None}, "no family None. Valid names: acat, asymmetric_laplace"),
        (
            {"family": "poisson", "link": "logit"},
            "'poisson' has no link 'logit'.*Valid names: identity, inverse, log, sqrt",
        ),
        ({"family": "bernoulli", "link": "cauchit"}, "no link 'cauchit'. Valid names: cloglog, log, logit, probit"),
        ({"link": "inverse"}, "'gaussian' has no link 'inverse'.*Valid names: identity, log"),
        ({"family": "student", "link": 2}, "'student' has no link 2. Valid names: identity, log"),
    ],
)
def test_unknown_families_and_links(options, said, frame):
    with pytest.raises(pw.FormulaError, match=said):
        pw.fit("count ~ x", frame, **options)


def test_families_have_other_names(frame):
    for name, usual in (("nbinom", "negative_binomial"), ("t", "student"), ("Gamma", "gamma"), ("normal", "gaussian")):
        fit = pw.fit("time ~ x" if usual == "gamma" else "count ~ x", frame, family=name, **FEW)
        assert fit.result.model.family.name == usual


@pytest.mark.parametrize(
    ("formula", "family", "priors", "said"),
    [
        ("count ~ x", "poisson", {"sigma": pw.HalfNormal()}, "no term 'sigma' in this model"),
        (["y ~ x", "sigma ~ x"], "gaussian", {"sigma": pw.HalfNormal()}, "no term 'sigma'.*Did you mean 'sigma_x'"),
        ("count ~ x", "negative_binomial", {"shape": pw.Normal()}, "prior of 'shape' cannot be Normal"),
        ("y ~ x", "student", {"nu": pw.Normal()}, "prior of 'nu' cannot be Normal"),
        ("count ~ x + (1 | g)", "poisson", {"cor": pw.LKJ()}, "no term 'cor'"),
    ],
)
def test_bad_priors(formula, family, priors, said, frame):
    with pytest.raises(pw.PriorError, match=said):
        pw.fit(formula, frame, family=family, priors=priors)


@pytest.mark.parametrize(
    ("formula", "error", "said"),
    [
        ("y ~ x; sigma", pw.FormulaError, "no '~' between the outcome and the predictors"),
        ("y ~ x;", pw.FormulaError, "Cannot read the formula"),
        ("; y ~ x", pw.FormulaError, "Cannot read the formula"),
        ("y ~ x; sigma ~ x +", pw.FormulaError, "a term is missing here"),
        ("y ~ x; sigma ~ x | g", pw.FormulaError, r"a group term needs brackets: write '\(x \| g\)'"),
        ("y ~ x; sigma ~ x; sigma ~ 1", pw.FormulaError, "must have the name of one parameter on its left"),
        ("y ~ x; 2 ~ x", pw.FormulaError, "'2 ~ x' must have the name of one parameter on its left"),
        ("y ~ x; log(sigma) ~ x", pw.FormulaError, r"'log\(sigma\) ~ x' must have the name of one parameter"),
        ("y ~ x; sigma ~ offset(x)", pw.FormulaError, "has an offset, which only the first formula can have"),
        ("y ~ x; sigma ~ xx", pw.DataError, "no column 'xx'"),
        (["y ~ x", "sigma ~ (x | g"], pw.FormulaError, "this bracket is never closed"),
        (["y ~ x", 3], pw.FormulaError, "A formula is text such as .*, not int"),
        ([], pw.FormulaError, "list of formulas is empty"),
        ({"y": "x"}, pw.FormulaError, "not dict"),
        ("y ~ x; y ~ x", pw.FormulaError, "no parameter 'y' to write a formula for"),
    ],
)
def test_several_formulas(formula, error, said, frame):
    with pytest.raises(error, match=said):
        pw.fit(formula, frame)


def test_lists_and_semicolons_are_the_same(frame):
    one, two = (
        pw.fit(formula, frame, **FEW)
        for formula in (
            GAUSSIAN_OF_SIGMA,
            " ; ".join(GAUSSIAN_OF_SIGMA),
        )
    )
    np.testing.assert_array_equal(one.result.beta, two.result.beta)
    assert one.formula == "y ~ x + (x | g); sigma ~ x"


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_weights_are_positive(weight, frame):
    with pytest.raises(pw.DataError, match="weights 'v' must be positive"):
        pw.fit("count ~ x", frame.assign(v=weight), family="poisson", weights="v")


def test_statistics_are_of_a_family(frame):
    statistics = pw.SufficientStatistics.from_data("y ~ x", frame)
    for options in ({"family": "student"}, {"link": "log"}):
        with pytest.raises(pw.DataError, match="These statistics are of a normal model"):
            pw.fit("y ~ x", statistics, **options)
    counted = pw.SufficientStatistics.from_data("y ~ x", frame, family="student")
    with pytest.raises(pw.DataError, match="pass that family= and link="):
        pw.fit("y ~ x", counted)
    with pytest.raises(pw.DataError, match="cannot be combined"):
        counted + statistics


@pytest.mark.parametrize("kind", ["poisson", "sigma"])
@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda fit, _: fit.as_code("lme4"), r"as_code\('lme4'\) speaks of the normal family"),
    ],
)
def test_questions_that_need_statistics_are_refused(kind, ask, said, fits):
    with pytest.raises(pw.DataError, match=said) as found:
        ask(fits[kind], fits["frame"])
    assert "\n" not in str(found.value)
    assert str(found.value).endswith(".")


def test_merging_with_a_fit_of_statistics_is_refused_either_way(fits):
    for one, two in (("normal", "poisson"), ("poisson", "normal"), ("normal", "sigma")):
        with pytest.raises(pw.DataError, match="cannot be merged"):
            pw.merge(fits[one], fits[two])


def note_of(formula, frame, family="bernoulli"):
    return [note for note in pw.fit(formula, frame, family=family, **FEW).notes if "separate" in note]


def test_separation_is_noted(frame):
    """Of zeros and ones, and of successes among trials; by a number, by a category, in groups or without."""
    apart = frame.assign(choice=(frame.x > 0.1) * 1)
    for formula in ("choice ~ x", "choice ~ x + (1 | g)", "choice ~ x + (x | g)"):
        (note,) = note_of(formula, apart)
        assert note.startswith("x separates successes from failures")
    (note,) = note_of("choice ~ x", apart.assign(x=1e4 * apart.x))
    assert note.startswith("x separates")
    whole = frame.assign(successes=np.where(frame.x > 0.1, frame.n, 0))
    (note,) = note_of("successes | trials(n) ~ x", whole, "binomial")
    assert note.startswith("x separates")
    kind = np.where(np.arange(N) % 3 == 0, "a", "b")
    (note,) = note_of("choice ~ kind", frame.assign(kind=kind, choice=np.where(kind == "a", 1, frame.choice)))
    assert note.startswith("kind[T.b] separates")


def test_no_separation_is_not_noted(frame):
    assert not note_of("choice ~ x + w + (1 | g)", frame)
    assert not note_of("successes | trials(n) ~ x", frame, "binomial")
    assert not note_of("count ~ x", frame, "poisson")
    almost = frame.assign(choice=(frame.x > 0.1) * 1)
    almost.loc[almost.x.idxmax(), "choice"] = 0
    assert not note_of("choice ~ x", almost)


def test_two_that_separate_together_are_both_named(frame):
    (note,) = note_of("choice ~ x + w", frame.assign(choice=(frame.x + frame.w > 0.1) * 1))
    assert note.startswith("Together, x, w separate")


def test_predictors_that_have_no_part_in_separation_are_not_named(frame):
    (note,) = note_of("choice ~ x + w + y", frame.assign(choice=(frame.x > 0.1) * 1))
    assert note.startswith("x separates")


def test_outcomes_that_are_all_alike_are_no_matter_of_a_predictor(frame):
    notes = note_of("choice ~ x", frame.assign(choice=1))
    assert all("x separates" not in note for note in notes)


def test_separation_by_a_predictor_far_from_zero(frame):
    (note,) = note_of("choice ~ x", frame.assign(choice=(frame.x > 0.1) * 1, x=1000 + 1e-3 * frame.x))
    assert note.startswith("x separates")


def test_a_number_of_trials_may_be_a_constant(frame):
    fit = pw.fit("successes | trials(10) ~ x", frame, family="binomial", **FEW)
    same = pw.fit("successes | trials(n) ~ x", frame.assign(n=10), family="binomial", **FEW)
    np.testing.assert_array_equal(fit.result.beta, same.result.beta)


def test_trials_that_are_left_empty(frame):
    with pytest.raises(pw.FormulaError, match="trials"):
        pw.fit("successes | trials() ~ x", frame, family="binomial")
    with pytest.raises(pw.FormulaError, match="^((?!identity).)*$"):
        pw.fit("successes | trials() ~ x", frame, family="binomial")


def test_trials_that_are_not_whole_are_shown(frame):
    with pytest.raises(pw.DataError, match="holds .*7.5"):
        pw.fit("successes | trials(n) ~ x", with_value(frame, "n", 7.5), family="binomial")


def test_trials_of_another_parameter(frame):
    with pytest.raises(pw.FormulaError, match="trials"):
        pw.fit("y ~ x; sigma | trials(n) ~ 1", frame, **FEW)


def test_nothing_to_be_sampled(frame):
    """A model without coefficients, effects or dispersions: a fit without parameters, or a sentence."""
    try:
        pw.fit("count ~ 0 + offset(log(n))", frame, family="poisson", **FEW)
    except pw.PoolwiseError as error:
        assert str(error)


@pytest.mark.parametrize(("formula", "family"), [("y ~ x", "student"), (["y ~ x", "sigma ~ x"], "gaussian")])
def test_constant_outcomes_of_families_with_a_sigma(formula, family, frame):
    """The normal family says so: the outcome 'y' is constant."""
    with pytest.raises(pw.DataError, match=r"outcome 'y' is constant \(2\)"):
        pw.fit(formula, frame.assign(y=2.0), family=family, **FEW)


def test_one_group(frame):
    with pytest.raises(pw.DataError, match="'g' has one group only"):
        pw.fit("count ~ x + (1 | g)", frame.assign(g="one"), family="poisson", **FEW)


def test_constant_outcomes_of_the_lognormal(frame):
    with pytest.raises(pw.DataError, match=r"outcome 'time' is constant \(2\)"):
        pw.fit("time ~ x", frame.assign(time=2.0), family="lognormal", **FEW)
