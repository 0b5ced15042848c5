"""`s(x, g, bs="fs")`: a smooth curve for each group, shrunk to the one that they have in common, as one term.

The bar `(s(x) | g)` is the same model with effects of groups.

All groups share a basis and three standard deviations: of their curves around straight lines, of these lines' levels,
and of their slopes (mgcv's factor-smooth interaction, Pedersen, Miller, Simpson and Ross 2019).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from formulaic.materializers.types import FactorValues

from poolwise.design.levels import label_text
from poolwise.design.structures import levels
from poolwise.design.structures.cubic import Cubics
from poolwise.design.structures.levels import as_values, positions
from poolwise.design.structures.structure import PENALTIES, Penalty
from poolwise.support.errors import DataError


def learn_groups(state: Any, groups: Any, curve: dict[str, Any]) -> None:
    """Keep the groups and their common basis, `curve` as `learnt_curve` gives it, in a transform's state."""
    names = sorted({label_text(value) for value in groups})
    bent = Cubics.from_state(curve["cubics"]).coefficients.shape[2]
    if (count := len(names) * (bent + 2)) > levels.MOST:
        raise DataError(
            f"A curve for each of {len(names):,} groups would have {count:,} coefficients; {levels.MOST} are the most. "
            "Write a bar, (s(x) | group), which takes any number of groups."
        )
    state |= {"levels": names, "basis": curve}
    state[PENALTIES] = [
        Penalty.of_sd(len(names) * bent).state(),
        Penalty.of_sd(len(names), "[constant]").state(),
        Penalty.of_sd(len(names), "[linear]").state(),
    ]


def curves_of_groups(state: Any, x: np.ndarray, groups: Any) -> FactorValues[Any]:
    """Columns of every group's curve, level and slope, which are zero in rows of others."""
    curve = state["basis"]
    z = (x - curve["centre"]) / curve["scale"]
    bent = Cubics.from_state(curve["cubics"])(z)
    own = np.zeros((len(z), len(state["levels"])))
    own[np.arange(len(z)), positions(state, groups, "s(..., bs='fs')")] = 1.0
    found = [(own[:, :, None] * bent[:, None, :]).reshape(len(z), -1), own, own * z[:, None]]
    columns = np.hstack(found)
    return as_values({str(j + 1): columns[:, j] for j in range(columns.shape[1])})
