import pytest

from poolwise import FormulaError
from poolwise.formula import Bar, parse


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
        ("y ~", "term is missing", 3),
        ("y ~ (|g)", "no effects", 5),
        ("y ~ (1|)", "no grouping column", 7),
        ("y ~ (1|a|b)", "one '|'", 8),
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
