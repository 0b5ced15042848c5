"""Arguments of public functions that are no numbers, checked where they come in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real

from poolwise.support.errors import DataError


def check_text(name: str, value: object, *, optional: bool = True) -> None:
    """Refuse what is no text; None is fine where the argument is optional."""
    if not (isinstance(value, str) or (optional and value is None)):
        raise DataError(f"{name} must be text{' or None' if optional else ''}, not {_shown(value)}.")


def check_texts(name: str, value: object) -> None:
    """Refuse what is no list of texts that is not empty; None is fine."""
    if value is None:
        return
    if isinstance(value, str) or not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise DataError(f"{name} must be a list of texts or None, not {_shown(value)}.")
    if not all(isinstance(one, str) for one in value) or not len(list(value)):
        raise DataError(f"{name} must be a list of texts that is not empty, not {_shown(value)}.")


def check_text_map(name: str, value: object) -> None:
    """Refuse what is no dict from texts to texts; None is fine."""
    good = isinstance(value, Mapping) and all(isinstance(one, str) for pair in value.items() for one in pair)
    if value is not None and not good:
        raise DataError(f"{name} must be a dict from texts to texts or None, not {_shown(value)}.")


def check_label(name: str, value: object) -> None:
    """Refuse what cannot be the label of a group."""
    try:
        hash(value)
    except TypeError as error:
        raise DataError(f"{name} must be the label of a group, not {_shown(value)}.") from error
    if value is None:
        raise DataError(f"{name} must be the label of a group, not None.")


def check_callable(name: str, value: object) -> None:
    """Refuse what cannot be called."""
    if not callable(value):
        raise DataError(f"{name} must be a function, not {_shown(value)}.")


def check_range(name: str, value: object) -> tuple[float, float] | None:
    """Two numbers of which the first is smaller, as floats; None is fine."""
    if value is None:
        return None
    ends = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    if len(ends) != 2 or any(isinstance(one, bool) or not isinstance(one, Real) for one in ends):
        raise DataError(f"{name} must be two numbers such as (-0.1, 0.1), not {_shown(value)}.")
    low, high = float(ends[0]), float(ends[1])
    if not low < high:
        raise DataError(f"{name} must go from a smaller to a larger number, not {_shown(value)}.")
    return low, high


def _shown(value: object) -> str:
    """Short values as they are, of others their type."""
    text = repr(value)
    return text if len(text) < 40 and "\n" not in text else f"a {type(value).__name__}"
