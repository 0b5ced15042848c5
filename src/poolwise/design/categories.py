"""Outcomes that are one of several categories: their labels and their order."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from poolwise.design.levels import label_text, plain_label
from poolwise.support.errors import DataError, PoolwiseWarning, suggest

_MOST = 50  # categories; more are a mistake


def outcome_labels(name: str, values: Any, *, stated: bool, ordered: bool) -> tuple[str, ...]:
    """Labels of the categories of an outcome, in their order; missing values are none of them.

    Numbers have their own order, categories that of their type, and text is sorted.

    Parameters
    ----------
    stated : whether the type of the column gives its values an order.
    ordered : whether the order has a meaning; then a warning tells it where it is not stated.

    Raises
    ------
    DataError : for one category only, for too many, and for whole numbers with a gap.
    """
    import pandas as pd

    present = [value for value in pd.unique(np.asarray(values, dtype=object)) if not pd.isna(value)]
    if isinstance(values, pd.Categorical):
        levels = [level for level in values.categories if level in set(present)]
    else:
        numbers = all(isinstance(value, (int, float, np.number, np.bool_)) for value in present)
        levels = sorted(present) if numbers else sorted(present, key=str)
        stated = stated or numbers
    if len(levels) < 2:
        held = f"holds {plain_label(levels[0])} only" if levels else "has no value"
        raise DataError(f"'{name}' {held}: categories must be two at least, or there is nothing to explain.")
    if len(levels) > _MOST:
        raise DataError(f"'{name}' has {len(levels):,} different values; a family of categories takes {_MOST} at most.")
    labels = tuple(label_text(level) for level in levels)
    if ordered and stated and not isinstance(values, pd.Categorical):
        _refuse_gaps(name, np.array(levels, dtype=float))
    if ordered and not stated:
        warnings.warn(
            f"The order of the categories of '{name}' is taken to be {' < '.join(labels)}. If it is another one, make "
            "the column an ordered categorical.",
            PoolwiseWarning,
            stacklevel=5,
        )
    return labels


def positions(name: str, values: Any, labels: tuple[str, ...]) -> np.ndarray:
    """(n,) position of each value among the labels; NaN where it is missing.

    Raises
    ------
    DataError : for a value that is none of them.
    """
    import pandas as pd

    place = {label: float(k) for k, label in enumerate(labels)}
    found = np.array([np.nan if pd.isna(value) else place.get(label_text(value), -1.0) for value in values])
    if (found == -1).any():
        strange = label_text(np.asarray(values, dtype=object)[found == -1][0])
        raise DataError(f"'{name}' holds {strange!r}, which the fit does not know. {suggest(strange, labels)}")
    return found


def _refuse_gaps(name: str, levels: np.ndarray) -> None:
    if (levels != np.floor(levels)).any():
        raise DataError(
            f"'{name}' holds {levels[levels != np.floor(levels)][0]:g}: numbers of ordered categories are whole."
        )
    after = np.flatnonzero(np.diff(levels) > 1)
    if len(after):
        first, last = levels[after[0]] + 1, levels[after[0] + 1] - 1
        shown = f"{first:g}" if first == last else f"{first:g} to {last:g}"
        raise DataError(
            f"'{name}' goes from {levels[0]:g} to {levels[-1]:g}, but no row holds {shown}. If nobody chose it, the "
            "data say nothing of its place: number the categories without a gap, or make the column an ordered "
            "categorical."
        )
