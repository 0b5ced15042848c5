"""What the page says in words is so: sentences beside predictions, scales that are named, no columns of curves."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from tests.selection import long_but_for

import poolwise as pw
from poolwise.families import FAMILIES
from poolwise.output.report import words


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n = 300
    data = pd.DataFrame({"x": rng.normal(size=n), "z": rng.integers(0, 2, n), "t": 8, "e": rng.normal(1.5, 0.3, n)})
    data["g"], data["c"] = rng.choice(list("abcde"), n), rng.choice(["hi", "lo", "mid"], n)
    data["o"], data["u"] = rng.integers(1, 5, n), rng.choice(["blue", "green", "red"], n)
    data["y"], data["w"] = 1 + 0.5 * data.x + rng.normal(size=n), rng.uniform(0.5, 1.5, n)
    data["pos"], data["s"], data["b"] = np.exp(0.4 * data.y), rng.binomial(8, 0.4, n), (data.y > 1) * 1
    data["k"] = rng.poisson(np.exp(0.3 * data.x + data.e))
    data["zk"] = rng.poisson(2, n) * (rng.random(n) < 0.6)
    return data


def said(formula, rows, family="gaussian", **more):
    return words.answers(pw.fit(formula, rows, family=family, seed=1, draws=100, **more).result)


def stated(sentences, start):
    """The number after the first sentence that begins so."""
    found = next(each for each in sentences if each.startswith(start))
    return float(re.search(r"-?\d[\d.]*", found[len(start) :]).group().rstrip("."))


@pytest.mark.parametrize(
    ("family", "formula"),
    long_but_for(
        lambda family, _: family != "shifted_lognormal",
        [
            ("lognormal", "pos ~ 1"),
            ("shifted_lognormal", "pos ~ 1"),
            ("weibull", "pos ~ 1"),
            ("gamma", "pos ~ 1"),
            ("asymmetric_laplace", ["y ~ 1", "quantile = 0.9"]),
            ("hurdle_poisson", "zk ~ 1"),
            ("zero_inflated_poisson", "zk ~ 1"),
            ("negative_binomial", "zk ~ 1"),
        ],
    ),
)
def test_the_expected_outcome_is_that_of_predictions(family, formula, rows):
    fit = pw.fit(formula, rows, family=family, seed=1, draws=100)
    name = fit.result.model.design.response
    expected = fit.predict(rows.head(1))["mean"].iloc[0]
    assert stated(words.answers(fit.result), f"The expected {name} is ") == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize(
    ("family", "formula", "begin"),
    long_but_for(
        lambda family, formula, _: "quantile ~ 1" not in formula,
        [
            ("lognormal", "pos ~ x", "The mean of the log of pos is higher by"),
            ("weibull", "pos ~ x", "The scale parameter of pos is multiplied by"),
            (
                "zero_inflated_poisson",
                ["zk ~ x", "zi ~ x"],
                "The mean of zk apart from its added zeros is multiplied by",
            ),
            ("hurdle_poisson", "zk ~ x", "The mean of zk before its zeros are cut off is multiplied by"),
            ("binomial", "s | trials(t) ~ x", "The odds of a success in s are multiplied by"),
            ("binomial", "s | trials(t) ~ 1", "The expected share of s is"),
            ("bernoulli", "b ~ 1", "The probability of b is"),
            ("von_mises", "x ~ 1", "The mean direction of x is"),
            ("poisson", "k ~ 1 + offset(e)", "The expected k where e is 0 is"),
            ("cumulative", "o ~ x", "The odds of a higher o are multiplied by"),
            ("cumulative", ["o ~ x", "disc ~ 1"], "The location of o on the scale of the logit link is"),
            ("cumulative", "o ~ 1", "The probabilities of o are"),
            ("categorical", "u ~ x", "The odds of u being green instead of blue are multiplied by"),
            ("categorical", "u ~ 0 + c", "No coefficient alone says what c does: "),
            ("asymmetric_laplace", "y ~ x", "The median of y is higher by"),
            ("asymmetric_laplace", ["y ~ x", "quantile = 0.9"], "The 0.9 quantile of y is higher by"),
            ("asymmetric_laplace", ["y ~ x", "quantile ~ 1"], "The quantile of y is higher by"),
            ("beta", "h ~ x", "The logit of the mean of h is higher by"),
        ],
    ),
)
def test_sentences_say_what_a_coefficient_moves(family, formula, begin, rows):
    assert said(formula, rows.assign(h=1 / (1 + np.exp(-rows.y))), family)[0].startswith(begin)


def test_every_family_says_what_its_location_is():
    for family in FAMILIES.values():
        unnamed = family.located == "location of {}"
        assert family.located.count("{}") == 1
        assert not unnamed or family.labels
        assert bool(family.odds) >= bool(family.trials or family.labelled or family.ordered)


def test_a_probability_of_categories_is_that_of_predictions(rows):
    fit = pw.fit("u ~ 1", rows, family="categorical", seed=1, draws=100)
    shares = re.findall(r"([\d.]+) \([\d.]+ to [\d.]+\) for (\w+)", words.answers(fit.result)[0])
    table = fit.predict(rows.head(1))
    for share, (_, line) in zip(shares, table.iterrows(), strict=True):
        assert share[1] == line["category"]
        assert float(share[0]) == pytest.approx(line["mean"], abs=6e-4)


@pytest.mark.parametrize(
    ("formula", "parts"),
    [
        ("y ~ x * z", ["for one unit more of x with z at 0,", "where z is 1 instead of 0 with x at 0,", "in x:z:"]),
        ("y ~ x * c", ["of x with c at hi,", "where c is lo instead of hi with x at 0,", "c is mid", "in x:c:"]),
        ("y ~ z:w", ["says what w and z do in z:w: pw.avg_comparisons(fit, ['w', 'z'])"]),
        ("y ~ x + I(x**2)", ["says what x does in x and I(x ** 2): pw.avg_comparisons(fit, ['x'])"]),
        ("y ~ 0 + x + I(x**2) + x:z", ["says what x and z do in x, I(x ** 2) and x:z:"]),
        ("y ~ bs(x, df=4)", ["says what x does in bs(x, df=4):"]),
        ("y ~ 0 + c", ["The expected y where c is hi is", "where c is lo is", "where c is mid is"]),
        ("y ~ C(c, Sum)", ["says what c does in C(c, Sum()):"]),
        ("y ~ mo(o)", ["for one step more of mo(o), on average over its steps"]),
        ("y ~ s(x)", ["fit.smooth_term('s(x)') has it"]),
        ("y ~ mm(c, g)", ["What mm(c, g) adds is no single number: its parameters are in the table."]),
        ("y ~ x + (s(x) | g)", ["unit more of x,", "of g the levels have", "fit.smooth_term('(s(x) | g)') has it"]),
    ],
)
def test_a_term_has_the_sentences_of_its_kind(formula, parts, rows):
    sentences = said(formula, rows)
    assert len(sentences) == len(parts) + 1  # the last one is of the scatter
    for part, sentence in zip(parts, sentences, strict=False):
        assert part in sentence


def test_an_effect_beside_a_product_is_that_where_the_other_is_zero(rows):
    fit = pw.fit("y ~ x * c", rows, seed=1, draws=100)
    two = pd.DataFrame({"x": [0.0, 1.0], "c": "hi"})
    low, high = fit.predict(two)["mean"]
    assert stated(words.answers(fit.result), "The mean of y is higher by ") == pytest.approx(high - low, rel=5e-3)


def test_loaded_fits_say_the_same(rows, tmp_path):
    fit = pw.fit("y ~ x * c + (1 | g)", rows, seed=1, draws=100)
    fit.save(tmp_path / "fit")
    assert words.answers(pw.load(tmp_path / "fit").result) == words.answers(fit.result)


def test_numbers_have_the_digits_that_tell_their_interval(rows):
    sentence = said("far ~ 1 + (1 | g)", rows.assign(far=20_000 + 0.01 * rows.y))[0]
    assert re.search(r"is 20000\.0\d+ \(20000\.0\d+ to 20000\.0\d+\)", sentence)


def test_questions_and_spreads_name_columns_and_scales(rows):
    fit = pw.fit(["y ~ 1", "sigma ~ x + (1 | g)"], rows, seed=1, draws=100).result
    assert words.question(fit) == "How large is y, and how do the 5 groups of g differ?"
    assert "own level of sigma" in words.model_in_words(fit)
    sentences = words.answers(fit)
    assert "Its sigma depends on x: the coefficients are in the table on the log scale." in sentences
    assert sentences[-1].startswith("Between groups of g the levels of sigma have a standard deviation of")
    assert sentences[-1].endswith("on the log scale.")
    other = pw.fit("u ~ x + s(w)", rows, family="categorical", seed=1, draws=50).result
    assert words.question(other) == "How does u depend on x and w?"
    spread = said("b ~ 1 + (1 | g)", rows, "bernoulli")[1]
    assert spread.startswith("Between groups of g the levels of the probability of b have") and "logit scale" in spread


def test_limits_and_formulas_know_weights_errors_and_curves(rows):
    def told(formula, **more):
        fit = pw.fit(formula, rows, seed=1, draws=50, **more).result
        return " ".join(words.limits(fit, [])), words.formula_lines(fit)

    limits, lines = told("y ~ s(x)", weights="w")
    assert "one standard deviation, divided by the root of w, and effects to be linear but for s(x);" in limits
    assert lines[1] == "μ = β[Intercept] + s(x)"
    limits, lines = told("y | se(w) ~ x")
    assert "with the known standard errors w," in limits
    assert lines[0] == "y ~ gaussian(μ, w)"
    limits, lines = told("y | se(w, sigma=True) ~ x")
    assert "known standard errors w beside a residual" in limits
    assert lines[0] == "y ~ gaussian(μ, sigma, w)"
    assert "A row counts as often as its w says." in told("b ~ x", family="bernoulli", weights="w")[0]


def test_the_code_fits_again_or_says_what_to_give(rows):
    fit = pw.fit("y ~ twice(x) + (1 | g)", rows, functions={"twice": lambda x: 2 * x}, sampler="nuts", draws=50, seed=3)
    code = words.reproduction(fit.result)
    assert "sampler='nuts'" in code
    assert "functions={'twice': ...}" in code
    assert "# in the place of each ... stands what the fit was given" in code
    plain = pw.fit("y | se(w) ~ x", rows, draws=50, seed=3)
    names = {"data": rows}
    exec(words.reproduction(plain.result), names)
    assert np.array_equal(names["fit"].result.beta, plain.result.beta)
