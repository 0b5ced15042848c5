"""Docstrings say `name : what it is`; numpydoc's grammar would take the words for a type."""

from __future__ import annotations

import re
from typing import Any

import griffe

_SECTIONS = ("Parameters", "Attributes", "Raises")
_ENTRY = re.compile(r"^(\*{0,2}[\w\[\], *.`]+?) : (.*)$")


class PlainDocstrings(griffe.Extension):
    """Moves the words of each entry to a line of their own, where a description belongs."""

    def on_object(self, *, obj: griffe.Object, loader: Any, **_: Any) -> None:
        """Rewrite the docstring of anything that has one."""
        if obj.docstring is not None:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(text: str) -> str:
    """A docstring in numpydoc's grammar; an entry of several names becomes one for each, with its own default."""
    lines, inside, names, words = [], False, [], []

    def close() -> None:
        for name in names:
            lines.extend([name, *words])
        names.clear()
        words.clear()

    for line in text.split("\n"):
        if line in _SECTIONS:
            close()
            inside = True
        elif inside and line and not line.startswith((" ", "-")):
            close()
            if found := _ENTRY.match(line):
                names.extend(found[1].split(", "))
                words.append(f"    {found[2]}")
                continue
            inside = False
        elif names:
            if line:
                words.append(line)
                continue
            close()
        lines.append(line)
    close()
    return "\n".join(lines)
