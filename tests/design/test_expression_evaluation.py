"""Formulas compute what their grammar says, and run no code."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import poolwise as pw
from poolwise.design.expression_evaluation import check_expression, evaluate
from poolwise.design.functions import functions

FRAME = pd.DataFrame({"x": [1.0, 2.0, 4.0], "z": [-1.0, 0.5, 3.0], "a b": [1.0, 3.0, 2.0]})
FRAME["b"] = pd.Categorical([True, False, True])
FRAME["t"] = ["u", "v", "u"]


def value(text, own=None):
    return np.asarray(evaluate(text, FRAME.__getitem__, own or {}, {}), dtype=float)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x + 2 * z - 1", [-2, 2, 9]),
        ("x ** 2 / 2", [0.5, 2, 8]),
        ("-x // 2 + x % 2", [0, -1, -2]),
        ("np.log(x)", np.log([1, 2, 4])),
        ("sqrt(x) + abs(z)", np.sqrt([1, 2, 4]) + [1, 0.5, 3]),
        ("`a b` * 2", [2, 6, 4]),
        ("(x > 1) & ~(z > 1)", [0, 1, 0]),
        ("1 < x < 3", [0, 1, 0]),
        ("t == 'u'", [1, 0, 1]),
        ("b * x", [1, 0, 4]),
        ("np.where(x > 1, z, 0)", [0, 0.5, 3]),
        ("clip(x, 0, np.pi)", [1, 2, np.pi]),
        ("exp10(z)", 10.0 ** np.array([-1, 0.5, 3])),
        ("I(x) + e", None),
    ],
)
def test_expressions(text, expected):
    if expected is None:
        with pytest.raises(KeyError):
            value(text)
    else:
        np.testing.assert_allclose(value(text), expected, rtol=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "x.__class__",
        "x.to_csv('stolen.csv')",
        "x.mean()",
        "np.save('f', x)",
        "np.fromfile('f')",
        "np.linalg.inv(x)",
        "np.random",
        "contr.__class__",
        "contr.sum.__init__(x)",
        "contr.nosuch()",
        "open('f', 'w')",
        "eval('1')",
        "exec('1')",
        "quit()",
        "breakpoint()",
        "help()",
        "(lambda: 1)()",
        "[y for y in x]",
        "{'a': x}",
        "x[0]",
        "x if x else z",
        "f'{x}'",
        "(y := x)",
        "x @ z",
        "x << 3",
        "'a' * 1000000000",
        "[1] * 1000000000",
        "log(*x)",
        "log(**x)",
        "log(x, _state=1)",
        "scale(x, _spec=z)",
        "C(t, contr.treatment(base='\"'))",
        "C(t, contr.treatment(base='`'))",
        "x and z",
        "x is z",
        "x in z",
        "1j * x",
        "b'a'",
        "...",
        "log.__globals__",
        "I.__globals__['sys']",
        "getattr(x, 'mean')()",
        "__name__",
        "np.log.at(x, 0, 1)",
        "np.log(x, z)",
        "np.log(x, out=z)",
        "maximum(x, z, x)",
        "clip(x, 0, 1, z)",
        "round(x, 1, z)",
        "np.C(x)",
        "contr.sum(x)(x)",
        "await x",
        "log(x)(x)",
        "x" + ".a" * 300,
        "-" * 20_000 + "x",
        "(" * 300 + "x" + ")" * 300,
    ],
)
def test_nothing_else_is_evaluated(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pw.FormulaError):
        check_expression(text, {})
    frame = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0] * 3, "x": np.arange(12.0), "z": 1.0, "t": ["u", "v"] * 6})
    with pytest.raises(pw.FormulaError):
        pw.fit(f"y ~ I({text})", frame, seed=1)
    assert not list(tmp_path.iterdir())


def test_powers_of_numbers_do_not_grow_without_bound():
    with pytest.raises(OverflowError):
        value("9 ** 9 ** 9")


def test_states_of_quoted_columns_are_kept_apart():
    states = {}
    for text in ("scale(`a b`)", "scale(x)", "scale(`x`)"):
        evaluate(text, FRAME.__getitem__, {}, states)
    assert set(states) == {"scale(`a b`)", "scale(x)", "scale(`x`)"}
    assert states["scale(`a b`)"]["center"] == 2.0


def test_every_function_of_numpy_is_of_single_values():
    ufuncs = {name for name in functions() if isinstance(getattr(np, name, None), np.ufunc)}
    assert all(getattr(np, name).signature is None for name in ufuncs)
    assert {"log", "sin", "minimum"} <= ufuncs


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("cyclic(x)", r"'cyclic\(x\)' needs period: write cyclic\(x, period=...\)"),
        ("rw1()", r"'rw1\(\)' needs t: write rw1\(t=...\)"),
        ("scale(`a b`, foo=1)", r"'scale\(`a b`, foo=1\)': got an unexpected .* 'foo'. The arguments are data, center"),
        ("C(x, Sum(2))", "too many positional arguments. There are no arguments"),
    ],
)
def test_arguments_that_lack_or_are_too_many(term, said):
    with pytest.raises(pw.FormulaError, match=f"^{said}" if term[0] != "C" else said):
        pw.fit(f"y ~ {term}", FRAME.assign(y=[1.0, 3.0, 2.0]))


def test_the_rows_without_a_row_before_them_are_named(small):
    with pytest.raises(pw.DataError, match=r"'lag\(x\)' is nan in row 1 .* no row before them"):
        pw.fit("y ~ lag(x)", small)


def test_functions_of_the_caller(small, tmp_path):
    def logistic(x):
        return 1 / (1 + np.exp(-x))

    formula = "y ~ logistic(x) + (1 | g)"
    fit = pw.fit(formula, small, functions={"logistic": logistic}, seed=1)
    same = pw.fit("y ~ s + (1 | g)", small.assign(s=logistic(small.x)), seed=1)
    np.testing.assert_array_equal(fit.result.beta, same.result.beta)
    new = small.assign(s=logistic(small.x)).head(3)
    np.testing.assert_array_equal(fit.predict(new)["mean"], same.predict(new)["mean"])
    fit.save(tmp_path / "own.poolwise")
    again = pw.load(tmp_path / "own.poolwise", functions={"logistic": logistic})
    np.testing.assert_array_equal(again.result.beta, fit.result.beta)
    with pytest.raises(pw.FormulaError, match="cannot call 'logistic'"):
        pw.load(tmp_path / "own.poolwise")
    for name, own in (("log", logistic), ("_a", logistic), ("a b", logistic), ("a", 3)):
        with pytest.raises(pw.FormulaError):
            pw.fit(formula, small, functions={name: own})


@pytest.mark.parametrize("term", ["I(x > 3 | w > 1)", "x > 3 & w > 1", "I(x > 3 & flag)", "I(flag | x > 3)"])
def test_and_and_or_that_bind_more_closely_than_comparisons_are_refused(term, small):
    """Python reads `x > 3 | w > 1` as `x > (3 | w) > 1`: another column, without a word."""
    with pytest.raises(pw.FormulaError, match="put each comparison in parentheses"):
        pw.fit(f"y ~ {term}", small.assign(flag=small["x"] > 0), draws=50)


@pytest.mark.parametrize("term", ["I(k & 2)", "I(k | (x > 3))", "I(~k)", "I((x > 3) & 1)"])
def test_and_and_or_take_truth_values(term, small):
    with pytest.raises(pw.FormulaError, match="is neither"):
        pw.fit(f"y ~ {term}", small.assign(k=np.arange(len(small)) % 3), draws=50)


def test_and_and_or_of_comparisons_and_indicators(small):
    data = small.assign(flag=small["x"] > small["x"].median(), one=np.arange(len(small)) % 2)
    cases = {
        "(x > 3) & (one == 1)": (data["x"] > 3) & (data["one"] == 1),
        "I((x > 3) | (w > 1))": (data["x"] > 3) | (data["w"] > 1),
        "I(flag & one)": data["flag"] & (data["one"] == 1),
        "I(~flag)": ~data["flag"],
    }
    for term, expected in cases.items():
        total = pw.SufficientStatistics.from_data(f"y ~ {term}", data).products.merged()
        assert total.means[0, 0] + total.origin[0] == pytest.approx(expected.mean()), term


def test_functions_of_the_caller_are_not_respelled(small):
    """`diag`, `factor` and others are rewritten where they are those of R; the user's own are the user's own."""
    for name in ("diag", "factor", "ns", "us", "interaction", "as_factor"):
        fit = pw.fit(f"y ~ {name}(x)", small, functions={name: np.square}, seed=1, draws=50)
        assert fit.result.model.design.columns == (f"{name}(x)",)
        total = fit.result.model.statistics.merged()
        assert total.means[0, 0] + total.origin[0] == pytest.approx(np.square(small["x"]).mean())


@pytest.mark.parametrize("term", ["I(x > 1e9)", "(kind == 'aa')", "log(x / x)", "(1 | g) + I(x > 1e9)"])
def test_a_number_that_is_zero_everywhere_is_refused(term, small):
    data = small.assign(x=np.exp(small["x"]), kind=np.where(small["x"] > 0, "a", "b"))
    with pytest.raises(pw.DataError, match=r"is constant \(0\) in the complete rows"):
        pw.fit(f"y ~ w + {term}", data, draws=50)


def test_numbers_of_text(small):
    data = small.assign(t=np.array(list("1234"))[np.arange(len(small)) % 4])
    fit = pw.fit("y ~ as.numeric(t)", data, seed=1, draws=50)
    assert fit.result.model.design.coefficients == ("Intercept", "numeric(t)")
    assert len(fit.predict({"t": ["2", "7"]})) == 2
    with pytest.raises(pw.DataError, match="'a' is none; for categories write C"):
        pw.fit("y ~ as.numeric(t)", data.assign(t="a"), draws=50)


def test_levels_that_leave_some_out_are_refused(small):
    data = small.assign(t=np.array(list("abcd"))[np.arange(len(small)) % 4])
    with pytest.raises(pw.DataError, match=r"levels= in .* leaves out categories that rows hold"):
        pw.fit("y ~ C(t, levels=['a', 'b'])", data, draws=50)
    assert len(pw.fit("y ~ C(t, levels=['d', 'a', 'b', 'c'])", data, draws=50).result.model.design.coefficients) == 4
