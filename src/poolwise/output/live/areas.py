"""Effects of areas as numbers for a map."""

from __future__ import annotations

from typing import Any

from poolwise.evaluate.area_effects import area_effects
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.inference.problem import Problem
from poolwise.output.live.lines import complete_rows
from poolwise.output.live.numbers import rounded
from poolwise.support.errors import DataError


def areas(problem: Problem, posterior: Posterior, by: str) -> dict[str, Any] | None:
    """What all terms over a column of areas add, area by area; None where no term is over it."""
    frame = complete_rows(problem)
    if frame is None or problem.rows is None or posterior.model.pooling is not Pooling.PARTIAL:
        return None
    try:
        table = area_effects(posterior, problem.rows, frame, by)
    except DataError:
        return None
    return {
        "labels": table["area"].astype(str).tolist(),
        "rows": table["n"].astype(int).tolist(),
        **{name: rounded(table[name]) for name in ("raw", "mean", "sd")},
    }
