import json

import pytest

from poolwise import FormulaError
from poolwise.formula import Bar, formula_from, formula_state, parse


@pytest.mark.parametrize(
    ("text", "response", "common", "bars"),
    [
        ("y ~ 1", "y", "1", ()),
        ("y ~ x + C(z) + x:z + (1 + x | g)", "y", "x + C(z) + x:z", (Bar("1 + x", ("g",), True),)),
        ("y ~ x + (x || g)", "y", "x", (Bar("x", ("g",), False),)),
        ("y~(1|g)", "y", "1", (Bar("1", ("g",), True),)),
        ("log(y) ~ x*bs(z, df=4) + (0 + c(x) | g)", "log(y)", "x*bs(z, df=4)", (Bar("0 + c(x)", ("g",), True),)),
        ("y ~ 0 + x", "y", "0 + x", ()),
        ("y ~ -1 + x", "y", "-1 + x", ()),
        ("y ~ x - 1 + (1 | g)", "y", "x - 1", (Bar("1", ("g",), True),)),
        ("y ~ x - -1", "y", "x + 1", ()),
        ("y ~ x - - z", "y", "x + z", ()),
        ("y ~ - -1 + x", "y", "1 + x", ()),
        ("y ~ x - - - z", "y", "x - z", ()),
        ("y ~ x + -z", "y", "x - z", ()),
        ("y ~ x - -(1 | g)", "y", "x", (Bar("1", ("g",), True),)),
        ("y ~ (1 | `my group`) + x", "y", "x", (Bar("1", ("my group",), True),)),
        ("y ~ f(x | 2) + (1 | g)", "y", "f(x | 2)", (Bar("1", ("g",), True),)),
        ("y ~ C(z, levels=['a|b', 'c~d']) + (1 | g)", "y", "C(z, levels=['a|b', 'c~d'])", (Bar("1", ("g",), True),)),
        ("y ~ (1 | a) + (x | b)", "y", "1", (Bar("1", ("a",), True), Bar("x", ("b",), True))),
    ],
)  # fmt: skip
def test_formula_is_split_into_response_common_terms_and_bars(text, response, common, bars):
    parsed = parse(text)
    assert (parsed.response, parsed.common, parsed.bars) == (response, common, bars)


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        ("y", "no '~'", 1),
        ("y ~ x ~ z", "second '~'", 6),
        ("~ x", "no outcome", 0),
        ("y ~ x + (x | g", "never closed", 8),
        ("y ~ x)", "closes nothing", 5),
        ("y ~ 'x", "never closed", 4),
        ("y ~ x * (1 | g)", "only be added", 4),
        ("y ~ x + 1|g", "needs brackets: write '(1|g)'", 9),
        ("y ~ x - (1|g)", "cannot be subtracted", 8),
        ("y ~ x + (1|a/)", "grouping column is missing", 13),
        ("y ~ x + (1|a b)", "'b' is not expected", 13),
        ("y ~ x + (1|(a)", "never closed", 8),
        ("y ~ x + (1|a - b)", "only column names", 13),
        ("y ~ x + (1|f(a))", "'(' is not expected", 12),
        ("y ~ x - offset(z)", "an offset cannot be subtracted", 8),
        ("y ~ x + offset( )", "offset is empty", 8),
        ("y ~ offset(x) * f(z)", "only be added", 4),
        ("y ~ x + + z", "term is missing", 8),
        ("y ~ x - + z", "term is missing", 8),
        ("y ~ x -", "term is missing", 7),
        ("y ~ x + z == 3 - 1", "needs brackets around what it compares", 8),
        ("y ~", "term is missing", 3),
        ("y ~ (|g)", "no effects", 5),
        ("y ~ (1|)", "no grouping column", 7),
        ("y ~ (1|a|b|c)", "one '|'", 8),
        ("y ~ (1|a b|c)", "stands one name", 6),
        ("y ~ cs()", "no term in cs", 4),
    ],
)
def test_errors_mark_the_place(text, reason, place):
    with pytest.raises(FormulaError) as caught:
        parse(text)
    message, shown, caret = str(caught.value).split("\n")
    assert reason in message
    assert shown.strip() == text
    assert caret.index("^") - 4 == place


@pytest.mark.parametrize(
    ("text", "factors"),
    [
        ("a", ["a"]),
        ("a:b", ["a:b"]),
        ("a/b", ["a", "a:b"]),
        ("a/b/c", ["a", "a:b", "a:b:c"]),
        ("a/(b + c)", ["a", "a:b", "a:c"]),
        ("a/b:c", ["a", "a:b:c"]),
        ("a*b", ["a", "b", "a:b"]),
        ("a + b", ["a", "b"]),
        ("(a + b)/c", ["a", "b", "a:b:c"]),
        ("a + a", ["a"]),
        ("a:b + b:a", ["a:b"]),
        ("`my a`/b", ["my a", "my a:b"]),
        ("a:b:a", ["a:b"]),
    ],
)
def test_factors_of_a_bar(text, factors):
    assert [bar.factor for bar in parse(f"y ~ x + (1 | {text})").bars] == factors


