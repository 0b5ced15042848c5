"""Categories that columns declare, kept for new rows: a row by itself does not say which others there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwise.design.levels import plain_label
from poolwise.support.errors import DataError


@dataclass(frozen=True, slots=True)
class Declared:
    """The categories of a raw column.

    Attributes
    ----------
    name : of the column.
    labels : in their order.
    ordered : whether comparisons know that order.
    """

    name: str
    labels: tuple[Any, ...]
    ordered: bool


def declared_in(raw: Mapping[str, Any], names: Iterable[str]) -> tuple[Declared, ...]:
    """Categories of those of some columns that have them."""
    import pandas as pd

    found = [(name, raw[name]) for name in names if isinstance(raw.get(name), pd.Categorical)]
    return tuple(Declared(name, tuple(each.categories), bool(each.ordered)) for name, each in found)


def as_declared(raw: dict[str, Any], declared: Iterable[Declared]) -> dict[str, Any]:
    """Columns with the categories that they had at the fit.

    Raises
    ------
    DataError : for a label that is none of them.
    """
    import pandas as pd

    found = dict(raw)
    for each in declared:
        if each.name in raw:
            labels = matched(each.name, raw[each.name], each.labels)
            found[each.name] = pd.Categorical(labels, pd.Index(each.labels, dtype=object), ordered=each.ordered)
    return found


def matched(name: str, values: Any, known: Iterable[Any]) -> np.ndarray:
    """Labels (n,) as those that are known, by value or else by text, `2019` with `"2019"`.

    Raises
    ------
    DataError : for labels that are not known.
    """
    import pandas as pd

    known = list(known)
    by_text = {str(label): label for label in known}
    labels = np.asarray(values, dtype=object)
    found = {value: value if value in known else by_text.get(str(plain_label(value))) for value in pd.unique(labels)}
    strange = sorted(str(plain_label(value)) for value, label in found.items() if label is None)
    if strange:
        raise DataError(
            f"New data hold categories that the fit has not seen: '{name}' is {', '.join(strange[:5])}. "
            f"Known: {', '.join(map(str, known))}. Fit all rows anew for more."
        )
    if any(value is not label and value != label for value, label in found.items()):
        labels = np.array([found[value] for value in labels], dtype=object)
    return labels
