"""R's dot: `y ~ .` is every column that the formula does not use otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence

from poolwise.formula.scan import blanked, scan
from poolwise.support.errors import FormulaError

_DOT = re.compile(r"(?<![\w.`'\"])\.(?![\w.])")
_NAME = re.compile(r"`([^`]*)`|(?<![\w.])([^\W\d][\w.]*)")


def without_dot(text: str, columns: Sequence[str] | None, used: Sequence[str] = ()) -> str:
    """A formula with the dot on its right side written out.

    Parameters
    ----------
    columns : of the data; None where they are not known.
    used : columns that have another role, such as weights.

    Raises
    ------
    FormulaError : where the columns are not known, or none is left.
    """
    tilde = next((at for at, symbol, depth in scan(text) if symbol == "~" and depth == 0), None)
    if tilde is None:
        return text
    left, right = text[:tilde], text[tilde + 1 :]
    blank = blanked(right)
    dots = [found.start() for found in _DOT.finditer(blank)]
    if not dots:
        return text
    if columns is None:
        raise FormulaError(f"'{text}': the dot stands for the columns of the data, which are not known here.")
    bars = [at for at, symbol, depth in scan(right) if symbol in ("|", "||") and depth == 1]
    groups = [right[at : right.index(")", at)] for at in bars]
    taken = {one or other for part in (left, *groups) for one, other in _NAME.findall(part)} | set(used)
    rest = [name if name.isidentifier() else f"`{name}`" for name in columns if name not in taken]
    if not rest:
        raise FormulaError(f"'{text}': no column is left that the dot could stand for.")
    for at in reversed(dots):
        right = f"{right[:at]}({' + '.join(rest)}){right[at + 1 :]}"
    return f"{left}~{right}"
