"""Which expressions of a formula other systems compute as formulaic does, and name their coefficients alike."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from poolwise.design.additions import addition_part
from poolwise.design.expression_names import parse_expression
from poolwise.design.required_columns import design_parts
from poolwise.inference.posterior import Model
from poolwise.support.errors import DataError

_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.UAdd, ast.USub)
_ARGUMENTS = frozenset({"center", "scale", "degree", "raw"})  # that functions have under these names in R


def check_expressions(model: Model, system: str) -> None:
    """Refuse what is computed in other ways than by arithmetic and calls, and codings of categories.

    `%` is no operator of R, where `x > 0` has the coefficient `x > 0TRUE` and `C(z, contr.sum)` is no call of `factor`.
    Only a censoring status may compare.

    Raises
    ------
    DataError : with the expression.
    """
    formula = model.design.formula
    designs = design_parts(formula)
    for part, text in _computed(model):
        tree, _ = parse_expression(text)
        called = isinstance(tree, ast.Call) or part not in designs
        if not called or not _is_shared(tree, compares=part == addition_part("status")):
            raise DataError(
                f"'{text}' of '{formula.text}' may mean something else in {system}, or have coefficients of other "
                "names: make it a column of the data and use that."
            )


def _computed(model: Model) -> Iterator[tuple[str, str]]:
    """Parts of the formula, and the expressions in them that are computed."""
    from formulaic.parser.types import Factor

    for part, spec in model.encoding.specs._to_dict(recurse=False).items():
        for factor in dict.fromkeys(factor for term in spec.formula for factor in term.factors):
            if factor.eval_method is Factor.EvalMethod.PYTHON:
                yield str(part), str(factor.expr)


def _is_shared(node: ast.AST, *, compares: bool) -> bool:
    match node:
        case ast.Name():
            return True
        case ast.Constant(value=value):
            return isinstance(value, (int, float)) or (compares and isinstance(value, str))
        case ast.UnaryOp() | ast.BinOp() if not isinstance(node.op, _OPERATORS):
            return False
        case ast.Compare(ops=[_]) if not compares:
            return False
        case ast.Call(func=ast.Name(id="C"), args=arguments, keywords=named) if len(arguments) != 1 or named:
            return False
        case ast.Call(func=ast.Name(), args=arguments, keywords=named):
            known = all(each.arg in _ARGUMENTS for each in named)
            inside = [*arguments, *(each.value for each in named)]
        case ast.UnaryOp(operand=operand):
            known, inside = True, [operand]
        case ast.BinOp(left=left, right=right) | ast.Compare(left=left, comparators=[right]):
            known, inside = True, [left, right]
        case _:
            return False
    return known and all(_is_shared(each, compares=compares) for each in inside)
