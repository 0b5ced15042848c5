"""What follows while a slider moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from poolwise.inference.problem import KEPT, LIVE, PlainPoolings, fitted
from poolwise.output.live import numbers


def quick_answer(beside: PlainPoolings, widths: Mapping[str, float], *, threads: int) -> dict[str, Any]:
    """The numbers of all fits, by few draws.

    Regressions of sampled families without pooling are those that were last made by many draws, where they are of the
    same question.
    """
    problem = beside.problem
    fits = beside.of(widths, LIVE, threads=threads) if problem.cheap else beside.as_known(widths, KEPT) or {}
    model = problem.widened(widths)
    return numbers.live(problem, fits | {model.pooling: fitted(model, LIVE, threads=threads)}, widths)
