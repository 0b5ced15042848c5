"""Functions of the caller's own: whether they look at a row alone, and whether two are the same."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from poolwise.design.design import Rows
from poolwise.formula import Formula, Functions
from poolwise.support.errors import PoolwiseWarning


def called(formula: Formula) -> Functions:
    """Those that a formula calls."""
    texts = " ".join([formula.text, str(formula)])
    return {name: own for name, own in formula.functions.items() if re.search(rf"\b{re.escape(name)}\s*\(", texts)}


def warn_of_other_rows(formula: Formula, whole: Rows, others: Rows, positions: np.ndarray) -> bool:
    """Say where values follow other rows too, as those of `x - x.mean()`: of new rows they would be something else.

    Returns whether they do.

    Parameters
    ----------
    whole : encoded rows.
    others : those at some positions (m,), in that order, encoded by themselves.
    """
    apart = not all(map(_alike, _values(whole.take(positions)), _values(others)))
    if apart:
        names = " or ".join(f"{name}()" for name in called(formula))
        warnings.warn(
            f"{names} gives a row other values beside other rows: predict() and update() compute it from their rows "
            "alone, and coefficients mean something else there. Compute such a column before the fit, or use a "
            "transform that keeps what it has learnt, as scale(x) does.",
            PoolwiseWarning,
            stacklevel=7,
        )
    return apart


def _values(rows: Rows) -> list[np.ndarray | None]:
    return [rows.values, rows.offset, rows.trials, rows.limits]


def _alike(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.allclose(one, other, rtol=1e-9, atol=0.0, equal_nan=True))


def different_function(one: Formula, other: Formula) -> str | None:
    """A name that two formulas call different functions by, as far as objects and their code tell; None for none."""
    mine, theirs = called(one), called(other)
    return next((name for name in sorted(mine.keys() & theirs.keys()) if not _same(mine[name], theirs[name])), None)


def _same(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    if one is other or one == other:
        return True
    codes = [_code(each) for each in (one, other)]
    return None not in codes and codes[0] == codes[1]


def _code(function: Callable[..., Any]) -> tuple[Any, ...] | None:
    """What a function of Python computes by, wherever it stands; None for what is not one, or is bound to an object."""
    if not isinstance(function, FunctionType):
        return None
    code = function.__code__
    held = [cell.cell_contents for cell in function.__closure__ or ()]
    named = [function.__globals__.get(name) for name in code.co_names]
    by_name = [one for pair in sorted((function.__kwdefaults__ or {}).items()) for one in pair]
    defaults = (*(function.__defaults__ or ()), *by_name)
    return code.co_code, code.co_consts, code.co_names, tuple(map(_by_value, (*held, *named, *defaults)))


def _by_value(one: Any) -> Any:
    """Numbers and texts as they are, any other object as itself."""
    return one if isinstance(one, (int, float, str, bytes, type(None))) else id(one)
