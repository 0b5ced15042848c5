"""Which names of columns need backticks."""

import pytest

from poolwise.formula import parse
from poolwise.formula.names import is_plain, names_in, without_needless_quotes


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("x", True),
        ("x_1", True),
        ("größe", True),
        ("a b", False),
        ("if", False),
        ("None", False),
        ("TRUE", False),
        ("inf", False),
        ("__x", False),
        ("\u00b5", False),  # the micro sign, which Python reads as the letter mu
        ("\u03bc", True),
    ],
)
def test_plain_names(name, plain):
    assert is_plain(name) is plain
    assert without_needless_quotes(f"exp(`{name}`)") == (f"exp({name})" if plain else f"exp(`{name}`)")


def test_only_needless_backticks_are_taken_off():
    assert without_needless_quotes("log(`a`, 'the `b`') + `c`(d) + `e f`:`g`") == "log(a, 'the `b`') + `c`(d) + `e f`:g"
    parsed = parse("log(`y`) | weights(`w`) ~ exp(`x`) + (scale(`z`) | `g`) + offset(log(`n`))")
    assert str(parsed) == "log(y) ~ exp(x) + (scale(z) | g) + offset(log(n))"


def test_names_in_a_piece():
    assert names_in("log(a) + f(`b c`, by=d, how='e') + (g == h)") == {"a", "b c", "d", "g", "h"}
