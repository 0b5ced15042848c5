"""Structured effects, rewritten as terms: `(1 | gr(animal, cov="A"))`, `(1 | mm(a, b))`, maps.

The last argument of a map is the name of a table that is given beside the data; it becomes text, as no column has it.
"""

from __future__ import annotations

import re

from poolwise.formula.scan import blanked, pieces, place_error, scan
from poolwise.support.errors import FormulaError

_OF_LEVELS = re.compile(r"\(\s*([^()|]*?)\s*(\|\|?)\s*(gr|mm)\s*\(")
_MAP = re.compile(r"(?<![\w.])(icar|bym2)\s*\(")


def as_terms(text: str) -> str:
    """A formula whose structured effects are terms of its common part.

    Raises
    ------
    FormulaError : where they are written in a way that is not known.
    """
    return _maps(_levels(text))


def _levels(text: str) -> str:
    """`(1 | gr(animal, cov="A"))` as `gr(animal, cov="A")`; other effects by relatives stay a bar."""
    at = 0
    while (found := _OF_LEVELS.search(blanked(text), at)) is not None:
        inner, outer = _closing(text, found.end() - 1), _closing(text, found.start())
        alone = found[1] == "1"
        if text[inner + 1 : outer].strip() or not (alone or found[3] == "gr"):
            raise place_error(text, found.start(), f"only intercepts vary by {found[3]}(): (1 | {found[3]}(...))")
        if alone:
            text = f"{text[: found.start()]}{found[3]}({text[found.end() : inner]}){text[outer + 1 :]}"
        at = found.start() if alone else outer
    return text


def _maps(text: str) -> str:
    """`bym2(area, borders)` as `icar(area, 'borders') + (1 | area)`."""
    at = 0
    while (found := _MAP.search(blanked(text), at)) is not None:
        end = _closing(text, found.end() - 1)
        arguments = pieces(text[found.end() : end])
        if len(arguments) != 2:
            raise FormulaError(f"{found[1]}() takes the areas and their neighbours: {found[1]}(area, neighbours).")
        area, table = arguments[0], re.sub(r"^neighbours\s*=\s*", "", arguments[1]).strip("'\"")
        term = f"icar({area}, '{table}')" + (f" + (1 | {area})" if found[1] == "bym2" else "")
        text, at = f"{text[: found.start()]}{term}{text[end + 1 :]}", found.start() + len(term)
    return text


def _closing(text: str, opening: int) -> int:
    depth = next(level for at, _, level in scan(text) if at == opening)
    return next(at for at, symbol, level in scan(text) if at > opening and symbol == ")" and level == depth)
