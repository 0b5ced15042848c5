"""Walking through the text of a formula: brackets, quotes, calls."""

from __future__ import annotations

import re
from collections.abc import Iterator

from poolwise.support.errors import FormulaError

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_LONGEST, _DEEPEST = 50_000, 50  # characters, and brackets within brackets
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")


def scan(text: str) -> Iterator[tuple[int, str, int]]:
    """Position, symbol and bracket depth of every character outside quotes; `||` comes as one symbol.

    Raises
    ------
    FormulaError : for quotes and brackets that are not closed, with the place marked by a caret.
    """
    if len(text) > _LONGEST:
        raise FormulaError(f"The formula has {len(text):,} characters; at most {_LONGEST:,} are read.")
    stack: list[tuple[str, int]] = []
    at = 0
    while at < len(text):
        symbol = text[at]
        if symbol in "'\"`":
            end = text.find(symbol, at + 1)
            if end < 0:
                raise place_error(text, at, f"this {symbol} is never closed")
            at = end + 1
            continue
        if symbol in _CLOSING:
            yield at, symbol, len(stack)
            stack.append((_CLOSING[symbol], at))
            if len(stack) > _DEEPEST:
                raise place_error(text, at, f"brackets stand within brackets more than {_DEEPEST} deep")
        elif symbol in _CLOSING.values():
            if not stack or stack[-1][0] != symbol:
                raise place_error(text, at, f"this '{symbol}' closes nothing")
            stack.pop()
            yield at, symbol, len(stack)
        elif text.startswith("||", at):
            yield at, "||", len(stack)
            at += 1
        else:
            yield at, symbol, len(stack)
        at += 1
    if stack:
        raise place_error(text, stack[-1][1], "this bracket is never closed")


def blanked(text: str) -> str:
    """The same length of text, in which nothing that stands within quotes can be taken for a part of a formula."""
    return QUOTED.sub(lambda quoted: "'" * len(quoted.group()), text)


def place_error(text: str, at: int, what: str) -> FormulaError:
    """An error that shows the formula with a caret below the place."""
    flat = text.replace("\n", " ").replace("\t", " ")
    start = max(0, at - 60) if len(flat) > 160 else 0
    shown = flat[start : start + 160]
    return FormulaError(f"Cannot read the formula: {what}.\n    {shown}\n    {' ' * (at - start)}^")


def pieces(text: str, separator: str = ",") -> list[str]:
    """The parts of a text between separators that stand outside brackets and quotes."""
    cuts = [at for at, symbol, depth in scan(text) if symbol == separator and depth == 0]
    starts, ends = [0, *(at + len(separator) for at in cuts)], [*cuts, len(text)]
    return [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]
