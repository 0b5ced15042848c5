"""The left side of a formula: the outcome, its number of trials and its weights."""

from __future__ import annotations

import re
from dataclasses import dataclass

from poolwise.formula.scan import pieces, scan
from poolwise.support.errors import FormulaError

_CALL = re.compile(r"([\w.]+)\s*\((.*)\)", re.DOTALL)
_PAIR = re.compile(r"(?:cbind\s*)?\((.*)\)", re.DOTALL)
_SIGMA = re.compile(r"(?:sigma\s*=\s*)?(TRUE|True|T|FALSE|False|F)")
_PROPORTION = {"prop", "p", "proportion"}
_OTHERS = {
    "mi": "missing outcomes are not modelled; rows without an outcome can be predicted",
    "rate": "for a rate, add offset(log(exposure)) on the right",
    "Surv": "write time | cens(status) ~ ..., with a status of 1 or 'right' where the time is censored, 0 at an event",
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
    additions : what else is known of it, as `Formula.additions`.
    known_errors : whether `weights` has standard errors.
    residual : whether there is a residual beside them.
    """

    response: str
    trials: str | None = None
    weights: str | None = None
    additions: tuple[tuple[str, str], ...] = ()
    known_errors: bool = False
    residual: bool = False


def read_outcome(left: str) -> Outcome:
    """Read `y`, `y | trials(n)`, `y | weights(w)`, `(s, f)`, `cbind(s, f)`, `prop(k, n)` and `weighted(y, w)`; and
    `y | cens(status)`, `y | cens(status, upper)`, `y | trunc(lb=0, ub=1)`, `y | dec(choice)`, `censored(y, status)`,
    `y | se(s)`, `y | se(s, sigma=True)`.

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
                return Outcome(arguments[0], weights=_column_of(arguments[1], left))
            return Outcome(arguments[0], arguments[1])
    if call and call[1] in ("censored", "truncated") and pieces(call[2])[1:]:
        first, *rest = pieces(call[2])
        name = "cens" if call[1] == "censored" else "trunc"
        return Outcome(first, additions=tuple(_ADDITIONS[name](rest, left).items()))
    if call and call[1] in _OTHERS:
        raise FormulaError(f"'{left}': {_OTHERS[call[1]]}.")
    if (pair := _PAIR.fullmatch(left)) and len(arguments := pieces(pair[1])) == 2:
        return Outcome(arguments[0], f"({arguments[0]}) + ({arguments[1]})")
    return Outcome(left)


def read_tallies(formula: str) -> tuple[tuple[str, ...], str]:
    """The columns of counts in `cbind(a, b, c) ~ x`, none where the outcome is another; and the right side."""
    tildes = [at for at, symbol, depth in scan(formula) if symbol == "~" and depth == 0]
    left = formula[: tildes[0]].strip() if tildes else ""
    columns = tuple(each.strip("`") for each in pieces(pair[1])) if (pair := _PAIR.fullmatch(left)) else ()
    return (columns, formula[tildes[0] + 1 :]) if len(columns) > 1 else ((), formula)


def _with_additions(left: str) -> Outcome:
    """brms' additions: `y | trials(n) + weights(w) + cens(status) + trunc(lb = 0) + dec(choice)`."""
    response, *more = pieces(left, "|")
    found: dict[str, str] = {}
    residual = False
    for addition in (part for each in more for part in pieces(each, "+")):
        call = _CALL.fullmatch(addition)
        name, inside = (call[1], call[2].strip()) if call else (addition, "")
        if name in _OTHERS:
            raise FormulaError(f"'{addition}': {_OTHERS[name]}.")
        if name not in ("trials", "weights", "se", *_ADDITIONS):
            raise FormulaError(
                f"'{addition}' after the outcome '{response}' is not known; trials(n), weights(w), cens(status), "
                "trunc(lb=0), dec(choice) and se(s) are."
            )
        if not inside:
            raise FormulaError(f"{name}() of '{left}' is empty: write '{response} | {name}(column)'.")
        if name in _ADDITIONS:
            found |= _ADDITIONS[name](pieces(inside), left)
        else:
            if name == "se":
                inside, residual = _standard_errors(pieces(inside), left)
            found[name] = _column_of(inside, left) if name == "weights" else inside
    trials, weights, errors = (found.pop(name, None) for name in ("trials", "weights", "se"))
    if weights is not None and errors is not None:
        raise FormulaError(f"'{left}' has weights beside standard errors: one of the two says how precise rows are.")
    return Outcome(response, trials, errors or weights, tuple(found.items()), errors is not None, residual)


def _column_of(written: str, left: str) -> str:
    """The name of a column, refusing all else: weights are read as they are."""
    if written.startswith("`") or not set(written) & set("+-*/%^(),<>="):
        return written
    raise FormulaError(f"'{left}' names no column by '{written}': make it a column of the data, and give its name.")


def _standard_errors(arguments: list[str], left: str) -> tuple[str, bool]:
    """The column in `se(s)`, and whether there is a residual beside, `se(s, sigma=True)`."""
    column, *rest = arguments
    stated = _SIGMA.fullmatch(rest[0]) if len(rest) == 1 else None
    if (rest and not stated) or not (column.isidentifier() or column.startswith("`")):
        raise FormulaError(
            f"se() of '{left}' takes the column with the standard errors, and whether there is a residual beside them: "
            "'y | se(s) ~ ...' or 'y | se(s, sigma=True) ~ ...'."
        )
    return column, stated is not None and stated[1].startswith("T")


def _censoring(arguments: list[str], left: str) -> dict[str, str]:
    found = _named(arguments, ("status", "upper"), {"censored": "status", "x": "status", "y2": "upper"}, left)
    if "status" not in found:
        raise FormulaError(f"'{left}' does not say which column has the status: write 'y | cens(status)'.")
    return found


def _truncation(arguments: list[str], left: str) -> dict[str, str]:
    return _named(arguments, ("lb", "ub"), {}, left)


def _decision(arguments: list[str], left: str) -> dict[str, str]:
    return _named(arguments, ("choice",), {}, left)


def _named(arguments: list[str], names: tuple[str, ...], other: dict[str, str], left: str) -> dict[str, str]:
    """Arguments by position or by name; `other` has further names of some."""
    found: dict[str, str] = {}
    for place, argument in enumerate(arguments):
        named = re.fullmatch(r"(\w+)\s*=(?!=)\s*(.*)", argument, re.DOTALL)
        name = other.get(named[1], named[1]) if named else names[place] if place < len(names) else ""
        if name not in names or name in found:
            raise FormulaError(f"'{argument}' is not expected in '{left}'; the arguments are {', '.join(names)}.")
        found[name] = named[2].strip() if named else argument
        if found[name][:1] in ("'", '"'):
            raise FormulaError(f"{argument} in '{left}' is text: the {name} is a column, with one value for each row.")
    return found


_ADDITIONS = {"cens": _censoring, "trunc": _truncation, "dec": _decision}
