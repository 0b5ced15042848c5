"""R's dot: `y ~ .` is every column that the formula does not use otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from poolwise.formula.names import names_in, quoted_name
from poolwise.formula.scan import blanked, scan
from poolwise.support.errors import FormulaError

_DOT = re.compile(r"(?<![\w.`'\"])\.(?![\w.])")
_OFFSET = re.compile(r"(?<![\w.])offset\s*\(")
_AREA = re.compile(r"(?<![\w.])(?:icar|bym2)\s*\(")
_RELATIVES = re.compile(r"\s*gr\s*\(([^,)]*)")
_CALL = re.compile(r"([\w.]+|`)\s*$")
_COVARIANCES = ("us", "diag")  # calls that are bars


def without_dot(text: str, columns: Sequence[str] | None, used: Iterable[str] = ()) -> str:
    """A formula with the dot on its right side written out.

    Parameters
    ----------
    columns : of the data; None where they are not known.
    used : columns that have another role, such as weights, or the outcome of the first of several formulas.

    Raises
    ------
    FormulaError : where the columns are not known, or none is left.
    """
    tilde = _tilde(text)
    if tilde is None:
        return text
    left, right = text[:tilde], text[tilde + 1 :]
    dots = [found.start() for found in _DOT.finditer(blanked(right))]
    if not dots:
        return text
    if columns is None:
        raise FormulaError(f"'{text}': the dot stands for the columns of the data, which are not known here.")
    taken = set(used)
    rest = [quoted_name(name) for name in columns if name not in taken]
    if not rest:
        raise FormulaError(f"'{text}': no column is left that the dot could stand for.")
    for at in reversed(dots):
        right = f"{right[:at]}({' + '.join(rest)}){right[at + 1 :]}"
    return f"{left}~{right}"


def columns_with_roles(texts: Sequence[str]) -> set[str]:
    """Columns that no dot stands for in any of some formulas: of the outcome and its additions, groups and offsets.

    Parameters
    ----------
    texts : the first has the outcome on its left, others the name of a parameter.
    """
    sides = [(text[:at], text[at + 1 :]) for text in texts if (at := _tilde(text)) is not None]
    if not any(_DOT.search(blanked(right)) for _, right in sides):
        return set()
    pieces = [left for left, _ in sides[:1]]
    for _, right in sides:
        pieces += [*_groups(right), *_inside(right, _OFFSET), *(each.split(",")[0] for each in _inside(right, _AREA))]
    return {name for piece in pieces for name in names_in(piece)}


def _tilde(text: str) -> int | None:
    return next((at for at, symbol, depth in scan(text) if symbol == "~" and depth == 0), None)


def _groups(right: str) -> Iterator[str]:
    """What stands on the right of each bar; the name in `(1 | p | g)` is no column."""
    symbols = list(scan(right))
    opening = 0
    for at, symbol, depth in symbols:
        if symbol == "(" and depth == 0:
            opening = at
        elif symbol in ("|", "||") and depth == 1:
            called = _CALL.search(right[:opening])
            if called is None or called[1] in _COVARIANCES:
                end = next(place for place, sign, level in symbols if place > at and sign == ")" and level == 0)
                piece = right[at + len(symbol) : end]
                group = piece[blanked(piece).rfind("|") + 1 :]
                relatives = _RELATIVES.match(group)
                yield group if relatives is None else relatives[1]  # what follows is a table's name


def _inside(right: str, call: re.Pattern[str]) -> Iterator[str]:
    """The arguments of each call of a function."""
    symbols = list(scan(right))
    for found in call.finditer(blanked(right)):
        opening = found.end() - 1
        depth = next(level for at, _, level in symbols if at == opening)
        end = next(at for at, sign, level in symbols if at > opening and sign == ")" and level == depth)
        yield right[opening + 1 : end]
