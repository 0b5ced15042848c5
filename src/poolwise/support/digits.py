"""Numbers as text: digits by what they have to tell, whatever the units and wherever zero is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


_SMALL = 0.01  # difference of two numbers, as a share of the largest one
_WHOLE = 1e15  # numbers up to this have all digits before the point


def significant(value: float, count: int = 4) -> str:
    """So many significant digits; trailing zeros kept so that columns line up."""
    return f"{value:#.{count}g}".rstrip(".")


def beside(value: float, spread: float, count: int = 4) -> str:
    """The same, or more where these would not tell two digits of a spread beside it: 20000.153 with a spread of 0.087,
    and not 2.000e+04."""
    if not (math.isfinite(value) and math.isfinite(spread) and 0 < spread < abs(value)):
        return significant(value, count)
    decimals = 1 - math.floor(math.log10(spread))
    told = count - 1 - math.floor(math.log10(abs(value)))
    return significant(value, count) if told >= decimals else f"{value:.{max(decimals, 0)}f}"


def fixed(value: float, width: float, decimals: int) -> str:
    """So many decimals, or as many as tell two digits of an interval that is narrower; zero has no sign."""
    if 0 < width < 10.0 ** (1 - decimals):
        decimals = 1 - math.floor(math.log10(width))
    return f"{round(float(value), decimals) + 0.0:.{decimals}f}"


def apart(values: Sequence[float], count: int = 3) -> list[str]:
    """Numbers with digits that tell those apart whose difference is not small beside that of others."""
    known = sorted({value for value in values if math.isfinite(value)})
    steps = [after - before for before, after in zip(known, known[1:], strict=False)]
    least = max(min(steps), _SMALL * (known[-1] - known[0])) if steps else 0.0
    return [beside(value, least, count) for value in values]


def labels(values: Sequence[float]) -> list[str]:
    """Numbers as words for them: whole ones without decimals, others by the digits that tell them apart."""
    if all(math.isfinite(value) and value == round(value) and abs(value) < _WHOLE for value in values):
        return [f"{value:.0f}" for value in values]
    return apart(values)


def in_text(table: pd.DataFrame, count: int = 4) -> pd.DataFrame:
    """A table of estimates with its numbers as text: so many significant digits, and of means and ends of intervals
    those that tell two of the `sd` of the line."""
    none = [0.0] * len(table)

    def written(value: object, spread: float) -> object:
        return beside(float(value), float(spread), count) if isinstance(value, (float, np.floating)) else value

    shown = table.iloc[:, :0].copy()
    for name in table.columns:
        of_units = "sd" in table and (name in ("mean", "estimate") or str(name).endswith("%"))
        spreads = table["sd"] if of_units else none
        values = [written(value, spread) for value, spread in zip(table[name], spreads, strict=True)]
        shown.insert(shown.shape[1], name, np.array(values, dtype=object))
    return shown
