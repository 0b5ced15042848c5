"""What is known of an outcome besides its value: how it is censored, where it is truncated, which choice it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from poolwise.design.expression_evaluation import evaluate
from poolwise.design.expression_names import expression_names
from poolwise.formula import Formula
from poolwise.support.errors import DataError, suggest

_NUMBER = re.compile(r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[Ii]nf)")
_STATUS = {"none": 0.0, "right": 1.0, "left": -1.0, "interval": 2.0}  # brms' words and numbers
_CHOICE = {"lower": 0.0, "upper": 1.0}


def addition_part(name: str) -> str:
    """Name of the part of a formula that has an addition."""
    return f"addition_{name}"


def addition_texts(formula: Formula) -> dict[str, str]:
    """Expressions of the additions that are not plain numbers, by the names of their parts."""
    return {addition_part(name): text for name, text in formula.additions if number(text) is None}


def number(text: str) -> float | None:
    """The number that a text is, R's infinities included; None for an expression."""
    return float(text) if _NUMBER.fullmatch(text.strip()) else None


def coded(formula: Formula, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Raw columns, with words and truths of a status or a choice as numbers, and ends where no interval needs one.

    Raises
    ------
    DataError : for a word that is none of those known.
    """
    found = dict(raw)
    of = {name: text.strip("`") for name, text in formula.additions}
    for name, words in (("status", _STATUS), ("choice", _CHOICE)):
        column = of.get(name, "")
        if column in raw and raw[column].dtype.kind != "f":
            found[column] = np.array([_code(column, value, words) for value in np.asarray(raw[column], dtype=object)])
    ends = ends_of(formula) & found.keys()
    status = _status_of(formula, found) if ends else None
    for name in ends if status is not None else ():
        upper = found[name]
        if upper.dtype.kind == "f":
            found[name] = np.where(np.isnan(upper) & (status != _STATUS["interval"]), np.inf, upper)
    return found


def _status_of(formula: Formula, columns: Mapping[str, Any]) -> np.ndarray | None:
    """(n,) status of each row, NaN where it is missing; None where there is none, or it cannot be computed."""
    import pandas as pd

    text = dict(formula.additions).get("status")
    if text is None or not expression_names(text) <= columns.keys():
        return None
    if (same := number(text)) is not None:
        return np.asarray(same)
    try:
        with np.errstate(all="ignore"):
            value = evaluate(text, lambda name: pd.Series(columns[name]), formula.functions, {})
            return np.asarray(value, dtype=float)
    except Exception:  # whatever it raises on these columns is said where all terms are evaluated
        return None


def ends_of(formula: Formula) -> set[str]:
    """Columns that the ends of intervals are computed from, and nothing else on the left side is: they may be missing
    where an outcome is no interval."""
    names = {name: set() if number(text) is not None else expression_names(text) for name, text in formula.additions}
    others = expression_names(formula.response).union(*(names[name] for name in names if name != "upper"))
    return names.get("upper", set()) - others


def _code(column: str, value: Any, words: Mapping[str, float]) -> float:
    import pandas as pd

    if pd.isna(value):
        return np.nan
    if isinstance(value, (bool, int, float, np.number, np.bool_)):
        return float(value)
    word = str(value).strip().lower()
    if word not in words:
        known = {f"{code:g}": code for code in words.values()}  # numbers that came as text
        if word not in known:
            raise DataError(f"'{column}' holds {value!r}. {suggest(word, [*words, *known])}")
        return known[word]
    return words[word]


def signed(formula: Formula, y: np.ndarray, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Response times (n,) with the sign of the choice, where there is one: at the lower boundary they are negative.

    Raises
    ------
    DataError : for other choices than two, and for times that are not positive.
    """
    if "choice" not in values:
        return y
    choice, name = values["choice"], dict(formula.additions)["choice"]
    lowest = -1.0 if (choice == -1).any() else 0.0
    bad = (choice != lowest) & (choice != 1)
    if bad.any():
        raise DataError(
            f"The choices '{name}' must be 0 and 1, -1 and 1, or 'lower' and 'upper', but row "
            f"{int(np.flatnonzero(bad)[0]) + 1} of the complete rows holds {choice[bad][0]:g}."
        )
    if (y <= 0).any():
        at = int(np.flatnonzero(y <= 0)[0])
        raise DataError(
            f"Response times must be above zero, but row {at + 1} of the complete rows of '{formula.response}' holds "
            f"{y[at]:g}."
        )
    return np.where(choice == 1, y, -y)


def limits(formula: Formula, y: np.ndarray, values: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """(4, n) ends of the interval of a censored outcome, NaN for one that was observed, and bounds of truncation.

    Parameters
    ----------
    values : (n,) of each addition by its name.

    Raises
    ------
    DataError : for codes that are not known, an end or bound below the other, outcomes outside of their bounds.
    """
    if not {"status", "lb", "ub"} & values.keys():
        return None
    lower, upper = np.full(len(y), np.nan), np.full(len(y), np.nan)
    if "status" in values:
        lower, upper = _interval(formula, y, values["status"], values.get("upper"))
    lb = values.get("lb", np.full(len(y), -np.inf))
    ub = values.get("ub", np.full(len(y), np.inf))
    _refuse(lb >= ub, "The bounds of trunc() must have lb below ub", lb, ub)
    _refuse((y <= lb) & (y < lb), f"'{formula.response}' lies below its lower bound", y, lb)
    _refuse(y > ub, f"'{formula.response}' lies above its upper bound", y, ub)
    hidden = ~np.isnan(lower)  # what is known to lie in an interval lies within the bounds too
    lower, upper = np.where(hidden, np.maximum(lower, lb), lower), np.where(hidden, np.minimum(upper, ub), upper)
    found = np.array([lower, upper, lb, ub])
    check_intervals(formula.response, found, whole=True)
    return found


def check_intervals(name: str, limits: np.ndarray, *, whole: bool = False) -> None:
    """Refuse censored outcomes of whose interval nothing lies within the bounds; `whole` before bounds of whole numbers
    are what `with_whole_bounds` makes of them, which includes the lower one.

    Raises
    ------
    DataError : with the first of such rows.
    """
    lower, upper, lb, _ = limits
    empty = (lower > upper) | ((lower == upper) & ~(whole & (lower == lb)))
    what = f"Where '{name}' is censored, nothing of its interval lies within the bounds of trunc()"
    _refuse(~np.isnan(lower) & empty, what, lower, upper)


def bounds(values: Mapping[str, np.ndarray], rows: int) -> np.ndarray | None:
    """(4, n) bounds of new outcomes, as in `limits`; None where they have none."""
    if not {"lb", "ub"} & values.keys():
        return None
    lb, ub = values.get("lb", np.full(rows, -np.inf)), values.get("ub", np.full(rows, np.inf))
    _refuse(lb >= ub, "The bounds of trunc() must have lb below ub", lb, ub)
    return np.array([np.full(rows, np.nan), np.full(rows, np.nan), lb, ub])


def with_whole_bounds(limits: np.ndarray) -> np.ndarray:
    """Limits (4, n) of whole numbers, whose bounds are included as in brms, as the numbers around what is allowed."""
    found = limits.copy()
    found[2], found[3] = np.ceil(limits[2]) - 1.0, np.floor(limits[3])
    hidden = ~np.isnan(found[0])
    found[0] = np.where(hidden & (found[0] == limits[2]), found[2], found[0])
    return found


def _interval(
    formula: Formula, y: np.ndarray, status: np.ndarray, upper: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    name = dict(formula.additions)["status"]
    bad = ~np.isin(status, list(_STATUS.values()))
    if bad.any():
        raise DataError(
            f"The status '{name}' must be 0 or 'none' for an outcome that was observed, 1 or 'right', -1 or 'left', 2 "
            f"or 'interval' for one that was not; row {int(np.flatnonzero(bad)[0]) + 1} of the complete rows holds "
            f"{status[bad][0]:g}."
        )
    if (status == 2).any():
        if upper is None:
            raise DataError(
                f"'{name}' has intervals: say where they end, as in '{formula.response} | cens({name}, upper)'."
            )
        _refuse((status == 2) & (upper <= y), "An interval must end above its start", y, upper)
    if not (status != 1).any():
        raise DataError(f"Every outcome is censored on the right ('{name}' is 1): the data say nothing of any event.")
    ends = np.full(len(y), np.inf) if upper is None else upper
    low = np.where(status == 0, np.nan, np.where(status == -1, -np.inf, y))
    high = np.where(status == 0, np.nan, np.where(status == -1, y, np.where(status == 1, np.inf, ends)))
    return low, high


def _refuse(bad: np.ndarray, what: str, one: np.ndarray, other: np.ndarray) -> None:
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise DataError(f"{what}, but row {at + 1} of the complete rows has {one[at]:g} and {other[at]:g}.")