def test_offsets_are_set_apart():
    parsed = parse("y ~ x + offset(log(n) + 1) + (1 | g) + offset(z)")
    assert (parsed.common, parsed.offsets) == ("x", ("log(n) + 1", "z"))


def test_formula_must_be_text():
    with pytest.raises(FormulaError, match="not int"):
        parse(3)


def test_what_is_known_of_the_outcome_besides():
    assert parse("y | cens(status) ~ x").additions == (("status", "status"),)
    assert parse("y | cens(s, y2 = end) + weights(w) ~ x").additions == (("status", "s"), ("upper", "end"))
    assert parse("censored(y, s) ~ x").additions == (("status", "s"),)
    assert parse("y | trunc(lb = 0, ub = 10) ~ x").additions == (("lb", "0"), ("ub", "10"))
    assert parse("rt | dec(response) ~ x").additions == (("choice", "response"),)
    with pytest.raises(FormulaError, match="'top = 1' is not expected"):
        parse("y | trunc(top = 1) ~ x")
    with pytest.raises(FormulaError, match="only the first formula can have"):
        parse(["y ~ x", "sigma | cens(s) ~ x"])


def test_a_column_whose_name_reads_as_a_number_is_that_column():
    assert parse("y | trunc(ub=Inf) ~ x").additions == (("ub", "Inf"),)
    assert parse("y | trunc(ub=Inf) ~ x", columns=["y", "x", "Inf"]).additions == (("ub", "`Inf`"),)
    assert parse("y | trunc(ub=0) ~ x", columns=["y", "x", "0"]).additions == (("ub", "0"),)
    assert parse("k | trials(10) ~ x").fixed_trials == 10
    assert [parse(f"k | trials({name}) ~ x").fixed_trials for name in ("inf", "nan", "1e999", "infinity")] == [None] * 4


def test_bars_with_a_name_share_a_covariance():
    mean, sigma = parse(["y ~ (x | p | g)", "sigma ~ (1 |p| g)"]).predictors
    assert [mean[1].bars[0].shared, sigma[1].bars[0].shared] == ["p", "p"]
    assert str(mean[1].bars[0]) == "(x | p | g)"


def test_values_fix_parameters():
    formula = parse(["y ~ x", "quantile = 0.9", "sigma ~ x"])
    assert formula.fixed == (("quantile", 0.9),)
    assert [name for name, _ in formula.further] == ["sigma"]
    assert parse("y ~ x; nu = 4").fixed == (("nu", 4.0),)
    with pytest.raises(FormulaError, match="'nu' is given twice"):
        parse(["y ~ x", "nu = 4", "nu = 5"])


def test_terms_with_effects_of_categories_own():
    formula = parse("y ~ x + cs(z) + cs(w > 1)")
    assert (formula.common, formula.specific) == ("x", ("z", "I(w > 1)"))


def test_a_formula_goes_to_plain_data_and_back():
    text = ["y | cens(s, e) + trunc(lb=0) ~ x + cs(z) + offset(o) + (x | p | g:h)", "sigma ~ 1 + (1 || g)", "nu = 4"]
    formula = parse(text).with_intercepts(["zi"])
    again = formula_from(json.loads(json.dumps(formula_state(formula))))
    assert again == formula
    assert str(again) == str(formula)


def test_brackets_that_are_too_deep_are_a_sentence():
    with pytest.raises(FormulaError, match="more than 50 deep"):
        parse("y ~ " + "(" * 900 + "x" + ")" * 900)


@pytest.mark.parametrize(
    "right",
    [
        *("-x", "-(-x)", "--(-x)", "(-x)", "1 - (-x)", "w - (-x)", "-(-x) + w", "-(x + w)"),
        *("w:(-x)", "w*(-x)", "log(w):(-x)", "(w + (-x))", "w + (-x | g)", "(-x || g)"),
    ],
)
def test_negatives_of_columns_are_not_taken_for_terms_that_go(right):
    with pytest.raises(FormulaError, match=r"a minus takes a term away; .* write I\(-x\)"):
        parse(f"y ~ {right}")


@pytest.mark.parametrize(
    "right",
    [
        "-1",
        "-1 + x",
        "-(1)",
        "- 0 + x",
        "(-1 + x)",
        "x - (1)",
        "x - (w)",
        "x + w - w",
        "x - -w",
        "(w + I(x*(-w)))",
        "(-1 + x | g)",
        "w:log((-x))",
    ],
)
def test_minus_signs_that_stay(right):
    parse(f"y ~ {right}")


@pytest.mark.parametrize("left", ["y | weights(w/2)", "weighted(y, w / 2)", "y | weights(sqrt(w))"])
def test_weights_are_columns(left):
    with pytest.raises(FormulaError, match="make it a column of the data, and give its name"):
        parse(f"{left} ~ x")
