import ast

import pytest

from poolwise.design.expression_names import expression_names, parse_expression, required_columns, restored_names


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("scale(x)", {"x"}),
        ("np.log(x + w)", {"x", "w"}),
        ("bs(`my x`, df=4)", {"my x"}),
        ("C(z, contr.treatment(base='low'))", {"z"}),
        ("f(g(x), [w, 2])", {"x", "w"}),
        ("log(\u00b5 + \u03bc)", {"\u00b5", "\u03bc"}),  # the micro sign and the letter mu
        ("log(`if` + `\u00b5`, 'in \u00b5')", {"if", "\u00b5"}),
    ],
)
def test_names_in_expressions(expression, names):
    assert expression_names(expression) == names


def test_names_are_restored_as_they_were_written():
    text = "f(\u00b5, `\u00b5`, `a b`, x)"
    tree, names = parse_expression(text)
    assert restored_names(ast.unparse(tree), names) == text


def test_modules_and_transforms_are_no_columns():
    from formulaic import Formula

    part = Formula("np.log(x) + C(z, contr.sum) + scale(w) + clip(a, 0) + `b c`")
    assert required_columns(part) == {"x", "z", "w", "a", "b c"}
