"""Names of columns in the text of a formula: which need backticks, and which stand in a piece of it."""

from __future__ import annotations

import keyword
import re
import unicodedata

# Strings, names in backticks, and names that are neither called nor the name of an argument.
_NAME = re.compile(r"'[^']*'|\"[^\"]*\"|`([^`]*)`|(?<![\w.])([^\W\d][\w.]*)(?![\w.]|\s*\(|\s*=(?!=))")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`([^`]*)`")
_WORDS = {"TRUE", "FALSE", "NULL", "INF", "NAN", "INFINITY"}  # of R, and numbers that Python reads in words


def is_plain(name: str) -> bool:
    """Whether a column's name means the same with and without backticks."""
    return (
        name.isidentifier()
        and not keyword.iskeyword(name)
        and not name.startswith("__")  # which expressions refuse
        and name.upper() not in _WORDS
        and unicodedata.normalize("NFKC", name) == name  # as Python's parser writes it
    )


def quoted_name(name: str) -> str:
    """A column's name as a formula has it, in backticks where it needs them."""
    return name if is_plain(name) else f"`{name}`"


def without_needless_quotes(text: str) -> str:
    """A formula in which only those names have backticks that need them: formulaic restores names in backticks by
    their letters, so that `exp` would change with a column `x`."""

    def plain(found: re.Match[str]) -> str:
        before, after = text[found.start() - 1 : found.start()], text[found.end() :].lstrip()[:1]
        alone = not re.match(r"[\w.`'\"]", before) and not re.match(r"[\w.`'\"(]", after)
        return found[1] if found[1] is not None and is_plain(found[1]) and alone else found.group()

    return _QUOTED.sub(plain, text)


def names_in(text: str) -> set[str]:
    """Names that may be columns in a piece of a formula; neither functions nor the names of arguments."""
    return {one or other for one, other in _NAME.findall(text)} - {""}
