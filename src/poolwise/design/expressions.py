"""Terms of a formula as expressions that any engine can evaluate, and which terms need whole columns.

`evaluate.py` evaluates terms on columns in memory. Here the same text becomes a narwhals expression, where it is
arithmetic and elementary functions; other terms are evaluated in batches where each value depends on its own row alone.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from poolwise.design.expression_evaluation import called_name
from poolwise.design.expression_names import parse_expression
from poolwise.design.functions import CONTRASTS, functions

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


class NotExpressible(Exception):
    """The term is not arithmetic that every engine knows; the message says what stands in the way."""


def as_expression(text: str, columns: Mapping[str, Any]) -> Any:
    """A term such as `log(x) / 2` on narwhals expressions of its columns.

    Raises
    ------
    NotExpressible : for anything but arithmetic and elementary functions of the columns.
    """
    tree, names = parse_expression(text)
    return _convert(tree, {stand_in: columns[name] for stand_in, name in names.items() if name in columns})


def _convert(node: ast.AST, columns: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name) and node.id in columns:
        return columns[node.id]
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return float(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _convert(node.operand, columns)
        return -1.0 * value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _convert(node.left, columns), _convert(node.right, columns)
        if isinstance(node.op, ast.Pow):
            return _power(left, right)
        return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        known = functions().get(_called(node))
        value = _convert(node.args[0], columns)
        if known is not None and known.on_expressions is not None and not isinstance(value, float):
            return known.on_expressions(value)
    raise NotExpressible(f"'{ast.unparse(node)}'")


def _power(base: Any, exponent: Any) -> Any:
    """Squares and cubes by multiplication, as NumPy has them; other powers by the engine."""
    if not isinstance(exponent, float) or isinstance(base, float):
        raise NotExpressible("a power whose exponent is not a number")
    if exponent in (2.0, 3.0):
        return base * base if exponent == 2.0 else base * base * base
    return base**exponent


def _called(node: ast.Call) -> str:
    """`log` for `log(...)` and `np.log(...)`; nothing for other calls."""
    of, name = called_name(node) or (CONTRASTS, "")
    return "" if of == CONTRASTS else name


def stateful_call(text: str) -> tuple[str, str] | None:
    """("scale", "log(x)") for `scale(log(x))`; None unless one call with one argument stands around the whole term."""
    tree, names = parse_expression(text)
    quoted = any(stand_in != name for stand_in, name in names.items())
    if quoted or not isinstance(tree, ast.Call) or len(tree.args) != 1 or tree.keywords:
        return None
    if _called(tree) not in ("center", "scale", "standardize"):
        return None
    return _called(tree), ast.unparse(tree.args[0])


def reach(text: str) -> str:
    """How far a term looks: "row", "learnt" (a transform whose state is learnt first) or "column"."""
    tree, _ = parse_expression(text)
    calls = [_called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    reaches = {functions()[name].reach if name in functions() else "column" for name in calls if name}
    return max(reaches, key=("row", "learnt", "column").index, default="row")
