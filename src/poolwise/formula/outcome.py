"""The left side of a formula: the outcome, its number of trials and its weights."""

from __future__ import annotations

import re
from dataclasses import dataclass

from poolwise.formula.scan import pieces, scan
from poolwise.support.errors import FormulaError

_CALL = re.compile(r"([\w.]+)\s*\((.*)\)", re.DOTALL)
_PAIR = re.compile(r"(?:cbind\s*)?\((.*)\)", re.DOTALL)
_PROPORTION = {"prop", "p", "proportion"}
_OTHERS = {
    "cens": "censored outcomes are not modelled yet",
    "censored": "censored outcomes are not modelled yet",
    "trunc": "truncated outcomes are not modelled yet",
    "truncated": "truncated outcomes are not modelled yet",
    "se": "known standard errors s are weights: give weights= a column of 1 / s**2",
    "mi": "missing outcomes are not modelled; rows without an outcome can be predicted",
    "rate": "for a rate, add offset(log(exposure)) on the right",
    "subset": "choose the rows in the data, before the fit",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What stands on the left of `~`.

    Attributes
    ----------
    response : the outcome, or the successes among trials.
    trials : expression for the number of trials, None where there are none.
    weights : the column of weights, None where there is none.
    """

    response: str
    trials: str | None = None
    weights: str | None = None


def read_outcome(left: str) -> Outcome:
    """Read `y`, `y | trials(n)`, `y | weights(w)`, `(s, f)`, `cbind(s, f)`, `prop(k, n)` and `weighted(y, w)`.

    Raises
    ------
    FormulaError : for what brms or Bambi know besides.
    """
    if any(symbol == "|" and depth == 0 for _, symbol, depth in scan(left)):
        return _with_additions(left)
    call = _CALL.fullmatch(left)
    if call and (call[1] in _PROPORTION or call[1] == "weighted"):
        arguments = pieces(call[2])
        if len(arguments) == 2:
            if call[1] == "weighted":
                return Outcome(arguments[0], weights=arguments[1])
            return Outcome(arguments[0], arguments[1])
    if call and call[1] in _OTHERS:
        raise FormulaError(f"'{left}': {_OTHERS[call[1]]}.")
    if (pair := _PAIR.fullmatch(left)) and len(arguments := pieces(pair[1])) == 2:
        return Outcome(arguments[0], f"({arguments[0]}) + ({arguments[1]})")
    return Outcome(left)


def _with_additions(left: str) -> Outcome:
    """brms' additions: `y | trials(n) + weights(w)`."""
    response, *more = pieces(left, "|")
    found: dict[str, str] = {}
    for addition in (part for each in more for part in pieces(each, "+")):
        call = _CALL.fullmatch(addition)
        name, inside = (call[1], call[2].strip()) if call else (addition, "")
        if name in _OTHERS:
            raise FormulaError(f"'{addition}': {_OTHERS[name]}.")
        if name not in ("trials", "weights"):
            raise FormulaError(
                f"'{addition}' after the outcome '{response}' is not known; trials(n) and weights(w) are."
            )
        if not inside:
            raise FormulaError(f"The {name} of '{left}' are empty: write '{response} | {name}(column)'.")
        found[name] = inside
    return Outcome(response, found.get("trials"), found.get("weights"))
