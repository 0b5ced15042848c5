"""Labels of groups: one rule for every source, so that the same data have the same levels everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from poolwise.design.combinations import first_of, from_least, places_of
from poolwise.support.errors import DataError


def group_levels(group: str, values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Sorted labels (J,) and the code (n,) of each value of a grouping column.

    Whole numbers are integers however they are stored; a mix of kinds is ordered as text.
    """
    import pandas as pd

    if isinstance(values, pd.Categorical) or values.dtype.kind == "b":
        values = np.asarray(values, dtype=object)
    if values.dtype.kind == "f" and np.all(np.abs(values) < 2**53) and np.all(values == np.round(values)):
        values = values.astype(np.int64)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"The grouping column '{group}' holds infinite values.")
    if values.dtype.kind == "f" and np.any(np.abs(values) >= 2**53):
        raise DataError(
            f"The grouping column '{group}' holds labels beyond 2^53 as floating-point numbers, which lost digits: "
            "different groups may have become one. Store them as integers or text."
        )
    check_labels(group, values)
    kinds = {type(value) for value in values} if values.dtype.kind == "O" else set()
    if kinds == {int} and all(abs(value) < 2**63 for value in values):
        values = values.astype(np.int64)
    elif len(kinds) > 1:
        values = np.array([str(value) for value in values], dtype=object)  # a mix has no order of its own
    codes, levels = label_codes(values)
    return levels, codes


def plain_label(label: Any) -> Any:
    """A label as Python has it: whole numbers are integers however they are stored."""
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, float) and label.is_integer() and abs(label) < 2**53:
        return int(label)
    return label


def label_codes(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The code (n,) of each label, and the distinct labels sorted (J,)."""
    import pandas as pd

    if (whole := from_least(labels)) is not None:
        codes = places_of([whole])
        return codes, labels[first_of(codes)]
    codes, levels = pd.factorize(labels, sort=True)
    return codes.astype(np.int64), np.asarray(levels)


def ordered_levels(values: np.ndarray, declared: list[Any] | None) -> list[Any]:
    """Levels of a category that occur, in the order of their type where it declares one, else sorted."""
    import pandas as pd

    found = pd.unique(values)
    if declared is None:
        return sorted(map(plain_label, found.tolist()))
    occur = set(found)
    return [level for level in declared if level in occur]


def check_labels(name: str, values: np.ndarray) -> None:
    """Refuse labels that are no single value, or text that no file can hold."""
    import pandas as pd

    if values.dtype.kind != "O":
        return
    try:
        labels = pd.unique(values)
    except TypeError as error:
        odd = next(value for value in values if not isinstance(value, (str, int, float, bool, tuple)))
        raise DataError(
            f"'{name}' holds {type(odd).__name__} values, such as {str(odd)[:40]}; a column holds one number or text "
            "in each row."
        ) from error
    for label in labels:
        text = " ".join(map(str, label)) if isinstance(label, tuple) else label
        if isinstance(text, str) and not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise DataError(f"'{name}' holds text that is not valid Unicode: {label!r}.") from error


def label_text(value: object) -> str:
    """A label as text, whatever type its column has: 3.0 is '3', true is '1'."""
    plain = plain_label(value)
    if isinstance(plain, (bool, np.bool_)):
        return str(int(plain))
    if isinstance(plain, (float, np.floating)):
        return str(int(plain)) if float(plain).is_integer() else repr(float(plain))
    return str(plain)
