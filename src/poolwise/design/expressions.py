"""Terms of a formula as expressions that any engine can evaluate, and which terms need whole columns.

formulaic evaluates terms as Python on columns in memory. Here the same text is read as a syntax tree: arithmetic and a
few functions become narwhals expressions; what is not among them is for formulaic, in batches where each value hangs on
its own row alone.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from poolwise.design.variables import parse_expression

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "I": lambda x: x,
    "log": lambda x: x.log(),
    "log2": lambda x: x.log(2),
    "log10": lambda x: x.log(10),
    "exp": lambda x: x.exp(),
    "sqrt": lambda x: x.sqrt(),
    "abs": lambda x: x.abs(),
    "absolute": lambda x: x.abs(),
    "square": lambda x: x * x,
}
# formulaic's own functions that look at each value alone, and those whose state can be learnt first.
_ELEMENTWISE = {"I", "log", "log10", "log2", "exp", "exp10", "exp2", "hashed", "abs", "C", "Q"}
_STATEFUL = {"bs", "cc", "cr", "cs", "center", "poly", "scale", "standardize"}
_NUMPY_ELEMENTWISE = {"where", "clip", "round", "around"}
# Syntax in which each row looks at itself alone: no `x[0]`, no `x.mean()`, no comprehension, no matrix product.
_PLAIN = (
    ast.Name,
    ast.Constant,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.keyword,
    ast.List,
    ast.Tuple,
    ast.expr_context,
    ast.boolop,
    ast.unaryop,
    ast.cmpop,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.Pow,
    ast.Mod,
    ast.FloorDiv,
    ast.BitAnd,
    ast.BitOr,
)


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
        function = _FUNCTIONS.get(_called(node))
        value = _convert(node.args[0], columns)
        if function is not None and not isinstance(value, float):
            return function(value)
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
    if isinstance(node.func, ast.Name):
        return node.func.id
    if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) and node.func.value.id == "np":
        return node.func.attr
    return ""


def stateful_call(text: str) -> tuple[str, str] | None:
    """("scale", "log(x)") for `scale(log(x))`; None unless one call with one argument stands around the whole term."""
    try:
        tree, names = parse_expression(text)
    except SyntaxError:
        return None
    quoted = any(stand_in != name for stand_in, name in names.items())
    if quoted or not isinstance(tree, ast.Call) or len(tree.args) != 1 or tree.keywords:
        return None
    if _called(tree) not in ("center", "scale", "standardize"):
        return None
    return _called(tree), ast.unparse(tree.args[0])


def reach(text: str) -> str:
    """How far a term looks: "row", "learnt" (a transform whose state is learnt first) or "column"."""
    try:
        tree, _ = parse_expression(text)
    except SyntaxError:
        return "column"
    found = "row"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _called(node)
            if isinstance(node.func, ast.Name) and name in _STATEFUL:
                found = "learnt"
            elif not (isinstance(node.func, ast.Name) and name in _ELEMENTWISE) and not _elementwise_numpy(node, name):
                return "column"
        elif isinstance(node, ast.Attribute):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("np", "contr")):
                return "column"
        elif not isinstance(node, _PLAIN):
            return "column"
    return found


def _elementwise_numpy(node: ast.Call, name: str) -> bool:
    import numpy as np

    if isinstance(node.func, ast.Attribute) and name:
        function = getattr(np, name, None)
        return (isinstance(function, np.ufunc) and function.signature is None) or name in _NUMPY_ELEMENTWISE
    # contr.sum(...) within C(...) is a coding, not a function of the data
    return (
        isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) and node.func.value.id == "contr"
    )
