"""Groups of rows that a picture can show side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from poolwise.design.levels import label_codes, plain_label
from poolwise.support.errors import DataError

_MOST = 16


def shown_groups(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values as text (G,), and the position (n,) of each row's among them.

    Their order is that of numbers, or that of the type of a pandas column; text is sorted.

    Raises
    ------
    DataError : for more than a picture can show, and for missing values.
    """
    import pandas as pd

    values = values.array if isinstance(values, pd.Series) else values
    if isinstance(values, pd.Categorical):
        used = values.remove_unused_categories()
        levels, codes = np.asarray(used.categories, dtype=object), used.codes.astype(np.int64)
    else:
        codes, levels = label_codes(np.asarray(values))
    if (codes < 0).any():
        raise DataError(f"The column to show rows by is missing in {int((codes < 0).sum()):,} of them.")
    if len(levels) > _MOST:
        raise DataError(
            f"There are {len(levels):,} groups, and no picture shows so many: choose a column of {_MOST} values or "
            "fewer."
        )
    return np.array([str(plain_label(level)) for level in levels], dtype=object), codes
