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
    """A docstring in numpydoc's grammar."""
    lines, inside = [], False
    for line in text.split("\n"):
        if line in _SECTIONS:
            inside = True
        elif inside and line and not line.startswith((" ", "-")):
            if found := _ENTRY.match(line):
                lines += [found[1], f"    {found[2]}"]
                continue
            inside = False
        lines.append(line)
    return "\n".join(lines)
