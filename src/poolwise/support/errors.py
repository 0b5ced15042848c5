"""What can go wrong, as a small tree: catch `PoolwiseError` for all of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PoolwiseError(Exception):
    """Base of every error that poolwise raises on purpose."""


class FormulaError(PoolwiseError, ValueError):
    """The formula cannot be read, or asks for something that is not supported."""


class DataError(PoolwiseError, ValueError):
    """The data do not fit the formula: columns, types, missing or degenerate values."""


class PriorError(PoolwiseError, ValueError):
    """A prior is not proper, or is addressed to a term that is not in the model."""


class FileError(PoolwiseError, OSError):
    """A file is missing, unreadable, or not what its name says."""


class MissingName(PoolwiseError, AttributeError):
    """There is no such name in poolwise."""


class SamplingError(PoolwiseError, RuntimeError):
    """The sampler's certificate failed and `strict=True` was asked for."""


class PoolwiseWarning(UserWarning):
    """Something was done that the user should know of, such as dropping rows."""


def suggest(name: str, valid: Iterable[str]) -> str:
    """`Did you mean 'floor'? ` when something valid is near `name`, then the sorted valid names."""
    name, names = str(name), sorted(set(valid))
    by_lower = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    hint = f"Did you mean '{by_lower[close[0]]}'? " if close else ""
    shown = ", ".join(names[:30]) + (f", ... ({len(names)} in all)" if len(names) > 30 else "")
    return f"{hint}Valid names: {shown}." if names else "There are none."
