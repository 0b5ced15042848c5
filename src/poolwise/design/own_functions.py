"""Functions of the caller's own: whether they look at a row alone, and whether two are the same."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from poolwise.formula import Formula, Functions
from poolwise.support.errors import PoolwiseWarning


def called(formula: Formula) -> Functions:
    """Those that a formula calls."""
    texts = " ".join([formula.text, str(formula)])
    return {name: own for name, own in formula.functions.items() if re.search(rf"\b{re.escape(name)}\s*\(", texts)}


def warn_of_other_rows(formula: Formula, whole: np.ndarray, part: np.ndarray) -> None:
    """Say where values follow other rows too, as those of `x - x.mean()`: of new rows they would be something else.

    Parameters
    ----------
    whole, part : (n, k) encoded rows, and the first of them encoded by themselves.
    """
    if not np.allclose(whole[: len(part)], part, rtol=1e-9, atol=0.0, equal_nan=True):
        names = " or ".join(f"{name}()" for name in called(formula))
        warnings.warn(
            f"{names} gives a row other values where it is given half of the rows: predict() and update() compute it "
            "from their rows alone, and coefficients mean something else there. Compute such a column before the fit, "
            "or use a transform that keeps what it has learnt, as scale(x) does.",
            PoolwiseWarning,
            stacklevel=7,
        )


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
    """What a function of Python computes by, wherever it stands; None for one that is not of Python."""
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    held = tuple(id(cell.cell_contents) for cell in getattr(function, "__closure__", None) or ())
    return code.co_code, code.co_consts, code.co_names, getattr(function, "__defaults__", None), held
