"""formulaic's parser, which also reads the names that it would spoil.

formulaic (1.2) gives its parts of calls to Python's parser, which normalises names such as `µ` and refuses those that
are words of its own, and puts names in backticks back by their letters. Such names have others while it reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from typing import Any

from formulaic import Formula as Formulaic
from formulaic.parser import DefaultFormulaParser
from formulaic.parser.types import Token

from poolwise.formula.names import is_plain

_NAME = re.compile(r"'[^']*'|\"[^\"]*\"|`([^`]*)`|(?<![\w.])([^\W\d]\w*)")


def parsed_part(text: str) -> Any:
    """formulaic's own formula of a part, such as the common terms."""
    return Formulaic(text, _parser=_Parser(), _nested_parser=_Parser())


class _Parser(DefaultFormulaParser):  # type: ignore[misc]
    """Hides some names from formulaic and puts them back into its tokens."""

    def get_tokens_from_formula(self, formula: str, *, context: MutableMapping[str, Any]) -> Iterable[Token]:
        hidden, names = _hidden(formula)
        for token in super().get_tokens_from_formula(hidden, context=context):
            if token.kind is Token.Kind.NAME:
                token.token = names.get(token.token, token.token).strip("`")
            elif token.kind is Token.Kind.PYTHON:
                for stand_in, name in names.items():
                    token.token = token.token.replace(stand_in, name)
            yield token


def _hidden(text: str) -> tuple[str, dict[str, str]]:
    """A part in which plain names stand for those that formulaic would spoil, and what they stand for as written."""
    names: dict[str, str] = {}

    def stand_in(found: re.Match[str]) -> str:
        quoted, bare = found[1], found[2]
        if (quoted is None or not quoted.isidentifier()) and (bare is None or bare.isascii() or is_plain(bare)):
            return found.group()
        names[f"_hidden_{len(names)}_"] = found.group()
        return f"_hidden_{len(names) - 1}_"

    return _NAME.sub(stand_in, text), names
