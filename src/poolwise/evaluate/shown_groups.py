"""Groups of rows that a picture can show side by side."""

from __future__ import annotations

import numpy as np

from poolwise.support.errors import DataError

_MOST = 16


def shown_groups(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values as text (G,), and the position (n,) of each row's among them.

    Raises
    ------
    DataError : for more than a picture can show.
    """
    levels, codes = np.unique(values.astype(str), return_inverse=True)
    if len(levels) > _MOST:
        raise DataError(
            f"There are {len(levels):,} groups, and no picture shows so many: choose a column of {_MOST} values or "
            "fewer."
        )
    return levels, codes
