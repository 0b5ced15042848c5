"""A formula in parts that can be chosen by clicks: outcome, predictors, one grouping column, and what varies by it."""

from __future__ import annotations

from typing import Any

from poolwise.formula import Formula
from poolwise.formula.parse import unquote
from poolwise.formula.scan import pieces


def clicks(formula: Formula) -> dict[str, Any] | None:
    """The parts of a formula; None where it says more than clicks can."""
    more = formula.further or formula.offsets or formula.fixed or formula.specific or formula.additions
    if more or formula.weights or formula.trials or len(formula.bars) > 1:
        return None
    terms = [term.strip() for term in pieces(formula.common, "+")]
    predictors = [term for term in terms if term not in ("1", "")]
    names = [unquote(one) for one in predictors]
    if "0" in terms or not all(_is_name(one) for one in (formula.response, *predictors)):
        return None
    found: dict[str, Any] = {"outcome": unquote(formula.response), "predictors": names, "group": "", "varying": []}
    for bar in formula.bars:
        inside = [term.strip() for term in pieces(bar.effects, "+")]
        varying = [unquote(term) for term in inside if term not in ("1", "")]
        simple = len(bar.keys) == 1 and not bar.structure and "0" not in inside
        if not simple or not bar.correlated or not set(varying) <= set(names):
            return None
        found |= {"group": unquote(bar.keys[0]), "varying": varying}
    return found


def _is_name(text: str) -> bool:
    """Whether a term is a column as it is."""
    return text.isidentifier() or (text.startswith("`") and text.endswith("`") and text.count("`") == 2)
