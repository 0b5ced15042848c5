"""Outcomes minus their expectations, where outcomes have distances that are all seen."""

from __future__ import annotations

import numpy as np

from poolwise.design import Rows
from poolwise.families import CIRCLE, Family


def measured(family: Family, rows: Rows) -> bool:
    """Whether outcomes have a distance from their expectation: not categories without an order, nor signed times of two
    choices, nor outcomes that are censored, or whose expectation within bounds has no closed form."""
    unordered = bool(family.labels) and not family.ordered
    return not (unordered or family.signed or rows.limits is not None)


def deviations(family: Family, rows: Rows, expected: np.ndarray) -> np.ndarray | None:
    """(n,) outcomes minus those expected of so many trials; angles the shorter way round. None where not `measured`.

    Parameters
    ----------
    expected : (n,) of one trial.
    """
    if not measured(family, rows):
        return None
    trials = np.ones(len(rows.codes)) if rows.trials is None else rows.trials
    away = rows.response - trials * expected
    return away - 2.0 * np.pi * np.round(away / (2.0 * np.pi)) if family.scale is CIRCLE else away
