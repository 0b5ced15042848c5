"""Text that stands in one line of a chart, a table or a page."""

from __future__ import annotations

import re

_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def plain(text: str) -> str:
    """Text without line ends and control characters, at which charts' expressions and lines of tables end."""
    return _ODD.sub(" ", text)
