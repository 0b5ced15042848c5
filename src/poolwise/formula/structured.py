"""Structured effects of levels, rewritten as terms: `(1 | gr(animal, cov="A"))`, `(1 | mm(a, b))`, maps.

A term's last argument may be the name of a table that is given beside the data; it becomes text, as no column has it.
"""

from __future__ import annotations

import re

from poolwise.formula.scan import pieces, place_error, scan
from poolwise.support.errors import FormulaError

_BAR = re.compile(r"\(\s*([^()|]*?)\s*(\|\|?)\s*(gr|mm)\s*\(")
_MAP = re.compile(r"(?<![\w.])(icar|bym2)\s*\(")
_QUOTES = "'\""


def as_terms(text: str) -> str:
    """A formula whose structured effects are terms of its common part.

    Raises
    ------
    FormulaError : where they are written in a way that is not known.
    """
    while (found := _BAR.search(text)) is not None:
        inner = _closing(text, found.end() - 1)
        outer = _closing(text, found.start())
        if found[1] != "1" or text[inner + 1 : outer].strip():
            raise place_error(text, found.start(), f"only intercepts vary by {found[3]}(): (1 | {found[3]}(...))")
        text = f"{text[: found.start()]}{found[3]}({text[found.end() : inner]}){text[outer + 1 :]}"
    at = 0
    while (found := _MAP.search(text, at)) is not None:
        end = _closing(text, found.end() - 1)
        arguments = pieces(text[found.end() : end])
        if len(arguments) != 2:
            raise FormulaError(f"{found[1]}() takes the areas and their neighbours: {found[1]}(area, neighbours).")
        area, table = arguments[0], arguments[1].strip(_QUOTES)
        term = f"icar({area}, '{table}')"
        term = term if found[1] == "icar" else f"{term} + (1 | {area})"
        text = text[: found.start()] + term + text[end + 1 :]
        at = found.start() + len(term)
    return text


def _closing(text: str, opening: int) -> int:
    depth = next(level for at, _, level in scan(text) if at == opening)
    return next(at for at, symbol, level in scan(text) if at > opening and symbol == ")" and level == depth)
