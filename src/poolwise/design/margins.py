"""Which terms are margins of others: `x` and `z` of `x:z`, `x` of `x**2`, the constant of every term.

A shift of a predictor moves parts of a term to its margins: `(x + a) * z = x * z + a * z`. So coefficients keep their
meaning, wherever zero is, only where each column is taken relative to its margins (`density/centring.py`).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from poolwise.design.expression_names import parse_expression

Powers = Counter[str]


def powers_of_columns(spec: Any) -> list[Powers]:
    """For each column of a part that formulaic has built, its variables with their powers: `x:I(z**2)` is x z^2."""
    found = []
    for entry in spec.structure:
        powers: Powers = Counter()
        for factor in entry.term.factors:
            if factor.eval_method is factor.EvalMethod.LOOKUP:
                powers[str(factor.expr)] += 1
            elif factor.eval_method is factor.EvalMethod.PYTHON:
                powers += Counter(dict(_powers_of_text(str(factor.expr))))
        found += [powers] * len(entry.columns)
    return found


def margins_of(powers: Sequence[Powers]) -> np.ndarray:
    """(p, p) whether column j is a margin of column k, at [k, j]: its powers divide those of k and are fewer."""
    divides = [[j != k and j <= k for j in powers] for k in powers]
    return np.array(divides, dtype=bool).reshape(len(powers), len(powers))


@lru_cache(maxsize=1024)
def _powers_of_text(text: str) -> tuple[tuple[str, int], ...]:
    try:
        tree, names = parse_expression(text)
    except (SyntaxError, ValueError):
        return ((text, 1),)
    return tuple(_powers(tree, names).items())


def _powers(node: ast.expr, names: dict[str, str]) -> Powers:
    """Of a product; what is neither product nor power of variables counts as a variable of its own."""
    if isinstance(node, ast.Name):
        return Counter({names[node.id]: 1})
    if isinstance(node, ast.Constant):
        return Counter()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("I", "C") and node.args:
        return _powers(node.args[0], names)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return _powers(node.left, names) + _powers(node.right, names)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
        return _powers(node.left, names)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant):
        times = node.right.value
        if isinstance(times, int) and 1 <= times <= 12:
            return Counter({name: times * power for name, power in _powers(node.left, names).items()})
    return Counter({ast.unparse(node): 1})
