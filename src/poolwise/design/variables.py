"""Which raw columns a formula needs.

formulaic's own answer (1.2) leaves out columns that stand only inside a stateful transform such as `scale(x)`, so the
expressions are read here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

_QUOTED = re.compile(r"`([^`]*)`")


def required_columns(part: Any) -> set[str]:
    """Names of the columns that one part of a formula, parsed by formulaic, evaluates."""
    from formulaic.parser.types import Factor
    from formulaic.transforms import TRANSFORMS

    names: set[str] = set()
    for term in part:
        for factor in term.factors:
            if factor.eval_method is Factor.EvalMethod.LOOKUP:
                names.add(factor.expr)
            elif factor.eval_method is Factor.EvalMethod.PYTHON:
                names |= {name for name in expression_names(factor.expr) if name not in TRANSFORMS}
    return names


def expression_names(expression: str) -> set[str]:
    """Names in a Python expression, called functions left out; backticks quote names with spaces."""
    tree, names = parse_expression(expression)
    return {names[name] for name in _names(tree)}


def parse_expression(expression: str) -> tuple[ast.expr, dict[str, str]]:
    """Syntax tree of an expression, and the column that each name in it stands for: backticks quote names."""
    quoted: list[str] = []

    def stand_in(match: re.Match[str]) -> str:
        quoted.append(match.group(1))
        return f"_quoted_{len(quoted) - 1}_"

    tree = ast.parse(_QUOTED.sub(stand_in, expression).strip(), mode="eval").body
    stand_ins = {f"_quoted_{k}_": name for k, name in enumerate(quoted)}
    names = {node.id: stand_ins.get(node.id, node.id) for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return tree, names


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    called = node.func if isinstance(node, ast.Call) else None
    for child in ast.iter_child_nodes(node):
        if child is not called or not isinstance(child, ast.Name):
            yield from _names(child)
