"""Which raw columns a formula needs.

formulaic's own answer (1.2) leaves out columns that stand only inside a stateful transform such as `scale(x)`, so the
expressions are read here.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from poolwise.support.errors import FormulaError

_NAME = re.compile(r"'[^']*'|\"[^\"]*\"|`([^`]*)`|(?<![\w.])([^\W\d]\w*)")


def required_columns(part: Any) -> set[str]:
    """Names of the columns that one part of a formula, parsed by formulaic, evaluates."""
    from formulaic.parser.types import Factor

    names: set[str] = set()
    for term in part:
        for factor in term.factors:
            if factor.eval_method is Factor.EvalMethod.LOOKUP:
                names.add(factor.expr)
            elif factor.eval_method is Factor.EvalMethod.PYTHON:
                names |= expression_names(factor.expr)
    return names


def expression_names(expression: str) -> set[str]:
    """Names of columns in an expression; functions and `np` are left out, backticks quote names with spaces."""
    tree, names = parse_expression(expression)
    return {names[name] for name in _names(tree)}


def parse_expression(expression: str) -> tuple[ast.expr, dict[str, str]]:
    """Syntax tree of an expression, and the column that each name in it stands for: backticks quote names.

    Raises
    ------
    FormulaError : for what is no expression.
    """
    stand_ins: dict[str, str] = {}

    def stand_in(match: re.Match[str]) -> str:
        quoted, bare = match[1], match[2]
        if quoted is None and (bare is None or unicodedata.normalize("NFKC", bare) == bare):
            return match.group()
        name = f"_{'normal' if quoted is None else 'quoted'}_{len(stand_ins)}_"  # Python would normalise a bare one
        stand_ins[name] = bare if quoted is None else quoted
        return name

    try:
        tree = ast.parse(_NAME.sub(stand_in, expression).strip(), mode="eval").body
        names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = str(error).split(" (<unknown>")[0] or "it is nested too deeply"
        raise FormulaError(f"Cannot read '{expression[:80]}' in the formula: {reason}.") from error
    return tree, {name: stand_ins.get(name, name) for name in names}


def restored_names(text: str, names: Mapping[str, str]) -> str:
    """A piece of an expression with its names as they were written."""
    for stand_in, name in names.items():
        if stand_in != name:
            text = text.replace(stand_in, name if stand_in.startswith("_normal_") else f"`{name}`")
    return text


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):  # np.log, contr.sum
        return
    called = node.func if isinstance(node, ast.Call) else None
    for child in ast.iter_child_nodes(node):
        if child is not called or not isinstance(child, ast.Name):
            yield from _names(child)
