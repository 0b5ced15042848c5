"""Labels of combinations of columns, such as `A:1`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def quoted(levels: Iterable[object]) -> np.ndarray:
    """Labels as parts of a combination: those that hold a colon, or begin with a quote, in quotes, so that no two
    combinations look alike."""
    texts = [str(level) for level in levels]
    return np.array([f'"{text}"' if ":" in text or text.startswith('"') else text for text in texts], dtype=object)
