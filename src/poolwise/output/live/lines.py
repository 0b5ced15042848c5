"""Lines of some groups over their rows, by each of the poolings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.design.factors import Factor
from poolwise.evaluate.predict import predictor_of
from poolwise.evaluate.prediction_request import Kind, NewGroups, Question
from poolwise.formula import Formula
from poolwise.formula.scan import pieces
from poolwise.inference.posterior import Pooling, Posterior
from poolwise.inference.problem import Problem
from poolwise.output.live.numbers import NAMES, interval, rounded, shown_groups
from poolwise.sources.frames import as_table
from poolwise.support.errors import PoolwiseError

if TYPE_CHECKING:
    import pandas as pd

_LINES = 3  # groups whose lines are drawn where none were chosen
_ALONG = 13  # points of a line
_DOTS = 400  # rows of a group that are drawn


def lines(problem: Problem, fits: Mapping[Pooling, Posterior], asked: Iterable[str]) -> dict[str, Any] | None:
    """For some groups their rows, and the expected outcome along the first predictor by each of the fits."""
    factor, main, formula = problem.factor, list(fits.values())[-1], problem.model.design.formula
    if factor is None or problem.rows is None or problem.model.family.labels or formula.offsets:
        return None  # with an offset each row has a line of its own
    frame = complete_rows(problem)
    along = None if frame is None else _predictor(formula, frame)
    if along is None or frame is None or not len(frame):
        return None
    levels = [str(level) for level in factor.levels]
    if len(set(levels)) < len(levels):  # a number and the same as text
        return None
    counts = np.bincount(factor.codes, main.model.statistics.counts, len(levels))
    chosen = [levels.index(label) for label in asked if label in levels and counts[levels.index(label)] > 0]
    chosen = (chosen + [group for group in _typical(main, factor) if group not in chosen])[: max(_LINES, len(chosen))]
    values = frame[along].dropna().to_numpy(dtype=float)
    grid = np.linspace(values.min(), values.max(), _ALONG)
    table, drawn = as_table(_grid(problem, frame, along, grid, chosen)), {}
    for kind, one in fits.items():
        try:
            mean = predictor_of(one, table, Question(Kind.MEAN, NewGroups.ERROR, one.seed)).draws()
        except PoolwiseError:  # labels or values that only the fit tells apart
            return None
        drawn[NAMES[kind]] = interval(mean.reshape(-1, len(chosen), len(grid)))
    return {
        "x": along,
        "y": main.model.design.response,
        "grid": rounded(grid),
        "panels": [
            {
                "label": levels[group],
                "dots": _dots(problem, frame, along, group),
                **{name: rounded(found[:, k]) for name, found in drawn.items()},
            }
            for k, group in enumerate(chosen)
        ],
    }


def _predictor(formula: Formula, frame: pd.DataFrame) -> str | None:
    """The first predictor of the mean, in the order of the formula, that is an amount."""
    for term in pieces(formula.common, "+"):
        if re.search(r"\b(C|factor|mo|poly|contr)\b", term):
            continue
        for name in map(str, frame.columns):
            word = rf"(?<![\w.]){re.escape(name)}(?![\w.])"
            if re.search(word, term) and frame[name].dtype.kind in "iuf":
                return name
    return None


def _typical(posterior: Posterior, factor: Factor) -> list[int]:
    """The group with most rows, one in the middle, and one with few."""
    places = shown_groups(posterior.model, factor)
    counts = np.bincount(factor.codes, posterior.model.statistics.counts, len(factor.levels))
    order = places[np.argsort(-counts[places], kind="stable")]
    order = order[counts[order] > 0]
    at = np.linspace(0, len(order) - 1, min(_LINES, len(order))).astype(int)
    return [int(order[k]) for k in at]


def complete_rows(problem: Problem) -> pd.DataFrame | None:
    """The rows of the table that the fit is of, in its order; None where they cannot be told."""
    if problem.frame is None or problem.rows is None:
        return None
    encoding = problem.model.encoding
    names = {*encoding.outcome, *encoding.trials, *encoding.variables, *encoding.keys, encoding.weights}
    frame = problem.frame.dropna(subset=[name for name in problem.frame if name in names])
    return frame if len(frame) == len(problem.rows.codes) else None


def _grid(problem: Problem, frame: pd.DataFrame, along: str, grid: np.ndarray, groups: list[int]) -> pd.DataFrame:
    """Rows along the predictor for each group; what else the model needs is as in the group's first row."""
    import pandas as pd

    parts = []
    for group in groups:
        mine = frame[_in_group(problem, group)]
        parts.append(pd.concat([mine.head(1)] * len(grid), ignore_index=True).assign(**{along: grid}))
    return pd.concat(parts, ignore_index=True)


def _in_group(problem: Problem, group: int) -> np.ndarray:
    """(n,) which rows are of a group."""
    assert problem.rows is not None
    assert problem.factor is not None
    return problem.factor.codes[problem.rows.codes] == group


def _dots(problem: Problem, frame: pd.DataFrame, along: str, group: int) -> dict[str, Any]:
    """The group's rows: the predictor, and the outcome as the fit has it."""
    rows, mine = problem.rows, _in_group(problem, group)
    assert rows is not None
    y = rows.response if rows.trials is None else rows.response / np.maximum(rows.trials, 1.0)
    return {"x": rounded(frame[along].to_numpy(dtype=float)[mine][:_DOTS]), "y": rounded(y[mine][:_DOTS])}
