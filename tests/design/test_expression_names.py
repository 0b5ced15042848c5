import pytest

from poolwise.design.expression_names import expression_names, required_columns


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("scale(x)", {"x"}),
        ("np.log(x + w)", {"x", "w"}),
        ("bs(`my x`, df=4)", {"my x"}),
        ("C(z, contr.treatment(base='low'))", {"z"}),
        ("f(g(x), [w, 2])", {"x", "w"}),
    ],
)
def test_names_in_expressions(expression, names):
    assert expression_names(expression) == names


def test_modules_and_transforms_are_no_columns():
    from formulaic import Formula

    part = Formula("np.log(x) + C(z, contr.sum) + scale(w) + clip(a, 0) + `b c`")
    assert required_columns(part) == {"x", "z", "w", "a", "b c"}
